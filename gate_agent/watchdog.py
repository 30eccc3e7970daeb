"""Tells systemd that we are ready, how we are, and that we are alive: only when everything that must move has moved."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping

CHECK_EVERY_S = 10.0
"""A unit's WatchdogSec is three of these: one missed word is no end."""

log = logging.getLogger(__name__)


def notify(*words: str) -> None:
    """Say `READY=1`, `WATCHDOG=1`, … to systemd (sd_notify); nobody hears it where no unit of Type=notify runs us."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            try:
                line.sendto("\n".join(words).encode(), address.replace("@", "\0", 1))
            except OSError as error:  # systemd is starting anew: the next word reaches it
                log.warning("systemd does not listen: %s", error)


class Watchdog:
    """Feeds systemd's watchdog while every counter goes on rising and `failure` finds nothing.

    `counters` by what they count, for staff: each rises when its thread has come round once more.
    """

    def __init__(
        self, counters: Mapping[str, Callable[[], int]], failure: Callable[[], str | None] = lambda: None
    ) -> None:
        self._counters = counters
        self._failure = failure
        self._seen = {name: counter() for name, counter in counters.items()}
        self._told = ""
        self.passed = 0
        """How often all was well."""

    def run(self, stop: threading.Event) -> None:
        """Look every CHECK_EVERY_S until `stop`."""
        while not stop.wait(CHECK_EVERY_S):
            self.look()

    def look(self) -> str | None:
        """One look: what is wrong, in a sentence; None: systemd was told that we are alive."""
        wrong = self._trial() or self._standing_still()
        if wrong is None:
            self.passed += 1
            notify("WATCHDOG=1", "STATUS=in order")
        else:
            notify(f"STATUS={wrong}")
        if wrong is not None and wrong != self._told:
            log.error("the watchdog is not fed: %s", wrong)
        self._told = wrong or ""
        return wrong

    def _trial(self) -> str | None:
        try:
            return self._failure()
        except Exception as fault:  # whatever it is, it is no sign of being well
            log.exception("the self-check failed")
            return f"the self-check failed: {fault!r}"

    def _standing_still(self) -> str | None:
        """Which of them have not moved since the last look at which all had."""
        now = {name: counter() for name, counter in self._counters.items()}
        still = [name for name, count in now.items() if count == self._seen[name]]
        if not still:
            self._seen = now
        return f"no progress: {', '.join(still)}" if still else None
