"""Power cut at every change of every file, un-synced changes lost, reordered or torn: nothing promised is missing.

A loop of kills cannot tell `synchronous=NORMAL` from `FULL`; this must (quality.md, R2).
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gate_agent import enrolment_copy
from gate_agent.entries import Entries
from gate_agent.entries_view import EntriesView
from gate_agent.outbox import Outbox
from gate_agent.pass_list import PassList
from gate_agent.succession import open_journal
from gate_agent.sync_state import SyncView
from hardware.pty_scanner import PtyScanner
from tests.faults import disk, life
from tests.faults.disk import Change
from tests.faults.power_cut import Fate, Medium
from tests.gate_agent.agent_process import lane, running
from tests.gate_agent.test_entries import PLACED, entry
from tests.gate_agent.venue import SINGLE, Venue
from tests.wire import samples

pytestmark = pytest.mark.slow

DAYS, VISITORS = 120, 200
USUALLY_ONE_IN = 3
"""A usual run looks at a tenth of the life, and there at one state in three; `--slow powercut` at every one."""
NEXT_INCARNATION = b"the-next"
MARKED_IN = (life.MARKS, "pulses")


@dataclass
class Promised:
    """What was promised before the cut: entries (with their hash, or their pass), list and keys in force."""

    entries: dict[int, str] = field(default_factory=dict)
    list_version: int = life.FIRST_LIST
    newest_list: int = life.FIRST_LIST
    keys_version: int = samples.KEY_SET.version
    acknowledged: int = 0

    def take(self, line: str) -> None:
        """A line of the file `marks`, or of a turnstile."""
        if line.startswith("{"):
            pulse = json.loads(line)
            self.entries[pulse["entry_seq"]] = pulse["pass"]
            return
        what, number, proof = line.rstrip("\n").rsplit(" ", 2)
        if what in ("snapshot", "beside"):
            self.list_version = self.newest_list = int(number)
        elif what == "in place":  # its last changes may go: they are fetched again
            self.newest_list = int(number)
        elif what == "keys":
            self.keys_version = int(number)
        elif what == "receipt":
            self.acknowledged = int(number)
        else:
            self.entries[int(number)] = proof


@dataclass(frozen=True)
class Recording:
    """Files before, and every change of them."""

    root: Path
    before: Mapping[str, bytes]
    changes: list[Change]

    def states(self, one_in: int, lies: bool = False) -> Iterator[tuple[str, dict[str, bytes], Promised]]:
        """One in so many of the crash states of every cut: its name, its files, what was promised by then."""
        chance = random.Random(20261118)
        medium, promised = Medium(self.root, self.before, lies=lies), Promised()
        marks: set[tuple[int, int]] = set()
        number = 0
        for at, change in enumerate(self.changes):
            if change.path.rpartition("/")[2] in MARKED_IN:
                marks.add((change.process, change.fd))
            elif change.kind is disk.Kind.WRITE and (change.process, change.fd) in marks:
                promised.take(change.data.decode())
            else:
                medium.take(change)
            for fate in Fate:
                number += 1
                if number % one_in == 0:
                    yield f"change {at}, what was not synced: {fate.value}", medium.crash(fate, chance), promised


@pytest.fixture
def one_in(times: Callable[[int], int]) -> int:
    """How many states there are for one that is looked at."""
    return 1 if times(DAYS) == DAYS else USUALLY_ONE_IN


@pytest.mark.slow("powercut")
def test_nothing_promised_is_missing(
    disk_library: Path, fast_path: Path, times: Callable[[int], int], one_in: int
) -> None:
    recording = record(disk_library, fast_path, times(DAYS))
    found = list(found_flaws(recording, fast_path / "after", one_in))
    assert not found, "\n".join(found[:20])


@pytest.mark.slow("powercut")
def test_no_pulse_of_a_running_agent_is_without_its_entry(
    disk_library: Path, fast_path: Path, times: Callable[[int], int], one_in: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the making of its journal on until it is stopped: two lanes, which share commits."""
    root, venue = fast_path / "box", Venue()
    root.mkdir()
    tickets = [venue.issue(SINGLE) for _ in range(times(VISITORS))]
    venue.settle(root)
    before = files_of(root)
    for name, value in disk.environment(disk_library, root, fast_path / "log").items():
        monkeypatch.setenv(name, value)
    scanners = [PtyScanner(), PtyScanner()]
    with running(root, [lane(number, scanner.path, root) for number, scanner in enumerate(scanners, 1)]) as agent:
        for at in range(0, len(tickets), 2):
            for scanner, ticket in zip(scanners, tickets[at : at + 2], strict=True):
                scanner.type(ticket.text)
            agent.await_pulse(at + 1)
        assert agent.stop() == 0
    for scanner in scanners:
        scanner.close()
    recording = Recording(root, before, list(disk.read_log(fast_path / "log")))
    found = list(found_flaws(recording, fast_path / "after", one_in))
    assert not found, "\n".join(found[:20])


