"""Worker step: items nobody used end once every gate of their venue has told all it did until then (money.md §0.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.gates.watermarks import complete_through_ms
from sync_server.orders.claims import EXPIRED
from sync_server.orders.tables import item_claim, order, order_item, refund_hold, ticket
from sync_server.redemptions.judge import TOLERANCE_MS
from sync_server.settlement.giving_back import end_items, unclaimed_items
from wire import moments

ACTOR = "system:expiry"
STEP = "settlement.expire_items"
MAX_PER_STEP = 500


def expire_items(centre: Centre) -> int:
    """Give back, or keep, what ended unused at venues that are complete beyond the end; how many items ended.

    What was asked back in time goes back however it was sold: a gate that knows no newer list let nobody in.
    """
    venues = _venues(centre.now_ms())
    if not centre.finds(venues):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        left_out = setbacks.left_out(connection, STEP, now_ms)
        done = 0
        for venue_id in connection.scalars(venues.order_by(order_item.c.venue_id)).all():
            complete_ms = complete_through_ms(connection, venue_id, now_ms)
            if complete_ms is None:
                continue
            reach = moments.minute_floor(min(complete_ms, now_ms) - TOLERANCE_MS)
            rows = _ended(connection, venue_id, reach, left_out)

            def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
                for forfeit in (False, True):
                    mine = [row for row in rows if (row.on_expiry == "FORFEIT" and not row.asked_back) is forfeit]
                    if mine:
                        end_items(connection, mine, EXPIRED, now_ms, ACTOR, forfeit=forfeit)

            done += setbacks.act_on(connection, STEP, rows, lambda row: bytes(row.item_id.bytes), act, now_ms)
    return done


def _due(now_ms: int) -> sa.ColumnElement[bool]:
    """Orders with an end behind them, by their index; open items of them."""
    first_end = sa.text('"order".first_end IS NOT NULL')  # as ix_order_first_end says
    now = moments.minute_floor(now_ms)
    return sa.and_(first_end, order.c.first_end <= now, order_item.c.valid_to <= now, item_claim.c.item_id.is_(None))


def _venues(now_ms: int) -> sa.Select[Any]:
    """Where something ended that nobody used."""
    items = (
        order.join(ticket, ticket.c.order_id == order.c.id)
        .join(order_item, order_item.c.ticket_id == ticket.c.id)
        .outerjoin(item_claim, item_claim.c.item_id == order_item.c.id)
    )
    return sa.select(order_item.c.venue_id).select_from(items).where(_due(now_ms)).distinct()


def _ended(connection: Connection, venue_id: UUID, reach: int, left_out: Sequence[bytes]) -> Sequence[sa.Row[Any]]:
    asked = sa.exists().where(refund_hold.c.item_id == order_item.c.id, refund_hold.c.ended_as.is_(None))
    query = (
        unclaimed_items()
        .add_columns(asked.label("asked_back"))
        .where(sa.text('"order".first_end IS NOT NULL'), order.c.first_end <= reach, order_item.c.valid_to <= reach)
        .where(order_item.c.venue_id == venue_id, order_item.c.id.not_in([UUID(bytes=one) for one in left_out]))
    )
    return connection.execute(query.order_by(order_item.c.id).limit(MAX_PER_STEP)).all()
