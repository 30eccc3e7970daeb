"""A simulated turnstile: an arm, a relay each way, sensors, visitors who do not always just walk through, faults."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum

from hardware import DeviceFault
from hardware.timeline import History, Timeline
from hardware.turnstile import Direction, Edge, Note, Role, check_pulse

WINDOW_MS = 5_000  # how long the arm stays unlocked for nobody
STEP_UP_MS = 600  # from the unlocked arm to a visitor's first push
TURN_MS = 700  # one turn of the arm
SLOW_TURN_MS = 6_000  # one turn with a pram, longer than the arm's own window
MAX_VISITORS = 50  # who stand before the arm at most
FOREVER_NS = 2**63


class Walk(StrEnum):
    """What a visitor does when the arm unlocks."""

    THROUGH = "pass"  # walks through
    BALK = "balk"  # stands there until the arm locks again
    GO_BACK = "back"  # walks through and comes straight back out
    TAILGATE = "tailgate"  # walks through with another right behind
    SLOW = "slow"  # walks through, but takes SLOW_TURN_MS
    OUT = "out"  # comes from the other side and leaves, pulse or not
    FORCE = "force"  # climbs over or pushes through, pulse or not


class TurnstileTrouble(StrEnum):
    """What can be wrong with a turnstile, or around it."""

    SENSOR_STUCK = "sensor_stuck"  # the passage input is active all the time
    SENSOR_DEAD = "sensor_dead"  # the arm turns and no input tells
    NEVER_READY = "never_ready"  # the ready input stays away
    RELAY_DEAD = "relay_dead"  # the relay clicks, the arm stays locked
    RELAY_GONE = "relay_gone"  # the relay board was unplugged
    FIRE = "fire"  # the fire release is on and the arm is free
    TAMPER = "tamper"  # the housing is open


UNREADY = frozenset({TurnstileTrouble.NEVER_READY, TurnstileTrouble.RELAY_GONE, TurnstileTrouble.FIRE})
"""With these no pulse would be taken."""
SENSOR_LIES = frozenset({TurnstileTrouble.SENSOR_STUCK, TurnstileTrouble.SENSOR_DEAD})
INPUT_OF = {TurnstileTrouble.FIRE: Role.FIRE, TurnstileTrouble.TAMPER: Role.TAMPER}
PASSAGE_OF = {Direction.IN: Role.PASSAGE_IN, Direction.OUT: Role.PASSAGE_OUT}
BACK = {Direction.IN: Direction.OUT, Direction.OUT: Direction.IN}


class SimulatedTurnstile:
    """One arm that goes through everything a real one does, at the times of its `timeline`, and remembers every edge.

    It has a relay for each way. In its history the relay is `on`/`off` (with the note of the pulse and its direction),
    the arm `unlocked`/`locked`/`turns in`/`turns out`, the inputs `ready`, `fire`, `tamper`, `passage in` and `passage
    out` are `active`/`inactive`, a visitor is what he does.
    """

    def __init__(
        self,
        timeline: Timeline,
        history: History,
        usual_walk: Walk | None = Walk.THROUGH,
        has_passage_sensor: bool = True,
        direction: Direction = Direction.IN,
    ) -> None:
        """`usual_walk` is what a visitor does whom nobody sent; None: there are only the visitors sent by `walk`.
        `direction` is the way they go unless it is said otherwise."""
        self.has_passage_sensor = has_passage_sensor
        self._onward = direction
        self._timeline = timeline
        self._history = history
        self._usual_walk = usual_walk
        self._lock = threading.RLock()
        self._visitors: dict[Direction, deque[Walk]] = {way: deque(maxlen=MAX_VISITORS) for way in Direction}
        self._trouble: TurnstileTrouble | None = None
        self._closed = False
        self._pulse_ends_ns: dict[Direction, int] = {}  # of the relays that are on
        self._unlocked_until_ns: dict[Direction, int] = {}  # a turn that way uses it up
        self._turning: Direction | None = None
        self._called: set[Direction] = set()  # where a visitor is about to step up
        self._was_ready = True
        self._listeners: list[Callable[[Edge], None]] = []
        self._untold: list[Edge] = []

    # --- what any turnstile does

    @property
    def ready(self) -> bool:
        with self._lock:
            standing_locked = not self._unlocked_until_ns and self._turning is None
            return standing_locked and self._trouble not in UNREADY

    @property
    def fire(self) -> bool:
        return self._trouble is TurnstileTrouble.FIRE

    @property
    def tampered(self) -> bool:
        return self._trouble is TurnstileTrouble.TAMPER

    def passing(self, direction: Direction) -> bool:
        with self._lock:
            if not self.has_passage_sensor or self._trouble is TurnstileTrouble.SENSOR_DEAD:
                return False
            stuck = self._trouble is TurnstileTrouble.SENSOR_STUCK and direction is self._onward
            return stuck or (self._turning is direction and self._trouble is not TurnstileTrouble.SENSOR_STUCK)

    @property
    def fault(self) -> str | None:
        if self._closed:
            return "the simulated turnstile is closed"
        return "the relay board is gone: plug it in again" if self._trouble is TurnstileTrouble.RELAY_GONE else None

    def open_for(self, direction: Direction, pulse_ms: int, note: Note) -> int:
        check_pulse(pulse_ms)
        with self._moving():
            if self.fault is not None:
                raise DeviceFault(self.fault)
            if self.fire:
                raise DeviceFault("the fire release is on: nobody is let in")
            now_ns = self._timeline.now_ns()
            self._history.add("relay", "on", {**note, "direction": direction})
            ends_ns = self._pulse_ends_ns.get(direction, 0)
            self._pulse_ends_ns[direction] = max(ends_ns, now_ns + pulse_ms * 1_000_000)
            self._timeline.after(pulse_ms, lambda: self._end_pulse(direction))
            if self._trouble is not TurnstileTrouble.RELAY_DEAD:
                self._unlock(direction, now_ns)
            return now_ns

    def watch(self, on_edge: Callable[[Edge], None]) -> None:
        with self._lock:
            self._listeners.append(on_edge)

    def close(self) -> None:
        with self._moving():
            if not self._closed:
                self._closed = True
                self._listeners.clear()
                for direction in list(self._pulse_ends_ns):
                    self._relay_off(direction)
                for direction in list(self._unlocked_until_ns):
                    self._lock_arm(direction)

    # --- what only a simulated one does

    def walk(self, walk: Walk, way: Direction | None = None) -> None:
        """Send a visitor who wants to go that `way`, the arm's usual one unless it is said: he acts now if the arm is
        unlocked or he needs no pulse, else he waits before it."""
        way = way or self._onward
        with self._moving():
            if walk in (Walk.OUT, Walk.FORCE) or self.fire:
                self._history.add("visitor", walk)
                if self._turning is None:
                    self._turn(BACK[way] if walk is Walk.OUT else way)
                return
            self._visitors[way].append(walk)
            self._history.add("visitor", f"stands before the arm to {walk}")
            if way in self._unlocked_until_ns and self._turning is None:
                self._call_visitor(way)

    def trouble(self, trouble: TurnstileTrouble | None) -> None:
        """Let something be wrong from now on, None: nothing any more."""
        with self._moving():
            if trouble is self._trouble:
                return
            role = self._input_of(self._trouble)
            self._trouble = None
            if role is not None:
                self._tell(role, active=False)
            self._history.add("trouble", trouble or "none")
            role = self._input_of(trouble)
            if role is not None:
                self._tell(role, active=True)
            self._trouble = trouble

    @property
    def relay_on(self) -> bool:
        """Whether a pulse is on, either way."""
        return bool(self._pulse_ends_ns)

    @property
    def arm(self) -> str:
        """`locked`, `unlocked`, `turning in` or `turning out`."""
        with self._lock:
            if self._turning is not None:
                return f"turning {self._turning}"
            return "unlocked" if self._unlocked_until_ns else "locked"

    # --- the machine

    @contextlib.contextmanager
    def _moving(self) -> Iterator[None]:
        """Around every change: the ready input follows, and the listeners are told when the lock is free again."""
        with self._lock:
            try:
                yield
            finally:
                if self.ready != self._was_ready:
                    self._was_ready = not self._was_ready
                    self._tell(Role.READY, self._was_ready)
                told, self._untold = self._untold, []
                listeners = list(self._listeners)
        for edge in told:
            for listener in listeners:
                listener(edge)

    def _end_pulse(self, direction: Direction) -> None:
        with self._moving():
            if self._timeline.now_ns() >= self._pulse_ends_ns.get(direction, FOREVER_NS):
                self._relay_off(direction)

    def _relay_off(self, direction: Direction) -> None:
        del self._pulse_ends_ns[direction]
        self._history.add("relay", "off", {"direction": direction})

    def _unlock(self, direction: Direction, now_ns: int) -> None:
        if direction not in self._unlocked_until_ns:
            self._history.add("arm", "unlocked", {"direction": direction})
        self._unlocked_until_ns[direction] = now_ns + WINDOW_MS * 1_000_000
        self._timeline.after(WINDOW_MS, lambda: self._window_over(direction))
        self._call_visitor(direction)

    def _window_over(self, direction: Direction) -> None:
        with self._moving():
            if self._timeline.now_ns() >= self._unlocked_until_ns.get(direction, FOREVER_NS):
                self._lock_arm(direction)

    def _lock_arm(self, direction: Direction) -> None:
        del self._unlocked_until_ns[direction]
        self._history.add("arm", "locked", {"direction": direction})

    def _call_visitor(self, way: Direction) -> None:
        """Somebody steps up in a moment; one visitor at a time, however many pulses and turns call for him."""
        if way not in self._called:
            self._called.add(way)
            self._timeline.after(STEP_UP_MS, lambda: self._step_up(way))

    def _step_up(self, way: Direction) -> None:
        """The first visitor before the arm does what he came to do, if he may."""
        with self._moving():
            self._called.discard(way)
            if self._closed or way not in self._unlocked_until_ns or self._turning is not None:
                return
            walk = self._visitors[way].popleft() if self._visitors[way] else self._usual_walk
            if walk is None:
                return
            self._history.add("visitor", walk)
            if walk is Walk.THROUGH:
                self._turn(way)
            elif walk is Walk.GO_BACK:
                self._turn(way, then=BACK[way])
            elif walk is Walk.TAILGATE:
                self._turn(way, then=way)
            elif walk is Walk.SLOW:
                self._turn(way, turn_ms=SLOW_TURN_MS)

    def _turn(self, direction: Direction, then: Direction | None = None, turn_ms: int = TURN_MS) -> None:
        self._turning = direction
        self._unlocked_until_ns.pop(direction, None)
        self._history.add("arm", f"turns {direction}")
        self._edge(direction, active=True)
        self._timeline.after(turn_ms, lambda: self._turned(direction, then))

    def _turned(self, direction: Direction, then: Direction | None) -> None:
        with self._moving():
            self._turning = None
            self._edge(direction, active=False)
            if self._closed:
                return
            if then is not None:
                self._turn(then)
            elif not self._unlocked_until_ns:
                self._history.add("arm", "locked")
            for way in self._unlocked_until_ns:  # a pulse came during the turn: the next visitor may step up
                self._call_visitor(way)

    def _edge(self, direction: Direction, active: bool) -> None:
        """One edge of the passage input, unless the input is broken."""
        if self.has_passage_sensor and self._trouble not in (
            TurnstileTrouble.SENSOR_STUCK,
            TurnstileTrouble.SENSOR_DEAD,
        ):
            self._tell(PASSAGE_OF[direction], active)

    def _input_of(self, trouble: TurnstileTrouble | None) -> Role | None:
        """The input that a trouble makes active."""
        if trouble is TurnstileTrouble.SENSOR_STUCK:
            return PASSAGE_OF[self._onward] if self.has_passage_sensor else None
        return None if trouble is None else INPUT_OF.get(trouble)

    def _tell(self, role: Role, active: bool) -> None:
        self._history.add(role.replace("_", " "), "active" if active else "inactive")
        self._untold.append(Edge(role, active, self._timeline.now_ns()))
