"""An order's way after it was placed: paid, issued, finished. Each step finds its work in the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.catalog import stock
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError
from sync_server.orders import history
from sync_server.orders.states import AWAITING_ISSUE, next_state
from sync_server.orders.tables import order, order_item, person_product, ticket
from sync_server.payments.tables import external_transfer
from wire.moments import minute_ms

ACTOR = "system:orders"
MAX_PER_STEP = 200
HOLD_MS = 24 * 3_600_000  # money.md Q5: how long an order waits for its distributor's top-up


def take_payments(centre: Centre) -> int:
    """Worker step: orders whose transfer succeeded are paid; those whose payer lacks money are held; how many moved."""
    lacking = external_transfer.c.state == "INSUFFICIENT"
    told = (
        sa.select(order, external_transfer.c.state.label("transfer_state"), external_transfer.c.reason)
        .join(external_transfer, external_transfer.c.subject_id == order.c.id)
        .where(
            order.c.state == "PENDING_PAYMENT",
            sa.or_(external_transfer.c.state == "SUCCEEDED", lacking != order.c.hold.is_not(None)),
        )
    )
    if not centre.finds(told):
        return 0
    with centre.write() as connection:
        exclusive(connection, "orders.take_payments")
        found = connection.execute(told.order_by(order.c.id).limit(MAX_PER_STEP)).all()
        now_ms = centre.now_ms()
        for row in found:
            if row.transfer_state == "SUCCEEDED":
                _mark_paid(connection, row, now_ms)
            else:
                _hold(connection, row, row.transfer_state == "INSUFFICIENT", now_ms)
    return len(found)


def orders_to_issue(connection: Connection, limit: int = MAX_PER_STEP) -> Sequence[sa.Row[Any]]:
    """Paid orders without their passes, oldest first."""
    query = sa.select(order).where(order.c.state.in_(AWAITING_ISSUE)).order_by(order.c.paid_at_ms, order.c.id)
    return connection.execute(query.limit(limit)).all()


def mark_issued(
    connection: Connection, order_id: UUID, valid_from: int, valid_to: int, now_ms: int, actor: str = ACTOR
) -> None:
    """The order's tickets are numbered and signed, all of them, in this transaction.

    Validity in minutes since 2020-01-01T00:00Z, half-open, as signed into the tokens.
    """
    row = connection.execute(sa.select(order).where(order.c.id == order_id).with_for_update()).one()
    _advance(connection, row, "issued", now_ms, actor, issued_at_ms=now_ms)
    tickets = sa.select(ticket.c.id).where(ticket.c.order_id == order_id)
    connection.execute(
        order_item.update().where(order_item.c.ticket_id.in_(tickets)).values(valid_from=valid_from, valid_to=valid_to)
    )
    connection.execute(
        person_product.update().where(person_product.c.order_id == order_id).values(until_ms=minute_ms(valid_to))
    )


def mark_finished(connection: Connection, row: sa.Row[Any], now_ms: int, actor: str) -> None:
    """The order's last item ended (`row` is the order's)."""
    _advance(connection, row, "finished", now_ms, actor)


def _mark_paid(connection: Connection, row: sa.Row[Any], now_ms: int) -> None:
    paid_fen = row.dist_price_fen + row.charge_fee_fen
    _advance(connection, row, "paid", now_ms, ACTOR, paid_fen=paid_fen, paid_at_ms=now_ms, hold=None)
    stock_ids = connection.scalars(sa.select(ticket.c.stock_id).where(ticket.c.order_id == row.id))
    stock.sell(connection, dict(Counter(stock_ids)))


def _hold(connection: Connection, row: sa.Row[Any], lacking: bool, now_ms: int) -> None:
    hold, deadline_ms = ("INSUFFICIENT", now_ms + HOLD_MS) if lacking else (None, None)
    change = order.update().where(order.c.id == row.id).values(hold=hold, hold_deadline_ms=deadline_ms)
    connection.execute(change)
    history.add(connection, row.id, "held" if lacking else "resumed", row.state, now_ms, ACTOR, row.reason)


def _advance(connection: Connection, row: sa.Row[Any], event: str, now_ms: int, actor: str, **changes: object) -> None:
    state = next_state(row.kind, row.state, event)
    if state is None:
        raise NotAllowedError(f"order {row.number} is {row.state}: it cannot be {event}")
    connection.execute(order.update().where(order.c.id == row.id).values(state=state, **changes))
    history.add(connection, row.id, event, state, now_ms, actor)
