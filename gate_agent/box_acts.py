"""Acts of staff that concern the whole box: sync now, export to a stick, enrol."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gate_agent import export, sync_requests
from gate_agent.acts import Came, Result, Wish
from gate_agent.export import NotExported
from gate_agent.journal import Journal
from gate_agent.staff import Member
from gate_agent.sync_requests import EnrolWish, RequestKind
from gate_agent.sync_state import SyncView
from gate_agent.world import World


class BoxActs:
    """Each act waits for its end, for as long as `sync_requests` and `export` say; any thread may ask."""

    def __init__(
        self, data_dir: Path, journal: Journal, look: Callable[[], World], sync: SyncView, export_to: str
    ) -> None:
        self._data_dir = data_dir
        self._journal = journal
        self._look = look
        self._sync = sync
        self._export_to = export_to
        self._exporting = threading.Lock()

    def sync_now(self, _member: Member, _wish: Wish) -> Result:
        """Send what waits and fetch the list at once."""
        return self._ask(RequestKind.SYNC, b"")

    def enrol(self, _member: Member, wish: Wish) -> Result:
        """Make this box a gate by the code the centre shows."""
        return self._ask(RequestKind.ENROL, msgspec.msgpack.encode(EnrolWish(wish.url, wish.code)))

    def export(self, _member: Member, _wish: Wish) -> Result:
        """Write the journal to the first medium there is; one export at a time."""
        at = datetime.fromtimestamp(self._look().now.record_ms / 1000, UTC)
        if not self._exporting.acquire(blocking=False):
            return Result(Came.BUSY)
        try:
            folder = export.write_to_medium(self._data_dir, self._export_to, f"gate-export-{at:%Y%m%d-%H%M%S}")
        finally:
            self._exporting.release()
        return Result(Came(folder)) if isinstance(folder, NotExported) else Result(Came.DONE, detail=str(folder))

    def _ask(self, kind: RequestKind, body: bytes) -> Result:
        answer = sync_requests.ask(self._journal, self._sync, kind, body, self._look())
        if answer is None:
            return Result(Came.SYNC_SILENT)
        return Result(Came.DONE if answer.ok else Came.CENTRE, word=answer.word, detail=answer.detail)
