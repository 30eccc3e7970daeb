"""Who walked through: what became of each pulse at one lane, told from the edges of its passage sensor (pure).

Times are monotonic ns. Nothing is annulled while the arm may still be unlocked (gate.md, Passage).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from wire.messages import EntryKind
from wire.reasons import Reason

MS = 1_000_000
GRACE_MS = 1_000
"""Waited beyond the turnstile's own window before nobody is said to have passed."""
LATE_MS = 3_000
"""An edge this long after an annulment still belongs to it."""
UNREADY_LIMIT_MS = 60_000
"""A turnstile that does not get ready again is not waited for longer: who passed stays unresolved."""
CONTINUE_MS = 15_000
"""After a crash the same pass at the same lane goes on with its open intent for this long."""
SENSOR_MEMORY = 3
MAX_OPENINGS = 32
"""Intents whose end is awaited at one lane, and of those annulled the newest that may yet be passed late."""


@dataclass(slots=True)
class Opening:
    """An intent on disk whose end is not known yet. `recovered`: a crash hides whether somebody passed already."""

    intent_seq: int
    pass_id: bytes
    began_ns: int
    pulsed: bool = True
    shown_again: bool = False
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome to be written for an intent."""

    kind: EntryKind
    intent_seq: int
    pass_id: bytes
    reason: Reason | None = None


@dataclass(slots=True)
class LanePassages:
    """One lane: intents enter by `pulsed` or `recover`, each leaves by exactly one ending; `passed_late` may follow."""

    window_ms: int
    has_sensor: bool
    _open: deque[Opening] = field(default_factory=deque)
    _annulled: deque[tuple[int, Opening]] = field(default_factory=lambda: deque(maxlen=MAX_OPENINGS))
    _pulses_ns: deque[int] = field(default_factory=lambda: deque(maxlen=SENSOR_MEMORY))
    _edge_ns: int = -1
    _active: bool = False

    def pulsed(self, intent_seq: int, pass_id: bytes, at_ns: int) -> list[Ending]:
        """The relay was pulsed for a new intent. Without a sensor that is all that will ever be known."""
        self._pulses_ns.append(at_ns)
        opening = Opening(intent_seq, pass_id, at_ns)
        if not self.has_sensor:
            return [_ending(EntryKind.PASSED_ASSUMED, opening)]
        self._open.append(opening)
        return [_ending(EntryKind.UNRESOLVED, self._open.popleft())] if len(self._open) > MAX_OPENINGS else []

    def recover(self, intent_seq: int, pass_id: bytes, age_ms: int, now_ns: int) -> list[Ending]:
        """An intent found open at start, decided `age_ms` ago: kept for CONTINUE_MS, or unresolved at once."""
        opening = Opening(intent_seq, pass_id, now_ns - age_ms * MS, pulsed=False, recovered=True)
        if not 0 <= age_ms < CONTINUE_MS:
            return [_ending(EntryKind.UNRESOLVED, opening)]
        self._open.append(opening)
        return []

    def may_go_on(self, pass_id: bytes, ready: bool) -> Opening | None:
        """The open intent for which this pass, shown again, gets one more pulse. None: that would be another entry."""
        opening = next((opening for opening in self._open if opening.pass_id == pass_id), None)
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
        return [_ending(EntryKind.PASSED_ASSUMED, opening)]

    def edge(self, active: bool, at_ns: int) -> list[Ending]:
        """The sensor changed at `at_ns`. Somebody passed for the oldest open intent, or late for one annulled."""
        rising = active and not self._active
        self._active = active
        if not rising:
            return []
        self._edge_ns = at_ns
        for opening in self._open:
            if opening.began_ns < at_ns:
                self._open.remove(opening)
                return [_ending(EntryKind.PASSED, opening)]
        while self._annulled:
            annulled_ns, opening = self._annulled.popleft()
            if at_ns - annulled_ns <= LATE_MS * MS:
                return [_ending(EntryKind.PASSED_LATE, opening)]
        return []

    def tick(self, now_ns: int, ready: bool) -> list[Ending]:
        """What time alone has decided by `now_ns`; `ready`: the arm is locked again."""
        ended = [(opening, self._ended(opening, now_ns, ready)) for opening in self._open]
        self._open = deque(opening for opening, kind in ended if kind is None)
        self._annulled.extend((now_ns, opening) for opening, kind in ended if kind is EntryKind.ANNULLED)
        return [_ending(kind, opening) for opening, kind in ended if kind is not None]

    def next_tick_ns(self, now_ns: int) -> int | None:
        """When to call `tick` next; None while nothing is open. Never in the past: an unready arm is asked again."""
        if not self._open:
            return None
        due_ns = min(self._due_ns(opening) for opening in self._open)
        return max(due_ns, now_ns + GRACE_MS * MS // 10)

    def _due_ns(self, opening: Opening) -> int:
        if not opening.pulsed:
            return opening.began_ns + CONTINUE_MS * MS
        return self._pulses_ns[-1] + (self.window_ms + GRACE_MS) * MS

    def _ended(self, opening: Opening, now_ns: int, ready: bool) -> EntryKind | None:
        late_ns = now_ns - self._due_ns(opening)
        if late_ns < 0:
            return None
        if opening.recovered:
            return EntryKind.UNRESOLVED
        if self._active:
            return EntryKind.PASSED_ASSUMED  # the sensor was on already when the pulse began: it tells nothing
        if ready:
            return EntryKind.ANNULLED
        return EntryKind.UNRESOLVED if late_ns >= UNREADY_LIMIT_MS * MS else None

    def _sensor_is_proven(self) -> bool:
        return self.has_sensor and not self._active and bool(self._pulses_ns) and self._edge_ns > self._pulses_ns[0]


def _ending(kind: EntryKind, opening: Opening) -> Ending:
    return Ending(kind, opening.intent_seq, opening.pass_id)
