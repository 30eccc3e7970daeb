"""What a lane does for the next visitor: one table from the fire input, troubles, staff's word and the list (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gate_agent.faces import LaneTrouble

HOLD_MINUTES = (10, 30, 60)
"""For how long staff may hold a lane open; it ends by itself."""
PARTY_LIMIT = 60
"""People that staff let in one after the other with one act."""


class LaneState(StrEnum):
    """How a lane stands."""

    STARTING = "starting"
    OPEN = "open"
    CLOSED = "closed"
    HELD_OPEN = "held_open"
    OUT_OF_ORDER = "out_of_order"
    COMMISSIONING = "commissioning"
    FIRE = "fire"


class Word(StrEnum):
    """What staff may say of a lane."""

    OPEN = "open"
    CLOSED = "closed"
    HELD_OPEN = "held_open"


@dataclass(frozen=True, slots=True)
class Order:
    """A word on a lane, which stands until another; held open ends at `ends_ms` of the boot clock.

    `seq` is the event that tells it, `who` the member of staff (empty: nobody yet, or the fire input).
    """

    word: Word = Word.OPEN
    ends_ms: int = 0
    seq: int = 0
    who: str = ""

    def word_at(self, boot_ms: int) -> Word:
        """The word that holds: a hold that is over is an open lane."""
        return Word.OPEN if self.word is Word.HELD_OPEN and boot_ms >= self.ends_ms else self.word


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a lane's state rests on. `fire`: at any lane of the box; `has_list`: the venue's rules are known;
    `on_trial`: it is being commissioned."""

    starting: bool = False
    fire: bool = False
    trouble: LaneTrouble | None = None
    word: Word = Word.OPEN
    has_list: bool = True
    on_trial: bool = False

    @property
    def stopped(self) -> bool:
        """Nobody may be let in, not even by staff: only a lane without readers still opens at their word."""
        return self.trouble not in (None, LaneTrouble.READER)


_TABLE: tuple[tuple[LaneState, Callable[[Inputs], bool]], ...] = (
    (LaneState.FIRE, lambda lane: lane.fire),
    (LaneState.STARTING, lambda lane: lane.starting),
    (LaneState.COMMISSIONING, lambda lane: lane.on_trial),
    (LaneState.OUT_OF_ORDER, lambda lane: lane.stopped),
    (LaneState.CLOSED, lambda lane: lane.word is Word.CLOSED),
    (LaneState.HELD_OPEN, lambda lane: lane.word is Word.HELD_OPEN),
    (LaneState.OUT_OF_ORDER, lambda lane: lane.trouble is not None),
    (LaneState.CLOSED, lambda lane: not lane.has_list),
)


def lane_state(inputs: Inputs) -> LaneState:
    """The first line of the table that holds; a lane with nothing against it is open."""
    return next((state for state, holds in _TABLE if holds(inputs)), LaneState.OPEN)


def may_pulse(inputs: Inputs) -> bool:
    """Whether the arm may be unlocked for anybody: not in a fire, closed, before the start, on trial, or stopped."""
    state = lane_state(inputs)
    return state in (LaneState.OPEN, LaneState.HELD_OPEN) or (state is LaneState.OUT_OF_ORDER and not inputs.stopped)
