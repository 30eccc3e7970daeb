"""Four lanes, five scans a second each, new lists, a flapping network: nothing is lost and nothing grows (R10)."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gate_agent.sync_state import Enrolment
from gate_agent.sync_store import SyncStore
from hardware.pty_scanner import PtyScanner
from tests.gate_agent import lists
from tests.gate_agent.agent_process import AgentProcess, lane, running
from tests.gate_agent.small_centre import Fault, SmallCentre
from tests.gate_agent.venue import NOW_MS, SINGLE, VERSION, Venue
from tests.waiting import until
from tests.wire import samples
from wire import signing
from wire.messages import EntryKind

STATED_S = 600
LANES = 4
SCANS_PER_S = 5
LIST_EVERY_S = 3.0
GROWTH_KB = 12_000
"""What memory may still settle by once a tenth of the time has gone; a leak of 2 kB a scan is twice that."""
FAULTS = (None, Fault.ERROR_PAGE, Fault.DROP_AFTER_STORING, Fault.TRUNCATE, Fault.YESTERDAY, Fault.PORTAL)
ANSWERS = "SELECT count(*) FROM entry WHERE lane = ? AND kind IN (?, ?) AND seq > ?"


@dataclass(frozen=True)
class Vitals:
    """What a process holds."""

    memory_kb: int
    handles: int
    threads: int


def vitals(pid: int) -> Vitals:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    said = dict(line.split(":", 1) for line in lines if ":" in line)
    handles = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Vitals(int(said["VmRSS"].split()[0]), handles, int(said["Threads"]))


class Queue:
    """The visitors of one lane: each holds up his code, at most SCANS_PER_S a second, and is answered."""

    def __init__(self, number: int, scanner: PtyScanner, texts: Sequence[str], data_dir: Path) -> None:
        self.presented = 0
        self.failure: Exception | None = None
        self._number, self._scanner, self._texts, self._data_dir = number, scanner, texts, data_dir
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def go_home(self) -> None:
        """Wait for the visitor who is being answered."""
        self._gone.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            with closing(sqlite3.connect(f"file:{self._data_dir / 'entries.db'}?mode=ro", uri=True)) as journal:
                for text in self._texts:
                    if self._gone.is_set():
                        return
                    self._present(journal, text)
        except (AssertionError, sqlite3.Error) as failure:
            self.failure = failure

    def _present(self, journal: sqlite3.Connection, text: str) -> None:
        (last,) = journal.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()
        wanted = (self._number, EntryKind.INTENT, EntryKind.REFUSED, last)
        self._scanner.type(text)
        self._gone.wait(1 / SCANS_PER_S)
        until(lambda: journal.execute(ANSWERS, wanted).fetchone()[0] == 1, what=f"lane {self._number}: an answer")
        self.presented += 1


def show(venue: Venue, lane_number: int, count: int) -> list[str]:
    """What one lane's visitors hold up: in turn a good code, a stranger's, one that was used a while ago, a broken."""
    texts: list[str] = []
    tickets = [venue.issue(SINGLE) for _ in range(5)]
    while len(texts) < count:
        tickets.append(venue.issue(SINGLE))
        used = tickets[-6].text  # seconds ago: the same code held up on would be nothing new
        texts += [tickets[-1].text, f"https://pay.example/{lane_number}/{len(texts)}", used, tickets[-1].text[:-2]]
    return texts


@contextmanager
def syncing(data_dir: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """`gate-agent sync` beside the agent, as the units run it."""
    with closing(SyncStore(data_dir)) as store:
        store.keep_enrolment(Enrolment(url, samples.DEVICE_ID, signing.public_key_of(samples.ROOT), lists.KEY_SET))
        store.keep_config(lists.CONFIG, signing.public_key_of(samples.ROOT))
    with (data_dir / "sync.log").open("a") as log:
        command = [sys.executable, "-m", "gate_agent", "sync", "--data", str(data_dir)]
        process = subprocess.Popen(command, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def trouble(centre: SmallCentre, venue: Venue, stop: threading.Event) -> None:
    """The network flaps; now and then a new list comes."""
    chance = random.Random(20261118)
    version = VERSION
    while not stop.wait(LIST_EVERY_S):
        version += 1
        venue.publish(NOW_MS + version, version)
        centre.lists = venue.feed
        centre.faults.extend(chance.choices(FAULTS, k=4))


@pytest.mark.slow("soak")
def test_lanes_go_on_for_long_and_nothing_is_lost_or_grows(tmp_path: Path, times: Callable[[int], int]) -> None:
    seconds = times(STATED_S)
    venue = Venue()
    shown = {number: show(venue, number, seconds * SCANS_PER_S + 8) for number in range(1, LANES + 1)}
    venue.settle(tmp_path)
    scanners = {number: PtyScanner() for number in shown}
    stop = threading.Event()
    with SmallCentre() as centre:
        centre.lists = venue.feed
        lanes = [lane(number, scanner.path, tmp_path) for number, scanner in scanners.items()]
        with syncing(tmp_path, centre.url) as sync, running(tmp_path, lanes) as agent:
            flapping = threading.Thread(target=trouble, args=(centre, venue, stop), daemon=True)
            flapping.start()
            queues = [Queue(number, scanners[number], texts, tmp_path) for number, texts in shown.items()]
            stop.wait(seconds / 10)
            before = {"run": vitals(agent.pid), "sync": vitals(sync.pid)}
            stop.wait(seconds * 9 / 10)
            for queue in queues:
                queue.go_home()
            after = {"run": vitals(agent.pid), "sync": vitals(sync.pid)}
            stop.set()
            flapping.join()
            centre.faults.clear()
            presented = sum(queue.presented for queue in queues)
            check(agent, presented)
            entries = len(agent.entries())
            until(lambda: len(centre.entries(samples.DEVICE_ID, incarnation(tmp_path))) >= entries, timeout_s=90)
    for scanner in scanners.values():
        scanner.close()
    print(f"{presented} scans in {seconds} s, {entries} entries, before {before}, after {after}")
    assert presented > seconds  # or nothing was tested
    for early, late in ((before[name], after[name]) for name in ("run", "sync")):
        assert late.memory_kb - early.memory_kb < GROWTH_KB
        assert late.handles <= early.handles + 4  # connections and files that are open at the moment
        assert late.threads <= early.threads + 2


def incarnation(data_dir: Path) -> bytes:
    with closing(sqlite3.connect(f"file:{data_dir / 'entries.db'}?mode=ro", uri=True)) as journal:
        found: bytes = journal.execute("SELECT incarnation FROM meta").fetchone()[0]
    return found


def check(agent: AgentProcess, presented: int) -> None:
    """Every visitor was answered once, every pulse has its entry, no ticket was used twice."""
    entries = agent.entries()
    kinds = Counter(entry.kind for entry in entries)
    assert kinds[EntryKind.INTENT] + kinds[EntryKind.REFUSED] == presented
    assert sorted(pulse["entry_seq"] for pulse in agent.pulses()) == sorted(
        entry.seq for entry in entries if entry.kind is EntryKind.INTENT
    )
    used = Counter(entry.pass_id for entry in entries if entry.kind is EntryKind.INTENT)
    assert max(used.values()) == 1
