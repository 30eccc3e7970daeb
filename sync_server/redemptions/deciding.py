"""Whether a presentation at an on-line check is admitted: the rules of wire.entitlement in the order of wire.reasons.

Pure. The tables stand in for a gate's list, so nothing is left to an age of the list, to an offline limit or to staff.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sync_server.redemptions.rulebook import VenueRules
from sync_server.redemptions.shown import Phone, Shown
from wire import entitlement, moments, presentation
from wire.entitlement import Right, Uses
from wire.feed import CodePolicy, ProductDocument
from wire.messages import Presentation
from wire.reasons import Reason

MAX_STEPS_OFF = 1
"""The centre's clock is trusted (wire.md §3)."""
RETIRED_ISSUE = -1
"""Below the lowest issue number of any pass."""


@dataclass(frozen=True)
class OnItem:
    """The item that an entry here ends, and what is known of the entries on it."""

    id: UUID
    claim_kind: str | None
    repeats: int = 0
    returned: int = 0
    given_back: int = 0
    refund_asked: bool = False


@dataclass(frozen=True)
class Standing:
    """A pass as the tables have it at this moment, at one venue."""

    pass_id: bytes
    ticket_id: UUID
    right: Right
    product: int
    admits_here: bool
    item: OnItem | None
    uses: Uses
    name: str = ""
    last_step: int | None = None
    phones: tuple[Phone, ...] = ()
    shown_elsewhere: bool = False
    """This very rotating code has opened something already."""
    has_phone: bool = False
    knows_token: bool = False
    """The code shown is one that was issued for this pass."""
    card_evidence: bytes | None = None


def decide(
    shown: Shown, standing: Standing | None, phone: Phone | None, rules: VenueRules, now_ms: int
) -> Reason | None:
    """The first reason against letting in, or None. `phone` drew the rotating code, None: none of the pass did."""
    if isinstance(shown.reading, Reason):
        return shown.reading
    if standing is None or not standing.admits_here:
        return Reason.CARD_UNKNOWN if shown.card is not None else Reason.NOT_IN_LIST
    product = rules.products.get(standing.product)
    if product is None:
        return Reason.UNKNOWN_PRODUCT
    if shown.how is Presentation.SHORT and phone is None:
        return Reason.FORGED
    if shown.how is Presentation.STATIC and not standing.knows_token:
        return Reason.NOT_IN_LIST
    return (
        _right(shown, standing, phone, now_ms)
        or _form(shown, standing, product)
        or _step(shown, standing, now_ms)
        or _card(shown, product, rules)
        or _rules(product, standing, rules, now_ms)
    )


def _right(shown: Shown, standing: Standing, phone: Phone | None, now_ms: int) -> Reason | None:
    """From expired to not_bound; what is refunded or forfeited is revoked, whatever the pass says."""
    retired = shown.rotating is not None and (phone is None or not phone.live)
    reason = entitlement.judge_right(standing.right, RETIRED_ISSUE if retired else shown.issue, now_ms)
    return Reason.REVOKED if reason is None and _is_given_back(standing.item) else reason


def _is_given_back(item: OnItem | None) -> bool:
    """Its money is the buyer's again, or is asked for and nothing ended it yet."""
    if item is None:
        return False
    return item.refund_asked if item.claim_kind is None else item.claim_kind != "REDEEM"


def _form(shown: Shown, standing: Standing, product: ProductDocument) -> Reason | None:
    if shown.how is not Presentation.STATIC:
        return None
    has_phone = standing.has_phone and not standing.right.static_again
    must = product.code_policy is CodePolicy.ROTATING or (product.code_policy is CodePolicy.EITHER and has_phone)
    return Reason.NEEDS_ROTATING_CODE if must else None


def _step(shown: Shown, standing: Standing, now_ms: int) -> Reason | None:
    if shown.rotating is None:
        return None
    if abs(shown.rotating.step - presentation.step_at(now_ms)) > MAX_STEPS_OFF:
        return Reason.CODE_TOO_OLD
    used = standing.last_step is not None and shown.rotating.step <= standing.last_step
    return Reason.CODE_REUSED if used else None


def _card(shown: Shown, product: ProductDocument, rules: VenueRules) -> Reason | None:
    if shown.card is None:
        return Reason.NEEDS_CARD if product.rule.needs_card else None
    plain = shown.card.auth == 0 and not rules.document.accepts_plain_card
    return Reason.CARD_UNAUTHENTICATED if plain else None


def _rules(product: ProductDocument, standing: Standing, rules: VenueRules, now_ms: int) -> Reason | None:
    """venue_closed … too_soon."""
    wall = moments.wall_time(now_ms, rules.zone)
    return (
        entitlement.judge_opening(rules.document.calendar, now_ms, wall)
        or entitlement.judge_time(product.rule, wall)
        or entitlement.judge_uses(product.rule, standing.uses)
    )
