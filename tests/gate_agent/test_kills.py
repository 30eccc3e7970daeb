"""Killed at any moment: every pulse has its entry, no entry is lost, no right is used twice (quality.md, R1)."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hardware.pty_scanner import PtyScanner
from tests.gate_agent.agent_process import journal_of, lane, pulses_of, running
from tests.gate_agent.venue import SINGLE, Ticket, Venue
from wire.messages import COUNTING, EntryKind

STATED_KILLS, USUAL_KILLS = 1_000, 20
TICKETS_PER_LIFE = 12
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
            self._gone.wait(0.008)


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
