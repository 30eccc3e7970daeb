"""What is told of a verdict: the face its visitor sees and the line the staff get (pure)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gate_agent.board import EarlierUse, Reader, Scan
from gate_agent.decision import Admit, Refuse
from gate_agent.faces import NO_LABEL, Face, Facts, Label, Limit, State, Verdict
from gate_agent.facts import Known
from gate_agent.pass_list import LAST_DIGITS
from gate_agent.uses import PassUses
from gate_agent.world import World
from wire import entitlement, moments
from wire.entitlement import Rule
from wire.feed import ProductDocument
from wire.messages import Presentation
from wire.presentation import STEP_MS
from wire.reasons import Reason


@dataclass(frozen=True, slots=True)
class Announcement:
    """Both sides of one verdict."""

    face: Face
    scan: Scan


def announce(
    lane: int, known: Known, verdict: Admit | Refuse, uses: PassUses, world: World, window_ms: int, to_lane: int | None
) -> Announcement:
    """Tell a verdict. `uses` are those before it; `to_lane` is where else a visitor may go, if anywhere."""
    product = _product(known, verdict, world)
    told: Verdict = State.ADMITTED if isinstance(verdict, Admit) else verdict.reason
    facts = replace(_facts(known, product, uses), to_lane=to_lane)
    if told is Reason.CODE_TOO_OLD:
        facts = replace(facts, age_s=_age_s(known, world))
    if told is Reason.CODE_REUSED and uses.last_code is not None:
        facts = replace(facts, at_ms=uses.last_code.at_ms, at_lane=uses.last_code.lane)
    if isinstance(verdict, Admit):
        facts = replace(
            facts,
            entries_today=uses.counted.today + 1,
            left_here=_left_after(verdict.product.rule, uses),
        )
    return _both(lane, told, facts, known, product, uses, world, window_ms)


def announce_again(lane: int, known: Known, world: World, window_ms: int) -> Announcement:
    """Tell a visitor whose turnstile is opened once more for the same entry."""
    product = _product(known, None, world)
    return _both(lane, State.REOPENED, Facts(), known, product, PassUses(), world, window_ms)


def _both(
    lane: int, told: Verdict, facts: Facts, known: Known, product: ProductDocument | None, uses: PassUses, world: World,
    window_ms: int,
) -> Announcement:  # fmt: skip
    listed = known.facts.listed
    holder = "" if listed is None else listed.masked_name
    label = NO_LABEL if product is None else Label(product.name_zh, product.name_en)
    last = uses.last
    scan = Scan(
        lane=lane,
        verdict=told,
        at_ms=world.now.at_ms,
        reader=Reader.CARD if known.how is Presentation.CARD else Reader.CODE,
        facts=facts,
        holder=holder,
        product=label,
        ticket_last6="" if listed is None else listed.ticket_number[-LAST_DIGITS:],
        earlier=() if last is None or last.at_ms is None else (EarlierUse(last.at_ms, last.lane),),
    )
    return Announcement(Face(told, facts, holder, label, window_ms), scan)


def _product(known: Known, verdict: Admit | Refuse | None, world: World) -> ProductDocument | None:
    if isinstance(verdict, Admit):
        return verdict.product
    number = known.facts.product if known.claims is None else known.claims.product
    return None if number is None or world.venue is None else world.venue.product(number)


def _facts(known: Known, product: ProductDocument | None, uses: PassUses) -> Facts:
    """What is known of the pass itself: its dates, its latest use, which limit it stands at."""
    dated = known.claims if known.facts.listed is None else known.facts.listed.right
    return Facts(
        from_ms=None if dated is None else moments.minute_ms(dated.not_before),
        until_ms=None if dated is None else moments.minute_ms(dated.not_after),
        at_ms=None if uses.last is None else uses.last.at_ms,
        at_lane=None if uses.last is None else uses.last.lane,
        limit=Limit.ONCE_A_DAY if product is None else _limit(product.rule, uses),
        count=None if product is None else product.offline_limit,
    )


def _age_s(known: Known, world: World) -> int | None:
    """How long ago a rotating code was drawn; negative where the phone's clock is ahead of ours."""
    if known.step is None or world.now.at_ms is None:
        return None
    return (world.now.at_ms - known.step * STEP_MS) // 1000


def _limit(rule: Rule, uses: PassUses) -> Limit:
    if rule.total is not None and uses.counted.total >= rule.total:
        return Limit.TOTAL
    return Limit.ONCE_A_DAY if rule.per_day == 1 else Limit.DAY


def _left_after(rule: Rule, uses: PassUses) -> int | None:
    left = entitlement.remaining(rule, uses.counted)
    return None if left is None else max(0, left - 1)
