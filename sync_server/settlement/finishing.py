"""Ticket orders whose last item ended: completed, and what is left of their margin is earned (money.md §2.4, P10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.ledger.book import Txn, legs
from sync_server.orders.tables import item_claim, order, order_item, ticket


def finished_orders(connection: Connection, item_ids: Sequence[UUID]) -> Sequence[sa.Row[Any]]:
    """The orders of these items that are issued and have no item left that nothing ended; locked."""
    concerned = (
        sa.select(ticket.c.order_id)
        .join(order_item, order_item.c.ticket_id == ticket.c.id)
        .where(order_item.c.id.in_(item_ids))
    )
    open_item = (
        sa.select(sa.literal(1))
        .select_from(order_item.join(ticket, ticket.c.id == order_item.c.ticket_id))
        .outerjoin(item_claim, item_claim.c.item_id == order_item.c.id)
        .where(ticket.c.order_id == order.c.id, item_claim.c.item_id.is_(None))
    )
    query = sa.select(order).where(order.c.id.in_(concerned), order.c.state == "ISSUED", ~open_item.exists())
    return connection.execute(query.order_by(order.c.id).with_for_update(of=order)).all()


def margin(connection: Connection, row: sa.Row[Any], now_ms: int, actor: str) -> Txn | None:
    """P10 of an order: what is left of its deferred margin; None where there was none."""
    deferred = Account("2120", row.id)
    rest_fen = -balance(connection, deferred).posted_fen
    if rest_fen == 0:
        return None
    return Txn(f"margin:{row.id.hex}", legs((deferred, rest_fen), (Account("4030"), -rest_fen)), now_ms, actor)
