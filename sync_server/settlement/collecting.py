"""What a venue is owed becomes a line of a payout: one of its own, or the one that collects its venue's day or week."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import Value, append, insert_missing
from sync_server.db import derived_id, exclusive
from sync_server.ledger.book import Txn
from sync_server.settlement.sealing import LOCK, Sealed, Sum, Venue, payout_number, seal, seal_open, venues_of
from sync_server.settlement.tables import payout, payout_adjustment, payout_line

PER_REDEMPTION = "PER_REDEMPTION"


class Cleared(NamedTuple):
    """Who gets what of one thing, in fen: net = gross - fee."""

    gross_fen: int
    fee_fen: int
    net_fen: int


@dataclass(frozen=True, slots=True)
class Owed:
    """What a venue is owed for one redemption, or (POOL) for the id of an adjustment.

    `since` lies at the moment of what it is for (a UUIDv7); with the redemption's id it makes the payout's.
    """

    kind: str
    venue_id: UUID
    since: UUID
    cleared: Cleared
    redemption_id: bytes | None = None
    item_id: UUID | None = None
    adjustment_id: UUID | None = None


def clear(price_fen: int, payout_fee_fen: int) -> Cleared:
    """Pure. Of an item both amounts were frozen when its order was placed."""
    if not 0 <= payout_fee_fen <= price_fen:
        raise ValueError(f"a fee of {payout_fee_fen} fen cannot be kept of {price_fen} fen")
    return Cleared(price_fen, payout_fee_fen, price_fen - payout_fee_fen)


def collect(connection: Connection, owed: Sequence[Owed], booked: Sequence[Txn], now_ms: int) -> None:
    """Make lines of all that is owed and post what is `booked` with them, in the caller's transaction.

    What its venue is paid for one by one is sealed at once; the rest waits for the end of the day or week.
    """
    exclusive(connection, LOCK)
    venues = venues_of(connection, {one.venue_id for one in owed}, now_ms)
    alone = [one for one in owed if venues[one.venue_id].payout_mode == PER_REDEMPTION]
    own = {id(one): _own_payout_id(one) for one in alone}
    sums = [Sum(own[id(one)], payout_number(own[id(one)]), venues[one.venue_id], one.cleared.net_fen) for one in alone]
    sealed = seal(connection, sums, booked, now_ms)
    append(connection, payout, [_row(*pair, now_ms) for pair in zip(sums, sealed, strict=True)])
    insert_missing(connection, payout_adjustment, [row for each in sealed for row in each.kept])
    shared: defaultdict[UUID, int] = defaultdict(int)
    for one in owed:
        if id(one) not in own:
            shared[one.venue_id] += one.cleared.net_fen
    collecting = {venue_id: _open_payout(connection, venues[venue_id], now_ms) for venue_id in sorted(shared)}
    for venue_id, payout_id in collecting.items():
        mine = payout.update().where(payout.c.id == payout_id)
        connection.execute(mine.values(total_fen=payout.c.total_fen + shared[venue_id]))
    _write(connection, [(one, own.get(id(one)) or collecting[one.venue_id]) for one in owed])


def closes_at_ms(payout_mode: str, zone: str, now_ms: int) -> int:
    """The end of the local day, or of the ISO week, that a moment lies in."""
    local = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(zone))
    days = 1 if payout_mode == "DAILY" else 7 - local.weekday()
    end = datetime.combine(local.date() + timedelta(days=days), time.min, local.tzinfo)
    return int(end.timestamp()) * 1000


def _row(one: Sum, sealed: Sealed, now_ms: int) -> dict[str, Value]:
    """Of a payout that was never open."""
    named: dict[str, Value] = {"id": one.payout_id, "number": one.number, "venue_id": one.venue.id}
    return {**named, "created_at_ms": now_ms, **sealed.changes}


def _own_payout_id(one: Owed) -> UUID:
    """The same for the same redemption, also in a centre restored from a backup: so nothing is paid twice."""
    cause = one.redemption_id.hex() if one.redemption_id is not None else f"adjustment {one.adjustment_id}"
    return derived_id(one.since, f"payout of redemption {cause}")


def _open_payout(connection: Connection, venue: Venue, now_ms: int) -> UUID:
    """The one payout that collects for a venue now; an older one that is over is sealed first."""
    is_open = sa.text("payout.state = 'OPEN'")  # as uq_payout_open says
    query = sa.select(payout).where(is_open, payout.c.venue_id == venue.id)
    found = connection.execute(query.with_for_update()).one_or_none()
    if found is not None and found.closes_at_ms > now_ms:
        return UUID(bytes=found.id.bytes)
    if found is not None:
        seal_open(connection, [found], now_ms)
    until_ms = closes_at_ms(venue.payout_mode, venue.zone, now_ms)
    payout_id = derived_id(UUID(int=until_ms << 80), f"payout of venue {venue.id.hex} until {until_ms}")
    row = {
        "id": payout_id,
        "number": payout_number(payout_id),
        "venue_id": venue.id,
        "state": "OPEN",
        "total_fen": 0,
        "created_at_ms": now_ms,
        "closes_at_ms": until_ms,
    }
    connection.execute(payout.insert().values(row))
    return payout_id


def _write(connection: Connection, placed: Sequence[tuple[Owed, UUID]]) -> None:
    lines: list[dict[str, Value]] = []
    adjustments: list[dict[str, Value]] = []
    for one, payout_id in placed:
        gross_fen, fee_fen, net_fen = one.cleared
        row: dict[str, Value] = {"kind": one.kind, "payout_id": payout_id}
        row |= {"gross_fen": gross_fen, "fee_fen": fee_fen, "net_fen": net_fen}
        if one.redemption_id is None:
            adjustments.append({"id": one.adjustment_id, **row})
        else:
            lines.append({"redemption_id": one.redemption_id, "item_id": one.item_id, **row})
    append(connection, payout_line, lines)  # whatever has its line already is an error
    append(connection, payout_adjustment, adjustments)
