"""What is told of a verdict: the face its visitor sees and the line the staff get (pure)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from gate_agent import faces
from gate_agent.board import EarlierUse, Scan, ShownBy
from gate_agent.decision import Admit, LetOut, Refuse
from gate_agent.faces import NO_FACTS, NO_LABEL, Face, FaceFacts, Label, State, Verdict
from gate_agent.facts import Known
from gate_agent.uses import UNUSED, PassUses
from gate_agent.world import World
from wire import calendar, entitlement, moments
from wire.calendar import EVERY_DAY, Hours
from wire.entitlement import Limit, Rule
from wire.feed import ProductDocument
from wire.messages import Presentation
from wire.moments import WallTime
from wire.presentation import STEP_MS
from wire.reasons import Reason

SHOWN_BY = {
    Presentation.CARD: ShownBy.CARD,
    Presentation.ELECTRONIC_CARD: ShownBy.ELECTRONIC_CARD,
    Presentation.COUNTER: ShownBy.COUNTER,
}
"""Everything else is a code."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """Both sides of one verdict."""

    face: Face
    scan: Scan


def announce(
    lane: int, known: Known, verdict: Admit | LetOut | Refuse, uses: PassUses, world: World, window_ms: int,
    to_lane: int | None,
) -> Announcement:  # fmt: skip
    """Tell a verdict. `uses` are those before it; `to_lane` is where else a visitor may go, if anywhere."""
    product = _product(known, verdict, world)
    facts = replace(_facts(known, uses), to_lane=to_lane)
    told: Verdict
    if isinstance(verdict, LetOut):
        told, facts = State.EXIT, NO_FACTS
    elif isinstance(verdict, Refuse):
        told = verdict.reason
        facts = _why(told, facts, known, product, uses, world)
        facts = replace(facts, electronic_card=known.how is Presentation.ELECTRONIC_CARD)
    else:
        told = State.ADMITTED if verdict.persons == 1 else State.ADMITTED_GROUP
        facts = _welcome(verdict, facts, known, uses)
    return _both(lane, told, facts, known, product, uses, world, window_ms)


def next_of_group(face: Face, person: int) -> Face:
    """The face of a group's admission for its next member: 第 2 位 / 共 3 位."""
    return replace(face, facts=replace(face.facts, count=person))


def announce_again(lane: int, known: Known, world: World, window_ms: int) -> Announcement:
    """Tell a visitor whose turnstile is opened once more for the same entry."""
    product = _product(known, None, world)
    return _both(lane, State.REOPENED, NO_FACTS, known, product, UNUSED, world, window_ms)


def _both(
    lane: int, told: Verdict, facts: FaceFacts, known: Known, product: ProductDocument | None, uses: PassUses,
    world: World, window_ms: int,
) -> Announcement:  # fmt: skip
    listed = known.facts.listed
    holder = "" if listed is None else listed.masked_name
    label = NO_LABEL if product is None else Label(product.name_zh, product.name_en)
    last = uses.last
    scan = Scan(
        lane=lane,
        verdict=told,
        at_ms=world.now.at_ms,
        shown_by=SHOWN_BY.get(known.how, ShownBy.CODE),
        facts=facts,
        holder=holder,
        product=label,
        pass_id=known.pass_id,
        photo=b"" if listed is None else listed.photo,
        ticket_last6="" if listed is None else listed.last_digits,
        earlier=() if last is None or last.at_ms is None else (EarlierUse(last.at_ms, last.lane),),
    )
    return Announcement(Face(told, facts, holder, label, window_ms), scan)


def _product(known: Known, verdict: Admit | LetOut | Refuse | None, world: World) -> ProductDocument | None:
    if isinstance(verdict, Admit):
        return verdict.product
    number = known.facts.product if known.claims is None else known.claims.product
    return None if number is None or world.venue is None else world.venue.product(number)


def _facts(known: Known, uses: PassUses) -> FaceFacts:
    """What is known of the pass itself: its dates and its latest use."""
    dated = known.claims if known.facts.listed is None else known.facts.listed.right
    return FaceFacts(
        from_ms=None if dated is None else moments.minute_ms(dated.not_before),
        until_ms=None if dated is None else moments.minute_ms(dated.not_after),
        at_ms=None if uses.last is None else uses.last.at_ms,
        at_lane=None if uses.last is None else uses.last.lane,
    )


