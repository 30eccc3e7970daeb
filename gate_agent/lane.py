"""One lane as its conductor plays it: its devices, and what is going on at it. Used by the lane's own thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gate_agent.faces import Face, State
from gate_agent.judging import ByStaff, Event
from gate_agent.passage import Ending, LanePassages
from gate_agent.readers import Reader
from gate_agent.recognition import Raw, Recognised, Resolved
from gate_agent.status import Side, Way
from hardware.card_reader import CardFault
from hardware.indicator import Indicator, Signal
from hardware.turnstile import Direction, Edge, Turnstile
from wire.reasons import Reason

GROUP = Face(State.ADMITTED_GROUP)


@dataclass(slots=True)
class Party:
    """People let in one after the other for one entry. `by_hand`: staff's reason; each then has an entry of their own.

    `face` is what the first of them was shown.
    """

    seq: int
    pass_id: bytes
    persons: int
    pulsed: int = 1
    passed: int = 0
    by_hand: ByStaff | None = None
    face: Face = GROUP


@dataclass(slots=True)
class Hold:
    """A lane held open: the event that says so, and who walked through on no entry of their own, and back."""

    seq: int
    through: int = 0
    back: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """The next presentation opens nothing: it is judged for staff, or told to `heard` unjudged, to try a reader.

    `heard` says whether it was what is waited for; `enrols`: it waits for an enrolment code.
    """

    who: str
    until_ns: int
    heard: Callable[[Recognised | CardFault], bool] | None = None
    enrols: bool = False


class OnTrial(Protocol):
    """A lane that is being commissioned: what happens at it is told here, and to no visitor's side."""

    def read(self, reader: int, raw: Raw | CardFault) -> None:
        """One of its readers, by its place, read something."""

    def edge(self, edge: Edge) -> None:
        """An input of its turnstile moved."""

    def tick(self) -> None:
        """Time went by."""


@dataclass(slots=True)
class Lane:
    """A lane and what is going on at it."""

    number: int
    turnstile: Turnstile
    passages: LanePassages
    pulse_ms: int
    indicators: Sequence[Indicator] = ()
    way: Way = Way.UP
    readers: Sequence[Reader] = ()
    owed: list[Ending | Event] = field(default_factory=list)  # known and not on disk yet
    lit_until_ns: int | None = None
    lamp: Signal | None = None
    again_ns: int = 0  # a turnstile that did not take a pulse is not asked again before
    party: Party | None = None
    hold: Hold | None = None
    check: Check | None = None
    trial: OnTrial | None = None
    hangs: bool = False  # its thread waits for a device that does not answer
    ask: Callable[[str], Resolved] = lambda _: Reason.NEEDS_NETWORK
    """Whose electronic card a code is: the centre's answer, or after 800 ms that there is no network."""

    @property
    def direction(self) -> Direction:
        """Which way it leads."""
        return self.passages.direction

    @property
    def side(self) -> Side:
        """What visitors do here."""
        return Side.ENTRY if self.direction is Direction.IN else Side.EXIT

    @property
    def counts_exits(self) -> bool:
        """Whether people who leave the venue are seen here."""
        return self.direction is Direction.OUT or Direction.OUT in self.passages.free_ways

    @property
    def sensor_on(self) -> bool:
        """The passage input of the lane's way is active now."""
        return self.turnstile.passing(self.direction)

    @property
    def is_ready(self) -> bool:
        """The arm is locked and nobody is in it."""
        return self.turnstile.ready and not self.sensor_on
