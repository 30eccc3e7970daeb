"""What of a gate calls for an operator: raised once per cause, open while it lasts.

A cause that comes back within half an hour is the same alarm again, so that a gate that comes and goes calls once.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.db import new_id
from sync_server.gates.tables import gate_alarm

SAME_ALARM_MS = 30 * 60_000
SILENT = "silent"
"""The cause: it was not heard though its venue was open."""


class Alarm(NamedTuple):
    """One that lasts: of which gate, for what, since when."""

    device_id: bytes
    cause: str
    since_ms: int
    raised_at_ms: int


def raise_alarm(connection: Connection, device_id: bytes, cause: str, since_ms: int, now_ms: int) -> bool:
    """Whether it was not open already."""
    mine = sa.and_(gate_alarm.c.device_id == device_id, gate_alarm.c.cause == cause)
    newest = connection.execute(
        sa.select(gate_alarm).where(mine).order_by(gate_alarm.c.raised_at_ms.desc(), gate_alarm.c.id.desc()).limit(1)
    ).one_or_none()
    if newest is not None and newest.cleared_at_ms is None:
        return False
    if newest is not None and now_ms - newest.raised_at_ms < SAME_ALARM_MS:
        connection.execute(gate_alarm.update().where(gate_alarm.c.id == newest.id).values(cleared_at_ms=None))
        return True
    row = {"id": new_id(now_ms), "device_id": device_id, "cause": cause, "since_ms": since_ms, "raised_at_ms": now_ms}
    connection.execute(gate_alarm.insert().values(row))
    return True


def clear_alarms(connection: Connection, device_ids: Collection[bytes], cause: str, now_ms: int) -> int:
    """These gates' alarms of that cause are over; how many were open."""
    over = gate_alarm.update().where(
        gate_alarm.c.device_id.in_(device_ids), gate_alarm.c.cause == cause, gate_alarm.c.cleared_at_ms.is_(None)
    )
    return connection.execute(over.values(cleared_at_ms=now_ms)).rowcount


def open_alarms(connection: Connection) -> list[Alarm]:
    """Those that last, the newest first."""
    query = (
        sa.select(gate_alarm.c.device_id, gate_alarm.c.cause, gate_alarm.c.since_ms, gate_alarm.c.raised_at_ms)
        .where(gate_alarm.c.cleared_at_ms.is_(None))
        .order_by(gate_alarm.c.raised_at_ms.desc(), gate_alarm.c.device_id)
    )
    return [Alarm(*row) for row in connection.execute(query)]
