"""The journal as everybody but its writer sees it: read-only, for the day's numbers, the checks and the export."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gate_agent import chain, topology
from gate_agent.chain import Broken, ChainWalk
from gate_agent.disk import read_only
from gate_agent.journal_files import NAME
from gate_agent.topology import Wiring
from wire.messages import Entry, EntryKind, decode_entry

_WALK = """
SELECT seq, body, hash, kind, lane, at_ms, trust, pass_id, ref_seq, reason, monotonic_ms
FROM entry WHERE seq > ? ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What the day's numbers need of an entry."""

    seq: int
    kind: EntryKind
    at_ms: int
    day: int | None
    reason: str | None


class EntriesView:
    """A read-only connection to entries.db. Used by one thread; sees what was committed when each call is made."""

    def __init__(self, path: Path) -> None:
        self._db = read_only(path)
        self.incarnation = bytes(self._db.execute("SELECT incarnation FROM meta").fetchone()[0])

    @classmethod
    def open(cls, data_dir: Path) -> EntriesView:
        """The journal of a data directory. FileNotFoundError while there is none."""
        path = data_dir / NAME
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no journal here; is this the data directory of a gate?")
        return cls(path)

    def last_seq(self) -> int:
        """The newest entry; 0 in an empty journal."""
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()[0])

    def pruned_through(self) -> int:
        """The last entry whose bytes were given up; 0 while all are here."""
        return chain.anchor(self._db).seq

    def open_intents(self) -> int:
        """How many admissions have no outcome yet."""
        return int(self._db.execute("SELECT count(*) FROM open_intent").fetchone()[0])

    def wiring(self) -> dict[int, Wiring]:
        """How each lane was wired when it was commissioned; nothing in a journal of the first release."""
        try:
            return topology.load(self._db)
        except sqlite3.OperationalError:  # there is no such table yet
            return {}

    def told_after(self, seq: int) -> Iterator[Told]:
        """What was written after entry `seq`, in order."""
        sql = "SELECT seq, kind, at_ms, day, reason FROM entry WHERE seq > ? ORDER BY seq"
        for number, kind, *rest in self._db.execute(sql, (seq,)):
            yield Told(number, EntryKind(kind), *rest)

    def entries(self) -> Iterator[tuple[Entry, bytes]]:
        """Every entry that was not pruned, decoded, with the chain's hash after it.

        Raises what `wire.unreadable` lists for one that is none.
        """
        sql = "SELECT body, hash FROM entry WHERE seq > ? ORDER BY seq"
        for body, chained in self._db.execute(sql, (self.pruned_through(),)):
            yield decode_entry(body), chained

    def verify(self) -> Broken | int:
        """Walk the chain from where it begins, and the columns that repeat it; its last seq, or where it breaks."""
        walk = ChainWalk.after(self._db, self.pruned_through())
        for seq, body, chained, *columns in self._db.execute(_WALK, (walk.seq,)):
            taken = walk.step(seq, body, chained)
            if isinstance(taken, Broken):
                return taken
            if columns != _columns(taken):
                return Broken(seq, f"entry {seq} stands under facts that are not its own")
        return walk.seq

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> EntriesView:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(sqlite3.Error):
            self.close()


def _columns(entry: Entry) -> list[object]:
    """What the columns after the hash must say."""
    first = [entry.kind, entry.lane, entry.device_at_ms, entry.trust]
    return [*first, entry.pass_id, entry.ref_seq, entry.reason, entry.monotonic_ms]
