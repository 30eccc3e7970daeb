"""How every lane stands now: orders, fire, troubles and alarms, kept in one place and told to the board at once.

Any thread may call. What takes its time, devices and the disk, is looked at before the lock is taken.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from gate_agent import judging
from gate_agent.board import Board
from gate_agent.commissioning import OVER, Step, TrialTold
from gate_agent.entries import Entries
from gate_agent.events import EventWord
from gate_agent.faces import IDLE, Enrolling, Face, FaceFacts, LaneTrouble, State
from gate_agent.journal import Journal
from gate_agent.judging import NO_LANE
from gate_agent.lane import Lane
from gate_agent.lane_alarms import ALARM_MS, LaneAlarms
from gate_agent.lane_state import Inputs, LaneState, Order, Word, lane_state, may_pulse
from gate_agent.status import Alarm, AlarmKind, LaneStatus, Status, nearest_lane
from gate_agent.world import World
from wire.reasons import Reason

STUCK_MS = 60_000
"""A passage input that is active for longer is no visitor."""
OPEN = Order()
FIRE_ORDER = Order(Word.CLOSED)
FIRE = Alarm(AlarmKind.FIRE)
T = TypeVar("T")

log = logging.getLogger(__name__)


class Standing:
    """All lanes of one box. `orders` are those that stood when the agent ended."""

    def __init__(
        self,
        journal: Journal,
        look: Callable[[], World],
        board: Board,
        lanes: Sequence[Lane],
        orders: Mapping[int, Order],
    ) -> None:
        self._journal = journal
        self._look = look
        self._board = board
        self._lanes = {lane.number: lane for lane in lanes}
        self._lock = threading.Lock()
        self._orders = dict(orders)
        self._burning: set[int] = set()
        self._edges: Counter[int] = Counter()  # by lane: how often its fire or tamper input changed
        self._unwritten: list[tuple[EventWord, int]] = []
        self._checking: set[int] = set()
        self._enrolling: dict[int, Enrolling] = {}
        self._check_characters = ""
        self._trial: TrialTold | None = None
        self._on_trial: int | None = None  # the lane that serves nobody meanwhile
        self._trial_ms = 0
        self._named: dict[int, tuple[LaneTrouble, int | None]] = {}  # the other lane, when it is crossed with one
        self._troubles: dict[int, LaneTrouble | None] = {}
        self._alarms = LaneAlarms()
        self._passing_since_ms: dict[int, int] = {}
        self._has_list = False
        self._seen = look()
        self._box_alarms: tuple[Alarm, ...] = ()
        self._told: dict[int, LaneStatus] = {}
        self._rests: dict[int, Face] = {}

    def glance(self) -> World:
        """The world now, or as it was while its files cannot be read: fire and orders do not wait for them."""
        try:
            self._seen = self._look()
        except Exception:  # whatever a damaged file does to its reader
            log.exception("the world could not be looked at")
        return self._seen

    @property
    def fire(self) -> bool:
        """Fire at any lane is fire for the whole box."""
        return bool(self._burning)

    def burns_elsewhere(self, lane: int) -> bool:
        """Whether another lane's fire input is active: never a try of this one's."""
        return bool(self._burning - {lane})

    def order(self, lane: int) -> Order:
        """The word that stands for a lane."""
        return self._orders.get(lane, OPEN)

    def inputs(self, lane: int) -> Inputs:
        """What the lane's state rests on."""
        word = self.order(lane).word_at(self.glance().now.monotonic_ms)
        return self._inputs(lane, word)

    def objection(self, lane: int) -> Reason | None:
        """What stands in a good pass's way at this lane; a turnstile's fault shows when it is asked to open."""
        if self._named.get(lane) is not None:
            return Reason.FAULT
        return Reason.LANE_CLOSED if self.order(lane).word is Word.CLOSED else None

    def other_lane(self, lane: int) -> int | None:
        """The nearest other lane of the same side where somebody can walk through now."""
        return nearest_lane(self._lanes[lane].side, lane, list(self._told.values()))

    def rest(self, lane: int) -> Face:
        """What the lane shows while nobody presents."""
        return self._rests.get(lane, IDLE)

    def give(self, lane: int, order: Order) -> None:
        """From now on this word stands; it is on disk already, or will be."""
        self._change(lambda: self._orders.__setitem__(lane, order))

    def check(self, lane: int, on: bool) -> None:
        """Whether staff check a pass at the lane, so that its face says so."""
        self._change(lambda: (self._checking.add if on else self._checking.discard)(lane))

    def enrol(self, lane: int, step: Enrolling | None) -> None:
        """How far the enrolment by a code shown at this lane is, so that its face says so; None: it is over."""
        self._change(
            lambda: self._enrolling.pop(lane, None) if step is None else self._enrolling.__setitem__(lane, step)
        )

    def trial(self, told: TrialTold) -> None:
        """How far the commissioning of a lane is, or how it ended; until `serves_again` no visitor is served there."""

        def change() -> None:
            self._trial, self._on_trial, self._trial_ms = told, told.lane, self._seen.now.monotonic_ms

        self._change(change)

    def serves_again(self) -> None:
        """The lane that was commissioned is there for visitors again."""
        self._change(lambda: setattr(self, "_on_trial", None))

    def trial_read(self, number: int) -> None:
        """Staff have read how that commissioning ended."""

        def change() -> None:
            if self._trial is not None and self._trial.number == number and self._trial.step in OVER:
                self._trial = None

        self._change(change)

    def await_no_code(self, lane: int) -> None:
        """Nobody waits for an enrolment code at this lane any more."""
        if self._enrolling.get(lane) is Enrolling.SHOW:
            self.enrol(lane, None)

    def name_trouble(self, lane: int, trouble: LaneTrouble | None, crossed_with: int | None = None) -> None:
        """A lane whose devices moved, or that is crossed with another, until it was commissioned again."""
        self._change(
            lambda: (
                self._named.pop(lane, None) if trouble is None else self._named.update({lane: (trouble, crossed_with)})
            )
        )

    def raise_alarm(self, kind: AlarmKind, lane: int) -> None:
        """Something happened that calls for staff."""
        now = self.glance().now
        self._change(lambda: self._alarms.happened(Alarm(kind, lane), now))

    def attended(self, lane: int) -> None:
        """Staff have looked after what happened at a lane: what is over need not call for them any more."""
        self._change(lambda: self._alarms.attended(lane))

    def fire_input(self, lane: int, active: bool, looked_at: int | None = None) -> None:
        """The fire input of one lane changed. When it begins every lane gets closed, and stays so until staff open it.

        Told to the board before anything else: no lane that is busy is waited for, and no disk. `write_fire` follows.
        `looked_at`: it was only looked at, when the lane's inputs had changed so often; a change since knows better.
        """

        def change() -> None:
            if not self._is_news(lane, looked_at) or active == (lane in self._burning):
                return
            before = self.fire
            (self._burning.add if active else self._burning.discard)(lane)
            self._alarms.stands(FIRE, self.fire, self._seen.now)
            if self.fire and not before:
                self._orders.update(dict.fromkeys(self._lanes, FIRE_ORDER))
                self._unwritten.append((EventWord.FIRE, lane))
            elif before and not self.fire:
                self._unwritten.append((EventWord.FIRE_OVER, lane))

        self._change(change)

    def write_fire(self) -> None:
        """Write down what `fire_input` told."""
        with self._lock:
            told, self._unwritten = self._unwritten, []
        if not told:
            return
        world, numbers = self.glance(), tuple(self._lanes)

        def write(entries: Entries) -> None:
            for name, lane in told:
                judging.append_event(entries, name, world, lane)
                for number in numbers if name is EventWord.FIRE else ():
                    entries.keep_lane_order(number, FIRE_ORDER, world.boot, world.now)

        self._journal.post(write)

    def tamper_input(self, lane: int, active: bool, looked_at: int | None = None) -> None:
        """The housing of one lane's turnstile was opened or closed; `looked_at` as of `fire_input`."""
        alarm = Alarm(AlarmKind.TAMPER, lane)
        self._stands(alarm, active, EventWord.TAMPER, lambda: self._is_news(lane, looked_at))

    def sensor_tells_nothing(self, lane: int, stuck: bool) -> None:
        """The passage sensor of a lane is active all the time, or moves again."""
        self._stands(Alarm(AlarmKind.SENSOR, lane), stuck, EventWord.SENSOR_STUCK)

    def look(self, status: Status | None = None, readable: bool = True) -> None:
        """Look at every lane's devices and tell the board all of it; `status` is how the rest of the gate is.

        `readable` False: the data directory cannot be read, and what cannot be read cannot be written either."""
        world = self.glance()
        record = self._journal.trouble is not None or not readable
        troubles = {number: LaneTrouble.RECORD if record else _trouble(lane) for number, lane in self._lanes.items()}
        for number, lane in self._lanes.items():
            edges = self._edges[number]
            self.fire_input(number, lane.turnstile.fire, edges)
            self.write_fire()
            self.tamper_input(number, lane.turnstile.tampered, edges)
            self.sensor_tells_nothing(number, self._is_stuck(lane, world.now.monotonic_ms))

        def change() -> None:
            self._troubles, self._has_list = troubles, world.pass_list is not None
            self._box_alarms = self._box_alarms if status is None else status.alarms
            self._check_characters = self._check_characters if status is None else status.check
            self._alarms.forget(world.now)
            if self._on_trial is None and self._trial_ms < world.now.monotonic_ms - ALARM_MS:
                self._trial = None

        self._change(change, status)

    def _inputs(self, lane: int, word: Word) -> Inputs:
        trouble = self._troubles.get(lane)
        if trouble in (None, LaneTrouble.READER) and lane in self._named:  # which a lane without readers does not outdo
            trouble = self._named[lane][0]
        return Inputs(
            starting=lane not in self._troubles,
            fire=self.fire,
            trouble=trouble,
            word=word,
            has_list=self._has_list,
            on_trial=lane == self._on_trial,
        )

    def _change(self, change: Callable[[], T], status: Status | None = None) -> T:
        """What `change` returned, after the board was told, so that nobody can tell it something older afterwards."""
        with self._lock:
            world, changed = self._seen, change()
            lanes = tuple(self._lane_status(lane, world) for lane in self._lanes.values())
            self._told = {status.lane: status for status in lanes}
            self._alarms.troubles(self._trouble_alarms(lanes), world.now)
            alarms = (*self._alarms.all(), *self._box_alarms)
            if status is None:
                self._board.lanes(lanes, alarms, self._trial)
            else:
                self._board.status(replace(status, lanes=lanes, alarms=alarms, trial=self._trial))
            self._rests = {status.lane: self._at_rest(status, lanes) for status in lanes}
            for lane, face in self._rests.items():
                self._board.rest(lane, face)
        return changed

    def _lane_status(self, lane: Lane, world: World) -> LaneStatus:
        order = self._orders.get(lane.number, OPEN)
        inputs = self._inputs(lane.number, order.word_at(world.now.monotonic_ms))
        state = lane_state(inputs)
        ends_ms = world.now.record_ms + order.ends_ms - world.now.monotonic_ms
        until_ms = ends_ms if state is LaneState.HELD_OPEN else None
        return LaneStatus(lane.number, state, lane.side, lane.way, inputs.trouble, until_ms)

    def _trouble_alarms(self, lanes: Sequence[LaneStatus]) -> list[Alarm]:
        """Each lane's trouble; that nothing can be recorded is the whole box's, and two crossed lanes are one alarm."""
        alarms: list[Alarm] = []
        for lane in lanes:
            if lane.trouble is LaneTrouble.RECORD:
                alarms.append(Alarm(AlarmKind.RECORD))
            elif lane.trouble is LaneTrouble.CROSSED:
                other = self._named[lane.lane][1]
                if Alarm(AlarmKind.CROSSED, other, other_lane=lane.lane) not in alarms:
                    alarms.append(Alarm(AlarmKind.CROSSED, lane.lane, other_lane=other))
            elif lane.trouble is not None:
                alarms.append(Alarm(AlarmKind(lane.trouble.value), lane.lane))
        return alarms

    def _at_rest(self, lane: LaneStatus, lanes: Sequence[LaneStatus]) -> Face:
        """What a lane shows while nobody presents."""
        facts = FaceFacts(to_lane=nearest_lane(lane.side, lane.lane, lanes), trouble=lane.trouble)
        match lane.state:
            case LaneState.FIRE:
                return Face(State.FIRE)
            case LaneState.STARTING:
                return Face(State.STARTING, facts)
            case LaneState.CLOSED:
                return self._at_rest_closed(lane, facts)
            case LaneState.COMMISSIONING:
                told = self._trial
                digits = told.digits if told is not None and told.step is Step.CODE else ""
                return Face(Reason.LANE_CLOSED, replace(facts, trouble=None, on_trial=True, commission=digits))
            case LaneState.OUT_OF_ORDER:
                return Face(Reason.CANNOT_RECORD if lane.trouble is LaneTrouble.RECORD else Reason.FAULT, facts)
        if lane.lane in self._checking:
            return Face(State.CHECK_ONLY)
        if lane.state is LaneState.HELD_OPEN:
            return Face(State.HELD_OPEN)
        own = self._lanes[lane.lane]
        return Face(State.EXIT) if own.direction in own.passages.free_ways else IDLE

    def _at_rest_closed(self, lane: LaneStatus, facts: FaceFacts) -> Face:
        """A box that is not a gate yet says how far it is; without a list its lanes are closed."""
        step = self._enrolling.get(lane.lane)
        if step is not None:
            return Face(Reason.LANE_CLOSED, FaceFacts(enrolling=step))
        if self._check_characters:
            compare = FaceFacts(enrolling=Enrolling.COMPARE, check=self._check_characters)
            return Face(Reason.LANE_CLOSED, compare)
        return Face(Reason.LANE_CLOSED, facts)

    def _is_news(self, lane: int, looked_at: int | None) -> bool:
        """Whether what an input is said to be is not outdated; a change counts as one from here on."""
        self._edges[lane] += looked_at is None
        return looked_at is None or looked_at == self._edges[lane]

    def _stands(self, alarm: Alarm, on: bool, event: EventWord, is_news: Callable[[], bool] = lambda: True) -> None:
        world = self.glance()

        def change() -> bool:
            if not is_news() or on == (alarm in self._alarms):
                return False
            self._alarms.stands(alarm, on, world.now)
            return on

        if self._change(change):
            self._journal.post(lambda entries: judging.append_event(entries, event, world, alarm.lane or NO_LANE))

    def _is_stuck(self, lane: Lane, boot_ms: int) -> bool:
        if not lane.sensor_on:
            self._passing_since_ms.pop(lane.number, None)
            return False
        since_ms = self._passing_since_ms.setdefault(lane.number, boot_ms)
        return Alarm(AlarmKind.SENSOR, lane.number) in self._alarms or boot_ms - since_ms >= STUCK_MS


def allows_pulse(standing: Standing, lane: int) -> bool:
    """Whether the lane's arm may be unlocked now."""
    return may_pulse(standing.inputs(lane))


def _trouble(lane: Lane) -> LaneTrouble | None:
    """What keeps a lane from working: its turnstile, or no reader left that reads."""
    if lane.hangs or lane.turnstile.fault is not None:
        return LaneTrouble.TURNSTILE
    return LaneTrouble.READER if lane.readers and all(reader.fault is not None for reader in lane.readers) else None
