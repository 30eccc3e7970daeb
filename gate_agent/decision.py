"""The decision: what was shown and what is known of it, the venue's rules and the time, to Admit or Refuse (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gate_agent.time_trust import Now
from gate_agent.uses import UNUSED, PassUses
from gate_agent.venue import ListedPass, Venue
from hardware.card_reader import CardAuth
from wire import entitlement, moments
from wire.feed import CodePolicy, ProductDocument
from wire.messages import ClockTrust
from wire.moments import HOUR_MS, WallTime
from wire.presentation import step_at
from wire.reasons import Reason
from wire.token import Claims

ANNUAL_KIND = "PASS"
"""Kind of the products that go on when the list is past its end, and on a clock that is not known (wire.md §5)."""
FAR_FROM_EDGE_MS = 30 * 24 * HOUR_MS
"""A box may have been without power for this long before a date could have passed unseen (gate.md, Clock)."""

WIDER_EACH_MS = 6 * HOUR_MS
STEPS_OFF_LIMIT = 4
"""How far the step of a rotating code may be from ours: one, one more per WIDER_EACH_MS held, never more than this."""
RETIRED_ISSUE = -1
"""Below the lowest issue number of any row."""
_PLACE = {reason: place for place, reason in enumerate(Reason)}


class Cover(StrEnum):
    """On what an admission rests: the list, or a signature alone and the product's limit for that."""

    LISTED = "listed"
    UNLISTED = "unlisted"
    LIST_PAST_END = "list_past_end"


@dataclass(frozen=True, slots=True)
class Rotating:
    """A rotating code (wire.md §3). `by_known_key` False: drawn with a key that is not in the row.

    `retired`: with one that the row, being as new as the code's binding or newer, no longer has.
    """

    step: int
    by_known_key: bool = True
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a verdict rests on besides venue and time; gathered by the caller.

    `reading` is what reading a code came to, None for a card and for a short code, which claims nothing;
    `rotating` tells of a rotating code, `card` how a card proved itself.
    `used_without_list` counts this lane's admissions of the product that rested on no list, under the head now held.
    """

    reading: Claims | Reason | None
    card: CardAuth | None = None
    listed: ListedPass | None = None
    uses: PassUses = UNUSED
    used_without_list: int = 0
    rotating: Rotating | None = None

    @property
    def product(self) -> int | None:
        """The number of the product: the list's word before the code's."""
        if self.listed is not None:
            return self.listed.product
        return self.reading.product if isinstance(self.reading, Claims) else None


@dataclass(frozen=True, slots=True)
class Admit:
    """The turnstile may open, once the entry is on disk."""

    product: ProductDocument
    cover: Cover
    persons: int = 1
    """How many people the one entry is for, the holder and companions: the turnstile opens once for each."""


@dataclass(frozen=True, slots=True)
class LetOut:
    """The turnstile of a lane out of the venue may open; nothing is counted."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Why not: the first reason of the closed list that applies."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class _Case:
    facts: Facts
    venue: Venue | None
    product: ProductDocument | None
    now: Now
    wall: WallTime | None
    """The venue's clock; None while the time is not known, or before the first list."""

    @property
    def cover(self) -> Cover:
        if self.facts.listed is None:
            return Cover.UNLISTED
        if self.venue is None or self.now.at_ms is None or self.now.at_ms < self.venue.head.not_after_ms:
            return Cover.LISTED
        goes_on = self.product is not None and self.product.kind == ANNUAL_KIND
        return Cover.LISTED if goes_on else Cover.LIST_PAST_END


def decide(facts: Facts, venue: Venue | None, now: Now) -> Admit | Refuse:
    """The first of _CHECKS that objects is the answer. `venue` None: no list yet."""
    number = facts.product
    product = None if number is None or venue is None else venue.product(number)
    wall = None if venue is None or now.at_ms is None else moments.wall_time(now.at_ms, venue.zone)
    case = _Case(facts, venue, product, now, wall)
    for check in _CHECKS:
        reason = check(case)
        if reason is not None:
            return Refuse(reason)
    assert product is not None, "a pass whose product is not in the list is refused by _product"
    return Admit(product, case.cover, product.rule.party)