def _age_s(known: Known, world: World) -> int | None:
    """How long ago a rotating code was drawn; negative where the phone's clock is ahead of ours."""
    if known.step is None or world.now.at_ms is None:
        return None
    return (world.now.at_ms - known.step * STEP_MS) // 1000


def _welcome(verdict: Admit, facts: FaceFacts, known: Known, uses: PassUses) -> FaceFacts:
    """Which entry this is, and what is left after it."""
    if verdict.persons > 1:
        return replace(facts, count=1, of_count=verdict.persons)
    left = entitlement.remaining(verdict.product.rule, uses.counted)
    facts = replace(facts, entries_today=uses.counted.today + 1, left_here=None if left is None else max(0, left - 1))
    listed, venues = known.facts.listed, verdict.product.venues
    if venues == 1 or listed is None:
        return facts
    elsewhere = 0 if listed.centre_uses is None else listed.centre_uses.elsewhere
    return replace(facts, venues_left=max(0, venues - 1 - elsewhere), venues_all=venues)


def _why(
    reason: Reason, facts: FaceFacts, known: Known, product: ProductDocument | None, uses: PassUses, world: World
) -> FaceFacts:
    """What the sentence of a reason names beside the pass: a limit, an hour, a day, a cause, the age of a code."""
    wall = None
    if world.venue is not None and world.now.at_ms is not None:
        wall = moments.wall_time(world.now.at_ms, world.venue.zone)
    if reason is Reason.VENUE_CLOSED:
        return _closed(facts, world, wall)
    if reason in (Reason.SUSPENDED, Reason.REVOKED) and known.facts.listed is not None:
        return replace(facts, stop=known.facts.listed.stop, by_card=known.how is Presentation.CARD)
    if reason is Reason.CODE_TOO_OLD:
        return replace(facts, age_s=_age_s(known, world))
    if reason is Reason.CODE_REUSED and uses.last_code is not None:
        return replace(facts, at_ms=uses.last_code.at_ms, at_lane=uses.last_code.lane)
    if product is None:
        return facts
    match reason:
        case Reason.BLACKOUT if wall is not None:
            return replace(facts, dates=calendar.range_on(product.rule.blackout, wall.day))
        case Reason.WRONG_TIME_SLOT if wall is not None:
            return replace(facts, slot=_told_hours(product.rule.slots, wall) or product.rule.slots[0])
        case Reason.USED_UP:
            return replace(facts, limit=_limit(product.rule, uses))
        case Reason.TOO_SOON if world.now.at_ms is not None:
            return replace(facts, next_ms=world.now.at_ms + entitlement.wait_ms(product.rule, uses.counted))
        case Reason.OFFLINE_LIMIT:
            return replace(facts, count=product.offline_limit)
    return facts


def _closed(facts: FaceFacts, world: World, wall: WallTime | None) -> FaceFacts:
    """The hours of today, unless the venue is closed whatever they say: then why."""
    if world.venue is None:
        return facts
    opening, now = world.venue.document.calendar, world.now
    if wall is None or now.at_ms is None:
        shut = None if now.floor_ms is None else entitlement.closed_since(opening, now.floor_ms)
        return facts if shut is None else replace(facts, cause=shut.cause)
    by = entitlement.closed_by(opening, now.at_ms, wall)
    return replace(facts, hours=_told_hours(opening.hours, wall)) if by is None else replace(facts, cause=by.cause)


def _told_hours(hours: tuple[Hours, ...], wall: WallTime) -> Hours | None:
    """Today's part of them; that it is today's goes without saying."""
    part = calendar.next_hours(hours, wall)
    return None if part is None else msgspec.structs.replace(part, weekdays=EVERY_DAY)


def _limit(rule: Rule, uses: PassUses) -> faces.Limit:
    reached = entitlement.limit_reached(rule, uses.counted) or Limit.DAY
    return faces.Limit.ONCE_A_DAY if reached is Limit.DAY and rule.per_day == 1 else faces.Limit(reached.value)
