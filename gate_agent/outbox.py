"""The journal as sync sees it: read-only, and cut into what may be sent next (wire.md §6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gate_agent import chain, entries
from wire.messages import MAX_BATCH_ENTRIES

_READY = """
SELECT body, hash FROM entry
WHERE seq > ? AND seq < coalesce((SELECT min(seq) FROM open_intent), ?) ORDER BY seq LIMIT ?
"""
_NO_SEQ = 2**63 - 1


class JournalBehind(Exception):
    """The cursor stands past the journal's end: this journal is not the one that was sent."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The next entries of a journal in order, up to the oldest intent still open; none is a sign of life.

    `waiting` counts what is not yet acknowledged after these. Up to `pruned_through` there is nothing to send again.
    """

    incarnation: bytes
    first_seq: int
    previous_hash: bytes
    last_hash: bytes
    bodies: tuple[bytes, ...]
    waiting: int
    pruned_through: int = 0

    @property
    def last_seq(self) -> int:
        """The last entry of the journal: no receipt can speak of a later one."""
        return self.first_seq - 1 + len(self.bodies) + self.waiting


class Outbox:
    """Reads entries.db of a data directory. Opened for each look: a journal that was set aside is never read on."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / entries.NAME

    def ready(self, cursor: Callable[[bytes], int]) -> Ready | None:
        """What may be sent next, after the `cursor` of the journal's incarnation; None while there is no journal.

        A cursor that was lost with sync.db begins again where the centre vouched for what was pruned.
        """
        if not self._path.exists():
            return None
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, timeout=entries.BUSY_TIMEOUT_S, isolation_level=None, uri=True)) as db:
            db.execute("BEGIN")  # one moment of the journal for all that is read here
            (incarnation,) = db.execute("SELECT incarnation FROM meta").fetchone()
            first = chain.anchor(db)
            after = max(cursor(incarnation), first.seq)
            (newest,) = db.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()
            previous_hash = first.hash if after == first.seq else _hash_of(db, after)
            rows = db.execute(_READY, (after, _NO_SEQ, MAX_BATCH_ENTRIES)).fetchall()
        return Ready(
            incarnation=incarnation,
            first_seq=after + 1,
            previous_hash=previous_hash,
            last_hash=rows[-1][1] if rows else previous_hash,
            bodies=tuple(body for body, _ in rows),
            waiting=newest - after - len(rows),
            pruned_through=first.seq,
        )


def _hash_of(db: sqlite3.Connection, seq: int) -> bytes:
    row = db.execute("SELECT hash FROM entry WHERE seq = ?", (seq,)).fetchone()
    if row is None:
        raise JournalBehind(f"the centre holds entries up to {seq}, the journal does not reach that far")
    return bytes(row[0])
