"""What a lane can tell its visitor: faces, their families, how long each stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from hardware.card_reader import CardTrouble
from wire.calendar import DayRange, Hours
from wire.entitlement import Stop
from wire.reasons import Reason

PASSAGE_WINDOW_MS = 6000
"""How long `go` stays when nobody passes and the face names no window of its own."""
READING_LIMIT_MS = 3000


class State(StrEnum):
    """What a visitor face can say besides a reason for refusal."""

    IDLE = "idle"
    READING = "reading"
    ADMITTED = "admitted"
    ADMITTED_GROUP = "admitted_group"
    REOPENED = "reopened"
    HELD_OPEN = "held_open"
    EXIT = "exit"
    NOT_PASSED = "not_passed"
    ONE_AT_A_TIME = "one_at_a_time"
    CHECK_ONLY = "check_only"
    FIRE = "fire"
    STARTING = "starting"


Verdict = State | Reason


class Family(StrEnum):
    """The only looks a face has: colour, shape, sound and duration go with it (guide.md §2)."""

    IDLE = "idle"
    READ = "read"
    GO = "go"
    RETRY = "retry"
    LATER = "later"
    STOP = "stop"
    STAFF = "staff"
    LANE = "lane"
    BOOT = "boot"
    FAULT = "fault"
    FIRE = "fire"


_MEMBERS: dict[Family, tuple[Verdict, ...]] = {
    Family.IDLE: (State.IDLE,),
    Family.READ: (State.READING,),
    Family.GO: (State.ADMITTED, State.ADMITTED_GROUP, State.REOPENED, State.HELD_OPEN, State.EXIT),
    Family.RETRY: (
        *(Reason.NOT_OURS, Reason.MALFORMED, Reason.WRONG_PURPOSE, Reason.REPLACED, Reason.NEEDS_ROTATING_CODE),
        *(Reason.NEEDS_FULL_CODE, Reason.CODE_TOO_OLD, Reason.CODE_REUSED, Reason.NEEDS_NETWORK, Reason.CARD_UNKNOWN),
        *(Reason.NEEDS_CARD, State.NOT_PASSED, State.ONE_AT_A_TIME),
    ),
    Family.LATER: (
        Reason.NOT_YET_ACTIVE,
        Reason.VENUE_CLOSED,
        Reason.BLACKOUT,
        Reason.WRONG_TIME_SLOT,
        Reason.TOO_SOON,
    ),
    Family.STOP: (
        *(Reason.WRONG_VENUE, Reason.EXPIRED, Reason.REVOKED, Reason.SUSPENDED, Reason.USED_UP, Reason.ALREADY_INSIDE),
    ),
    Family.STAFF: (
        *(Reason.NEEDS_UPDATE, Reason.UNKNOWN_KEY, Reason.UNKNOWN_PRODUCT, Reason.FORGED, Reason.NOT_IN_LIST),
        *(Reason.NOT_BOUND, Reason.CLOCK_UNKNOWN, Reason.CARD_UNAUTHENTICATED, Reason.OFFLINE_LIMIT),
        State.CHECK_ONLY,
    ),
    Family.LANE: (Reason.OTHER_LANE, Reason.LANE_CLOSED),
    Family.BOOT: (State.STARTING,),
    Family.FAULT: (Reason.CANNOT_RECORD, Reason.FAULT),
    Family.FIRE: (State.FIRE,),
}
FAMILY: Mapping[Verdict, Family] = MappingProxyType(
    {verdict: family for family, verdicts in _MEMBERS.items() for verdict in verdicts}
)

SHOWN_MS: Mapping[Family, int] = MappingProxyType(
    {
        Family.READ: READING_LIMIT_MS,
        Family.GO: PASSAGE_WINDOW_MS,
        Family.RETRY: 4000,
        Family.LATER: 4000,
        Family.STOP: 4000,
        Family.STAFF: 15000,
        Family.LANE: 4000,
        Family.BOOT: 4000,
        Family.FAULT: 4000,
        Family.IDLE: 0,
        Family.FIRE: 0,
    }
)
"""How long a verdict stays before the lane shows its resting face again (guide.md §3, How long)."""


class Limit(StrEnum):
    """Which limit a `used_up` pass has reached."""

    ONCE_A_DAY = "once_a_day"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    TOTAL = "total"


class LaneTrouble(StrEnum):
    """What keeps a lane from working."""

    READER = "reader"
    TURNSTILE = "turnstile"
    RECORD = "record"
    MOVED = "moved"
    CROSSED = "crossed"


class Enrolling(StrEnum):
    """How far a box is on its way to being a gate; its lanes say so, closed."""

    SHOW = "show"
    ASKING = "asking"
    COMPARE = "compare"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FaceFacts:
    """What a sentence may fill in. Times are UTC ms; None or "" is unknown, and its fact line is then left out."""

    until_ms: int | None = None
    """The first moment the pass is no longer valid."""
    from_ms: int | None = None
    at_ms: int | None = None
    """The earlier use that stands in the way."""
    at_lane: int | None = None
    """The lane of that use; None with `at_ms`: another gate, known from the list."""
    next_ms: int | None = None
    to_lane: int | None = None
    """The lane to walk to; None: no other is open."""
    limit: Limit = Limit.ONCE_A_DAY
    entries_today: int | None = None
    left_here: int | None = None
    venues_left: int | None = None
    venues_all: int | None = None
    hours: Hours | None = None
    dates: DayRange | None = None
    slot: Hours | None = None
    age_s: int | None = None
    count: int | None = None
    of_count: int | None = None
    cause: str = ""
    """Why the venue is closed, as people wrote it."""
    stop: Stop | None = None
    """Why the pass is suspended or revoked, and since when."""
    by_card: bool = False
    """A card was held to the reader."""
    who: str = ""
    trouble: LaneTrouble | None = None
    card: CardTrouble | None = None
    """Why a card told nothing."""
    electronic_card: bool = False
    """The code that was refused is that of an electronic card, not one of ours."""
    commission: str = ""
    """The number a lane being commissioned shows, as digits and as a QR code, until all its readers have read it."""
    on_trial: bool = False
    """The lane is being commissioned."""
    enrolling: Enrolling | None = None
    check: str = ""
    """The six characters that a person compares with those of the centre's screen."""


NO_FACTS = FaceFacts()


@dataclass(frozen=True, slots=True)
class Label:
    """A name as people wrote it, in both languages."""

    zh: str = ""
    en: str = ""


NO_LABEL = Label()


@dataclass(frozen=True, slots=True)
class Face:
    """One sentence for one visitor. Holder (masked) and product are shown with `admitted` only."""

    verdict: Verdict
    facts: FaceFacts = NO_FACTS
    holder: str = ""
    product: Label = NO_LABEL
    window_ms: int = PASSAGE_WINDOW_MS
    """How long the turnstile stays unlocked; only for the family `go`."""


IDLE = Face(State.IDLE)


def shown_ms(face: Face) -> int:
    """How long a verdict stays unless somebody passes or the next visitor presents."""
    family = FAMILY[face.verdict]
    return face.window_ms if family is Family.GO else SHOWN_MS[family]
