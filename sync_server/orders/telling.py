"""Who is told what became of an order: its buyer that it is issued or paid back, its distributor that money lacks."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.catalog.tables import product
from sync_server.money import yuan
from sync_server.notices.promising import Promise, promise
from sync_server.orders.tables import order_item, ticket
from sync_server.payments.tables import external_transfer

HOUR_MS = 3_600_000


def tell_buyer(connection: Connection, row: sa.Row[Any], event: str, now_ms: int) -> None:
    """Promise to tell the buyer, who left a number, that an order is issued, or that what they paid is back."""
    if row.buyer_phone_sealed is None:
        return
    key = f"order:{row.id}:{event}"
    if event == "issued":
        name = connection.scalar(sa.select(product.c.name_zh).where(product.c.id == row.product_id))
        promise(connection, now_ms, Promise("issued", key, {"product": name, "order": row.number}, row.id))
    elif event == "refunded" and row.distributor_id is None:  # else the money was the distributor's
        values = {"order": row.number, "amount": yuan(_given_back_fen(connection, row))}
        promise(connection, now_ms, Promise("refunded", key, values, row.id))


def tell_distributor(connection: Connection, row: sa.Row[Any], until_ms: int, now_ms: int) -> None:
    """Promise to tell a distributor that an order waits for its top-up."""
    values = {
        "order": row.number,
        "amount": yuan(row.dist_price_fen + row.charge_fee_fen),
        "hours": max(1, (until_ms - now_ms) // HOUR_MS),
    }
    key, cause = f"order:{row.id}:held:{now_ms}", f"distributor:{row.distributor_id}"
    promise(connection, now_ms, Promise("insufficient_balance", key, values, row.distributor_id, cause))


def tell_not_issued(connection: Connection, row: sa.Row[Any], now_ms: int) -> None:
    """Promise to tell the distributor of an order that it was not issued, and that all of it goes back."""
    if row.distributor_id is None:
        return  # a visitor is told when the money is back
    values = {"order": row.number, "amount": yuan(row.paid_fen)}
    promise(connection, now_ms, Promise("not_issued", f"order:{row.id}:not_issued", values, row.distributor_id))


def _given_back_fen(connection: Connection, row: sa.Row[Any]) -> int:
    """What was sent back of an order's payment: of a pass for the order, of tickets for each item."""
    items = sa.select(order_item.c.id).join(ticket, ticket.c.id == order_item.c.ticket_id)
    mine = sa.or_(
        external_transfer.c.subject_id == row.id,
        external_transfer.c.subject_id.in_(items.where(ticket.c.order_id == row.id)),
    )
    back = sa.select(sa.func.sum(external_transfer.c.amount_fen)).where(
        mine, external_transfer.c.kind == "REFUND", external_transfer.c.state == "SUCCEEDED"
    )
    return int(connection.scalar(back) or 0)
