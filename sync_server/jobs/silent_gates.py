"""Worker step: a gate that says nothing while its venue is open is somebody's to look after."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import db
from sync_server.centre import Centre
from sync_server.feed.contents import stated_by_venue
from sync_server.gates.alarms import SILENT, clear_alarms, open_alarms, raise_alarm
from sync_server.gates.tables import device
from sync_server.notices.promising import Promise, promise
from sync_server.parties.tables import party
from sync_server.settings import Settings
from wire import moments
from wire.entitlement import judge_opening
from wire.feed import VenueDocument
from wire.moments import MINUTE_MS


class _Silent(NamedTuple):
    id: bytes
    name: str
    venue_id: UUID
    heard_at_ms: int


def watch_silent_gates(centre: Centre) -> int:
    """Raise and clear the alarms of active gates that were not heard for `gate_silent_after_s`; how many changed.

    The venue must have been open all that time: in the morning, and after a break, a gate has it to wake up.
    """
    now_ms, settings = centre.now_ms(), centre.settings
    with centre.read() as connection:
        raised, over = _changes(connection, now_ms, settings)
    if not raised and not over:
        return 0
    with centre.write() as connection:
        db.exclusive(connection, "silent_gates")
        raised, over = _changes(connection, now_ms, settings)
        new = [gate for gate in raised if raise_alarm(connection, gate.id, SILENT, gate.heard_at_ms, now_ms)]
        promise(connection, now_ms, *_promises(connection, new, now_ms))
        return len(new) + (clear_alarms(connection, over, SILENT, now_ms) if over else 0)


def _promises(connection: Connection, gates: list[_Silent], now_ms: int) -> list[Promise]:
    """To tell of each, with the name of its venue."""
    named = sa.select(party.c.id, party.c.name_zh).where(party.c.id.in_({gate.venue_id for gate in gates}))
    names = {row.id: row.name_zh for row in connection.execute(named)}
    return [
        Promise(
            "gate_offline",
            f"gate:{gate.id.hex()}:{gate.heard_at_ms}",
            {
                "venue": names[gate.venue_id],
                "gate": gate.name,
                "minutes": (now_ms - gate.heard_at_ms) // MINUTE_MS,
            },
            cause=f"venue:{gate.venue_id}",
        )
        for gate in gates
    ]


def _changes(connection: Connection, now_ms: int, settings: Settings) -> tuple[list[_Silent], list[bytes]]:
    """Gates that have fallen silent, and those whose alarm is over."""
    after_ms = settings.gate_silent_after_s * 1000
    heard_at_ms = sa.func.coalesce(device.c.last_seen_ms, device.c.approved_at_ms)
    query = sa.select(device.c.id, device.c.name, device.c.venue_id, heard_at_ms).where(
        device.c.state == "active", heard_at_ms <= now_ms - after_ms
    )
    silent = {row.id: _Silent(*row) for row in connection.execute(query)}
    told = {alarm.device_id for alarm in open_alarms(connection) if alarm.cause == SILENT}
    fallen = [gate for gate in silent.values() if gate.id not in told]
    if fallen:
        venues = stated_by_venue(connection, settings)
        moments_ms = [*range(now_ms, now_ms - after_ms, -MINUTE_MS), now_ms - after_ms]  # at night the first says it
        opened = {
            venue_id: all(_is_open(venues[venue_id].document, at_ms) for at_ms in moments_ms)
            for venue_id in {gate.venue_id for gate in fallen}
        }
        fallen = [gate for gate in fallen if opened[gate.venue_id]]
    return fallen, [device_id for device_id in told if device_id not in silent]


def _is_open(venue: VenueDocument, at_ms: int) -> bool:
    return judge_opening(venue.calendar, at_ms, moments.wall_time(at_ms, ZoneInfo(venue.zone))) is None
