"""The time and the memory of simulated devices: when something will happen, and everything that did."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

HISTORY_LIMIT = 20_000  # moments; the oldest fall out and are counted


class Timeline(Protocol):
    """A clock that can be asked to do something later."""

    def now_ns(self) -> int:
        """Monotonic time."""

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Run `action` once, `delay_ms` from now."""

    def close(self) -> None:
        """Forget what has not happened yet."""


class StepTimeline:
    """Time that stands still until a test moves it; what is due then happens in order, each at its own time."""

    def __init__(self) -> None:
        self._now_ns = 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def now_ns(self) -> int:
        return self._now_ns

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._number += 1  # two things due together happen in the order they were asked for
        heapq.heappush(self._due, (self._now_ns + delay_ms * 1_000_000, self._number, action))

    def advance(self, duration_ms: int) -> None:
        """Let `duration_ms` pass."""
        end_ns = self._now_ns + duration_ms * 1_000_000
        while self._due and self._due[0][0] <= end_ns:
            self._now_ns, _, action = heapq.heappop(self._due)
            action()
        self._now_ns = end_ns

    def close(self) -> None:
        self._due.clear()


class RealTimeline:
    """The time of the machine: one timer thread per thing that is still to happen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timers: set[threading.Timer] = set()

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        def run() -> None:
            with self._lock:
                self._timers.discard(timer)
            action()

        timer = threading.Timer(delay_ms / 1000, run)
        timer.daemon = True
        with self._lock:
            self._timers.add(timer)
        timer.start()

    def close(self) -> None:
        with self._lock:
            timers, self._timers = self._timers, set()
        for timer in timers:
            timer.cancel()


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened at a simulated lane."""

    monotonic_ns: int
    device: str
    event: str
    note: Mapping[str, str | int | None] = field(default_factory=dict)


class History:
    """Every moment of a lane in the order it happened, up to HISTORY_LIMIT; any thread may add and read."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._moments: deque[Moment] = deque(maxlen=HISTORY_LIMIT)
        self._count = 0

    def add(self, device: str, event: str, note: Mapping[str, str | int | None] | None = None) -> None:
        """Remember that `event` happened to `device` now."""
        with self._lock:
            self._moments.append(Moment(self._now_ns(), device, event, dict(note or {})))
            self._count += 1

    def moments(self, device: str | None = None) -> list[Moment]:
        """What is remembered, of one device or of all."""
        with self._lock:
            return [moment for moment in self._moments if device in (None, moment.device)]

    def events(self, device: str) -> list[str]:
        """The bare events of one device, for comparing a whole history."""
        return [moment.event for moment in self.moments(device)]

    @property
    def forgotten(self) -> int:
        """How many moments fell out."""
        with self._lock:
            return self._count - len(self._moments)
