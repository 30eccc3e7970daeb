"""The journal's chain, followed entry by entry: what is wrong with it, and where."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from wire.messages import FIRST_HASH, Entry, decode_entry, entry_hash
from wire.unreadable import UNREADABLE


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a chain breaks: the first seq that is not as it was written, and why it is not."""

    seq: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a journal's chain begins: after entry `seq`, whose hash is `hash`. What was before it was pruned."""

    seq: int = 0
    hash: bytes = FIRST_HASH


def anchor(db: sqlite3.Connection) -> Anchor:
    """The anchor of a journal; the very beginning in one that was never pruned, or is of the first release."""
    if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'anchor'").fetchone() is None:
        return Anchor()
    row = db.execute("SELECT seq, hash FROM anchor").fetchone()
    return Anchor() if row is None else Anchor(*row)


@dataclass(slots=True)
class ChainWalk:
    """Stands after entry `seq`, whose hash is `hash`."""

    seq: int = 0
    hash: bytes = FIRST_HASH

    @classmethod
    def after(cls, db: sqlite3.Connection, seq: int) -> ChainWalk:
        """A walk that goes on after entry `seq`, or from where the chain begins when there is no such entry."""
        first = anchor(db)
        row = db.execute("SELECT seq, hash FROM entry WHERE seq = ? AND seq > ?", (seq, first.seq)).fetchone()
        return cls(first.seq, first.hash) if row is None else cls(*row)

    def step(self, seq: int, body: bytes, chained: bytes) -> Entry | Broken:
        """Take the next row; the entry it holds if it follows from the one before."""
        if seq != self.seq + 1:
            return Broken(self.seq + 1, f"entry {self.seq + 1} is missing")
        if entry_hash(self.hash, body) != chained:
            return Broken(seq, f"entry {seq} does not follow from the one before it: one of the two was changed")
        try:
            entry = decode_entry(body)
        except UNREADABLE as error:
            return Broken(seq, f"entry {seq} cannot be read: {error}")
        if entry.seq != seq:
            return Broken(seq, f"entry {seq} calls itself {entry.seq}")
        self.seq, self.hash = seq, chained
        return entry
