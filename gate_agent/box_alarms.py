"""What is wrong with the box as a whole; what stops a lane is the lane's own trouble (standing.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gate_agent import pass_list
from gate_agent.journal import Journal
from gate_agent.journal_files import damaged_journals, lost_journals, superseded_journals
from gate_agent.status import Alarm, AlarmKind
from gate_agent.sync_state import SyncView, sync_is_running, sync_was_lost
from gate_agent.world import World

SILENT_MS = 60_000
"""Sync writes down every 15 s how it stands: one that has not for this long is not running."""


class BoxAlarms:
    """Looked for once a second. `ended`: the threads of the agent that ended by an exception."""

    def __init__(self, data_dir: Path, journal: Journal, sync: SyncView, ended: Callable[[], Sequence[str]]) -> None:
        self._data_dir = data_dir
        self._journal = journal
        self._sync = sync
        self._ended = ended
        self._sync_seen_ms: int | None = None
        self._since_ms: dict[AlarmKind, int] = {}

    def look(self, world: World, supply_is_weak: bool) -> tuple[Alarm, ...]:
        """What calls for staff now, each since when it does."""
        kinds = set(self._wrong(world))
        if supply_is_weak:
            kinds.add(AlarmKind.UNDER_VOLTAGE)
        since = {kind: self._since_ms.get(kind, world.now.record_ms) for kind in kinds}
        self._since_ms = since
        return tuple(Alarm(kind, since_ms=since[kind]) for kind in AlarmKind if kind in kinds)

    def _wrong(self, world: World) -> Iterator[AlarmKind]:
        if self._journal.is_displaced():
            yield AlarmKind.JOURNAL_GONE
        if world.sync.config is not None and (world.pass_list is None or not pass_list.is_there(self._data_dir)):
            yield AlarmKind.NO_LIST
        if self._ended():
            yield AlarmKind.PART_ENDED
        if lost_journals(self._data_dir):
            yield AlarmKind.JOURNAL_LOST
        if damaged_journals(self._data_dir):
            yield AlarmKind.JOURNAL_SET_ASIDE
        if superseded_journals(self._data_dir):
            yield AlarmKind.JOURNAL_SUPERSEDED
        if self._sync.is_on_copy or sync_was_lost(self._data_dir):
            yield AlarmKind.SYNC_LOST
        if self._sync_is_silent(world):
            yield AlarmKind.SYNC_SILENT

    def _sync_is_silent(self, world: World) -> bool:
        """Whether sync has not been running for so long; being cut off from the centre is something else."""
        now_ms = world.now.monotonic_ms
        if self._sync_seen_ms is None or sync_is_running(self._data_dir):
            self._sync_seen_ms = now_ms
        return world.sync.device is not None and now_ms - self._sync_seen_ms >= SILENT_MS
