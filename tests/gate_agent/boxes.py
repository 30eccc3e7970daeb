"""An enrolled box for tests: its data directory, its clocks set by hand, its journal, and sync's two tasks."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gate_agent.centre_client import USUAL_PATIENCE, Caller, Patience
from gate_agent.entries import Entries, Placed
from gate_agent.entry_push import EntryPush
from gate_agent.list_pull import ListPull
from gate_agent.sync_state import Enrolment
from gate_agent.sync_store import SyncStore, store_enrolment
from gate_agent.trusted_time import Clocks, TrustedTime
from tests.gate_agent.lists import KEY_SET
from tests.wire import samples
from wire import signing
from wire.messages import ClockTrust, Entry, EntryKind

BOOT = "a-boot"


@dataclass
class HandSetClocks:
    """Clocks that stand still until told; `per_look_ms` lets the boot clock run on by that much at every look."""

    boot_now_ms: int = 1_000_000
    os_now_ms: int = samples.NOW_MS
    rtc_now_ms: int | None = None
    boot_id: str = BOOT
    per_look_ms: int = 0

    def clocks(self) -> Clocks:
        """As the agent takes them."""
        return Clocks(self._boot_ms, lambda: self.os_now_ms, lambda: self.rtc_now_ms, self.boot_id)

    def advance(self, ms: int) -> None:
        """Let time pass: on every clock alike."""
        self.boot_now_ms += ms
        self.os_now_ms += ms
        if self.rtc_now_ms is not None:
            self.rtc_now_ms += ms

    def _boot_ms(self) -> int:
        self.boot_now_ms += self.per_look_ms
        self.os_now_ms += self.per_look_ms
        return self.boot_now_ms


def write(entries: Entries, *kinds: EntryKind, ref_seq: int | None = None) -> int:
    """Append entries of these kinds; the last one's seq."""
    seq = 0
    with entries.transaction():
        for kind in kinds:
            entry = Entry(
                0, kind, samples.NOW_MS, ClockTrust.TRUSTED, 5, 1, 42, 1, pass_id=samples.PASS_ID, ref_seq=ref_seq
            )
            seq = entries.append(entry, Placed(BOOT, None))
    return seq


def bodies(data_dir: Path) -> dict[int, tuple[bytes, bytes]]:
    """The whole journal: seq → (bytes, hash)."""
    with closing(sqlite3.connect(data_dir / "entries.db")) as db:
        rows = db.execute("SELECT seq, body, hash FROM entry").fetchall()
    return {seq: (body, chained) for seq, body, chained in rows}


@dataclass
class Box:
    """One enrolled box and what sync does on it."""

    data_dir: Path
    store: SyncStore
    pull: ListPull
    push: EntryPush
    time: TrustedTime
    clocks: HandSetClocks = field(default_factory=HandSetClocks)

    journals: list[Entries] = field(default_factory=list)

    def journal(self, incarnation: bytes = samples.INCARNATION) -> Entries:
        """The box's journal, open for writing."""
        entries, _ = Entries.open(self.data_dir, lambda: incarnation)
        self.journals.append(entries)
        return entries

    def cursor(self) -> int:
        """How far the centre's receipts reach."""
        return self.store.cursor(samples.INCARNATION)


@contextmanager
def box_at(
    data_dir: Path, url: str | None, clocks: HandSetClocks | None = None, patience: Patience = USUAL_PATIENCE
) -> Iterator[Box]:
    """A box enrolled at `url`, its configuration not yet fetched; None: the box as the data directory has it."""
    if url is not None:
        enrolment = Enrolment(url, samples.DEVICE_ID, signing.public_key_of(samples.ROOT), KEY_SET)
        store_enrolment(data_dir, enrolment, samples.DEVICE)
    hands = clocks or HandSetClocks()
    machine = hands.clocks()
    store = SyncStore(data_dir)
    time = TrustedTime(lambda: store.read().evidence, machine)
    caller = Caller(data_dir, store, machine, time, patience=patience)
    pull = ListPull(data_dir, store, caller, machine.boot_ms, random.Random(1))
    push = EntryPush(data_dir, store, caller, machine.boot_ms, time)
    box = Box(data_dir, store, pull, push, time, hands)
    try:
        yield box
    finally:
        for entries in box.journals:
            entries.close()
        caller.close()
        store.close()
