"""The journal as sync sees it: read-only, and cut into what may be sent next (wire.md §6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gate_agent import chain, entries_schema
from gate_agent.disk import read_only
from gate_agent.entries_schema import Before
from gate_agent.events import EventWord
from gate_agent.journal_files import NAME
from wire.messages import MAX_BATCH_ENTRIES

_READY = """
SELECT body, hash FROM entry
WHERE seq > ? AND seq < coalesce((SELECT min(seq) FROM open_intent), ?) ORDER BY seq LIMIT ?
"""
_NO_SEQ = 2**63 - 1


class JournalBehind(Exception):
    """The cursor stands past the journal's end: this journal is not the one that was sent."""


@dataclass(frozen=True, slots=True)
class Moment:
    """How far a journal reached at some moment."""

    incarnation: bytes
    last_seq: int


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
    complete_seq: int | None = None
    """Everything that had begun by the moment asked for lies at or before this entry; None: none was asked for."""
    before: Before = None
    closed: bool = False
    """The journal's last entry says that nothing more will come."""

    @property
    def end_seq(self) -> int:
        """The last of these entries, or the one before them."""
        return self.first_seq - 1 + len(self.bodies)

    @property
    def last_seq(self) -> int:
        """The last entry of the journal."""
        return self.end_seq + self.waiting


@dataclass(frozen=True, slots=True)
class _Searched:
    """How far the journal was searched for what ends what a moment knew: days off line are not searched each time."""

    moment: Moment
    through_seq: int
    complete_seq: int


class Outbox:
    """Reads entries.db of a data directory. Opened for each look: a journal that was set aside is never read on."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._searched: _Searched | None = None

    def ready(self, cursor: Callable[[bytes], int], moment: Moment | None = None) -> Ready | None:
        """What may be sent next, after the `cursor` of the journal's incarnation; None while there is no journal.

        A cursor that was lost with sync.db begins again where the centre vouched for what was pruned. With a `moment`
        of the journal it is told where all that had begun by then ended.
        """
        if not self._path.exists():
            return None
        with self._look() as db:
            (incarnation,) = db.execute("SELECT incarnation FROM meta").fetchone()
            first = chain.anchor(db)
            after = max(cursor(incarnation), first.seq)
            (newest,) = db.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()
            previous_hash = first.hash if after == first.seq else _hash_of(db, after)
            rows = db.execute(_READY, (after, _NO_SEQ, MAX_BATCH_ENTRIES)).fetchall()
            asked = moment is not None and moment.incarnation == incarnation
            complete_seq = self._complete(db, moment, newest) if moment is not None and asked else None
            before = entries_schema.before(db)
            last = db.execute("SELECT reason FROM entry WHERE seq = ?", (newest,)).fetchone()
        return Ready(
            incarnation=incarnation,
            first_seq=after + 1,
            previous_hash=previous_hash,
            last_hash=rows[-1][1] if rows else previous_hash,
            bodies=tuple(body for body, _ in rows),
            waiting=newest - after - len(rows),
            pruned_through=first.seq,
            complete_seq=complete_seq,
            before=before,
            closed=last == (EventWord.JOURNAL_CLOSED,),
        )

    def moment(self) -> Moment | None:
        """How far the journal reaches now; None while there is none."""
        if not self._path.exists():
            return None
        with self._look() as db:
            return Moment(
                *db.execute("SELECT incarnation, (SELECT coalesce(max(seq), 0) FROM entry) FROM meta").fetchone()
            )

    def hash_of(self, seq: int) -> bytes | None:
        """The chain's hash after an entry; None for one that is not here any more."""
        with self._look() as db:
            row = db.execute("SELECT hash FROM entry WHERE seq = ?", (seq,)).fetchone()
        return None if row is None or not row[0] else bytes(row[0])

    def _complete(self, db: sqlite3.Connection, moment: Moment, newest: int) -> int:
        """The last entry that belongs to what had begun by then; no batch reaches it past an open intent."""
        before = self._searched
        if before is None or before.moment != moment:
            before = _Searched(moment, moment.last_seq, moment.last_seq)
        sql = "SELECT max(seq) FROM entry WHERE seq > ? AND seq <= ? AND ref_seq <= ?"
        (found,) = db.execute(sql, (before.through_seq, newest, moment.last_seq)).fetchone()
        self._searched = _Searched(moment, newest, found or before.complete_seq)
        return self._searched.complete_seq

    @contextmanager
    def _look(self) -> Iterator[sqlite3.Connection]:
        """One moment of the journal for all that is read inside."""
        with closing(read_only(self._path)) as db:
            db.execute("BEGIN")
            yield db


def _hash_of(db: sqlite3.Connection, seq: int) -> bytes:
    row = db.execute("SELECT hash FROM entry WHERE seq = ?", (seq,)).fetchone()
    if row is None:
        raise JournalBehind(f"the centre holds entries up to {seq}, the journal does not reach that far")
    return bytes(row[0])
