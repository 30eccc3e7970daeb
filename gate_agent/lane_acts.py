"""Acts of staff at a lane, done on the lane's own thread: let in, give back, check, close, hold open, try a card."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from gate_agent.acts import Came, Result, Wish, tried
from gate_agent.decision import Refuse
from gate_agent.gate import Gate
from gate_agent.journal import CannotRecord, Journal
from gate_agent.lane import Lane
from gate_agent.lane_state import Word
from gate_agent.lanes import LaneDoesNotAnswer
from gate_agent.recognition import Recognised
from gate_agent.staff import Member, Role
from gate_agent.staff_entries import NotNow
from gate_agent.world import World
from hardware.card_reader import CardFault
from hardware.turnstile import Direction

COUNTING_WAIT_S = 3.0
"""How long letting in waits for another that is being counted: the day's limit and the act are one."""
TEST_CARD_S = 15.0
"""How long a card is waited for."""
NOT_NOW: Mapping[NotNow, Came] = {
    NotNow.STARTING: Came.STARTING,
    NotNow.LANE_CLOSED: Came.LANE_CLOSED,
    NotNow.OUT_OF_ORDER: Came.OUT_OF_ORDER,
    NotNow.FIRE: Came.FIRE,
    NotNow.BUSY: Came.GROUP_GOING,
    NotNow.TURNSTILE: Came.TURNSTILE,
    NotNow.CANNOT_RECORD: Came.CANNOT_RECORD,
    NotNow.NO_SUCH_ENTRY: Came.NO_SUCH_ENTRY,
    NotNow.DOES_NOT_COUNT: Came.DOES_NOT_COUNT,
    NotNow.STILL_OPEN: Came.STILL_OPEN,
    NotNow.IN_USE: Came.IN_USE,
    NotNow.COMMISSIONING: Came.COMMISSIONING,
}

T = TypeVar("T")


class AtLane(Protocol):
    """A lane at work: `LaneThreads`."""

    @property
    def lane(self) -> Lane:
        """What it plays; read here, changed by its own thread alone."""

    def command(self, work: Callable[[], T]) -> T:
        """See `LaneThreads.command`."""


class LaneActs:
    """At all lanes of one box; any thread may ask. `let_in_per_day` is a steward's limit, counted by person."""

    def __init__(
        self,
        gate: Gate,
        lanes: Mapping[int, AtLane],
        journal: Journal,
        look: Callable[[], World],
        let_in_per_day: int,
    ) -> None:
        self._gate = gate
        self._lanes = lanes
        self._journal = journal
        self._look = look
        self._let_in_per_day = let_in_per_day
        self._counting = threading.Lock()

    def let_in(self, member: Member, wish: Wish) -> Result:
        """So many people, each with an entry on disk before the arm moves, within the member's day."""
        if not self._counting.acquire(timeout=COUNTING_WAIT_S):
            return Result(Came.BUSY)
        try:
            used = self._used(member)
            if isinstance(used, CannotRecord):
                return Result(Came.CANNOT_RECORD)
            left = None if member.role is Role.SUPERVISOR else max(0, self._let_in_per_day - used)
            leaving = self._lanes[wish.lane].lane.direction is Direction.OUT  # and entering is what has a limit
            counted = 0 if leaving else wish.count
            if left is not None and counted > left:
                return Result(Came.DAY_LIMIT, used=used, left=left)
            came = self.at(wish, lambda lane: self._gate.let_in(lane, member.name, wish.reason, wish.count))
        finally:
            self._counting.release()
        left = None if left is None else left - counted
        return came or Result(Came.DONE, count=wish.count, used=used + counted, left=left)

    def return_entry(self, member: Member, wish: Wish) -> Result:
        """The right that an entry used is free again."""
        came = self.at(wish, lambda lane: self._gate.return_entry(lane, wish.entry_seq, member.name, wish.reason))
        return came or Result(Came.DONE)

    def admit_by_counter(self, member: Member, wish: Wish) -> Result:
        """A pass found by a number, judged by its own rules."""
        came = self.at(wish, lambda lane: self._gate.admit_by_counter(lane, wish.pass_id, member.name, wish.reason))
        return came or Result(Came.DONE)

    def check(self, member: Member, wish: Wish) -> Result:
        """The next pass shown is only judged; the staff's list says how."""
        return self.at(wish, lambda lane: self._gate.check_next(lane, member.name)) or Result(Came.DONE)

    def open(self, member: Member, wish: Wish) -> Result:
        """The lane checks passes again."""
        return self._order(member, wish, Word.OPEN)

    def close(self, member: Member, wish: Wish) -> Result:
        """The lane stops."""
        return self._order(member, wish, Word.CLOSED)

    def hold(self, member: Member, wish: Wish) -> Result:
        """The lane stays open for so many minutes."""
        return self._order(member, wish, Word.HELD_OPEN)

    def test_card(self, member: Member, wish: Wish) -> Result:
        """What the next card, or whatever else is held to a reader, gives away; nobody is let in."""
        came_in: queue.SimpleQueue[Recognised | CardFault] = queue.SimpleQueue()
        wait_ms = round(TEST_CARD_S * 1000)

        def heard(shown: Recognised | CardFault) -> bool:
            came_in.put(shown)
            return True

        came = self.at(wish, lambda lane: self._gate.test_next(lane, member.name, heard, wait_ms))
        if came is not None:
            return came
        try:
            return Result(Came.DONE, tried=tried(came_in.get(timeout=TEST_CARD_S)))
        except queue.Empty:
            return Result(Came.NOTHING_SHOWN)

    def _order(self, member: Member, wish: Wish, word: Word) -> Result:
        came = self.at(wish, lambda lane: self._gate.set_order(lane, word, member.name, wish.reason, wish.minutes))
        return came or Result(Came.DONE, count=wish.minutes)

    def at(self, wish: Wish, work: Callable[[Lane], object]) -> Result | None:
        """Do it on the lane's thread; None when it was done, else why not."""
        threads = self._lanes[wish.lane]
        try:
            answer = threads.command(lambda: work(threads.lane))
        except LaneDoesNotAnswer:
            return Result(Came.LANE_SILENT)
        if isinstance(answer, Refuse):
            return Result(Came.REFUSED, reason=answer.reason)
        return Result(NOT_NOW[answer]) if isinstance(answer, NotNow) else None

    def _used(self, member: Member) -> int | CannotRecord:
        """Whom the member let in by hand today, with those of a group who still wait at an arm."""
        world = self._look()
        written = self._journal.perform(lambda entries: entries.let_in_by(member.name, world.today.day, world.boot))
        if isinstance(written, CannotRecord):
            return written
        parties = [party for threads in self._lanes.values() if (party := threads.lane.party) is not None]
        by_member = [party for party in parties if party.by_hand is not None and party.by_hand.who == member.name]
        return written + sum(party.persons - party.pulsed for party in by_member)
