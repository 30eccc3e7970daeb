"""What staff do at a lane, inside the journal's transaction: let in by hand, give an entry back, order, check."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from gate_agent import judging
from gate_agent.decision import Admit
from gate_agent.entries import Entries, Placed
from gate_agent.events import EventWord, say
from gate_agent.facts import Known
from gate_agent.judging import ByStaff, Judged
from gate_agent.lane_state import Order, Word
from gate_agent.uses import COUNTS_AFTER
from gate_agent.world import World
from hardware.turnstile import Direction
from wire.messages import EntryKind

ORDERED = {
    Word.OPEN: EventWord.LANE_OPENED,
    Word.CLOSED: EventWord.LANE_CLOSED,
    Word.HELD_OPEN: EventWord.LANE_HELD_OPEN,
}
"""The events that tell an order."""


class NotNow(StrEnum):
    """Why what staff ask of a lane is not done."""

    STARTING = "starting"
    LANE_CLOSED = "lane_closed"
    OUT_OF_ORDER = "out_of_order"
    FIRE = "fire"
    BUSY = "busy"
    TURNSTILE = "turnstile"
    CANNOT_RECORD = "cannot_record"
    NO_SUCH_ENTRY = "no_such_entry"
    DOES_NOT_COUNT = "does_not_count"
    STILL_OPEN = "still_open"
    IN_USE = "in_use"
    COMMISSIONING = "commissioning"


def append_by_hand(entries: Entries, lane: int, staff: ByStaff, world: World, direction: Direction) -> int:
    """Somebody is let in by hand, or let out, which is no entry; its seq."""
    if direction is Direction.OUT:
        left = say(EventWord.EXIT, staff.why)
        event = judging.entry(EntryKind.EVENT, lane, world, b"", reason=left, who=staff.who)
        return entries.append(event, Placed(world.boot, world.today.day))
    manual = judging.entry(EntryKind.MANUAL, lane, world, b"", reason=staff.why or None, who=staff.who)
    return entries.append(manual, Placed(world.boot, world.today.day))


def append_returned(entries: Entries, lane: int, intent_seq: int, staff: ByStaff, world: World) -> NotNow | int:
    """Give back the right that an intent used, of this journal or kept of an earlier one, once; its seq."""
    pass_id = entries.pass_of_intent(intent_seq)
    if pass_id is None:
        return NotNow.NO_SUCH_ENTRY
    kinds = [entry.kind for entry in entries.entries_of(pass_id) if intent_seq in (entry.seq, entry.ref_seq)]
    last = [kind for kind in kinds if kind in COUNTS_AFTER][-1]
    if last is EntryKind.INTENT:
        return NotNow.STILL_OPEN
    if not COUNTS_AFTER[last]:
        return NotNow.DOES_NOT_COUNT
    far = None if intent_seq > 0 else entries.far_entry(intent_seq)
    returned = judging.entry(
        EntryKind.RETURNED,
        lane,
        world,
        pass_id,
        evidence=None if far is None else far.evidence(),
        ref_seq=intent_seq,
        reason=staff.why or None,
        who=staff.who,
    )
    return entries.append(returned, Placed(world.boot, world.today.day))


def append_order(entries: Entries, lane: int, order: Order, why: str, world: World) -> Order:
    """From now on this word stands for the lane; the order with the event that tells it."""
    told = say(ORDERED[order.word], why)
    event = judging.entry(EntryKind.EVENT, lane, world, b"", reason=told, who=order.who)
    order = replace(order, seq=entries.append(event, Placed(world.boot, world.today.day)))
    entries.keep_lane_order(lane, order, world.boot, world.now)
    return order


def append_check(entries: Entries, lane: int, known: Known, who: str, world: World) -> Judged:
    """Judge a pass for staff: what the verdict would have been, and that they asked."""
    judged = judging.weigh(entries, lane, known, world)
    would = "admitted" if isinstance(judged.verdict, Admit) else judged.verdict.reason
    judging.append_event(entries, say(EventWord.CHECKED, would), world, lane, who, known.pass_id)
    return judged
