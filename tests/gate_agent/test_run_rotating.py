"""Rotating codes and a cold boot at a running agent: a process of its own, codes typed by a scanner on a pty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gate_agent.sync_store import SyncStore
from gate_agent.time_trust import SignedTime
from gate_agent.trusted_time import boot_clock_ms
from hardware.pty_scanner import PtyScanner
from tests.gate_agent.agent_process import AgentProcess, lane, running
from tests.gate_agent.phones import Phone
from tests.gate_agent.venue import NOW_MS, TWICE, Ticket, Venue
from tests.waiting import until
from wire import presentation
from wire.messages import EntryKind, Presentation
from wire.presentation import STEP_MS
from wire.reasons import Reason

pytestmark = pytest.mark.story


@dataclass
class Door:
    """An agent with two lanes, and what is typed there."""

    agent: AgentProcess
    scanners: tuple[PtyScanner, PtyScanner]

    def let_in(self, code: str, ticket: Ticket, at: int = 1) -> None:
        """The code opens, and its entry has its outcome."""
        pulses = len(self.agent.pulses())
        self.scanners[at - 1].type(code)
        pulse = self.agent.await_pulse(pulses)
        assert (pulse["lane"], pulse["pass"]) == (at, ticket.pass_id.hex())
        until(lambda: self.agent.entries()[-1].kind is EntryKind.PASSED_ASSUMED)

    def turned_away(self, code: str, at: int = 2) -> str | None:
        """Why; nothing opened."""
        entries, pulses = len(self.agent.entries()), len(self.agent.pulses())
        self.scanners[at - 1].type(code)
        reason = self.agent.await_refusal(entries).reason
        assert len(self.agent.pulses()) == pulses
        return reason


@pytest.fixture
def scanners() -> Iterator[tuple[PtyScanner, PtyScanner]]:
    """They outlive the agent."""
    both = PtyScanner(), PtyScanner()
    yield both
    for scanner in both:
        scanner.close()


@contextmanager
def door(data_dir: Path, scanners: tuple[PtyScanner, PtyScanner]) -> Iterator[Door]:
    """The agent is up."""
    lanes = [lane(number, scanner.path, data_dir) for number, scanner in enumerate(scanners, start=1)]
    with running(data_dir, lanes) as agent:
        yield Door(agent, scanners)


@pytest.fixture
def guests(venue: Venue) -> list[tuple[Ticket, Phone]]:
    """Passes with a phone in the list, good for two entries a day: nothing but the code stands in a copy's way."""
    tickets = [venue.issue(TWICE) for _ in range(3)]
    return [(ticket, venue.phone(ticket)) for ticket in tickets]


def test_a_rotating_code_opens_once_whatever_happens_to_the_agent(
    tmp_path: Path, venue: Venue, guests: list[tuple[Ticket, Phone]], scanners: tuple[PtyScanner, PtyScanner]
) -> None:
    """The phone is a step ahead, so that its older code is in the window as well, however slow this machine is."""
    (ticket, phone), (other, its_phone), (_, third) = guests
    venue.settle(tmp_path)
    began_ms = boot_clock_ms()

    def now_ms() -> int:
        return NOW_MS + boot_clock_ms() - began_ms

    used, older = phone.short(now_ms() + STEP_MS), phone.short(now_ms())
    with door(tmp_path, scanners) as gate:
        gate.let_in(used, ticket)
        intent = gate.agent.entries()[0]
        assert (intent.presentation, intent.pass_id) == (Presentation.SHORT, ticket.pass_id)
        assert presentation.proves(intent.evidence or b"", ticket.pass_id, phone.generation, phone.key.public)
        assert gate.turned_away(used) == Reason.CODE_REUSED
        assert gate.turned_away(older) == Reason.CODE_REUSED
        assert gate.turned_away(phone.full(now_ms())) == Reason.CODE_REUSED
        assert gate.turned_away(ticket.text) == Reason.NEEDS_ROTATING_CODE
        assert gate.turned_away(third.short(now_ms() - 5 * STEP_MS)) == Reason.CODE_TOO_OLD
        gate.agent.kill()
    with door(tmp_path, scanners) as gate:
        assert gate.turned_away(used, at=1) == Reason.CODE_REUSED
        assert gate.turned_away(older) == Reason.CODE_REUSED
        gate.let_in(its_phone.full(now_ms()), other, at=2)
        assert [entry.kind for entry in gate.agent.entries() if entry.pass_id == ticket.pass_id][:2] == [
            EntryKind.INTENT,
            EntryKind.PASSED_ASSUMED,
        ]


def test_a_cold_boot_without_network_admits_a_good_pass(
    tmp_path: Path, venue: Venue, guests: list[tuple[Ticket, Phone]], scanners: tuple[PtyScanner, PtyScanner]
) -> None:
    good = venue.issue()
    venue.settle(tmp_path, knows_time=False)
    with closing(SyncStore(tmp_path)) as store:
        store.keep_signed_time(SignedTime(NOW_MS, 1, "before the power went"))
    with door(tmp_path, scanners) as gate:
        gate.let_in(good.text, good)
        assert gate.turned_away(good.text) == Reason.CLOCK_UNKNOWN
        assert gate.turned_away(guests[0][1].short(NOW_MS)) == Reason.CLOCK_UNKNOWN
