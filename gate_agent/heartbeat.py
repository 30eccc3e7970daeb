"""How this gate is, told to the centre: `run` answers it at its screen's address, sync asks there and sends it along.

Asked for, not written to a file: a card wears out by writing, and nobody but `run` knows that nobody answers any more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from gate_agent import machine
from gate_agent.board import Board
from gate_agent.health_report import FROZEN_MS, NoAnswer, fetch
from gate_agent.status import AlarmKind, alarms_of
from gate_agent.sync_state import SyncState
from wire.heartbeat import (
    MAX_HEARTBEAT_BYTES,
    AgentState,
    AlarmHealth,
    DeviceHealth,
    Heartbeat,
    LaneHealth,
    encode_heartbeat,
    make_heartbeat,
    read_heartbeat,
)

PATH = "/heartbeat"
LOOK_EVERY_MS = 10_000
ASK_LIMIT_S = 1.0
"""Entries wait for this; a screen that answers at all does so in milliseconds."""


def heartbeat_of(board: Board, now_ms: int | None, screens: int) -> Heartbeat:
    """What `run` knows of itself. `screens`: how many pages listen."""
    status = board.snapshot().status
    kinds = {alarm.kind for alarm in status.alarms}
    return make_heartbeat(
        AgentState.FROZEN if board.status_age_ms() > FROZEN_MS else AgentState.RUNNING,
        tuple(LaneHealth(lane.lane, lane.state, lane.side, lane.trouble or "") for lane in status.lanes),
        tuple(DeviceHealth(device.lane, device.kind, device.fault) for device in status.devices),
        tuple(AlarmHealth(alarm.kind, alarm.lane or 0, alarm.since_ms or 0) for alarm in alarms_of(status)),
        clock=status.clock,
        at_ms=now_ms,
        disk_percent=status.disk_percent,
        temperature_c=status.temperature_c,
        under_voltage=AlarmKind.UNDER_VOLTAGE in kinds,
        list_at_ms=status.list_at_ms,
        open_intents=status.open_intents,
        screens=screens,
    )


class Heartbeats:
    """Sync's side: looks now and then, and knows what the centre has not been told yet. For one thread."""

    def __init__(self, data_dir: Path, boot_ms: Callable[[], int]) -> None:
        self._data_dir = data_dir
        self._boot_ms = boot_ms
        self._looked_boot_ms: int | None = None
        self._newest: Heartbeat | None = None
        self._told: Heartbeat | None = None

    def look(self, state: SyncState) -> None:
        """Ask `run`, every LOOK_EVERY_MS at most; what the list's own link lacks is sync's to say."""
        now_ms = self._boot_ms()
        if self._looked_boot_ms is not None and now_ms - self._looked_boot_ms < LOOK_EVERY_MS:
            return
        self._looked_boot_ms = now_ms
        link = state.list_link
        trouble = "" if link is None or link.trouble is None else link.trouble.kind.value
        self._newest = msgspec.structs.replace(self._ask(), list_trouble=trouble)

    def is_news(self) -> bool:
        """Whether something is other than the centre was told, so that it should hear at once."""
        return self._newest is not None and (self._told is None or _gist(self._newest) != _gist(self._told))

    def untold(self) -> bytes:
        """What the next batch carries: nothing if the centre has it already."""
        if self._newest is None or self._newest is self._told:
            return b""
        assert self._looked_boot_ms is not None
        at_ms, since_ms = self._newest.at_ms, self._boot_ms() - self._looked_boot_ms
        return encode_heartbeat(
            msgspec.structs.replace(self._newest, at_ms=None if at_ms is None else at_ms + since_ms)
        )

    def was_told(self) -> None:
        """A receipt came for the batch that carried it."""
        self._told = self._newest

    def _ask(self) -> Heartbeat:
        try:
            told = read_heartbeat(fetch(self._data_dir, PATH, MAX_HEARTBEAT_BYTES, ASK_LIMIT_S))
        except NoAnswer:
            told = None
        return told or make_heartbeat(AgentState.SILENT, disk_percent=machine.disk_percent(self._data_dir))


def _gist(heartbeat: Heartbeat) -> object:
    """What of it people would look after; the rest changes all the time and rides along."""
    devices = [(device.lane, device.kind, bool(device.fault)) for device in heartbeat.devices]
    alarms = [(alarm.kind, alarm.lane) for alarm in heartbeat.alarms]
    return heartbeat.agent, heartbeat.lanes, devices, alarms, heartbeat.clock, heartbeat.list_trouble
