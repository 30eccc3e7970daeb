"""The conductor: from what is shown at a lane to the open turnstile, and to whoever walks through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from gate_agent import judging
from gate_agent.announcement import Announcement, announce, announce_again
from gate_agent.board import Board, Reader, Scan
from gate_agent.decision import Admit, Refuse, decide, may_be_reused
from gate_agent.entries import OpenIntent
from gate_agent.faces import FAMILY, IDLE, Face, Facts, Family, shown_ms
from gate_agent.facts import Known, find_out
from gate_agent.journal import CannotRecord, Journal
from gate_agent.judging import Judged
from gate_agent.passage import MS, Ending, LanePassages, Opening
from gate_agent.recognition import Presentation
from gate_agent.world import World
from hardware import DeviceFault
from hardware.card_reader import CardFault
from hardware.indicator import Indicator, Signal
from hardware.turnstile import Note, Turnstile
from wire.messages import EntryKind
from wire.reasons import Reason

OWED_AGAIN_MS = 1_000
"""How often outcomes that the disk did not take are tried again."""
SEEN_KINDS = {EntryKind.PASSED: True, EntryKind.PASSED_LATE: True, EntryKind.ANNULLED: False}
"""Endings that a sensor told, and whether somebody passed."""
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


@dataclass(slots=True)
class Lane:
    """One lane as the conductor plays it; used by one thread."""

    number: int
    turnstile: Turnstile
    passages: LanePassages
    pulse_ms: int
    indicators: Sequence[Indicator] = ()
    owed: list[Ending] = field(default_factory=list)  # outcomes known and not on disk yet
    lit_until_ns: int | None = None


class Gate:
    """All lanes of one box. `look` gives the world of the moment, `monotonic_ns` is the turnstiles' clock."""

    def __init__(
        self,
        journal: Journal,
        look: Callable[[], World],
        board: Board,
        lanes: Sequence[Lane],
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._look = look
        self._board = board
        self._lanes = {lane.number: lane for lane in lanes}
        self._monotonic_ns = monotonic_ns

    def present(self, lane: Lane, shown: Presentation) -> Admit | Refuse:
        """Judge what a visitor shows and open for a valid right: on disk first, then the relay, then the screen."""
        world = self._look()
        known = find_out(shown, world)
        first = decide(known.facts, world.venue, world.now)
        if isinstance(first, Refuse) and not may_be_reused(known.facts, first):
            # nothing the journal knows could change it: the visitor need not wait for it
            self._journal.post(lambda entries: judging.append_refusal(entries, lane.number, known, first.reason, world))
            return self._tell(lane, known, Judged(first), world)
        opening = lane.passages.may_go_on(known.pass_id, lane.turnstile.ready)
        if opening is not None and isinstance(first, Admit):
            return self._open_again(lane, known, opening, first, world)
        judged = self._journal.perform(lambda entries: judging.judge(entries, lane.number, known, world))
        if isinstance(judged, CannotRecord):
            return self._tell(lane, known, Judged(Refuse(Reason.CANNOT_RECORD)), world)
        if isinstance(judged.verdict, Refuse):
            return self._tell(lane, known, judged, world)
        return self._open(lane, known, judged, world)

    def unreadable(self, lane: Lane, fault: CardFault) -> None:
        """A card was held to the reader and told nothing: the visitor hears what to do, the staff what happened."""
        facts = Facts(card=fault.trouble)
        scan = Scan(lane.number, Reason.MALFORMED, self._look().now.at_ms, Reader.CARD, facts)
        self._show(lane, Announcement(Face(Reason.MALFORMED, facts), scan), 0)

    def edge(self, lane: Lane, active: bool, at_ns: int) -> None:
        """The passage sensor changed in the lane's direction."""
        self._end(lane, lane.passages.edge(active, at_ns))

    def tick(self, lane: Lane) -> None:
        """Time went by: end what nobody walked through, write what the disk did not take before, darken the lamps."""
        now_ns = self._monotonic_ns()
        self._end(lane, lane.passages.tick(now_ns, lane.turnstile.ready))
        if lane.lit_until_ns is not None and now_ns >= lane.lit_until_ns:
            self._light(lane, IDLE)

    def next_tick_ns(self, lane: Lane) -> int | None:
        """When `tick` has something to do; None while nothing is open."""
        now_ns = self._monotonic_ns()
        owed_ns = now_ns + OWED_AGAIN_MS * MS if lane.owed else None
        times = (lane.passages.next_tick_ns(now_ns), owed_ns, lane.lit_until_ns)
        return min((time_ns for time_ns in times if time_ns is not None), default=None)

    def recover(self, intents: Sequence[OpenIntent]) -> None:
        """At start: what a crash left open goes on at its lane for a while, or is unresolved."""
        world, now_ns = self._look(), self._monotonic_ns()
        for intent in intents:
            age_ms = world.now.monotonic_ms - intent.monotonic_ms if intent.boot == world.boot else -1
            lane = self._lanes.get(intent.lane)
            if lane is not None:
                self._end(lane, lane.passages.recover(intent.seq, intent.pass_id, age_ms, now_ns))
            else:
                self._write(intent.lane, (Ending(EntryKind.UNRESOLVED, intent.seq, intent.pass_id),))

    def _open(self, lane: Lane, known: Known, judged: Judged, world: World) -> Admit | Refuse:
        """The intent is on disk: pulse, tell, and write down what the pulse alone has settled."""
        try:
            began_ns = lane.turnstile.open_for(lane.pulse_ms, _note(known.pass_id, judged.intent_seq))
        except DeviceFault:
            lane.owed.append(Ending(EntryKind.ANNULLED, judged.intent_seq, known.pass_id, Reason.FAULT))
            judged = replace(judged, verdict=Refuse(Reason.FAULT))
        except Exception:  # a driver's mistake hides whether the relay moved; an entry without end holds up the upload
            lane.owed.append(Ending(EntryKind.UNRESOLVED, judged.intent_seq, known.pass_id))
            raise
        else:
            lane.owed.extend(lane.passages.pulsed(judged.intent_seq, known.pass_id, began_ns))
        self._tell(lane, known, judged, world)  # before the outcome is written: the visitor waits for this
        self._end(lane)
        return judged.verdict

    def _open_again(self, lane: Lane, known: Known, opening: Opening, verdict: Admit, world: World) -> Admit | Refuse:
        """One more pulse for an entry that is on disk already (gate.md, Showing again)."""
        seq = opening.intent_seq
        if known.step is not None:
            judged = self._journal.perform(
                lambda entries: judging.judge_again(entries, lane.number, known, seq, verdict, world)
            )
            refusal = Judged(Refuse(Reason.CANNOT_RECORD)) if isinstance(judged, CannotRecord) else judged
            if isinstance(refusal.verdict, Refuse):
                return self._tell(lane, known, refusal, world)
        try:
            began_ns = lane.turnstile.open_for(lane.pulse_ms, _note(opening.pass_id, seq))
        except DeviceFault:
            return self._tell(lane, known, Judged(Refuse(Reason.FAULT)), world)
        lane.owed.extend(lane.passages.pulsed_again(opening, began_ns))
        self._show(lane, announce_again(lane.number, known, world, lane.passages.window_ms), seq)
        self._end(lane)
        return verdict

    def _tell(self, lane: Lane, known: Known, judged: Judged, world: World) -> Admit | Refuse:
        to_lane = self._other_lane(lane) if judged.verdict == Refuse(Reason.FAULT) else None
        window_ms = lane.passages.window_ms
        told = announce(lane.number, known, judged.verdict, judged.uses, world, window_ms, to_lane)
        self._show(lane, told, judged.intent_seq if isinstance(judged.verdict, Admit) else 0)
        return judged.verdict

    def _show(self, lane: Lane, told: Announcement, intent_seq: int) -> None:
        self._board.face(lane.number, told.face, intent_seq)
        self._board.scan(replace(told.scan, intent_seq=intent_seq))
        self._light(lane, told.face)

    def _light(self, lane: Lane, face: Face) -> None:
        for indicator in lane.indicators:
            indicator.show(SIGNALS[FAMILY[face.verdict]])
        lane.lit_until_ns = None if face is IDLE else self._monotonic_ns() + shown_ms(face) * MS

    def _other_lane(self, lane: Lane) -> int | None:
        """Where a visitor is sent when this lane is out of order."""
        others = (other.number for other in self._lanes.values() if other is not lane and not other.turnstile.fault)
        return min(others, default=None)

    def _end(self, lane: Lane, endings: Sequence[Ending] = ()) -> None:
        """Write outcomes down; what the disk does not take is owed and tried again at the next tick."""
        lane.owed.extend(endings)
        if not lane.owed or not self._write(lane.number, tuple(lane.owed)):
            return
        for ending in lane.owed:
            if ending.kind in SEEN_KINDS and ending.reason is None:
                self._board.passage(lane.number, ending.intent_seq, SEEN_KINDS[ending.kind])
        lane.owed.clear()

    def _write(self, lane: int, endings: Sequence[Ending]) -> bool:
        """One commit for all of them; whether it happened."""
        world = self._look()
        written = self._journal.perform(lambda entries: judging.append_endings(entries, lane, endings, world))
        return not isinstance(written, CannotRecord)


def _note(pass_id: bytes, intent_seq: int) -> Note:
    """What the turnstile keeps with a pulse, so that each can be matched with its entry from outside."""
    return {"pass": pass_id.hex(), "entry_seq": intent_seq}
