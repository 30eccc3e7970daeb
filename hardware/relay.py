"""Relays: contacts that each close for one pulse, and the thread that ends a pulse where the board cannot."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Protocol

from hardware import Backoff, Device, DeviceFault
from hardware.turnstile import Direction

OFF_AGAIN_FIRST_S = 0.05
OFF_AGAIN_LIMIT_S = 1.0
"""How soon a relay that could not be switched off is switched off again."""
STOP_LIMIT_S = 2.0
log = logging.getLogger(__name__)


class Relays(Device, Protocol):
    """The relays of one arm, one for each way it can be unlocked.

    Each is off whenever no pulse is on: after start, after a crash and restart, and closed."""

    @property
    def ways(self) -> Collection[Direction]:
        """The ways that have a relay, whether the board is there or not."""

    def pulse(self, direction: Direction, pulse_ms: int) -> int:
        """Switch the relay of one of the `ways` on, return at once with the monotonic time in ns; off again by itself
        `pulse_ms` after the last call for that way.

        DeviceFault: it is sure that the relay did not move. A board that took the request and did not answer may have
        moved: that is a pulse, and `fault` says what happened."""


class SwitchedRelay:
    """A pulse on a relay that can only be switched on and off: a thread that does nothing else ends it.

    `switch` moves the relay (DeviceFault: it did not take that). Off is tried until it is taken."""

    def __init__(self, switch: Callable[[bool], None], monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._switch = switch
        self._monotonic_ns = monotonic_ns
        self._changed = threading.Condition()
        self._ends_ns: int | None = None  # None: off, as far as anybody knows
        self._closed = False
        self._thread = threading.Thread(target=self._end_pulses, name="relay", daemon=True)
        self._thread.start()

    def pulse(self, pulse_ms: int) -> int:
        """Switch on, or lengthen the pulse that is on; the monotonic time in ns."""
        with self._changed:
            if self._closed:
                raise DeviceFault("the relay is closed")
            began_ns = self._monotonic_ns()
            ends_ns, self._ends_ns = self._ends_ns, max(self._ends_ns or 0, began_ns + pulse_ms * 1_000_000)
            self._changed.notify()
            try:
                self._switch(True)  # also while it is on: a relay that went away meanwhile shows only so
            except DeviceFault:
                self._ends_ns = ends_ns or began_ns  # whatever came of half a request is ended at once
                raise
            return began_ns

    def close(self) -> None:
        """End the pulse that is on, and the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(STOP_LIMIT_S)

    def _end_pulses(self) -> None:
        backoff = Backoff(OFF_AGAIN_FIRST_S, OFF_AGAIN_LIMIT_S)
        with self._changed:
            while not (self._closed and self._ends_ns is None):
                left_s = self._left_s()
                if left_s is None or left_s > 0:
                    self._changed.wait(left_s)
                elif self._off():
                    self._ends_ns = None
                    backoff.reset()
                elif self._closed:
                    return  # it could not be switched off, and nobody waits for it any more
                else:
                    self._changed.wait(backoff.next_s())

    def _left_s(self) -> float | None:
        if self._ends_ns is None:
            return None
        return 0.0 if self._closed else (self._ends_ns - self._monotonic_ns()) / 1e9

    def _off(self) -> bool:
        try:
            self._switch(False)
        except DeviceFault:
            return False  # the relay's own `fault` says so
        except Exception:  # this thread must outlive whatever a driver does: it is the only one that ends a pulse
            log.exception("a relay was not switched off")
            return False
        return True
