"""Ticket orders whose last item ended: finished, and what is left of their margin is earned (money.md §2.4, P10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.ledger.book import Txn, legs
from sync_server.orders.progress import ACTOR, advance
from sync_server.orders.tables import item_claim, order, order_item, ticket
from sync_server.payments.tables import external_transfer

STEP = "settlement.close_refunded"
MAX_PER_STEP = 200

_ITEMS = order_item.join(ticket, ticket.c.id == order_item.c.ticket_id).outerjoin(
    item_claim, item_claim.c.item_id == order_item.c.id
)


def ended_orders(connection: Connection, item_ids: Iterable[UUID]) -> Sequence[sa.Row[Any]]:
    """The issued orders of these items in which nothing is left that did not end; locked.

    Each says how many of its items were `visited` and how many `forfeited`.
    """
    concerned = sa.select(ticket.c.order_id).join(order_item, order_item.c.ticket_id == ticket.c.id)
    mine = order.c.id.in_(concerned.where(order_item.c.id.in_(list(item_ids))))
    open_item = sa.select(order_item.c.id).select_from(_ITEMS)
    open_item = open_item.where(ticket.c.order_id == order.c.id, item_claim.c.item_id.is_(None))
    counted = sa.select(order, _count("REDEEM").label("visited"), _count("FORFEIT").label("forfeited"))
    query = counted.where(mine, order.c.state == "ISSUED", ~open_item.exists())
    return connection.execute(query.order_by(order.c.id).with_for_update(of=order)).all()


def margin(connection: Connection, row: sa.Row[Any], now_ms: int, actor: str, taken_fen: int = 0) -> Txn | None:
    """P10 of an order: what is left of its deferred margin, beside what the same act takes of it; None: nothing."""
    deferred = Account("2120", row.id)
    rest_fen = -balance(connection, deferred).posted_fen - taken_fen
    if rest_fen <= 0:  # below: the book refuses what takes more than there is
        return None
    return Txn(f"margin:{row.id.hex}", legs((deferred, rest_fen), (Account("4030"), -rest_fen)), now_ms, actor)


def finish(connection: Connection, ended: Iterable[sa.Row[Any]], now_ms: int, actor: str) -> None:
    """Complete orders that ended. Where everything goes back to the buyer, an order waits until all of it has."""
    for row in ended:
        changes = {"first_end": None}
        if row.visited:
            advance(connection, row, "finished", now_ms, actor, **changes)
        elif row.forfeited:
            advance(connection, row, "forfeited", now_ms, actor, breakage=True, **changes)
        else:
            connection.execute(order.update().where(order.c.id == row.id).values(changes))


def close_refunded(centre: Centre) -> int:
    """Worker step: orders of which every item was given back are closed; how many were."""
    refunded = _refunded()
    if not centre.finds(refunded):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        tried = order.c.id.not_in([UUID(bytes=one) for one in setbacks.left_out(connection, STEP, now_ms)])
        some = refunded.where(tried).order_by(order.c.id).limit(MAX_PER_STEP)
        found = connection.execute(some.with_for_update(of=order)).all()

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            for row in rows:
                advance(connection, row, "refunded", now_ms, ACTOR)

        return setbacks.act_on(connection, STEP, found, lambda row: bytes(row.id.bytes), act, now_ms)


def _refunded() -> sa.Select[Any]:
    """Those that only wait for refunds (ix_order_all_ended), and for none any more; prepaid ones never wait."""
    waits = sa.text('"order".state = \'ISSUED\' AND "order".kind = \'TICKET\' AND "order".first_end IS NULL')
    refund = sa.and_(external_transfer.c.subject_id == order_item.c.id, external_transfer.c.kind == "REFUND")
    not_back = (
        sa.select(order_item.c.id)
        .select_from(_ITEMS.outerjoin(external_transfer, refund))
        .where(ticket.c.order_id == order.c.id, sa.func.coalesce(external_transfer.c.state, "") != "SUCCEEDED")
    )
    return sa.select(order).where(waits, sa.or_(order.c.funding == "PREPAID", ~not_back.exists()))


def _count(kind: str) -> sa.ScalarSelect[int]:
    counted = sa.select(sa.func.count()).select_from(_ITEMS)
    return counted.where(ticket.c.order_id == order.c.id, item_claim.c.kind == kind).scalar_subquery()
