"""The arms: every pulse, what became of it, whoever else the sensor saw, and pulses that follow one another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from gate_agent import judging, staff_entries
from gate_agent.announcement import Announcement, next_of_group
from gate_agent.board import Board
from gate_agent.events import EventWord, group_over, hold_over
from gate_agent.faces import FAMILY, Face, Family, State, shown_ms
from gate_agent.journal import CannotRecord, Journal
from gate_agent.judging import Event
from gate_agent.lane import Hold, Lane, Party
from gate_agent.lane_state import Word
from gate_agent.passage import NS_PER_MS, Ending, Opening, Sighting
from gate_agent.standing import OPEN, Standing, allows_pulse
from gate_agent.status import AlarmKind
from gate_agent.wiring_watch import WiringWatch
from gate_agent.world import World
from hardware import DeviceFault
from hardware.indicator import Signal
from hardware.turnstile import PASSAGES, Direction, Edge, Note, Role
from wire.messages import EntryKind

AGAIN_MS = 1_000
"""How often outcomes that the disk did not take, and pulses that a turnstile did not take, are tried again."""
STEP_MS = 100
"""How often a lane looks whether the next of a party, or the next at a lane held open, may follow; or is tried."""
SEEN_KINDS = {EntryKind.PASSED: True, EntryKind.PASSED_LATE: True, EntryKind.ANNULLED: False}
"""Endings that a sensor told, and whether somebody passed."""
THROUGH = frozenset({EntryKind.PASSED, EntryKind.PASSED_LATE, EntryKind.PASSED_ASSUMED})
LEAVING = ((EntryKind.ANNULLED, EventWord.EXIT_ANNULLED), (EntryKind.PASSED_LATE, EventWord.EXIT))
"""What is told of a pass that was let out, beyond the event that it may go."""
STEP_BACK = frozenset({Sighting.SECOND_PERSON, Sighting.BACKWARDS})
"""After these the face asks people to come one at a time (reasons.md)."""
SIGNALS = {
    Family.IDLE: Signal.IDLE,
    Family.READ: Signal.IDLE,
    Family.GO: Signal.GO,
    Family.RETRY: Signal.RETRY,
    Family.LATER: Signal.LATER,
    Family.STOP: Signal.STOP,
    Family.STAFF: Signal.STAFF,
    Family.LANE: Signal.LANE,
    Family.BOOT: Signal.LANE,
    Family.FAULT: Signal.FAULT,
    Family.FIRE: Signal.GO,
}
"""What the lamps say with each family of faces."""

log = logging.getLogger(__name__)


class Doorkeeper:
    """Of all lanes of one box; each is used by its own thread."""

    def __init__(
        self,
        journal: Journal,
        look: Callable[[], World],
        board: Board,
        standing: Standing,
        wiring: WiringWatch,
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._look = look
        self._board = board
        self._standing = standing
        self._wiring = wiring
        self._monotonic_ns = monotonic_ns

    def unlock(self, lane: Lane, seq: int, pass_id: bytes = b"", *, free: bool = False) -> None:
        """One pulse for an entry that is on disk; `free`: see `passage.Opening`. DeviceFault: the arm did not move."""
        if self._standing.fire:
            raise DeviceFault("there is a fire: nobody is let in")
        sensor_on = lane.sensor_on
        began_ns = lane.turnstile.open_for(lane.direction, lane.pulse_ms, note(pass_id, seq))
        if lane.hold is None:
            self._wiring.pulsed(lane.number, began_ns)
        lane.owed.extend(
            self._of_pulse(lane, lane.passages.pulsed(seq, pass_id, began_ns, free=free, sensor_on=sensor_on))
        )

    def unlock_again(self, lane: Lane, opening: Opening) -> None:
        """One more pulse for an intent that `LanePassages.may_go_on` gave. DeviceFault: the arm did not move."""
        if self._standing.fire:
            raise DeviceFault("there is a fire: nobody is let in")
        began_ns = lane.turnstile.open_for(lane.direction, lane.pulse_ms, note(opening.pass_id, opening.intent_seq))
        self._wiring.pulsed(lane.number, began_ns)
        lane.owed.extend(self._of_pulse(lane, lane.passages.pulsed_again(opening, began_ns)))

    def show(self, lane: Lane, told: Announcement, intent_seq: int = 0) -> None:
        """Tell the visitor and the staff."""
        if lane.party is not None and lane.party.seq == intent_seq:
            lane.party.face = told.face
        self.face(lane, told.face, intent_seq)
        self._board.scan(replace(told.scan, intent_seq=intent_seq))

    def face(self, lane: Lane, face: Face, intent_seq: int = 0) -> None:
        """Tell the visitor alone."""
        self._board.face(lane.number, face, intent_seq)
        lane.lamp = None
        self._light(lane, face)
        lane.lit_until_ns = self._monotonic_ns() + shown_ms(face) * NS_PER_MS

    def edge(self, lane: Lane, edge: Edge) -> None:
        """An input of the lane's turnstile changed."""
        if lane.trial is not None:
            lane.trial.edge(edge)
        if edge.role in PASSAGES and lane.trial is None:
            direction = PASSAGES[edge.role]
            told = lane.passages.edge(direction, edge.active, edge.monotonic_ns)
            second = Sighting.SECOND_PERSON in told  # who slips in behind somebody says nothing of the wires
            if edge.active and direction is lane.direction and self._needs_pulse(lane) and not second:
                self._wiring.passed(lane.number, edge.monotonic_ns)
            self._settle(lane, told, direction)
        elif edge.role is Role.FIRE:
            self._standing.write_fire()
        elif edge.role is Role.TAMPER:
            self._standing.tamper_input(lane.number, edge.active)

    def tick(self, lane: Lane) -> None:
        """Time went by: end what nobody walked through, let the next one follow, write what the disk did not take."""
        now_ns = self._monotonic_ns()
        if lane.trial is not None:
            lane.trial.tick()
        if lane.check is not None and now_ns >= lane.check.until_ns:
            self.end_check(lane)
        self._follow_order(lane)
        held = lane.hold is not None
        self._settle(lane, lane.passages.tick(now_ns, lane.turnstile.ready, lane.sensor_on, held), lane.direction)
        if now_ns >= lane.again_ns and lane.passages.is_free_for_next(now_ns, lane.is_ready):
            self._go_on(lane)
        if lane.lit_until_ns is None or now_ns >= lane.lit_until_ns:
            lane.lit_until_ns = None
            self._light(lane, self._standing.rest(lane.number))

    def next_tick_ns(self, lane: Lane) -> int | None:
        """When `tick` has something to do; None while nothing is open."""
        now_ns = self._monotonic_ns()
        owed_ns = now_ns + AGAIN_MS * NS_PER_MS if lane.owed else None
        steps = lane.hold is not None or lane.party is not None or lane.trial is not None
        step_ns = now_ns + STEP_MS * NS_PER_MS if steps else None
        passages_ns = lane.passages.next_tick_ns(now_ns, lane.hold is not None)
        check_ns = None if lane.check is None else lane.check.until_ns
        times = (passages_ns, owed_ns, step_ns, check_ns, lane.lit_until_ns)
        return min((time_ns for time_ns in times if time_ns is not None), default=None)

    def end(self, lane: Lane, told: Sequence[Ending | Event] = ()) -> None:
        """Write outcomes and events down; what the disk does not take is owed and tried again at the next tick."""
        lane.owed.extend(told)
        if not lane.owed:
            return
        world, owed = self._look(), tuple(lane.owed)
        often = self._journal.perform(lambda entries: judging.append_told(entries, lane.number, owed, world))
        if isinstance(often, CannotRecord):
            return
        lane.owed.clear()
        if often:
            self._standing.raise_alarm(AlarmKind.ANNULLED_OFTEN, lane.number)
        for one in owed:
            if isinstance(one, Ending) and one.kind in SEEN_KINDS and one.reason is None:
                self._board.passage(lane.number, one.intent_seq, SEEN_KINDS[one.kind])

    def end_check(self, lane: Lane) -> None:
        """Staff have seen the pass they wanted to check, or wait no longer for one."""
        lane.check = None
        self._standing.check(lane.number, on=False)
        self._standing.await_no_code(lane.number)

    def begin_party(self, lane: Lane, party: Party) -> None:
        """The arm was unlocked for the first of several; the others follow as the arm gets free."""
        if lane.party is not None:
            self._party_over(lane, lane.party)
        lane.party = party

    def drop_party(self, lane: Lane, seq: int) -> None:
        """The arm did not move for entry `seq`: its own party never began, one that was under way ends."""
        if lane.party is not None and lane.party.seq != seq:
            self._party_over(lane, lane.party)
        lane.party = None

    def _needs_pulse(self, lane: Lane) -> bool:
        """Whether nobody can walk through now without one of their own."""
        return not self._standing.fire and lane.hold is None and lane.direction not in lane.passages.free_ways

    def _settle(self, lane: Lane, told: Sequence[Ending | Sighting], direction: Direction) -> None:
        endings = [one for one in told if isinstance(one, Ending)]
        lane.owed.extend(self._of_pulse(lane, endings))
        for one in told:
            if isinstance(one, Sighting):
                self._sighted(lane, one, direction)
        self.end(lane)

    def _of_pulse(self, lane: Lane, endings: Sequence[Ending]) -> list[Ending]:
        """Follow what became of pulses; those that have to be written."""
        for ending in endings:
            if ending.kind is EntryKind.PASSED_ASSUMED and lane.passages.has_sensor and lane.hold is None:
                self._standing.sensor_tells_nothing(lane.number, stuck=True)
            if lane.hold is not None and ending.free and ending.intent_seq == lane.hold.seq:
                lane.hold.through += ending.kind is EntryKind.PASSED
            elif ending.free and ending.kind in THROUGH:
                self._board.passage(lane.number, ending.intent_seq, passed=True)
            if ending.free and ending.pass_id and lane.direction is Direction.OUT and lane.hold is None:
                lane.owed.extend(Event(name, ending.pass_id) for kind, name in LEAVING if kind is ending.kind)
            if lane.party is not None and ending.intent_seq == lane.party.seq:
                self._of_party(lane, lane.party, ending.kind)
        return [ending for ending in endings if not ending.free]

    def _sighted(self, lane: Lane, sighting: Sighting, direction: Direction) -> None:
        """Somebody moved the arm for whom it was not unlocked; in a fire everybody does."""
        if self._standing.fire:
            return
        if lane.hold is not None and sighting is not Sighting.ANNULLED_OFTEN:
            onward = direction is lane.direction
            lane.hold.through, lane.hold.back = lane.hold.through + onward, lane.hold.back + (not onward)
        elif lane.party is not None and sighting is Sighting.SECOND_PERSON:
            lane.party.pulsed += 1
            self._of_party(lane, lane.party, EntryKind.PASSED)
        else:
            lane.owed.append(Event(EventWord(sighting)))
            if sighting is not Sighting.EXIT:
                self._standing.raise_alarm(AlarmKind(sighting), lane.number)
            if sighting in STEP_BACK:
                self.face(lane, Face(State.ONE_AT_A_TIME))

    def _follow_order(self, lane: Lane) -> None:
        """Staff hold the lane open from now on, or no longer; a hold ends by itself."""
        order, world = self._standing.order(lane.number), self._standing.glance()
        if lane.hold is None and order.word is Word.HELD_OPEN:
            lane.hold = Hold(order.seq)
        if lane.hold is None or order.word_at(world.now.monotonic_ms) is Word.HELD_OPEN:
            return
        if order.word is Word.HELD_OPEN:  # its time is over, and nobody has said another word since
            self._standing.give(lane.number, OPEN)
            self._journal.post(lambda entries: entries.keep_lane_order(lane.number, OPEN, world.boot, world.now))
        hold = lane.hold
        lane.owed.append(Event(hold_over(hold.through, hold.back, counted=lane.passages.has_sensor)))
        lane.hold = None

    def _go_on(self, lane: Lane) -> None:
        """The next pulse of a lane that is held open, or of a party."""
        if lane.hold is not None:
            if not allows_pulse(self._standing, lane.number):
                return
            try:
                self.unlock(lane, lane.hold.seq, free=True)
            except DeviceFault as fault:
                log.warning("lane %d cannot be held open: %s", lane.number, fault)
                lane.again_ns = self._monotonic_ns() + AGAIN_MS * NS_PER_MS
            except Exception:  # a driver's mistake is no reason to try at every tick
                lane.again_ns = self._monotonic_ns() + AGAIN_MS * NS_PER_MS
                raise
        elif lane.party is not None:
            self._next_of_party(lane, lane.party)
            self.end(lane)

    def _next_of_party(self, lane: Lane, party: Party) -> None:
        if not allows_pulse(self._standing, lane.number):
            return self._party_over(lane, party)
        if party.by_hand is not None:
            world, by_hand = self._look(), party.by_hand
            seq = self._journal.perform(
                lambda entries: staff_entries.append_by_hand(entries, lane.number, by_hand, world, lane.direction)
            )
            if isinstance(seq, CannotRecord):
                return self._party_over(lane, party)
            party.seq = seq
        party.pulsed += 1
        self.face(lane, next_of_group(party.face, party.pulsed), party.seq)
        try:
            self.unlock(lane, party.seq, party.pass_id, free=True)
        except DeviceFault:
            self._party_over(lane, party)
        except Exception:  # a driver's mistake: every tick would write, and try to let in, one more
            self._party_over(lane, party)
            raise
        return None

    def _of_party(self, lane: Lane, party: Party, kind: EntryKind) -> None:
        party.passed += kind in THROUGH
        if kind not in THROUGH or party.pulsed >= party.persons:
            self._party_over(lane, party)

    def _party_over(self, lane: Lane, party: Party) -> None:
        by_hand = party.by_hand
        told = group_over(party.passed, party.persons, by_hand=by_hand is not None)
        lane.owed.append(Event(told, party.pass_id, None if by_hand is None else by_hand.who))
        lane.party = None

    def _light(self, lane: Lane, face: Face) -> None:
        signal = SIGNALS[FAMILY[face.verdict]]
        if signal is lane.lamp:
            return
        lane.lamp = signal
        for indicator in lane.indicators:
            indicator.show(signal)


def note(pass_id: bytes, seq: int) -> Note:
    """What the turnstile keeps with a pulse, so that each can be matched with its entry from outside."""
    return {"pass": pass_id.hex() or None, "entry_seq": seq}
