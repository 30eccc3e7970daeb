"""Commissioning a lane, one step after the other: what is waited for and what is not as it should be (pure).

Somebody at the lane holds up a code, looks at the arm and walks through it. Whoever has the devices tells here what is
read, which input moves, what people say and how late it is, and gives a test pulse when `wants_pulse`: the running
agent (lane_trial.py), or the command beside a stopped one (commission_lane.py). Times are ms of a rising clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hardware.card_reader import CardFault, CardRead
from hardware.turnstile import PASSAGES, Direction, Role

LIMIT_MS = 180_000
"""How long each step is waited for."""
PULSES_LIMIT = 3
"""For one walk through the arm, in case it locks again before somebody goes."""
CODE_DIGITS = 6
NO_ARM, ANOTHER_ARM = 0, -1
"""Instead of a lane's number: no arm unlocked, or one of another box."""
AT_REST = {role: role is Role.READY for role in Role}
"""Which inputs are active while the arm is locked and empty, the housing closed and nothing burns."""


class Step(StrEnum):
    """What is going on, in this order."""

    CODE = "code"  # every reader is to read the code of the lane's screen
    ARM = "arm"  # one pulse: which lane's arm unlocked?
    SETTLE = "settle"  # the arm locks again
    WALK = "walk"  # one more pulse: one person walks through
    FIRE = "fire"  # the fire release is set off and put back
    TAMPER = "tamper"  # the housing is opened and closed
    DONE = "done"
    FAILED = "failed"


OVER = frozenset({Step.DONE, Step.FAILED})
MAY_SKIP = {Step.FIRE: Role.FIRE, Step.TAMPER: Role.TAMPER}
"""Steps that may be left out, and the input that then counts as not tried."""


