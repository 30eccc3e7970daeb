"""How far each gate's journal has arrived: the watermark of a (device, incarnation), and the flag of a forked one."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.db import insert_new
from sync_server.gates.tables import incarnation


@dataclass(frozen=True)
class Progress:
    """Entries up to `through_seq` are all stored; `highest_seq` is the highest stored, so more of it means a gap."""

    through_seq: int
    highest_seq: int


def lock_journal(connection: Connection, device_id: bytes, incarnation_id: bytes, now_ms: int) -> Progress:
    """Where this journal stands; until the transaction ends nobody else takes in entries of it."""
    row = {
        "device_id": device_id,
        "incarnation": incarnation_id,
        "through_seq": 0,
        "highest_seq": 0,
        "first_seen_ms": now_ms,
        "last_seen_ms": now_ms,
    }
    insert_new(incarnation, ["device_id", "incarnation"], [row], connection)
    found = connection.execute(
        sa.select(incarnation.c.through_seq, incarnation.c.highest_seq)
        .where(_is(device_id, incarnation_id))
        .with_for_update()
    ).one()
    return Progress(found.through_seq, found.highest_seq)


def advance(connection: Connection, device_id: bytes, incarnation_id: bytes, progress: Progress, now_ms: int) -> None:
    """Note how far a locked journal has arrived now."""
    connection.execute(
        incarnation.update()
        .where(_is(device_id, incarnation_id))
        .values(through_seq=progress.through_seq, highest_seq=progress.highest_seq, last_seen_ms=now_ms)
    )


def flag(connection: Connection, device_id: bytes, incarnation_id: bytes, cause: str, now_ms: int) -> None:
    """Mark a journal that cannot be true, for two persons to look at; the first cause stays."""
    connection.execute(
        incarnation.update()
        .where(_is(device_id, incarnation_id), incarnation.c.frozen_cause.is_(None))
        .values(frozen_cause=cause, frozen_at_ms=now_ms)
    )


def _is(device_id: bytes, incarnation_id: bytes) -> sa.ColumnElement[bool]:
    return sa.and_(incarnation.c.device_id == device_id, incarnation.c.incarnation == incarnation_id)
