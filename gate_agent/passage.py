"""Who walked through: what became of each pulse at one lane, told from the edges of its passage sensor (pure).

Times are monotonic ns. Nothing is annulled while the arm may still be unlocked (gate.md, Passage).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from gate_agent.events import EventWord
from hardware.turnstile import Direction
from wire.messages import CLOSING, EntryKind
from wire.reasons import Reason

NS_PER_MS = 1_000_000
GRACE_MS = 1_000
"""Waited beyond the turnstile's own window before nobody is said to have passed."""
LATE_MS = 3_000
"""An edge this long after an annulment still belongs to it."""
FOLLOW_MS = 3_000
"""Who moves the arm this soon after somebody who might pass came with them."""
UNREADY_LIMIT_MS = 60_000
"""A turnstile that does not get ready again is not waited for longer: who passed stays unresolved."""
CONTINUE_MS = 15_000
"""After a crash the same pass at the same lane goes on with its open intent for this long."""
SENSOR_MEMORY = 3
MAX_OPENINGS = 32
"""Intents whose end is awaited at one lane, and of those annulled the newest that may yet be passed late."""
OUTCOMES_LOOKED_AT = 10
ANNULLED_LIMIT = 3
"""So many of a lane's last OUTCOMES_LOOKED_AT pulses that nobody walked through: somebody may be trying."""


class Sighting(StrEnum):
    """What the sensor saw that belongs to no pulse, and a lane whose pulses go unused: events of the journal."""

    SECOND_PERSON = EventWord.SECOND_PERSON
    BACKWARDS = EventWord.BACKWARDS
    FORCED = EventWord.FORCED
    ANNULLED_OFTEN = EventWord.ANNULLED_OFTEN
    EXIT = EventWord.EXIT
    """Not an alarm: the way that needs no pulse."""


