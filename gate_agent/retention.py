"""Now and then, while the journal has nothing else to do: lets go of what the centre has held for long enough."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from gate_agent.journal import Journal
from gate_agent.sync_state import SyncView
from gate_agent.world import World
from wire.messages import ClockTrust

LOOK_EVERY_S = 5.0
"""At a piece a look that is more than a million entries a day."""

log = logging.getLogger(__name__)


class Retention:
    """Prunes one journal, by the cursor that stands in sync.db."""

    def __init__(self, journal: Journal, incarnation: bytes, sync: SyncView, look: Callable[[], World]) -> None:
        self._journal = journal
        self._incarnation = incarnation
        self._sync = sync
        self._look = look

    def run(self, stop: threading.Event) -> None:
        """Look again and again until `stop`."""
        while not stop.wait(LOOK_EVERY_S):
            try:
                self.look()
            except Exception:  # what cannot be read now can be pruned later
                log.exception("sync.db could not be read")

    def look(self) -> None:
        """One piece at most, and none while lanes wait, the disk is in trouble or the time is not known for sure."""
        now = self._look().now
        if now.at_ms is None or now.trust is not ClockTrust.TRUSTED or not self._journal.idle:
            return
        held, at_ms = self._sync.acknowledged(self._incarnation), now.at_ms
        if held is not None:
            self._journal.post(lambda entries: entries.prune(held, at_ms))
