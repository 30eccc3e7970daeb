"""The sync process: polite while cut off, quick when the link is back, never two at once, never an orphan."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gate_agent import sync, sync_state
from gate_agent.centre_client import Rest
from gate_agent.pass_list import PassList
from gate_agent.sync import JitteredBackoff, Loop
from gate_agent.sync_state import LinkTrouble, SyncView, Task, TroubleKind
from tests.gate_agent.boxes import Box, bodies, box_at, write
from tests.gate_agent.small_centre import Fault, SmallCentre
from tests.waiting import until
from tests.wire.samples import DEVICE_ID, INCARNATION
from wire.messages import EntryKind

pytestmark = pytest.mark.story

OFF = LinkTrouble(TroubleKind.UNREACHABLE, "no answer")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with box_at(tmp_path, "http://127.0.0.1:9") as enrolled:
        yield enrolled


class Script:
    """Attempts that end as written, the last one for ever."""

    def __init__(self, *results: Rest | LinkTrouble | Exception) -> None:
        self.results = list(results)

    def __call__(self) -> Rest | LinkTrouble:
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result


def loop(box: Box, *results: Rest | LinkTrouble | Exception) -> Loop:
    return Loop(Task.ENTRIES, Script(*results), box.store, box.time, random.Random(1))


def test_while_the_centre_is_away_it_is_asked_at_most_once_a_second(box: Box) -> None:
    """Both tasks together, over an hour of pauses; and often enough to see within ten seconds that it is back."""
    for seed in range(20):
        backoff = JitteredBackoff(random.Random(seed))
        pauses_s = [backoff.next_s() for _ in range(500)]
        assert min(pauses_s) >= 2.0
        assert max(pauses_s) <= 10.0


def test_pauses_differ_so_that_gates_do_not_come_back_all_at_once() -> None:
    first = {JitteredBackoff(random.Random(seed)).next_s() for seed in range(50)}
    assert len(first) == 50


def test_pauses_grow_with_failures_and_are_short_again_after_a_success() -> None:
    class Last(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    backoff = JitteredBackoff(Last())
    assert [backoff.next_s() for _ in range(5)] == [4.0, 6.0, 10.0, 10.0, 10.0]
    backoff.reset()
    assert backoff.next_s() == 4.0


def test_how_a_task_stands_is_written_down(box: Box) -> None:
    task = loop(box, Rest(0.25), OFF, OFF, Rest(0.25))
    assert task.step() == 0.25
    link = box.store.read().entries_link
    assert link is not None
    assert link.trouble is None
    assert task.step() >= 2.0
    assert box.store.read().online is False
    link = box.store.read().entries_link
    assert link is not None
    assert link.trouble == OFF
    task.step()
    task.step()
    link = box.store.read().entries_link
    assert link is not None
    assert link.trouble is None


def test_looking_without_asking_says_nothing_about_the_link(box: Box) -> None:
    task = loop(box, OFF, Rest(0.25, asked=False))
    task.step()
    assert task.step() == 0.25
    link = box.store.read().entries_link
    assert link is not None
    assert link.trouble == OFF


def test_an_unchanged_state_is_written_down_now_and_then_only(box: Box) -> None:
    task = loop(box, Rest(0.25))
    task.step()
    first = box.store.read().last_contact_ms
    box.clocks.advance(sync.NOTE_EVERY_MS - 1)
    task.step()
    assert box.store.read().last_contact_ms == first
    box.clocks.advance(1)
    task.step()
    assert box.store.read().last_contact_ms == (first or 0) + sync.NOTE_EVERY_MS


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database or disk is full"), OSError(28, "No space left")])
def test_a_full_disk_is_told_and_tried_again(box: Box, error: Exception) -> None:
    task = loop(box, error, Rest(0.25))
    assert task.step() >= 2.0
    link = box.store.read().entries_link
    assert link is not None
    assert link.trouble is not None
    assert link.trouble.kind is TroubleKind.DISK
    assert task.step() == 0.25


def test_a_task_that_gets_through_again_wakes_the_other(box: Box) -> None:
    stop = threading.Event()
    recovered = threading.Event()
    task = loop(box, OFF, Rest(60.0))
    running = threading.Thread(target=task.run, args=(stop, recovered.set))
    running.start()
    until(lambda: box.store.read().entries_link is not None)
    assert not recovered.is_set()
    task.wake()
    assert recovered.wait(10)
    stop.set()
    task.wake()
    running.join(10)
    assert not running.is_alive()


RUN = "import sys; from pathlib import Path; from gate_agent import sync; sys.exit(sync.run_forever(Path(sys.argv[1])))"
RUN_IN_CHILD = """
import subprocess, sys, threading
child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]])
print(child.pid, flush=True)
threading.Event().wait()
"""


@contextmanager
def syncing(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """The real process, ended as systemd ends it."""
    command = [sys.executable, "-c", RUN, str(data_dir)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def test_the_process_brings_the_list_and_sends_the_entries(tmp_path: Path) -> None:
    with SmallCentre() as centre, box_at(tmp_path, centre.url) as box:
        centre.now_ms = lambda: box.time.now().record_ms  # never far from what the box believes
        centre.lists.publish(42)
        entries = box.journal()
        write(entries, *[EntryKind.REFUSED] * 3)
        view = SyncView.open(tmp_path)
        with syncing(tmp_path) as process:
            until(lambda: PassList.open(tmp_path) is not None, 30, "the list")
            until(lambda: view.cursor(INCARNATION) == 3, what="three entries")
            write(entries, *[EntryKind.REFUSED] * 4)
            until(lambda: view.cursor(INCARNATION) == 7, timeout_s=2.0, what="entries go up at once")
            until(lambda: view.read().online)
            centre.lists.publish(43)
            until(lambda: (held := PassList.open(tmp_path)) is not None and held.version == 43, 5.0, "the new list")
        assert process.returncode == 0
        assert centre.entries(DEVICE_ID, INCARNATION) == bodies(tmp_path)


def test_it_lives_through_every_fault(tmp_path: Path) -> None:
    with SmallCentre() as centre, box_at(tmp_path, centre.url) as box:
        centre.now_ms = lambda: box.time.now().record_ms
        centre.lists.publish(42)
        write(box.journal(), *[EntryKind.REFUSED] * 3)
        centre.faults.extend([Fault.PORTAL, Fault.DROP_AFTER_STORING, Fault.YESTERDAY])
        with syncing(tmp_path):
            until(lambda: SyncView.open(tmp_path).cursor(INCARNATION) == 3, 60.0, "entries in spite of faults")
            until(lambda: PassList.open(tmp_path) is not None, 60.0, "the list in spite of faults")
    assert len(centre.entries(DEVICE_ID, INCARNATION)) == 3


def test_it_ends_with_its_parent_and_the_next_one_waits_for_that(tmp_path: Path) -> None:
    """Killed without a word, `run` leaves its child behind for a moment; a second sync does not write meanwhile."""
    command = [sys.executable, "-c", RUN_IN_CHILD, RUN, str(tmp_path)]
    with box_at(tmp_path, "http://127.0.0.1:9"), subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            child_pid = int(parent.stdout.readline())
            until(lambda: _holds_lock(tmp_path), what="the child at work")
            with syncing(tmp_path) as second:
                parent.kill()
                until(lambda: not _runs(child_pid), what="the orphan's end")
                assert second.poll() is None
        finally:
            parent.kill()


def test_it_ends_when_its_file_is_deleted_so_that_the_next_one_writes_into_a_new_one(tmp_path: Path) -> None:
    with box_at(tmp_path, "http://127.0.0.1:9"), syncing(tmp_path) as process:
        until(lambda: _holds_lock(tmp_path), what="sync at work")
        (tmp_path / "sync.db").unlink()
        until(lambda: process.poll() is not None, what="its end")
        assert process.returncode == 1


def _holds_lock(data_dir: Path) -> bool:
    lock = data_dir / sync_state.LOCK
    return lock.exists() and str(lock.stat().st_ino) in Path("/proc/locks").read_text()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_signal_ends_it_at_once(tmp_path: Path) -> None:
    with box_at(tmp_path, "http://127.0.0.1:9"), syncing(tmp_path) as process:
        until(lambda: _holds_lock(tmp_path))
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(10) == 0
