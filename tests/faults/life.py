"""The life of a box's files in fast motion, to be recorded: entries, list swaps, key rotations, receipts, pruning.

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

from gate_agent import pruning
from gate_agent.entries import Entries
from gate_agent.pruning import Acknowledged
from gate_agent.sync_state import SyncStore
from tests.gate_agent import first_release, lists
from tests.gate_agent.test_entries import PLACED, entry
from tests.gate_agent.venue import enrol
from tests.wire import samples
from wire import feed, keyset
from wire.messages import EntryKind

MARKS = "marks"
WAL_PAGES = 60
"""A checkpoint as often as this, so that a short life has many."""
FIRST_LIST, FIRST_ENTRIES = 42, 5

Mark = Callable[[str, int, bytes], None]


def prepare(data_dir: Path) -> lists.Feed:
    """What is there before: an approved box with a list, and a journal of the first release with unsent entries."""
    enrol(data_dir)
    list_feed = lists.Feed()
    list_feed.publish(FIRST_LIST)
    assert isinstance(list_feed.install(data_dir), feed.Head)
    first_release.create(data_dir)
    for _ in range(FIRST_ENTRIES):
        first_release.append(data_dir, entry(EntryKind.REFUSED), placed=PLACED)
    return list_feed


def live(data_dir: Path, days: int, mode: str | None) -> None:
    """So many days, each with some visitors, and everything else that happens now and then."""
    pruning.NEWEST_KEPT, pruning.PIECE = 25, 7
    chance = random.Random(days)
    list_feed, version, keys_version = lists.Feed(), FIRST_LIST, samples.KEY_SET.version
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
            now_ms = samples.NOW_MS + day * pruning.DAY_MS
            for _ in range(chance.randint(1, 3)):
                visit(entries, chance, mark)
            if chance.random() < 0.5:
                through_seq = chance.randint(store.cursor(samples.INCARNATION), entries.last_seq - 1)
                store.keep_receipt(samples.INCARNATION, through_seq, b"receipt")
                mark("receipt", through_seq)
            with entries.transaction():
                entries.prune(Acknowledged(store.cursor(samples.INCARNATION), b"receipt"), now_ms)
            if day % 8 == 3:
                version += 1
                list_feed.publish(version)
                assert isinstance(list_feed.install(data_dir), feed.Head)
                mark("list", version)
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
