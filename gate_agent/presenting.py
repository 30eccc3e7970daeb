"""From what is shown at a lane to the open turnstile: judged, on disk, and only then the relay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gate_agent import judging, staff_entries
from gate_agent.announcement import Announcement, announce, announce_again
from gate_agent.board import Scan, ShownBy
from gate_agent.decision import Admit, LetOut, Refuse, decide, decide_exit, may_be_reused
from gate_agent.doorkeeper import Doorkeeper
from gate_agent.events import EventWord
from gate_agent.faces import Face, FaceFacts, State
from gate_agent.facts import Known, find_out
from gate_agent.journal import CannotRecord, Journal
from gate_agent.judging import ByStaff, Event, Judged
from gate_agent.lane import Check, Lane, Party
from gate_agent.lane_trial import Trials
from gate_agent.passage import Ending, Opening
from gate_agent.recognition import ElectronicCard, NotOurs, Recognised, Resolved, electronic_code
from gate_agent.standing import Standing
from gate_agent.uses import UNUSED, PassUses
from gate_agent.world import World
from hardware import DeviceFault
from hardware.card_reader import CardFault
from hardware.turnstile import Direction
from wire.messages import EntryKind
from wire.reasons import Reason

Verdict = Admit | LetOut | Refuse
SENT_AWAY = frozenset({Reason.FAULT, Reason.LANE_CLOSED})
"""Refusals that name another lane."""


class Presenting:
    """At all lanes of one box; each is used by its own thread."""

    def __init__(
        self, journal: Journal, look: Callable[[], World], standing: Standing, door: Doorkeeper, trials: Trials
    ) -> None:
        self._journal = journal
        self._trials = trials
        self._look = look
        self._standing = standing
        self._door = door

    def present(self, lane: Lane, shown: Recognised) -> Verdict | None:
        """Judge what a visitor shows and open for a valid right. None: there is a fire, or it is no pass."""
        if self._standing.fire:
            return None
        if isinstance(shown, NotOurs) and self._trials.read_elsewhere(lane.number, shown.text):
            self._door.face(lane, Face(State.CHECK_ONLY))
            return None
        world = self._look()
        code = electronic_code(shown, world.card_shape)
        if code is not None and (lane.check is None or lane.check.heard is None):
            resolved = self._resolve(lane, code)
            if resolved is None:
                return None
            shown, world = ElectronicCard(code, resolved), self._look()
        if lane.check is not None:
            return self._check(lane, lane.check, shown, world)
        if lane.direction is Direction.OUT:
            return self.let_out(lane, find_out(shown, world, leaving=True), world)
        known = find_out(shown, world)
        return self.judge(lane, known, decide(known.facts, world.venue, world.now), world)

    def unreadable(self, lane: Lane, fault: CardFault) -> None:
        """A card was held to the reader and told nothing: the visitor hears what to do, the staff what happened."""
        heard = None if lane.check is None else lane.check.heard
        if heard is not None:
            if heard(fault):
                self._door.end_check(lane)
            return
        facts = FaceFacts(card=fault.trouble)
        scan = Scan(lane.number, Reason.MALFORMED, self._look().now.at_ms, ShownBy.CARD, facts)
        self._door.show(lane, Announcement(Face(Reason.MALFORMED, facts), scan))

    def judge(
        self, lane: Lane, known: Known, first: Admit | Refuse, world: World, staff: ByStaff | None = None
    ) -> Admit | Refuse:
        """Go on from the `first` verdict, which rests on everything but the journal. `staff`: see `judging.judge`."""
        if isinstance(first, Refuse) and not may_be_reused(known.facts, first):
            # nothing the journal knows could change it: the visitor need not wait for it
            return self._refuse(lane, known, first.reason, world)
        objection = self._standing.objection(lane.number)
        opening = lane.passages.may_go_on(known.pass_id, lane.is_ready) if objection is None else None
        if opening is not None and isinstance(first, Admit):
            return self._open_again(lane, known, opening, first, world)
        judged = self._journal.perform(
            lambda entries: judging.judge(entries, lane.number, known, world, objection, staff)
        )
        if isinstance(judged, CannotRecord):
            return self._turn_away(lane, known, Reason.CANNOT_RECORD, world)
        if isinstance(judged.verdict, Refuse):
            return self._turn_away(lane, known, judged.verdict.reason, world, judged.uses)
        return self._open(lane, known, judged.verdict, judged, world)

    def _open(self, lane: Lane, known: Known, admit: Admit, judged: Judged, world: World) -> Admit | Refuse:
        """The intent is on disk: pulse, tell, and write down what the pulse alone has settled."""
        seq, window_ms = judged.intent_seq, lane.passages.window_ms
        if admit.persons > 1:
            self._door.begin_party(lane, Party(seq, known.pass_id, admit.persons))
        verdict: Admit | Refuse = admit
        try:
            self._door.unlock(lane, seq, known.pass_id)
        except DeviceFault:
            self._door.drop_party(lane, seq)
            lane.owed.append(Ending(EntryKind.ANNULLED, seq, known.pass_id, Reason.FAULT))
            verdict = self._turn_away(lane, known, Reason.FAULT, world, judged.uses)
        except Exception:  # a driver's mistake hides whether the relay moved; an entry without end holds up the upload
            self._door.drop_party(lane, seq)
            lane.owed.append(Ending(EntryKind.UNRESOLVED, seq, known.pass_id))
            raise
        else:  # before the outcome is written: the visitor waits for this
            told = announce(lane.number, known, admit, judged.uses, world, window_ms, None)
            self._door.show(lane, told, seq)
        self._door.end(lane)
        return verdict

    def _open_again(self, lane: Lane, known: Known, opening: Opening, admit: Admit, world: World) -> Admit | Refuse:
        """One more pulse for an entry that is on disk already (gate.md, Showing again)."""
        seq = opening.intent_seq
        if known.step is not None:
            judged = self._journal.perform(
                lambda entries: judging.judge_again(entries, lane.number, known, seq, admit, world)
            )
            if isinstance(judged, CannotRecord):
                return self._turn_away(lane, known, Reason.CANNOT_RECORD, world)
            if isinstance(judged.verdict, Refuse):
                return self._turn_away(lane, known, judged.verdict.reason, world, judged.uses)
        try:
            self._door.unlock_again(lane, opening)
        except DeviceFault:
            return self._turn_away(lane, known, Reason.FAULT, world)
        self._door.show(lane, announce_again(lane.number, known, world, lane.passages.window_ms), seq)
        self._door.end(lane)
        return admit

    def let_out(self, lane: Lane, known: Known, world: World, who: str | None = None) -> LetOut | Refuse:
        """At a lane out of the venue: that somebody leaves is on disk, then the relay moves. Nothing is counted.

        `who`: of the staff, who found the pass by its number."""
        verdict, objection = decide_exit(known.facts), self._standing.objection(lane.number)
        if isinstance(verdict, Refuse):
            return self._refuse(lane, known, verdict.reason, world)
        if objection is not None:
            return self._refuse(lane, known, objection, world)
        seq = self._journal.perform(lambda entries: judging.append_exit(entries, lane.number, known, world, who))
        if isinstance(seq, CannotRecord):
            return self._turn_away(lane, known, Reason.CANNOT_RECORD, world)
        try:
            self._door.unlock(lane, seq, known.pass_id, free=True)
        except DeviceFault:
            self._door.end(lane, (Event(EventWord.EXIT_ANNULLED, known.pass_id),))
            return self._turn_away(lane, known, Reason.FAULT, world)
        except Exception:  # a driver's mistake hides whether the arm moved; an exit has an end all the same
            lane.owed.append(Event(EventWord.EXIT_UNRESOLVED, known.pass_id))
            raise
        self._door.show(lane, announce(lane.number, known, verdict, UNUSED, world, lane.passages.window_ms, None), seq)
        return verdict

    def _resolve(self, lane: Lane, code: str) -> Resolved | None:
        """Ask the centre, unless nobody gets through here anyway: asking uses the code up. None: a fire began."""
        objection = None if lane.check is not None else self._standing.objection(lane.number)
        resolved = objection or lane.ask(code)
        return None if self._standing.fire else resolved

    def _check(self, lane: Lane, check: Check, shown: Recognised, world: World) -> Admit | Refuse | None:
        """For staff: judged by the rules of entry, or only told to whoever tries a reader; then None.

        The visitor only sees that a pass is being checked, whatever the answer is."""
        if check.heard is not None:
            if not check.enrols:
                self._door.face(lane, Face(State.CHECK_ONLY))
            if check.heard(shown):
                self._door.end_check(lane)
            return None
        self._door.end_check(lane)
        known = find_out(shown, world)
        judged = self._journal.perform(
            lambda entries: staff_entries.append_check(entries, lane.number, known, check.who, world)
        )
        if isinstance(judged, CannotRecord):
            judged = Judged(Refuse(Reason.CANNOT_RECORD))
        told = announce(lane.number, known, judged.verdict, judged.uses, world, lane.passages.window_ms, None)
        self._door.show(lane, Announcement(Face(State.CHECK_ONLY), replace(told.scan, checked=True)))
        return judged.verdict

    def _refuse(self, lane: Lane, known: Known, reason: Reason, world: World) -> Refuse:
        """Tell at once; the journal follows."""
        self._journal.post(lambda entries: judging.append_refusal(entries, lane.number, known, reason, world))
        return self._turn_away(lane, known, reason, world)

    def _turn_away(self, lane: Lane, known: Known, reason: Reason, world: World, uses: PassUses = UNUSED) -> Refuse:
        """Tell a refusal, with where else to go if it is this lane's own."""
        refuse = Refuse(reason)
        to_lane = self._standing.other_lane(lane.number) if reason in SENT_AWAY else None
        told = announce(lane.number, known, refuse, uses, world, lane.passages.window_ms, to_lane)
        if reason is Reason.LANE_CLOSED:
            who = self._standing.order(lane.number).who
            told = replace(told, scan=replace(told.scan, facts=replace(told.scan.facts, who=who)))
        self._door.show(lane, told)
        return refuse