class FlawKind(StrEnum):
    """Why a lane is not commissioned."""

    NOT_AT_REST = "not_at_rest"
    UNREAD = "unread"
    READ_ELSEWHERE = "read_elsewhere"
    NO_ARM = "no_arm"
    OTHER_ARM = "other_arm"
    NO_ANSWER = "no_answer"
    HELD = "held"
    STILL = "still"
    RELAY = "relay"
    RECORD = "record"
    FIRE = "fire"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first thing that is not as it should be: which inputs, which other lane, how many readers, what was said."""

    kind: FlawKind
    roles: tuple[Role, ...] = ()
    lane: int = 0
    readers: int = 0
    detail: str = ""


@dataclass(slots=True)
class Commissioning:
    """One lane being commissioned, once. `roles`: the inputs it has; `readers`: how many, by their place from 0.

    `digits`: the number on the lane's screen; `window_ms`: how long one pulse is good for a walk; `untried`: inputs
    nobody may move now; `remedies`: what to write in the settings where an input's contact is of the other kind;
    `reader_fault`: what is wrong with a reader, if it is known."""

    lane: int
    direction: Direction
    roles: tuple[Role, ...]
    readers: int
    digits: str
    window_ms: int
    untried: set[Role] = field(default_factory=set)
    remedies: Mapping[Role, str] = field(default_factory=dict)
    reader_fault: Callable[[int], str] = lambda _: ""
    limit_ms: int = LIMIT_MS
    step: Step = Step.CODE
    flaw: Flaw | None = None
    wants_pulse: bool = False
    pulses: int = 0
    unread: set[int] = field(default_factory=set)
    _seen: dict[Role, set[bool]] = field(default_factory=dict)
    _due_ms: int = 0

    @property
    def text(self) -> str:
        """What the code on the lane's screen says."""
        return text_of(self.lane, self.digits)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Those that this lane has."""
        return tuple(step for step, needed in _TABLE if needed(self))

    @property
    def follows(self) -> tuple[Role, ...]:
        """The inputs that move while somebody walks through."""
        return tuple(role for role in self.roles if role is Role.READY or PASSAGES.get(role) is self.direction)

    def begin(self, active: Callable[[Role], bool], now_ms: int) -> None:
        """Look whether everything is at rest: an input that tells the opposite has a contact of the other kind."""
        wrong = tuple(role for role in self.roles if active(role) is not AT_REST[role])
        if wrong:
            remedies = ",".join(self.remedies[role] for role in wrong if role in self.remedies)
            return self.fail(Flaw(FlawKind.NOT_AT_REST, wrong, detail=remedies))
        self.unread = set(range(self.readers))
        return self._enter(self.steps[0], now_ms)

    def read(self, reader: int, raw: str | CardRead | CardFault, now_ms: int) -> None:
        """One of the lane's readers read something: its code, or to a card reader any card."""
        if self.step is Step.CODE and (isinstance(raw, CardRead) or raw in (self.text, self.digits)):
            self.unread.discard(reader)
            if not self.unread:
                self._next(now_ms)

    def edge(self, role: Role, active: bool, now_ms: int) -> None:
        """An input moved."""
        if role is Role.FIRE and active and self.step not in (Step.FIRE, *OVER):
            return self.fail(Flaw(FlawKind.FIRE))
        self._seen.setdefault(role, set()).add(active)
        if self._awaited() and not self._still():
            self._next(now_ms)
        return None

    def answer(self, arm: int, now_ms: int) -> None:
        """Whose arm unlocked, by people's eyes: a lane's number, NO_ARM or ANOTHER_ARM."""
        if self.step is not Step.ARM or self.wants_pulse:
            return None
        if arm == self.lane:
            return self._next(now_ms)
        return self.fail(Flaw(FlawKind.NO_ARM) if arm == NO_ARM else Flaw(FlawKind.OTHER_ARM, lane=arm))

    def skip(self, now_ms: int) -> None:
        """Nobody may set off the fire release, or open the housing, now."""
        if self.step in MAY_SKIP:
            self.untried.add(MAY_SKIP[self.step])
            self._next(now_ms)

    def pulsed(self, now_ms: int) -> None:
        """The pulse that was wanted is being given."""
        self.wants_pulse = False
        self.pulses += 1
        if self.step is Step.WALK:
            self._due_ms = now_ms + self.window_ms

    def tick(self, active: Callable[[Role], bool], now_ms: int) -> None:
        """Time went by."""
        if self.step in OVER:
            return
        if Role.FIRE in self.roles and active(Role.FIRE) and self.step is not Step.FIRE:
            self.fail(Flaw(FlawKind.FIRE))
        elif self.step is Step.SETTLE and all(active(role) is AT_REST[role] for role in self.follows):
            self._next(now_ms)
        elif now_ms >= self._due_ms and not self.wants_pulse:
            self._too_late()

    def fail(self, flaw: Flaw) -> None:
        """It ends here: whoever gives the pulses, or was asked to stop, says why."""
        if self.step not in OVER:
            self.step, self.flaw, self.wants_pulse = Step.FAILED, flaw, False

    def unrecorded(self, detail: str) -> None:
        """All is as it should be, and could not be written down."""
        self.step, self.flaw = Step.FAILED, Flaw(FlawKind.RECORD, detail=detail)

    def _too_late(self) -> None:
        match self.step:
            case Step.CODE:
                faults = filter(None, map(self.reader_fault, sorted(self.unread)))
                self.fail(Flaw(FlawKind.UNREAD, readers=len(self.unread), detail="; ".join(faults)))
            case Step.ARM:
                self.fail(Flaw(FlawKind.NO_ANSWER))
            case Step.SETTLE:
                self.fail(Flaw(FlawKind.HELD))
            case Step.WALK if self.pulses < PULSES_LIMIT:
                self.wants_pulse = True
            case _:
                self.fail(Flaw(FlawKind.STILL, self._still()))

    def _next(self, now_ms: int) -> None:
        order = list(Step)
        self._enter(next(step for step in self.steps if order.index(step) > order.index(self.step)), now_ms)

    def _enter(self, step: Step, now_ms: int) -> None:
        self.step, self.pulses, self._due_ms = step, 0, now_ms + self.limit_ms
        self.wants_pulse = step in (Step.ARM, Step.WALK)
        self._seen.clear()

    def _awaited(self) -> Collection[Role]:
        """The inputs that have to move there and back in this step."""
        if self.step is Step.WALK:
            return self.follows
        return (MAY_SKIP[self.step],) if self.step in MAY_SKIP else ()

    def _still(self) -> tuple[Role, ...]:
        return tuple(role for role in self._awaited() if self._seen.get(role, set()) != {True, False})


_TABLE: tuple[tuple[Step, Callable[[Commissioning], bool]], ...] = (
    (Step.CODE, lambda lane: lane.readers > 0),
    (Step.ARM, lambda lane: True),
    (Step.SETTLE, lambda lane: bool(lane.follows)),
    (Step.WALK, lambda lane: bool(lane.follows)),
    (Step.FIRE, lambda lane: Role.FIRE in lane.roles and Role.FIRE not in lane.untried),
    (Step.TAMPER, lambda lane: Role.TAMPER in lane.roles and Role.TAMPER not in lane.untried),
    (Step.DONE, lambda lane: True),
)
"""Which steps a lane has."""


@dataclass(frozen=True, slots=True)
class TrialTold:
    """How far a commissioning is, for the screens: step `place` of `of`. `number` is new with each."""

    number: int
    lane: int
    step: Step
    place: int = 0
    of: int = 0
    digits: str = ""
    unread: int = 0
    pulses: int = 0
    flaw: Flaw | None = None


def told_of(core: Commissioning, number: int = 0) -> TrialTold:
    """What the screens tell of it; waiting for the arm to lock is no step of its own there."""
    steps = [step for step in core.steps if step not in (Step.SETTLE, *OVER)]
    step = Step.WALK if core.step is Step.SETTLE else core.step
    place = steps.index(step) + 1 if step in steps else 0
    unread = len(core.unread)
    return TrialTold(number, core.lane, core.step, place, len(steps), core.digits, unread, core.pulses, core.flaw)


def text_of(lane: int, digits: str) -> str:
    """What the QR code on a lane's screen says."""
    return f"COMMISSION-{lane}-{digits}"
