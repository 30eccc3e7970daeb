"""Up to when the centre knows everything that a venue's gates did: what money asks before it lets an item go.

Each journal has a watermark by the centre's own time. A journal counts until it is complete up to its closing
statement, or until 72 h after two persons gave it up (wire.md §6). An active gate that never sent a batch may hold
entries all the same: it counts, as a journal complete up to its approval, until it speaks or is given up likewise. One
that was revoked before is never believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server.gates.journals import KEPT_HERE, NOT_BEGUN
from sync_server.gates.tables import device, incarnation
from sync_server.orders.tables import item_claim, order_item
from sync_server.parties.tables import venue
from wire import moments

STALE_AFTER_MS = 24 * 3_600_000
RETIRED_WAITS_MS = 72 * 3_600_000
"""How long what waits for a retired journal still does."""


class Standing(StrEnum):
    """How a journal stands; money waits for those that are open or retiring."""

    OPEN = "open"
    CLOSED = "closed"
    RETIRING = "retiring"
    RETIRED = "retired"


WAITED_FOR = frozenset({Standing.OPEN, Standing.RETIRING})


class Watermark(NamedTuple):
    """One journal of a gate, or NOT_BEGUN: of an active one that never spoke. Times UTC ms.

    What waits are unclaimed items past their end that it may still hold.
    """

    device_id: bytes
    gate: str
    venue: int
    incarnation: bytes
    standing: Standing
    through_seq: int
    highest_seq: int
    synced_through_ms: int | None
    age_ms: int
    """Since the watermark; since the journal was first seen while it has none."""
    stale: bool
    """Waited for, and older than 24 h: for people to look at."""
    frozen_cause: str | None
    supersedes: bytes | None
    waiting_items: int
    waiting_fen: int


def complete_through_ms(connection: Connection, venue_id: UUID, now_ms: int) -> int | None:
    """The moment before which every entry made at a venue is stored here; None: a journal has not said so of any."""
    marks = [row.synced_through_ms for row in _journals(connection, now_ms, venue_id)]
    known = [mark for mark in marks if mark is not None]
    return None if len(known) < len(marks) else min(known, default=now_ms)


def confirmed_list(connection: Connection, venue_id: UUID, now_ms: int) -> tuple[int, int] | None:
    """The oldest list under which an entry of the venue may still be on its way; None: any. A revocation in it is safe.

    With no journal to wait for it is the newest there can be.
    """
    held = [(row.confirmed_epoch, row.confirmed_version) for row in _journals(connection, now_ms, venue_id)]
    known = [(epoch, version) for epoch, version in held if epoch is not None and version is not None]
    return None if len(known) < len(held) else min(known, default=(2**31 - 1, 2**31 - 1))


def gates_behind(connection: Connection, venue_id: UUID, version: int | None, now_ms: int) -> list[str]:
    """The gates of a venue that have not confirmed its list of this version (None: no list says it yet), by name.

    Counted is what is waited for: of a gate that is cut off, or was lost, every journal it may still bring.
    """
    behind = [
        row.gate
        for row in _journals(connection, now_ms, venue_id)
        if version is None or row.confirmed_version is None or row.confirmed_version < version
    ]
    return sorted(set(behind))


def watermarks(connection: Connection, now_ms: int) -> list[Watermark]:
    """Every journal that was ever seen, the furthest behind first, those nobody waits for last."""
    told = [_told(connection, row, now_ms) for row in _rows(connection, sa.true())]
    return sorted(told, key=lambda one: (one.standing not in WAITED_FOR, -one.age_ms, one.device_id, one.incarnation))


def watermark_of(connection: Connection, device_id: bytes, incarnation_id: bytes, now_ms: int) -> Watermark | None:
    """One journal of a gate; None: it has no such journal (NOT_BEGUN: it has one, or is not active)."""
    rows = [row for row in _rows(connection, device.c.id == device_id) if row.incarnation == incarnation_id]
    return _told(connection, rows[0], now_ms) if rows else None


def standing_of(row: Row[Any], now_ms: int) -> Standing:
    """Of a row of table `incarnation`. One that goes on beyond its closing statement is not closed."""
    if row.closed_seq is not None and row.through_seq >= row.closed_seq >= row.highest_seq:
        return Standing.CLOSED
    if row.retired_at_ms is None:
        return Standing.OPEN
    return Standing.RETIRED if now_ms >= row.retired_at_ms + RETIRED_WAITS_MS else Standing.RETIRING


def silent() -> sa.Select[Any]:
    """The active gates of which no journal is known, each as a row of table `incarnation` would be.

    What checks on line only, and keeps no journal of its own, is none of them once it has asked.
    """
    speaks = sa.exists().where(incarnation.c.device_id == device.c.id)
    unknown = ("confirmed_epoch", "confirmed_version", "closed_seq", "frozen_cause", "supersedes")
    return (
        sa.select(
            device.c.id.label("device_id"),
            sa.literal(NOT_BEGUN).label("incarnation"),
            sa.literal(0).label("through_seq"),
            sa.literal(0).label("highest_seq"),
            device.c.approved_at_ms.label("first_seen_ms"),
            device.c.approved_at_ms.label("synced_through_ms"),  # before, it had no list to let anybody in by
            device.c.retired_at_ms,
            *(sa.null().label(name) for name in unknown),
            *_WHERE,
        )
        .join(venue, venue.c.id == device.c.venue_id)
        .where(device.c.state == "active", ~speaks)
    )


def _rows(connection: Connection, which: sa.ColumnElement[bool]) -> list[Row[Any]]:
    """The journals of the gates that satisfy a condition; of what the centre writes down itself nothing is missing."""
    known = (
        sa.select(incarnation, *_WHERE)
        .join(device, device.c.id == incarnation.c.device_id)
        .join(venue, venue.c.id == device.c.venue_id)
        .where(incarnation.c.incarnation != KEPT_HERE)
    )
    return [row for query in (known, silent()) for row in connection.execute(query.where(which))]


_WHERE = (device.c.name.label("gate"), device.c.venue_id, venue.c.number.label("venue"))


def _journals(connection: Connection, now_ms: int, venue_id: UUID) -> Sequence[Row[Any]]:
    """The journals of a venue that are waited for, of revoked gates too: they may hold what nobody sent yet."""
    rows = _rows(connection, device.c.venue_id == venue_id)
    return [row for row in rows if standing_of(row, now_ms) in WAITED_FOR]


def _told(connection: Connection, row: Row[Any], now_ms: int) -> Watermark:
    standing = standing_of(row, now_ms)
    since_ms = row.first_seen_ms if row.synced_through_ms is None else row.synced_through_ms
    items, fen = (0, 0) if standing not in WAITED_FOR else _waiting(connection, row, now_ms)
    return Watermark(
        device_id=row.device_id,
        gate=row.gate,
        venue=row.venue,
        incarnation=row.incarnation,
        standing=standing,
        through_seq=row.through_seq,
        highest_seq=row.highest_seq,
        synced_through_ms=row.synced_through_ms,
        age_ms=max(0, now_ms - since_ms),
        stale=standing in WAITED_FOR and now_ms - since_ms > STALE_AFTER_MS,
        frozen_cause=row.frozen_cause,
        supersedes=row.supersedes,
        waiting_items=items,
        waiting_fen=fen,
    )


def _waiting(connection: Connection, row: Row[Any], now_ms: int) -> tuple[int, int]:
    """Items of the venue that ended, that nothing claimed, and that the journal may still hold an entry of."""
    ended = order_item.c.valid_to <= moments.minute_floor(now_ms)
    known_through = 0 if row.synced_through_ms is None else moments.minute_floor(row.synced_through_ms)
    found = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(order_item.c.venue_price_fen), 0))
        .select_from(order_item)
        .outerjoin(item_claim, item_claim.c.item_id == order_item.c.id)
        .where(order_item.c.venue_id == row.venue_id, item_claim.c.item_id.is_(None), ended)
        .where(order_item.c.valid_to >= known_through)
    ).one()
    return int(found[0]), int(found[1])
