"""What happens inside the journal's transaction: earlier uses, the verdict that rests on them, and its entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gate_agent.decision import Admit, Cover, Refuse, decide
from gate_agent.entries import Entries, Placed
from gate_agent.facts import Known
from gate_agent.passage import Ending
from gate_agent.uses import UNUSED, PassUses, count
from gate_agent.world import World
from wire.messages import Entry, EntryKind, Presentation
from wire.reasons import Reason

NO_LANE = 0
"""In entries that concern the whole box."""
REOPENED = "reopened"
"""The reason of the event by which a newer code of a pass is used up, at which its turnstile opened once more."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict and what it rests on; with an Admit the entry that must be on disk before anything moves."""

    verdict: Admit | Refuse
    uses: PassUses = UNUSED
    intent_seq: int = 0


def judge(entries: Entries, lane: int, known: Known, world: World) -> Judged:
    """Decide on a pass whose earlier uses may stand in its way, and append the intent or the refusal."""
    uses = _uses(entries, known, world)
    head_ms = 0 if world.venue is None else world.venue.head.signed_at_ms
    product = known.facts.product
    without_list = 0 if product is None else entries.used_without_list(lane, product, head_ms)
    facts = replace(known.facts, uses=uses, used_without_list=without_list)
    verdict = decide(facts, world.venue, world.now)
    if isinstance(verdict, Refuse):
        append_refusal(entries, lane, known, verdict.reason, world)
        return Judged(verdict, uses)
    placed = Placed(
        boot=world.boot,
        day=world.today.day,
        product=verdict.product.number,
        without_list_ms=None if verdict.cover is Cover.LISTED else head_ms,
        step=known.step,
    )
    intent = _entry(EntryKind.INTENT, lane, world, known.pass_id, known.how, known.evidence)
    return Judged(verdict, uses, entries.append(intent, placed))


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
    event = _entry(EntryKind.EVENT, lane, world, known.pass_id, known.how, known.evidence, intent_seq, REOPENED)
    entries.append(event, Placed(world.boot, world.today.day, step=step))
    return Judged(verdict, uses, intent_seq)


def append_refusal(entries: Entries, lane: int, known: Known, reason: Reason, world: World) -> None:
    """Write down that nobody was let in, as long as the disk has room for more than admissions."""
    if entries.has_room():
        refusal = _entry(EntryKind.REFUSED, lane, world, known.pass_id, known.how, known.evidence, reason=reason)
        entries.append(refusal, Placed(world.boot, world.today.day))


def append_endings(entries: Entries, lane: int, endings: Sequence[Ending], world: World) -> None:
    """Write down how intents ended; what a slow disk took at an earlier attempt is not written again."""
    for ending in endings:
        if entries.has_ended(ending.pass_id, ending.intent_seq, ending.kind):
            continue
        outcome = _entry(ending.kind, lane, world, ending.pass_id, ref_seq=ending.intent_seq, reason=ending.reason)
        entries.append(outcome, Placed(world.boot, world.today.day))


def append_event(entries: Entries, name: str, world: World, lane: int = NO_LANE, who: str | None = None) -> None:
    """Write down, as long as there is room, what is neither an admission nor a refusal; `who` of the staff did it."""
    if entries.has_room():
        event = _entry(EntryKind.EVENT, lane, world, b"", reason=name, who=who)
        entries.append(event, Placed(world.boot, world.today.day))


def _uses(entries: Entries, known: Known, world: World) -> PassUses:
    centre = None if known.facts.listed is None else known.facts.listed.centre_uses
    ours = (world.sync.device, entries.incarnation)
    marks = () if centre is None else centre.marks
    through = max((mark.seq for mark in marks if (mark.device, mark.incarnation) == ours), default=0)
    return count(entries.steps_of(known.pass_id), world.today, centre, through)


def _entry(
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