@pytest.mark.slow("powercut")
def test_a_journal_that_does_not_sync_every_commit_is_found_out(disk_library: Path, fast_path: Path) -> None:
    recording = record(disk_library, fast_path, DAYS // 10, mode="NORMAL")
    found = found_flaws(recording, fast_path / "after", USUALLY_ONE_IN)
    assert any("is lost" in flaw for flaw in found)


@pytest.mark.slow("powercut")
def test_damage_by_a_card_that_lies_is_found_at_start_and_the_gate_works_on(
    disk_library: Path, fast_path: Path, times: Callable[[int], int], one_in: int
) -> None:
    recording = record(disk_library, fast_path, times(DAYS))
    ends: Counter[str] = Counter()
    for name, files, promised in recording.states(one_in * 3, lies=True):
        after, acknowledged = put(files, fast_path / "after"), promised.acknowledged
        opened = open_journal(after, lambda: NEXT_INCARNATION, Acknowledging(acknowledged))
        entries, set_aside = opened.entries, opened.aside
        assert entries.last_seq >= acknowledged or set_aside is not None, "no number the centre knows is given anew"
        with closing(entries), entries.transaction():
            entries.append(entry(), PLACED)
        with EntriesView.open(after) as view:
            assert isinstance(view.verify(), int), name
        if set_aside is None:
            ends["whole"] += 1
        else:
            ends["set aside"] += 1
            assert entries.incarnation == NEXT_INCARNATION and set_aside.exists(), name
    assert ends["whole"] and ends["set aside"], ends


@dataclass
class Acknowledging:
    """A centre that holds so much of every journal, and no other history of any."""

    through_seq: int

    def cursor(self, _incarnation: bytes, /) -> int:
        """As sync.db says it."""
        return self.through_seq

    def parting(self, _incarnation: bytes, /) -> None:
        """None."""

    def journals(self) -> list[tuple[bytes, int]]:
        """The one that was."""
        return [(samples.INCARNATION, self.through_seq)]


def record(library: Path, folder: Path, days: int, mode: str | None = None) -> Recording:
    """The life of a box in `folder`, recorded."""
    root, log = folder / "box", folder / "log"
    root.mkdir()
    life.prepare(root)
    before = files_of(root)
    command = [sys.executable, "-m", "tests.faults.life", str(root), str(days), *([] if mode is None else [mode])]
    subprocess.run(command, check=True, env=disk.environment(library, root, log))
    return Recording(root, before, list(disk.read_log(log)))


def files_of(root: Path) -> dict[str, bytes]:
    """Every file by its name below `root`."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def put(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write a crash state down, in place of the one before."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "lists").mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def found_flaws(recording: Recording, folder: Path, one_in: int) -> Iterator[str]:
    """All flaws of one in so many crash states."""
    for name, files, promised in recording.states(one_in):
        for flaw in flaws(put(files, folder), promised):
            yield f"{name}: {flaw}"


def flaws(folder: Path, promised: Promised) -> Iterator[str]:
    """What of the promised is not there when the real code opens a crash state, and what it then cannot do."""
    entries, set_aside = Entries.open(folder, lambda: NEXT_INCARNATION)
    with closing(entries):
        if set_aside is not None:
            yield "the journal was set aside"
            return
        with EntriesView.open(folder) as view:
            found, pruned_through = view.verify(), view.pruned_through()
            held = {one.seq: (chained.hex(), (one.pass_id or b"").hex()) for one, chained in view.entries()}
            told = {told.seq for told in view.told_after(0)}
        if not isinstance(found, int):
            yield f"the chain is broken: {found.sentence}"
        for seq, proof in promised.entries.items():
            if proof not in held.get(seq, ()) and (seq > pruned_through or seq not in told):
                yield f"entry {seq} is lost"
        ready = Outbox(folder).ready(SyncView.open(folder).cursor)
        oldest_open = min((intent.seq for intent in entries.open_intents()), default=entries.last_seq + 1)
        if ready is None or len(ready.bodies) != oldest_open - ready.first_seq:
            yield "what is left to send cannot be sent"
        with entries.transaction():
            if entries.append(entry(), PLACED) != max(held, default=0) + 1:
                yield "the numbers do not go on"
    held_list, sync = PassList.open(folder), SyncView.open(folder).read()
    if held_list is None or not promised.list_version <= held_list.version <= promised.newest_list + 1:
        yield "the list in force is lost"
    elif (listed := held_list.find(samples.PASS_ID)) is not None and listed.right.not_after != held_list.version:
        yield "the list is a part of two"
    if sync.key_set is None or sync.config is None or sync.key_set.version > promised.keys_version + 1:
        yield "the centre's keys are lost"
    copy = enrolment_copy.load(folder)
    if copy is None or (keys := copy.keys()) is None or keys.version > promised.keys_version + 1:
        yield "the copy of the enrolment is lost"
