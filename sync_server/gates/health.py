"""How gates say that they are: the newest word of each, kept as it came with a batch (gate.md, Status screen)."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.gates.tables import gate_health
from wire.heartbeat import Heartbeat, read_heartbeat


class Told(NamedTuple):
    """What a gate said, and when by the centre's clock."""

    at_ms: int
    heartbeat: Heartbeat

    @property
    def clock_off_ms(self) -> int | None:
        """How far the gate's clock is ahead; None when it does not know the time. The way here is part of it."""
        return None if self.heartbeat.at_ms is None else self.heartbeat.at_ms - self.at_ms


def keep_health(connection: Connection, device_id: bytes, data: bytes, now_ms: int) -> None:
    """Keep what came with a batch; what is no heartbeat changes nothing."""
    if not data or read_heartbeat(data) is None:
        return
    told = {"told_at_ms": now_ms, "told": data}
    if not insert_missing(connection, gate_health, [{"device_id": device_id, **told}]):
        connection.execute(gate_health.update().where(gate_health.c.device_id == device_id).values(told))


def all_told(connection: Connection) -> dict[bytes, Told]:
    """By gate, as far as this release can read it."""
    rows = connection.execute(sa.select(gate_health))
    read = [(row.device_id, row.told_at_ms, read_heartbeat(row.told)) for row in rows]
    return {device_id: Told(at_ms, heartbeat) for device_id, at_ms, heartbeat in read if heartbeat is not None}
