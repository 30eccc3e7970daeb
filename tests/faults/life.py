"""The life of a box's files in fast motion, to be recorded: entries, lists, key rotations, receipts, pruning.

    python -m tests.faults.life DATA_DIR DAYS [MODE]

Every promise that was kept (an entry's pulse may happen, a list is in force) is written as a line into the file `marks`
at that moment. MODE puts another `PRAGMA synchronous` in place of the journal's own: a mutant that must be found out.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from gate_agent import list_install, pruning
from gate_agent.entries import Entries
from gate_agent.pass_list import PassListHolder
from gate_agent.pruning import Acknowledged
from gate_agent.sync_store import SyncStore
from tests.gate_agent import first_release, lists
from tests.gate_agent.test_entries import PLACED, entry
from tests.gate_agent.venue import enrol
from tests.wire import samples
from wire import feed, keyset, moments
from wire.feed import Part
from wire.messages import EntryKind

MARKS = "marks"
WAL_PAGES = 60
"""A checkpoint as often as this, so that a short life has many."""
FIRST_LIST, FIRST_ENTRIES = 42, 5

Mark = Callable[[str, int, bytes], None]


class ListLife:
    """The venue's list: of every version one row says which it is, so that half of a change would show."""

    def __init__(self, data_dir: Path) -> None:
        self.version = FIRST_LIST
        self._data_dir = data_dir
        self._feed = lists.Feed()
        self._snapshot_version = FIRST_LIST
        self._deltas: list[tuple[int, Part, tuple[feed.Row, ...]]] = []

    def change(self, way: str) -> None:
        """The next version: a `snapshot`, or a delta `in place` or `beside` the file in force."""
        self.version += 1
        if way == "snapshot":
            self._snapshot_version, self._deltas = self.version, []
        else:
            self._deltas.append((self.version, Part.PASSES, (row_of(self.version),)))
        list_install.IN_PLACE_BYTES = 0 if way == "beside" else 1 << 20
        self.install()

    def install(self) -> None:
        """Put the newest version in force."""
        rows = (row_of(self._snapshot_version), *samples.PASS_ROWS[1:])
        parts = ((Part.DOCUMENT, (samples.DOCUMENT,)), (Part.PASSES, rows))
        self._feed.publish(self.version, parts, self._deltas, snapshot_version=self._snapshot_version)
        assert isinstance(self._feed.install(self._data_dir), feed.Head)


def row_of(version: int) -> feed.PassRow:
    """The row that says which version it is of."""
    return msgspec.structs.replace(samples.PASS_ROWS[0], not_after=version)


def prepare(data_dir: Path) -> None:
    """What is there before: an approved box with a list, and a journal of the first release with unsent entries."""
    enrol(data_dir)
    ListLife(data_dir).install()
    first_release.create(data_dir)
    for _ in range(FIRST_ENTRIES):
        first_release.append(data_dir, entry(EntryKind.REFUSED), placed=PLACED)


def live(data_dir: Path, days: int, mode: str | None) -> None:
    """So many days, each with some visitors, and everything else that happens now and then."""
    pruning.NEWEST_KEPT, pruning.PIECE = 25, 7
    chance = random.Random(days)
    venue_list, lane, keys_version = ListLife(data_dir), PassListHolder(data_dir), samples.KEY_SET.version
    marks = os.open(data_dir / MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def mark(what: str, number: int, proof: bytes = b"") -> None:
        os.write(marks, f"{what} {number} {proof.hex()}\n".encode())

    entries, set_aside = Entries.open(data_dir, lambda: samples.INCARNATION)
    assert set_aside is None
    entries._db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    if mode is not None:
        entries._db.execute(f"PRAGMA synchronous = {mode}")
    with closing(entries), closing(SyncStore(data_dir)) as store:
        for day in range(days):
            now_ms = samples.NOW_MS + day * moments.DAY_MS
            for _ in range(chance.randint(1, 3)):
                visit(entries, chance, mark)
            if chance.random() < 0.5:
                through_seq = chance.randint(store.cursor(samples.INCARNATION), entries.last_seq - 1)
                store.keep_receipt(samples.INCARNATION, through_seq, b"receipt")
                mark("receipt", through_seq)
            with entries.transaction():
                entries.prune(Acknowledged(store.cursor(samples.INCARNATION), b"receipt"), now_ms)
            if day % 4 == 1:
                way = chance.choice(["snapshot", "in place", "in place", "beside"])
                venue_list.change(way)
                mark(way, venue_list.version)
            assert lane.current() is not None  # a lane holds the file while it changes
            if day % 8 == 7:
                keys_version += 1
                rotated = msgspec.structs.replace(samples.KEY_SET, version=keys_version)
                config = msgspec.structs.replace(lists.CONFIG, key_set=keyset.sign_key_set(rotated, (samples.ROOT,)))
                store.keep_config(config, rotated.root)
                mark("keys", keys_version)


def visit(entries: Entries, chance: random.Random, mark: Mark) -> None:
    """One commit for some visitors, their pulses, then how they ended."""
    with entries.transaction():
        intents = [
            (entries.append(entry(evidence=chance.randbytes(8)), PLACED), entries._hash)
            for _ in range(chance.randint(1, 3))
        ]
    for intent_seq, chained in intents:
        mark("pulse", intent_seq, chained)
    with entries.transaction():
        for intent_seq, _ in intents:
            entries.append(entry(chance.choice([EntryKind.PASSED, EntryKind.ANNULLED]), ref_seq=intent_seq), PLACED)
        last = entries.last_seq, entries._hash
    mark("ending", *last)


if __name__ == "__main__":
    live(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
