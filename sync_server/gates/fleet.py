"""Every gate with all that is known of it: the registry, what it last told, what calls for an operator."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server.gates.alarms import open_alarms
from sync_server.gates.health import Told, all_told
from sync_server.gates.tables import device, incarnation
from sync_server.parties.tables import party, venue
from wire.signing import check_characters

Json = dict[str, Any]


def list_gates(connection: Connection) -> list[Json]:
    """Every gate in the order of enrolment: its venue and state, what it last said, how it is, its open alarms.

    `entries` counts those of its journals that are stored here without a gap; `waiting`, those it has not sent yet.
    """
    return [_gate(row, told) | _health(health) for row, told, health in _gates(connection)]


def show_gate(connection: Connection, device_id: bytes) -> Json:
    """The same of one gate, with every device and alarm it told of."""
    [(row, told, health)] = [one for one in _gates(connection) if one[0].id == device_id]
    return _gate(row, told) | _health(health) | _details(health)


def _gates(connection: Connection) -> list[tuple[Row[Any], list[Json], Told | None]]:
    entries = sa.select(sa.func.coalesce(sa.func.sum(incarnation.c.through_seq), 0)).where(
        incarnation.c.device_id == device.c.id
    )
    rows = connection.execute(
        sa.select(
            device,
            venue.c.number.label("venue_number"),
            party.c.name_zh.label("venue_name"),
            entries.scalar_subquery().label("entries"),
        )
        .join(venue, venue.c.id == device.c.venue_id)
        .join(party, party.c.id == device.c.venue_id)
        .order_by(device.c.enrolled_at_ms, device.c.id)
    ).all()
    alarms: defaultdict[bytes, list[Json]] = defaultdict(list)
    for alarm in open_alarms(connection):
        alarms[alarm.device_id].append({"cause": alarm.cause, "since_ms": alarm.since_ms})
    told = all_told(connection)
    return [(row, alarms[row.id], told.get(row.id)) for row in rows]


def _gate(row: Row[Any], alarms: list[Json]) -> Json:
    return {
        "id": row.id.hex(),
        "name": row.name,
        "venue": row.venue_number,
        "venue_name": row.venue_name,
        "state": row.state,
        "check": check_characters(row.public_key),
        "reads_id_numbers": row.reads_id_numbers,
        "software": row.software,
        "enrolled_at_ms": row.enrolled_at_ms,
        "last_seen_ms": row.last_seen_ms,
        "held": None if row.held_version is None else [row.held_epoch, row.held_version],
        "key_set": row.held_key_set_version,
        "waiting": row.waiting,
        "entries": int(row.entries),
        "alarms": alarms,
    }


def _health(health: Told | None) -> Json:
    """How the gate is, in figures; null before it first said so."""
    if health is None:
        return {"health": None}
    beat = health.heartbeat
    figures = {
        "told_at_ms": health.at_ms,
        "agent": beat.agent,
        "lanes": {str(lane.lane): lane.state for lane in beat.lanes},
        "alarms": list(dict.fromkeys(alarm.kind for alarm in beat.alarms)),
        "devices": len(beat.devices),
        "faults": sum(bool(one.fault) for one in beat.devices),
        "clock": beat.clock.name.lower(),
        "clock_off_ms": health.clock_off_ms,
        "disk_percent": beat.disk_percent,
        "temperature_c": beat.temperature_c,
        "under_voltage": beat.under_voltage,
        "list_at_ms": beat.list_at_ms,
        "list_trouble": beat.list_trouble or None,
        "open_intents": beat.open_intents,
        "screens": beat.screens,
    }
    return {"health": figures}


def _details(health: Told | None) -> Json:
    if health is None:
        return {}
    beat = health.heartbeat
    return {
        "lanes": [
            {"lane": lane.lane, "side": lane.side, "state": lane.state, "trouble": lane.trouble or None}
            for lane in beat.lanes
        ],
        "devices": [{"lane": one.lane, "kind": one.kind, "fault": one.fault or None} for one in beat.devices],
        "gate_alarms": [
            {"kind": alarm.kind, "lane": alarm.lane or None, "since_ms": alarm.since_ms} for alarm in beat.alarms
        ],
    }
