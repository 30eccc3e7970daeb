"""Threads of the agent that ended by an exception: seen by staff, and by the watchdog where the gate needs them."""

from __future__ import annotations

import logging
import threading

NEEDED = ("clock", "gpio", "health", "journal", "lane ", "relay", "screen", "watchdog")
"""How threads are named without which visitors, staff or the record are not served: only a new start helps. What others
do (photos, pruning, tablets, the next journal) can wait for one."""

log = logging.getLogger(__name__)


class EndedThreads:
    """Hears of every thread of this process from `listen` to `close`."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        """Of those that ended by an exception, in that order."""
        self._before = threading.excepthook

    def listen(self) -> None:
        """From now on."""
        threading.excepthook = self._ended

    def close(self) -> None:
        """Whoever listened before does so again."""
        threading.excepthook = self._before

    def failure(self) -> str | None:
        """What the gate cannot do without any more, in a sentence for the watchdog."""
        needed = [name for name in self.names if name.startswith(NEEDED)]
        return f"these threads ended by an exception: {', '.join(needed)}" if needed else None

    def _ended(self, ended: threading.ExceptHookArgs) -> None:
        name = "unknown" if ended.thread is None else ended.thread.name
        self.names = (*self.names, name)
        log.critical("the thread %r ended", name, exc_info=ended.exc_value)
