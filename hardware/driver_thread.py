"""The thread of a driver: it outlives whatever one of its rounds does, and says so until a round goes well again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from hardware import Backoff

AGAIN_FIRST_S = 0.1
AGAIN_LIMIT_S = 5.0
log = logging.getLogger(__name__)


class DriverThread:
    """Does `work` again and again until `closing`, from `first_s` on; it gives the seconds until the next round.

    What a device's library or our own listener does wrong in one round would else end the thread, and nobody would
    hear of an edge, or look for a lost board, any more."""

    def __init__(self, name: str, work: Callable[[], float], closing: threading.Event, first_s: float = 0.0) -> None:
        self._work = work
        self._first_s = first_s
        self._closing = closing
        self.fault: str | None = None
        """A sentence for staff after a round that failed in no known way; None after one that went well."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self, limit_s: float) -> None:
        """Wait for the end that `closing` brings."""
        self._thread.join(limit_s)

    def _run(self) -> None:
        backoff = Backoff(AGAIN_FIRST_S, AGAIN_LIMIT_S)
        wait_s = self._first_s
        while not self._closing.wait(wait_s):
            try:
                wait_s = self._work()
            except Exception as fault:  # a library may fail in any way, and this thread is the only one there is
                log.exception("the %s thread failed", self._thread.name)
                self.fault = f"the {self._thread.name} driver failed ({fault!r}): check its wires, restart the gate"
                wait_s = backoff.next_s()
            else:
                self.fault = None
                backoff.reset()
