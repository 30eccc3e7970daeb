"""What happens inside the journal's transaction: earlier uses, the verdict that rests on them, and its entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gate_agent.decision import Admit, Cover, Refuse, decide
from gate_agent.entries import Entries, Placed
from gate_agent.events import EventName, EventWord
from gate_agent.facts import Known
from gate_agent.passage import Ending
from gate_agent.uses import UNUSED, PassUses, count
from gate_agent.world import World
from wire.messages import Entry, EntryKind, Presentation
from wire.reasons import Reason

NO_LANE = 0
"""In entries that concern the whole box."""
ANNULLED_A_DAY = 2
"""How often a day nobody may walk through for a pass before staff are told."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict and what it rests on; with an Admit the entry that must be on disk before anything moves."""

    verdict: Admit | Refuse
    uses: PassUses = UNUSED
    intent_seq: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """What is neither an admission nor a refusal."""

    name: EventName
    pass_id: bytes = b""
    who: str | None = None


@dataclass(frozen=True, slots=True)
class ByStaff:
    """Who of the staff acts for a visitor, and the reason they chose; empty: none was asked for."""

    who: str
    why: str = ""


def judge(
    entries: Entries,
    lane: int,
    known: Known,
    world: World,
    objection: Reason | None = None,
    staff: ByStaff | None = None,
) -> Judged:
    """Decide on a pass whose earlier uses may stand in its way, and append the intent or the refusal.

    `objection`: what stands in a good pass's way at this lane; `staff`: who presents it for the visitor, and why.
    """
    weighed = weigh(entries, lane, known, world)
    verdict, uses = weighed.verdict, weighed.uses
    if isinstance(verdict, Admit) and objection is not None:
        verdict = Refuse(objection)
    if isinstance(verdict, Refuse):
        append_refusal(entries, lane, known, verdict.reason, world)
        return Judged(verdict, uses)
    placed = Placed(
        boot=world.boot,
        day=world.today.day,
        product=verdict.product.number,
        without_list_ms=None if verdict.cover is Cover.LISTED else _head_ms(world),
        step=known.step,
    )
    why, who = (None, None) if staff is None else (staff.why, staff.who)
    intent = entry(EntryKind.INTENT, lane, world, known.pass_id, known.how, known.evidence, reason=why, who=who)
    return Judged(verdict, uses, entries.append(intent, placed))


def weigh(entries: Entries, lane: int, known: Known, world: World) -> Judged:
    """Decide on a pass with all that the journal knows of it; nothing is written."""
    uses = _uses(entries, known, world)
    product = known.facts.product
    without_list = 0 if product is None else entries.used_without_list(lane, product, _head_ms(world))
    facts = replace(known.facts, uses=uses, used_without_list=without_list)
    return Judged(decide(facts, world.venue, world.now), uses)


def judge_again(entries: Entries, lane: int, known: Known, intent_seq: int, verdict: Admit, world: World) -> Judged:
    """Whether the turnstile may open once more for an intent at the rotating code now shown, which is then used too.

    The holder's phone may have drawn the next code since. One drawn before the one that was admitted is a copy.
    """
    uses, step = _uses(entries, known, world), known.step
    if step is None or (uses.last_code is not None and step == uses.last_code.step):
        return Judged(verdict, uses, intent_seq)
    if uses.last_code is not None and step < uses.last_code.step:
        append_refusal(entries, lane, known, Reason.CODE_REUSED, world)
        return Judged(Refuse(Reason.CODE_REUSED), uses)
    event = entry(
        EntryKind.EVENT, lane, world, known.pass_id, known.how, known.evidence, intent_seq, EventWord.REOPENED
    )
    entries.append(event, Placed(world.boot, world.today.day, step=step))
    return Judged(verdict, uses, intent_seq)


def append_refusal(entries: Entries, lane: int, known: Known, reason: Reason, world: World) -> None:
    """Write down that nobody was let in, as long as the disk has room for more than admissions."""
    if entries.has_room():
        refusal = entry(EntryKind.REFUSED, lane, world, known.pass_id, known.how, known.evidence, reason=reason)
        entries.append(refusal, Placed(world.boot, world.today.day))


def append_told(entries: Entries, lane: int, told: Sequence[Ending | Event], world: World) -> bool:
    """Write down how intents ended and what else was seen; what a slow disk took before is not written again.

    True: nobody walks through for one of these passes again and again.
    """
    often = False
    for one in told:
        if isinstance(one, Event):
            append_event(entries, one.name, world, lane, one.who, one.pass_id)
        elif not entries.has_ended(one.pass_id, one.intent_seq, one.kind):
            outcome = entry(one.kind, lane, world, one.pass_id, ref_seq=one.intent_seq, reason=one.reason)
            entries.append(outcome, Placed(world.boot, world.today.day))
            often |= one.kind is EntryKind.ANNULLED and _is_annulled_often(entries, lane, one.pass_id, world)
    return often


def append_event(
    entries: Entries, name: EventName, world: World, lane: int = NO_LANE, who: str | None = None, pass_id: bytes = b""
) -> None:
    """Write down, as long as there is room, what is neither an admission nor a refusal; `who` of the staff did it."""
    if entries.has_room():
        event = entry(EntryKind.EVENT, lane, world, pass_id, reason=name, who=who)
        entries.append(event, Placed(world.boot, world.today.day))


def append_exit(entries: Entries, lane: int, known: Known, world: World, who: str | None = None) -> int:
    """Write down that somebody leaves with this pass; never an intent, for which the venue would be paid. Its seq."""
    event = entry(
        EntryKind.EVENT, lane, world, known.pass_id, known.how, known.evidence, reason=EventWord.EXIT, who=who
    )
    return entries.append(event, Placed(world.boot, world.today.day))


def _is_annulled_often(entries: Entries, lane: int, pass_id: bytes, world: World) -> bool:
    """Whether nobody walked through for this pass too often today; then an event says so."""
    today = (one for one in entries.entries_of(pass_id) if (one.day or one.boot) == (world.today.day or world.boot))
    if sum(one.kind is EntryKind.ANNULLED and one.reason is None for one in today) <= ANNULLED_A_DAY:
        return False
    append_event(entries, EventWord.ANNULLED_OFTEN, world, lane, pass_id=pass_id)
    return True


def _head_ms(world: World) -> int:
    return 0 if world.venue is None else world.venue.head.signed_at_ms


def _uses(entries: Entries, known: Known, world: World) -> PassUses:
    centre = None if known.facts.listed is None else known.facts.listed.centre_uses
    marks = () if centre is None else centre.marks
    through = entries.counted_through(
        {mark.incarnation: mark.seq for mark in marks if mark.device == world.sync.device}
    )
    return count(entries.entries_of(known.pass_id), world.today, centre, through)


def entry(
    kind: EntryKind,
    lane: int,
    world: World,
    pass_id: bytes,
    how: Presentation = Presentation.NONE,
    evidence: bytes | None = None,
    ref_seq: int | None = None,
    reason: str | None = None,
    who: str | None = None,
) -> Entry:
    """An entry of this moment, still without its number."""
    epoch, version = world.list_version
    return Entry(
        seq=0,  # the journal numbers it
        kind=kind,
        device_at_ms=world.now.record_ms,
        trust=world.now.trust,
        monotonic_ms=world.now.monotonic_ms,
        list_epoch=epoch,
        list_version=version,
        lane=lane,
        presentation=how,
        pass_id=pass_id or None,
        evidence=evidence,
        ref_seq=ref_seq,
        reason=reason,
        who=who,
    )