def may_be_reused(facts: Facts, refusal: Refuse) -> bool:
    """Whether the journal could know an earlier reason than this one: that the rotating code was used already."""
    return facts.rotating is not None and _PLACE[refusal.reason] > _PLACE[Reason.CODE_REUSED]


def steps_off(now: Now) -> int | None:
    """How many steps a rotating code may be off, by what the clock is worth; None: staff decide (wire.md §3)."""
    if now.trust is ClockTrust.UNKNOWN:
        return None
    steps = 1 + now.untrusted_ms // WIDER_EACH_MS
    return steps if steps <= STEPS_OFF_LIMIT else None


def decide_exit(facts: Facts) -> LetOut | Refuse:
    """Whoever shows a genuine pass of this venue gets out: neither dates nor uses nor a suspension keep anybody in.

    `facts` are those of `find_out(…, leaving=True)`, for which the dates of a code are not judged.
    """
    if isinstance(facts.reading, Reason):
        return Refuse(facts.reading)
    return Refuse(Reason.CARD_UNKNOWN) if facts.reading is None and facts.listed is None else LetOut()


def _code(case: _Case) -> Reason | None:
    """not_ours … forged: what reading the code itself came to."""
    return case.facts.reading if isinstance(case.facts.reading, Reason) else None


def _product(case: _Case) -> Reason | None:
    """unknown_product: a listed pass of a product that the list does not describe."""
    return Reason.UNKNOWN_PRODUCT if case.facts.listed is not None and case.product is None else None


def _listing(case: _Case) -> Reason | None:
    """not_in_list: a genuine code that the list should know (wire.md §5, a verified token that is not listed)."""
    claims, venue, product = case.facts.reading, case.venue, case.product
    if case.facts.listed is not None or not isinstance(claims, Claims):
        return None
    if venue is None or product is None or case.now.at_ms is None or claims.issued_version <= venue.head.version:
        return Reason.NOT_IN_LIST
    age_ms = case.now.at_ms - venue.head.signed_at_ms
    return Reason.NOT_IN_LIST if age_ms >= product.max_unlisted_age_h * HOUR_MS else None


def _right(case: _Case) -> Reason | None:
    """expired, not_yet_active, replaced, revoked, suspended, not_bound: the list's own word on the pass."""
    claims, listed, rotating = case.facts.reading, case.facts.listed, case.facts.rotating
    if listed is None:
        return None
    issue = claims.issue if isinstance(claims, Claims) else None
    retired = rotating is not None and rotating.retired
    return entitlement.judge_right(listed.right, RETIRED_ISSUE if retired else issue, case.now.at_ms)


def _form(case: _Case) -> Reason | None:
    """needs_rotating_code, needs_full_code: whether this form of the code will do for this pass at this gate."""
    rotating, listed, product = case.facts.rotating, case.facts.listed, case.product
    if rotating is not None:
        return None if rotating.by_known_key else Reason.NEEDS_FULL_CODE
    if product is None or not isinstance(case.facts.reading, Claims):
        return None
    has_phone = listed is not None and bool(listed.holder_keys) and not listed.right.static_again
    must = product.code_policy is CodePolicy.ROTATING or (product.code_policy is CodePolicy.EITHER and has_phone)
    return Reason.NEEDS_ROTATING_CODE if must else None


def _step(case: _Case) -> Reason | None:
    """code_too_old, code_reused: a copy is dead once its owner used it, else soon after it was drawn."""
    rotating, now, last = case.facts.rotating, case.now, case.facts.uses.last_code
    if rotating is None:
        return None
    allowed = steps_off(now)
    if allowed is not None and now.at_ms is not None and abs(rotating.step - step_at(now.at_ms)) > allowed:
        return Reason.CODE_TOO_OLD
    return Reason.CODE_REUSED if last is not None and rotating.step <= last.step else None


