"""The journal as everybody but its writer sees it: read-only, for sync, the checks and the export."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gate_agent.chain import Broken, ChainWalk
from gate_agent.entries import BUSY_TIMEOUT_S, NAME
from wire.messages import FIRST_HASH, Entry, decode_entry

_WALK = """
SELECT seq, body, hash, kind, lane, at_ms, trust, pass_id, ref_seq, reason, monotonic_ms FROM entry ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry as it goes up: the exact bytes and the chain's hash after them."""

    seq: int
    body: bytes
    hash: bytes


class EntriesView:
    """A read-only connection to entries.db. Used by one thread; sees what was committed when each call is made."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
        self.incarnation = bytes(self._db.execute("SELECT incarnation FROM meta").fetchone()[0])

    @classmethod
    def open(cls, data_dir: Path) -> EntriesView | None:
        """The journal of a data directory, or None while there is none."""
        path = data_dir / NAME
        return cls(path) if path.exists() else None

    def last_seq(self) -> int:
        """The newest entry; 0 in an empty journal."""
        return int(self._db.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()[0])

    def oldest_open_intent(self) -> int | None:
        """The first intent whose outcome is not written yet: a batch ends before it (wire.md §6)."""
        seq = self._db.execute("SELECT min(seq) FROM open_intent").fetchone()[0]
        return None if seq is None else int(seq)

    def hash_at(self, seq: int) -> bytes | None:
        """The chain's hash after entry `seq` (0: before the first); None when there is no such entry."""
        row = self._db.execute("SELECT hash FROM entry WHERE seq = ?", (seq,)).fetchone()
        return bytes(row[0]) if row is not None else FIRST_HASH if seq == 0 else None

    def after(self, seq: int, limit: int) -> list[StoredEntry]:
        """At most `limit` entries after `seq`, in order."""
        sql = "SELECT seq, body, hash FROM entry WHERE seq > ? ORDER BY seq LIMIT ?"
        return [StoredEntry(*row) for row in self._db.execute(sql, (seq, limit))]

    def entries(self) -> Iterator[tuple[Entry, bytes]]:
        """Every entry, decoded, with the chain's hash after it. Raises msgspec.DecodeError for one that is none."""
        for body, chained in self._db.execute("SELECT body, hash FROM entry ORDER BY seq"):
            yield decode_entry(body), chained

    def verify(self) -> Broken | int:
        """Walk the whole chain and the columns that repeat it; how many entries there are, or where it breaks."""
        walk = ChainWalk()
        for seq, body, chained, *columns in self._db.execute(_WALK):
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
