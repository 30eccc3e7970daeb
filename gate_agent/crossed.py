"""Tells lanes whose wires are exchanged: somebody passes at one when the other was opened (gate.md, Devices; pure)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

TIMES = 2
"""So often in a row a passage at another lane is no accident."""
MAX_PULSES = 8
"""Of one lane whose passage is awaited."""


class CrossedLanes:
    """All lanes of one box; `windows_ns` is how long after a pulse somebody may pass. One caller at a time."""

    def __init__(self, windows_ns: Mapping[int, int]) -> None:
        self._windows_ns = windows_ns
        self._awaited: dict[int, deque[int]] = {lane: deque(maxlen=MAX_PULSES) for lane in windows_ns}
        self._strange: Counter[tuple[int, int]] = Counter()

    def pulsed(self, lane: int, at_ns: int) -> None:
        """The lane's relay was pulsed."""
        self._awaited[lane].append(at_ns)

    def passed(self, lane: int, at_ns: int) -> tuple[int, int] | None:
        """Somebody passes at the lane. The lane that was opened and this one, when that makes them crossed."""
        for other, pulses in self._awaited.items():
            while pulses and at_ns - pulses[0] > self._windows_ns[other]:
                pulses.popleft()
        if self._awaited[lane]:
            self._awaited[lane].popleft()
            self._forget(lane)
            return None
        opened = [other for other, pulses in self._awaited.items() if pulses]
        if len(opened) != 1:  # nobody was let in, or nobody can tell where
            return None
        pair = (opened[0], lane)
        self._awaited[pair[0]].popleft()
        self._strange[pair] += 1
        if self._strange[pair] < TIMES:
            return None
        del self._strange[pair]
        return pair

    def _forget(self, lane: int) -> None:
        """The lane's own arm answered its own pulse: what was strange about it was people."""
        for pair in [pair for pair in self._strange if lane in pair]:
            del self._strange[pair]
