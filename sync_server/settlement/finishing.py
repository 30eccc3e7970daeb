"""Ticket orders whose last item ended: finished, and what is left of their margin is earned (money.md §2.4, P10)."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.bulk import among
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.ledger.tables import ledger_account
from sync_server.orders.progress import ACTOR, advance, advance_all
from sync_server.orders.tables import item_claim, order, order_item, ticket
from sync_server.payments.tables import external_transfer

STEP = "settlement.close_refunded"
LOCK = "settlement.end_orders"
MAX_PER_STEP = 200

_ITEMS = order_item.join(ticket, ticket.c.id == order_item.c.ticket_id).outerjoin(
    item_claim, item_claim.c.item_id == order_item.c.id
)


def alone(connection: Connection) -> None:
    """Whoever ends items begins with this: of two that end an order's last items at once, the later sees both ended."""
    exclusive(connection, LOCK)


def ended_orders(connection: Connection, order_ids: Set[UUID]) -> Sequence[sa.Row[Any]]:
    """The issued ones of these orders in which nothing is left that did not end; locked.

    Each says how many of its items were `visited` and how many `forfeited`, and what is left of its margin `left_fen`.
    """
    left = sa.select(ledger_account.c.credits_posted_fen - ledger_account.c.debits_posted_fen)
    left = left.where(ledger_account.c.code == "2120", ledger_account.c.owner_id == order.c.id)
    items = (  # added up once: asked for each order whether an item is open, PostgreSQL reads all items there are
        sa.select(
            ticket.c.order_id,
            sa.func.count(order_item.c.id).label("sold"),
            sa.func.count(item_claim.c.item_id).label("ended"),
            _count("REDEEM").label("visited"),
            _count("FORFEIT").label("forfeited"),
        )
        .select_from(_ITEMS)
        .where(among(connection, ticket.c.order_id, sorted(order_ids)))
        .group_by(ticket.c.order_id)
        .subquery()
    )
    query = (
        sa.select(
            order, items.c.visited, items.c.forfeited, sa.func.coalesce(left.scalar_subquery(), 0).label("left_fen")
        )
        .join(items, items.c.order_id == order.c.id)
        .where(order.c.state == "ISSUED", items.c.ended == items.c.sold)
    )
    return connection.execute(query.order_by(order.c.id).with_for_update(of=order)).all()


def margin(row: sa.Row[Any], now_ms: int, actor: str, taken_fen: int = 0) -> Txn | None:
    """P10 of an ended order: what is left of its margin, beside what the same act takes of it; None: nothing.

    None for a combo, too: its fund is closed first (`settlement.funds`).
    """
    return None if row.invest_basis is not None else earned(row.id, row.left_fen - taken_fen, now_ms, actor)


def earned(order_id: UUID, rest_fen: int, now_ms: int, actor: str) -> Txn | None:
    """P10: the rest of an order's margin is earned; None: there is none."""
    if rest_fen <= 0:  # below: the book refuses what takes more than there is
        return None
    sides = legs((Account("2120", order_id), rest_fen), (Account("4030"), -rest_fen))
    return Txn(f"margin:{order_id.hex}", sides, now_ms, actor)


def finish(connection: Connection, ended: Sequence[sa.Row[Any]], now_ms: int, actor: str) -> None:
    """Complete orders that ended. Where everything goes back to the buyer, an order waits until all of it has."""
    visited = [row for row in ended if row.visited]
    forfeited = [row for row in ended if not row.visited and row.forfeited]
    advance_all(connection, visited, "finished", now_ms, actor, first_end=None)
    advance_all(connection, forfeited, "forfeited", now_ms, actor, first_end=None, breakage=True)
    given_back = [row.id for row in ended if not row.visited and not row.forfeited]
    if given_back:
        connection.execute(order.update().where(order.c.id.in_(given_back)).values(first_end=None))


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
    ended = "\"order\".state IN ('ISSUED', 'ISSUE_FAILED') AND \"order\".kind = 'TICKET'"
    waits = sa.text(f'{ended} AND "order".first_end IS NULL')
    refund = sa.and_(external_transfer.c.subject_id == order_item.c.id, external_transfer.c.kind == "REFUND")
    not_back = (
        sa.select(order_item.c.id)
        .select_from(_ITEMS.outerjoin(external_transfer, refund))
        .where(ticket.c.order_id == order.c.id, sa.func.coalesce(external_transfer.c.state, "") != "SUCCEEDED")
    )
    return sa.select(order).where(waits, sa.or_(order.c.funding == "PREPAID", ~not_back.exists()))


def _count(kind: str) -> sa.ColumnElement[int]:
    return sa.func.count(sa.case((item_claim.c.kind == kind, 1)))
