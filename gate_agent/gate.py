"""The conductor: everything that may be asked of a box's lanes, by visitors, turnstiles, time and staff."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gate_agent import judging, staff_entries
from gate_agent.announcement import Announcement
from gate_agent.board import Board, Scan, ShownBy
from gate_agent.decision import Facts, Refuse, decide
from gate_agent.doorkeeper import Doorkeeper
from gate_agent.entries import OpenIntent
from gate_agent.events import EventWord
from gate_agent.faces import NO_FACTS, Enrolling, Face, FaceFacts, State
from gate_agent.facts import Known
from gate_agent.journal import CannotRecord, Journal
from gate_agent.judging import ByStaff, Event
from gate_agent.lane import Check, Lane, Party
from gate_agent.lane_state import PARTY_LIMIT, LaneState, Order, Word, lane_state, may_pulse
from gate_agent.lane_trial import LaneTrial, Trials
from gate_agent.passage import GRACE_MS, NS_PER_MS, Ending
from gate_agent.presenting import Presenting, Verdict
from gate_agent.recognition import Recognised
from gate_agent.staff_entries import NotNow
from gate_agent.standing import Standing
from gate_agent.topology import Wiring
from gate_agent.wiring_watch import WiringWatch
from gate_agent.world import World
from hardware import DeviceFault
from hardware.card_reader import CardFault
from hardware.turnstile import Direction, Edge
from wire import messages
from wire.messages import EntryKind
from wire.moments import MINUTE_MS
from wire.reasons import Reason

CHECK_MS = 60_000
"""How long `check_next` waits for the presentation to check."""
SHUT = {
    LaneState.FIRE: NotNow.FIRE,
    LaneState.STARTING: NotNow.STARTING,
    LaneState.CLOSED: NotNow.LANE_CLOSED,
    LaneState.OUT_OF_ORDER: NotNow.OUT_OF_ORDER,
    LaneState.COMMISSIONING: NotNow.COMMISSIONING,
}
"""What staff are told of a lane at which nobody may be let in."""


class Gate:
    """All lanes of one box. `look` gives the world of the moment, `monotonic_ns` is the turnstiles' clock.

    What concerns a lane is called on that lane's own thread (`LaneThreads.command`); `orders` stood at the last end,
    `kept` is how the lanes were wired when they were commissioned.
    """

    def __init__(
        self,
        journal: Journal,
        look: Callable[[], World],
        board: Board,
        lanes: Sequence[Lane],
        monotonic_ns: Callable[[], int],
        orders: Mapping[int, Order] | None = None,
        kept: Mapping[int, Wiring] | None = None,
    ) -> None:
        self._journal = journal
        self._look = look
        self._lanes = {lane.number: lane for lane in lanes}
        self._monotonic_ns = monotonic_ns
        self.standing = Standing(journal, look, board, lanes, orders or {})
        windows_ns = {lane.number: (lane.passages.window_ms + GRACE_MS) * NS_PER_MS for lane in lanes}
        self.wiring = WiringWatch(journal, look, kept or {}, windows_ns, self.standing.name_trouble)
        self._door = Doorkeeper(journal, look, board, self.standing, self.wiring, monotonic_ns)
        self.trials = Trials()
        self._presenting = Presenting(journal, look, self.standing, self._door, self.trials)

    def present(self, lane: Lane, shown: Recognised) -> Verdict | None:
        """Judge what a visitor shows and open for a valid right. None: there is a fire, and nothing is judged."""
        return self._presenting.present(lane, shown)

    def unreadable(self, lane: Lane, fault: CardFault) -> None:
        """A card was held to the reader and told nothing."""
        self._presenting.unreadable(lane, fault)

    def fire(self, lane: Lane, active: bool) -> None:
        """The lane's fire input changed: told at once, from any thread; `edge` follows on the lane's own."""
        self.standing.fire_input(lane.number, active)

    def edge(self, lane: Lane, edge: Edge) -> None:
        """An input of the lane's turnstile changed."""
        self._door.edge(lane, edge)

    def tick(self, lane: Lane) -> None:
        """Time went by."""
        self._door.tick(lane)

    def next_tick_ns(self, lane: Lane) -> int | None:
        """When `tick` has something to do; None while nothing is open."""
        return self._door.next_tick_ns(lane)

    def recover(self, intents: Sequence[OpenIntent]) -> None:
        """At start: what a crash left open goes on at its lane for a while, or is unresolved."""
        world, now_ns = self._look(), self._monotonic_ns()
        gone: dict[int, list[Ending]] = {}
        for intent in intents:
            age_ms = world.now.monotonic_ms - intent.monotonic_ms if intent.boot == world.boot else -1
            lane = self._lanes.get(intent.lane)
            if lane is not None:
                self._door.end(lane, lane.passages.recover(intent.seq, intent.pass_id, age_ms, now_ns))
            else:
                gone.setdefault(intent.lane, []).append(Ending(EntryKind.UNRESOLVED, intent.seq, intent.pass_id))
        for number, endings in gone.items():
            self._write(number, endings, world)

    # --- what staff ask of a lane; the answer is the number of the entry that tells it, or why not

    def let_in(self, lane: Lane, who: str, reason: str, persons: int = 1) -> int | NotNow:
        """Let so many people through by hand, one after the other, each on disk before the arm is unlocked for them."""
        if not 1 <= persons <= PARTY_LIMIT:
            raise ValueError(f"a party is 1 to {PARTY_LIMIT} people, not {persons}")
        shut = self._shut(lane)
        if shut is not None:
            return shut
        world, staff = self._look(), ByStaff(who, reason)
        seq = self._journal.perform(
            lambda entries: staff_entries.append_by_hand(entries, lane.number, staff, world, lane.direction)
        )
        if isinstance(seq, CannotRecord):
            return NotNow.CANNOT_RECORD
        if persons > 1:
            self._door.begin_party(lane, Party(seq, b"", persons, by_hand=staff))
        try:
            self._door.unlock(lane, seq, free=True)
        except DeviceFault:
            self._door.drop_party(lane, seq)
            undone = Ending(EntryKind.RETURNED, seq, b"", Reason.FAULT)
            stayed = Event(EventWord.EXIT_ANNULLED, who=who)
            self._door.end(lane, (undone if lane.direction is Direction.IN else stayed,))
            return NotNow.TURNSTILE
        except Exception:  # a driver's mistake hides whether the arm moved: the entry counts, nobody follows on it
            self._door.drop_party(lane, seq)
            if lane.direction is Direction.OUT:
                lane.owed.append(Event(EventWord.EXIT_UNRESOLVED, who=who))
            raise
        verdict, facts = State.ADMITTED if lane.direction is Direction.IN else State.EXIT, NO_FACTS
        if persons > 1 and lane.direction is Direction.IN:
            verdict, facts = State.ADMITTED_GROUP, FaceFacts(count=1, of_count=persons)
        scan = Scan(lane.number, verdict, world.now.at_ms, ShownBy.COUNTER, facts)
        self._door.show(lane, Announcement(Face(verdict, facts, window_ms=lane.passages.window_ms), scan), seq)
        self._door.end(lane)
        return seq

    def set_order(self, lane: Lane, word: Word, who: str, reason: str = "", minutes: int = 0) -> int | NotNow:
        """Open the lane, close it, or hold it open for so many `minutes`; it stands until the next order.

        Whoever gives it has seen the lane: alarms of what happened there and is over leave.
        """
        if (word is Word.HELD_OPEN) != (minutes > 0):
            raise ValueError("a lane is held open for so many minutes, and nothing else is")
        if self.standing.fire:
            return NotNow.FIRE
        world = self._look()
        order = Order(word, world.now.monotonic_ms + minutes * MINUTE_MS if minutes else 0, who=who)
        why = ", ".join(filter(None, (f"{minutes} min" if minutes else "", reason)))
        kept = self._journal.perform(
            lambda entries: staff_entries.append_order(entries, lane.number, order, why, world)
        )
        if isinstance(kept, CannotRecord):  # a slow disk may have taken it all the same: after a start it would stand
            stands = self.standing.order(lane.number)
            self._journal.post(
                lambda entries: staff_entries.append_order(entries, lane.number, stands, Reason.CANNOT_RECORD, world)
            )
            return NotNow.CANNOT_RECORD
        self.standing.give(lane.number, kept)
        self.standing.attended(lane.number)
        return kept.seq

    def check_next(self, lane: Lane, who: str) -> NotNow | None:
        """The next presentation within CHECK_MS is judged and shown to staff, and neither opened for nor counted."""
        refused = self._cannot_wait(lane)
        if refused is not None:
            return refused
        lane.check = Check(who, self._monotonic_ns() + CHECK_MS * NS_PER_MS)
        self.standing.check(lane.number, on=True)
        return None

    def test_next(
        self, lane: Lane, who: str, heard: Callable[[Recognised | CardFault], bool], wait_ms: int
    ) -> NotNow | None:
        """What is held to a reader within `wait_ms` is told to `heard` until it says yes; nothing is judged."""
        refused = self._cannot_wait(lane)
        if refused is not None:
            return refused
        lane.check = Check(who, self._monotonic_ns() + wait_ms * NS_PER_MS, heard)
        self.standing.check(lane.number, on=True)
        return None

    def enrol_next(
        self, lane: Lane, who: str, heard: Callable[[Recognised | CardFault], bool], wait_ms: int
    ) -> NotNow | None:
        """The same for the code that makes this box a gate; the lane's screen asks for it."""
        refused = self._cannot_wait(lane)
        if refused is not None:
            return refused
        lane.check = Check(who, self._monotonic_ns() + wait_ms * NS_PER_MS, heard, enrols=True)
        self.standing.enrol(lane.number, Enrolling.SHOW)
        return None

    def commission(self, lane: Lane, who: str) -> NotNow | None:
        """Try the lane whole: from now on its readers, its arm and its inputs serve nobody until that is over."""
        spec, look = self.wiring.spec(lane.number), self._look
        trial = LaneTrial(
            lane, spec, who, self.trials, self._journal, look, self.standing, self.wiring, self._monotonic_ns
        )
        return trial.begin()

    def return_entry(self, lane: Lane, seq: int, who: str, reason: str) -> int | NotNow:
        """Give back the right that entry `seq` used: only an admission of this journal that counts, and once."""
        world, staff = self._look(), ByStaff(who, reason)
        written = self._journal.perform(
            lambda entries: staff_entries.append_returned(entries, lane.number, seq, staff, world)
        )
        return NotNow.CANNOT_RECORD if isinstance(written, CannotRecord) else written

    def admit_by_counter(self, lane: Lane, pass_id: bytes, who: str, reason: str) -> Verdict | NotNow:
        """Let a pass in, or out, that staff found by a number, judged by the same rules as if it was shown."""
        shut = self._shut(lane)
        if shut is not None:
            return shut
        world = self._look()
        listed = None if world.pass_list is None else world.pass_list.find(pass_id)
        known = Known(messages.Presentation.COUNTER, Facts(None, listed=listed), pass_id)
        if lane.direction is Direction.OUT and listed is not None:
            return self._presenting.let_out(lane, known, world, who)
        first = Refuse(Reason.NOT_IN_LIST) if listed is None else decide(known.facts, world.venue, world.now)
        return self._presenting.judge(lane, known, first, world, ByStaff(who, reason))

    def _cannot_wait(self, lane: Lane) -> NotNow | None:
        """Why nothing can be held to the lane's readers for staff alone."""
        if self.standing.fire:
            return NotNow.FIRE
        return None if lane.trial is None else NotNow.COMMISSIONING

    def _shut(self, lane: Lane) -> NotNow | None:
        """Why nobody can be let in here now."""
        inputs = self.standing.inputs(lane.number)
        if not may_pulse(inputs):
            return SHUT[lane_state(inputs)]
        return NotNow.BUSY if lane.party is not None else None

    def _write(self, lane: int, endings: Sequence[Ending], world: World) -> None:
        self._journal.perform(lambda entries: judging.append_told(entries, lane, endings, world))