@dataclass(slots=True)
class Opening:
    """A pulse whose end is not known yet. `recovered`: a crash hides whether somebody passed already.

    `free`: it has no intent of its own whose outcome has to be written (by hand, held open, further people of a party).
    `moved_before`: the sensor was on before the pulse, and not for somebody of whom it is known that he passed.
    """

    intent_seq: int
    pass_id: bytes
    began_ns: int
    free: bool = False
    sensor_was_on: bool = False
    moved_before: bool = False
    pulsed: bool = True
    shown_again: bool = False
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a pulse: the outcome to be written for its intent, unless it is `free`."""

    kind: EntryKind
    intent_seq: int
    pass_id: bytes
    reason: Reason | None = None
    free: bool = False


@dataclass(slots=True)
class LanePassages:
    """One lane: intents enter by `pulsed` or `recover`, each leaves by exactly one ending; `passed_late` may follow.

    `free_ways` are those in which people may walk without a pulse, and are counted. `one_way`: the arm is shared with a
    lane that leads the other way and sees who goes there.
    """

    window_ms: int
    has_sensor: bool
    direction: Direction = Direction.IN
    free_ways: frozenset[Direction] = frozenset()
    one_way: bool = False
    _open: deque[Opening] = field(default_factory=deque)
    _annulled: deque[tuple[int, Opening]] = field(default_factory=lambda: deque(maxlen=MAX_OPENINGS))
    _pulses_ns: deque[int] = field(default_factory=lambda: deque(maxlen=SENSOR_MEMORY))
    _outcomes: deque[EntryKind] = field(default_factory=lambda: deque(maxlen=OUTCOMES_LOOKED_AT))
    _edge_ns: int = -1
    _through_ns: int | None = None  # when somebody who might last moved the arm
    _active: set[Direction] = field(default_factory=set)

    def pulsed(
        self, intent_seq: int, pass_id: bytes, at_ns: int, *, free: bool = False, sensor_on: bool = False
    ) -> list[Ending]:
        """The relay was pulsed. Without a sensor that is all that will ever be known. `sensor_on`: before the pulse."""
        self._pulses_ns.append(at_ns)
        was_on = sensor_on or self.direction in self._active
        opening = Opening(intent_seq, pass_id, at_ns, free, was_on, was_on and self._through_ns != self._edge_ns)
        if not self.has_sensor:
            return [self._end(EntryKind.PASSED_ASSUMED, opening)]
        self._open.append(opening)
        return [self._end(EntryKind.UNRESOLVED, self._open.popleft())] if len(self._open) > MAX_OPENINGS else []

    def recover(self, intent_seq: int, pass_id: bytes, age_ms: int, now_ns: int) -> list[Ending]:
        """An intent found open at start, decided `age_ms` ago: kept for CONTINUE_MS, or unresolved at once."""
        opening = Opening(intent_seq, pass_id, now_ns - age_ms * NS_PER_MS, pulsed=False, recovered=True)
        if not 0 <= age_ms < CONTINUE_MS:
            return [self._end(EntryKind.UNRESOLVED, opening)]
        self._open.append(opening)
        return []

    def may_go_on(self, pass_id: bytes, ready: bool) -> Opening | None:
        """The open intent for which this pass, shown again, gets one more pulse. None: that would be another entry."""
        opening = next((opening for opening in self._open if opening.pass_id == pass_id and not opening.free), None)
        if opening is None or opening.shown_again or not ready:
            return None
        return opening if opening.recovered or self._sensor_is_proven() else None

    def pulsed_again(self, opening: Opening, at_ns: int) -> list[Ending]:
        """The relay was pulsed once more for an intent that `may_go_on` gave."""
        self._pulses_ns.append(at_ns)
        opening.pulsed, opening.shown_again = True, True
        if self.has_sensor:
            return []
        self._open.remove(opening)
        return [self._end(EntryKind.PASSED_ASSUMED, opening)]

    @property
    def awaits(self) -> bool:
        """Whether somebody who was let in may still walk through."""
        return bool(self._open)

    def is_free_for_next(self, now_ns: int, ready: bool) -> bool:
        """Whether one more may follow without a presentation: the arm locked and empty, the last pulse used or over."""
        if not ready or self.direction in self._active or self._open:
            return False
        return self.has_sensor or not self._pulses_ns or now_ns >= self._pulses_ns[-1] + self.window_ms * NS_PER_MS

    def edge(self, direction: Direction, active: bool, at_ns: int) -> list[Ending | Sighting]:
        """A passage input changed: somebody passed for an open intent, late for an annulled one, or for none."""
        if self.one_way and direction is not self.direction:
            return []
        rising = active and direction not in self._active
        falling = not active and direction in self._active
        (self._active.add if active else self._active.discard)(direction)
        if direction is self.direction:
            if falling and self._through_ns == self._edge_ns:
                self._through_ns = self._edge_ns = at_ns
            return self._moved_on(at_ns) if rising else []
        if not rising:
            return []
        if self._is_unlocked(at_ns):
            return [Sighting.BACKWARDS]
        return [Sighting.EXIT if direction in self.free_ways else Sighting.FORCED]

    def tick(self, now_ns: int, ready: bool, sensor_on: bool = False, held: bool = False) -> list[Ending | Sighting]:
        """What time alone has decided by `now_ns`; `ready`: the arm is locked again; `held`: it is pulsed on and on."""
        stuck = sensor_on or self.direction in self._active
        ended = [(opening, self._ended(opening, now_ns, ready, stuck, held)) for opening in self._open]
        self._open = deque(opening for opening, kind in ended if kind is None)
        annulled = [opening for opening, kind in ended if kind is EntryKind.ANNULLED]
        self._annulled.extend((now_ns, opening) for opening in annulled)
        told: list[Ending | Sighting] = [self._end(kind, opening) for opening, kind in ended if kind is not None]
        if not all(opening.free for opening in annulled) and self._outcomes.count(EntryKind.ANNULLED) >= ANNULLED_LIMIT:
            self._outcomes.clear()
            told.append(Sighting.ANNULLED_OFTEN)
        return told

    def next_tick_ns(self, now_ns: int, held: bool = False) -> int | None:
        """When to call `tick` next; None while nothing is open. Never in the past: an unready arm is asked again."""
        if not self._open:
            return None
        due_ns = min(self._due_ns(opening, held) for opening in self._open)
        return max(due_ns, now_ns + GRACE_MS * NS_PER_MS // 10)

    def _moved_on(self, at_ns: int) -> list[Ending | Sighting]:
        self._edge_ns = at_ns
        waiting = [opening for opening in self._open if opening.began_ns < at_ns]
        if waiting:
            opening = min(waiting, key=lambda opening: opening.free)  # whoever has an intent before who has none
            self._open.remove(opening)
            self._through_ns = at_ns
            return [self._end(EntryKind.PASSED, opening)]
        while self._annulled:
            annulled_ns, opening = self._annulled.popleft()
            if at_ns - annulled_ns <= LATE_MS * NS_PER_MS:
                self._through_ns = at_ns
                return [self._end(EntryKind.PASSED_LATE, opening)]
        if self._is_unlocked(at_ns):
            return [Sighting.SECOND_PERSON]
        return [Sighting.EXIT if self.direction in self.free_ways else Sighting.FORCED]

    def _is_unlocked(self, at_ns: int) -> bool:
        """Whether the arm may still be unlocked by a pulse, or has only just let somebody through."""
        if self._through_ns is not None and at_ns - self._through_ns <= FOLLOW_MS * NS_PER_MS:
            return True
        return bool(self._pulses_ns) and at_ns <= self._pulses_ns[-1] + (self.window_ms + GRACE_MS) * NS_PER_MS

    def _due_ns(self, opening: Opening, held: bool) -> int:
        if not opening.pulsed:
            return opening.began_ns + CONTINUE_MS * NS_PER_MS
        if held and opening.free:
            return self._pulses_ns[-1] + self.window_ms * NS_PER_MS
        return (opening.began_ns if held else self._pulses_ns[-1]) + (self.window_ms + GRACE_MS) * NS_PER_MS

    def _ended(self, opening: Opening, now_ns: int, ready: bool, sensor_on: bool, held: bool) -> EntryKind | None:
        late_ns = now_ns - self._due_ns(opening, held)
        if late_ns < 0:
            return None
        if opening.recovered:
            return EntryKind.UNRESOLVED
        if opening.moved_before or (opening.sensor_was_on and sensor_on):
            return EntryKind.PASSED_ASSUMED  # whoever pushes first and shows the code then moves no sensor any more
        if held and not opening.free:
            return EntryKind.PASSED_ASSUMED  # the arm stays unlocked for everybody: who it was cannot be told
        if ready:
            return EntryKind.ANNULLED
        return EntryKind.UNRESOLVED if late_ns >= UNREADY_LIMIT_MS * NS_PER_MS else None

    def _sensor_is_proven(self) -> bool:
        if not self.has_sensor or self.direction in self._active:
            return False
        return bool(self._pulses_ns) and self._edge_ns > self._pulses_ns[0]

    def _end(self, kind: EntryKind, opening: Opening) -> Ending:
        if kind in CLOSING and not opening.free:
            self._outcomes.append(kind)
        return Ending(kind, opening.intent_seq, opening.pass_id, free=opening.free)
