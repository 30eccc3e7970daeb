"""What staff may do at the screen: a table of acts, who may do each, what it asks for; forms read by it (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gate_agent.lane_state import HOLD_MINUTES, PARTY_LIMIT
from gate_agent.recognition import CardTap, NotOurs, Recognised
from gate_agent.staff import Role
from hardware.card_reader import CardAuth, CardFault
from wire.credential import mask_id_number
from wire.reasons import Reason

MAX_URL_CHARACTERS, MAX_CODE_CHARACTERS = 200, 40
SEEN_CHARACTERS = 4
BOX = 0
"""The lane of an act that concerns the whole box, as in the journal."""


class Act(StrEnum):
    """The acts, by the words of their addresses and of the journal."""

    LET_IN = "let_in"
    GROUP = "group"
    RETURN = "return"
    COUNTER = "counter"
    CHECK = "check"
    TEST_CARD = "test_card"
    COMMISSION = "commission"
    CLOSE = "close"
    OPEN = "open"
    HOLD = "hold"
    SYNC = "sync"
    EXPORT = "export"
    ENROL = "enrol"
    ENROL_SCAN = "enrol_scan"
    PAIR = "pair"


class Ask(StrEnum):
    """What a sheet asks for besides lane, reason and PIN."""

    NOTHING = "nothing"
    COUNT = "count"
    MINUTES = "minutes"
    ENTRY = "entry"
    LISTED = "listed"
    CENTRE = "centre"


@dataclass(frozen=True, slots=True)
class Terms:
    """One line of the table. `reasons`: one of these words must be chosen; none: no reason is asked for."""

    role: Role
    at_lane: bool = True
    reasons: tuple[str, ...] = ()
    asks: Ask = Ask.NOTHING


_LETTING_IN = ("unreadable", "assisted", "stepped_out", "work", "misjudged", "other")

TERMS: Mapping[Act, Terms] = MappingProxyType(
    {
        Act.LET_IN: Terms(Role.STEWARD, reasons=_LETTING_IN),
        Act.GROUP: Terms(Role.STEWARD, reasons=("booked", "school", "tour", "work", "other"), asks=Ask.COUNT),
        Act.RETURN: Terms(Role.STEWARD, reasons=("not_entered", "wrong_pass", "misjudged", "other"), asks=Ask.ENTRY),
        Act.COUNTER: Terms(Role.STEWARD, reasons=("unreadable", "no_phone", "no_card", "other"), asks=Ask.LISTED),
        Act.CHECK: Terms(Role.STEWARD),
        Act.TEST_CARD: Terms(Role.STEWARD),
        Act.COMMISSION: Terms(Role.SUPERVISOR),
        Act.CLOSE: Terms(Role.STEWARD, reasons=("repair", "crowd", "unattended", "incident", "other")),
        Act.OPEN: Terms(Role.STEWARD),
        Act.HOLD: Terms(Role.SUPERVISOR, reasons=("crowd", "group", "repair", "incident", "other"), asks=Ask.MINUTES),
        Act.SYNC: Terms(Role.STEWARD, at_lane=False),
        Act.EXPORT: Terms(Role.SUPERVISOR, at_lane=False),
        Act.ENROL: Terms(Role.SUPERVISOR, at_lane=False, asks=Ask.CENTRE),
        Act.ENROL_SCAN: Terms(Role.SUPERVISOR),
        Act.PAIR: Terms(Role.SUPERVISOR, at_lane=False),
    }
)


class Came(StrEnum):
    """What an act came to. The screen has a sentence for each."""

    DONE = "done"
    WRONG_PIN = "wrong_pin"
    PINS_PAUSED = "pins_paused"
    NO_STAFF = "no_staff"
    STAFF_UNREADABLE = "staff_unreadable"
    NOT_ALLOWED = "not_allowed"
    DAY_LIMIT = "day_limit"
    SHEET_OLD = "sheet_old"
    BUSY = "busy"
    LANE_SILENT = "lane_silent"
    CANNOT_RECORD = "cannot_record"
    SYNC_SILENT = "sync_silent"
    CENTRE = "centre"
    NO_MEDIUM = "no_medium"
    MEDIUM_FULL = "medium_full"
    EXPORT_FAILED = "failed"
    NOTHING_SHOWN = "nothing_shown"
    REFUSED = "refused"
    STARTING = "starting"
    LANE_CLOSED = "lane_closed"
    OUT_OF_ORDER = "out_of_order"
    FIRE = "fire"
    GROUP_GOING = "group_going"
    TURNSTILE = "turnstile"
    NO_SUCH_ENTRY = "no_such_entry"
    DOES_NOT_COUNT = "does_not_count"
    STILL_OPEN = "still_open"
    IN_USE = "in_use"
    COMMISSIONING = "commissioning"


@dataclass(frozen=True, slots=True)
class TriedCard:
    """What a card that was tried gives away, its numbers masked: nobody keeps more of it. Empty: it gives none."""

    area: str
    number: str
    identification: str
    id_number: str
    auth: CardAuth


class TriedCode(StrEnum):
    """What else may be held to a reader that is tried."""

    CODE = "code"
    NOT_OURS = "not_ours"


Tried = TriedCard | TriedCode | CardFault


def tried(shown: Recognised | CardFault) -> Tried:
    """As staff are told it."""
    if isinstance(shown, CardFault):
        return shown
    if not isinstance(shown, CardTap):
        return TriedCode.NOT_OURS if isinstance(shown, NotOurs) else TriedCode.CODE
    read = shown.read
    masked = mask_id_number(read.id_number) if read.id_number else ""
    return TriedCard(read.area, _end_of(read.number), _end_of(read.identification), masked, read.auth)


def _end_of(number: str) -> str:
    """The last four characters of a number, the others only counted; all of it stays unseen when it has no more."""
    seen = SEEN_CHARACTERS if len(number) > SEEN_CHARACTERS else 0
    return "*" * (len(number) - seen) + number[len(number) - seen :]


@dataclass(frozen=True, slots=True)
class Result:
    """What an act came to, and what its sentence fills in.

    `who` is masked. `count` is people or minutes; `used` and `left` are people of the day, `left` also tries of a PIN.
    """

    came: Came
    who: str = ""
    count: int = 0
    used: int = 0
    left: int | None = None
    wait_ms: int = 0
    reason: Reason | None = None
    word: str = ""
    detail: str = ""
    tried: Tried | None = None
    """What was held to a reader that was tried."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A sheet as it was sent. `once` is the sheet's one-time number; the PIN is nobody's to keep.

    `browser`: what the paired browser is called that sent it; empty at the box's own screen.
    """

    act: Act
    once: str
    lane: int = BOX
    reason: str = ""
    count: int = 1
    minutes: int = 0
    entry_seq: int = 0
    pass_id: bytes = b""
    url: str = ""
    code: str = ""
    browser: str = ""


class Unfit(StrEnum):
    """What a sheet lacks; the page sends none such by itself."""

    NO_LANE = "no_lane"
    NO_REASON = "no_reason"
    NO_COUNT = "no_count"
    NO_MINUTES = "no_minutes"
    NO_ENTRY = "no_entry"
    NOT_FOUND = "not_found"
    NO_CODE = "no_code"


def read_wish(act: Act, form: Mapping[str, str], lanes: Collection[int]) -> Wish | Unfit:
    """A form's fields, each held to the table; `lanes` are those of this box."""
    terms = TERMS[act]
    wish = Wish(
        act,
        form.get("once", ""),
        lane=_number(form.get("lane", "")) if terms.at_lane else BOX,
        reason=form.get("reason", "") if terms.reasons else "",
        count=_number(form.get("count", "")) if terms.asks is Ask.COUNT else 1,
        minutes=_number(form.get("minutes", "")) if terms.asks is Ask.MINUTES else 0,
        entry_seq=_number(form.get("seq", "")) if terms.asks is Ask.ENTRY else 0,
        pass_id=_bytes(form.get("pass", "")) if terms.asks is Ask.LISTED else b"",
        url=form.get("url", "").strip()[:MAX_URL_CHARACTERS] if terms.asks is Ask.CENTRE else "",
        code=form.get("code", "").strip()[:MAX_CODE_CHARACTERS] if terms.asks is Ask.CENTRE else "",
    )
    return _lacks(wish, terms, lanes) or wish


def _lacks(wish: Wish, terms: Terms, lanes: Collection[int]) -> Unfit | None:
    asked = {
        Ask.NOTHING: None,
        Ask.COUNT: None if 2 <= wish.count <= PARTY_LIMIT else Unfit.NO_COUNT,
        Ask.MINUTES: None if wish.minutes in HOLD_MINUTES else Unfit.NO_MINUTES,
        Ask.ENTRY: None if wish.entry_seq else Unfit.NO_ENTRY,
        Ask.LISTED: None if wish.pass_id else Unfit.NOT_FOUND,
        Ask.CENTRE: None if wish.url and wish.code else Unfit.NO_CODE,
    }
    if terms.at_lane and wish.lane not in lanes:
        return Unfit.NO_LANE
    if terms.reasons and wish.reason not in terms.reasons:
        return Unfit.NO_REASON
    return asked[terms.asks]


def _number(text: str) -> int:
    """0 for what is no number a form of ours would send."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