def _clock(case: _Case) -> Reason | None:
    """clock_unknown: only an annual pass does without the time: once in this boot period, far from its dates' edges,
    and if its rule asks for no hour and for no day that may be near.

    A rotating code needs it, and not too long after it was trusted.
    """
    listed, venue, product = case.facts.listed, case.venue, case.product
    if case.facts.rotating is not None and steps_off(case.now) is None:
        return Reason.CLOCK_UNKNOWN
    if case.now.at_ms is not None or listed is None:
        return None
    if venue is None or product is None or product.kind != ANNUAL_KIND or case.facts.uses.in_this_boot:
        return Reason.CLOCK_UNKNOWN
    floor_ms = case.now.floor_ms
    if floor_ms is None or moments.minute_ms(listed.right.not_before) > floor_ms:
        return Reason.CLOCK_UNKNOWN
    near = (moments.day_number(at_ms, venue.zone) for at_ms in (floor_ms, floor_ms + FAR_FROM_EDGE_MS))
    if entitlement.turns_on_time(product.rule, case.facts.uses.counted, *near):
        return Reason.CLOCK_UNKNOWN
    goes_on = floor_ms + FAR_FROM_EDGE_MS < moments.minute_ms(listed.right.not_after)
    return None if goes_on else Reason.CLOCK_UNKNOWN


def _card(case: _Case) -> Reason | None:
    """card_unknown, card_unauthenticated: whether the list knows the card, and whether the venue takes its word."""
    if case.facts.card is None:
        return None
    if case.facts.listed is None or case.venue is None:
        return Reason.CARD_UNKNOWN
    plain = case.facts.card is CardAuth.NONE and not case.venue.document.accepts_plain_card
    return Reason.CARD_UNAUTHENTICATED if plain else None


def _needs_card(case: _Case) -> Reason | None:
    """needs_card: a code of a product that wants the card."""
    is_code = case.facts.rotating is not None or isinstance(case.facts.reading, Claims)
    return Reason.NEEDS_CARD if is_code and case.product is not None and case.product.rule.needs_card else None


def _opening(case: _Case) -> Reason | None:
    """venue_closed. Without the time only a closure whose end nobody knows can be told: the hours are left to staff."""
    if case.venue is None:
        return None
    calendar, now = case.venue.document.calendar, case.now
    if now.at_ms is not None and case.wall is not None:
        return entitlement.judge_opening(calendar, now.at_ms, case.wall)
    shut = now.floor_ms is not None and entitlement.closed_since(calendar, now.floor_ms) is not None
    return Reason.VENUE_CLOSED if shut else None


def _time(case: _Case) -> Reason | None:
    """blackout, wrong_time_slot: the product's own days and hours."""
    if case.product is None or case.wall is None:
        return None
    return entitlement.judge_time(case.product.rule, case.wall)


def _allowance(case: _Case) -> Reason | None:
    """used_up, already_inside, too_soon: what earlier entries leave of the product's rule."""
    return None if case.product is None else entitlement.judge_uses(case.product.rule, case.facts.uses.counted)


def _without_list(case: _Case) -> Reason | None:
    """offline_limit: this lane has admitted as many on a signature alone as the product allows."""
    if case.product is None or case.cover is Cover.LISTED:
        return None
    return Reason.OFFLINE_LIMIT if case.facts.used_without_list >= case.product.offline_limit else None


_CHECKS: tuple[Callable[[_Case], Reason | None], ...] = (
    *(_code, _product, _listing, _right, _form, _step, _clock, _card, _needs_card, _opening, _time, _allowance),
    _without_list,
)
"""In the order of wire.reasons (`_listing` and `_right` never meet: one needs a row, the other that there is none)."""
