"""Killed at any moment: every pulse has its entry, no entry is lost, no right is used twice (quality.md, R1)."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hardware.pty_scanner import PtyScanner
from tests.gate_agent.agent_process import journal_of, lane, pulses_of, running
from tests.gate_agent.venue import SINGLE, Ticket, Venue
from tests.waiting import until
from wire.messages import COUNTING, EntryKind

pytestmark = pytest.mark.slow

STATED_KILLS, USUAL_KILLS = 1_000, 20
TICKETS_PER_LIFE = 40
LONGEST_LIFE_S = 0.15


class Crowd:
    """Visitors who keep presenting, one after the other, whatever happens to the gate."""

    def __init__(self, scanner: PtyScanner, tickets: Sequence[Ticket]) -> None:
        self._scanner = scanner
        self._tickets = tickets
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._present, daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Nobody presents any more."""
        self._gone.set()
        self._thread.join(10)

    def _present(self) -> None:
        for ticket in self._tickets:
            if self._gone.is_set():
                return
            self._scanner.type(ticket.text)
            self._gone.wait(0.003)


@pytest.mark.slow("kills")
def test_killed_at_any_moment(tmp_path: Path, times: Callable[[int], int]) -> None:
    kills = STATED_KILLS if times(STATED_KILLS) == STATED_KILLS else USUAL_KILLS
    chance = random.Random(20261118)
    venue = Venue()
    tickets = [venue.issue(SINGLE) for _ in range(kills * TICKETS_PER_LIFE)]
    venue.settle(tmp_path)
    scanner = PtyScanner()
    seen = 0
    for life in range(kills):
        # The last visitors of the life before come again first: some go on with an intent that the kill left open.
        first = max(0, life * TICKETS_PER_LIFE - 6)
        with running(tmp_path, [lane(1, scanner.path, tmp_path)]) as agent:
            crowd = Crowd(scanner, tickets[first : (life + 1) * TICKETS_PER_LIFE])
            threading.Event().wait(chance.uniform(0.0, LONGEST_LIFE_S))
            agent.kill()
            crowd.leave()
        seen = check(tmp_path, seen)
    scanner.close()
    assert len(pulses_of(tmp_path)) > kills  # somebody was let in, or nothing was tested
    assert not list(tmp_path.glob("entries-damaged*"))


def test_killed_between_the_entry_and_the_pulse(tmp_path: Path) -> None:
    """A turnstile that hangs holds the agent at the very moment of the pulse: the entry is on disk already."""
    venue = Venue()
    ticket = venue.issue(SINGLE)
    venue.settle(tmp_path)
    scanner, hanging = PtyScanner(), tmp_path / "hanging"
    os.mkfifo(hanging)
    read_end = os.open(hanging, os.O_RDONLY | os.O_NONBLOCK)
    write_end = os.open(hanging, os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_end, bytes(4096))
    with running(tmp_path, [f"1:reader=serial:{scanner.path},turnstile=file:{hanging}"]) as agent:
        scanner.type(ticket.text)
        until(agent.entries, what="the intent of a pulse that has not happened yet")
        agent.kill()
    os.close(write_end)
    os.close(read_end)
    with running(tmp_path, [lane(1, scanner.path, tmp_path)]) as agent:
        scanner.type(ticket.text)
        assert agent.await_pulse(0)["entry_seq"] == 1
        until(lambda: len(agent.entries()) == 2)
        assert [entry.kind for entry in agent.entries()] == [EntryKind.INTENT, EntryKind.PASSED_ASSUMED]
    scanner.close()


def check(data_dir: Path, seen: int) -> int:
    """What must hold of journal and pulses after each kill; how many entries there are, never fewer than `seen`."""
    entries = journal_of(data_dir)
    assert len(entries) >= seen
    intents = {entry.seq: entry for entry in entries if entry.kind is EntryKind.INTENT}
    for pulse in pulses_of(data_dir):
        assert (intents[pulse["entry_seq"]].pass_id or b"").hex() == pulse["pass"]
    used = Counter(entry.pass_id for entry in intents.values())
    assert max(used.values(), default=0) <= 1
    counted = Counter(entry.ref_seq for entry in entries if entry.kind in COUNTING)
    assert max(counted.values(), default=0) <= 1
    return len(entries)
