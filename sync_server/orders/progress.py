"""An order's way after it was placed: paid, issued, finished. Each step finds its work in the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.bulk import Value, change
from sync_server.catalog import stock
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.orders import history, persons
from sync_server.orders.states import AWAITING_ISSUE, UNPAID, next_state
from sync_server.orders.tables import order, order_item, ticket
from sync_server.orders.telling import tell_buyer, tell_distributor
from sync_server.payments import transfers
from sync_server.payments.tables import INCOMING, external_transfer
from wire.moments import minute_ms

ACTOR = "system:orders"
STEP = "orders.take_payments"
MAX_PER_STEP = 200
HOUR_MS = 3_600_000
GIVE_UP_ISSUING_MS = 3_600_000
"""How long issuing is tried before the money goes back (money.md Q19): of an annual pass by itself."""


def take_payments(centre: Centre) -> int:
    """Worker step: orders whose transfer succeeded are paid, others held, or free to be paid again; how many moved."""
    told = _told_by_transfers()
    if not centre.finds(told):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        tried = order.c.id.not_in([UUID(bytes=one) for one in setbacks.left_out(connection, STEP, now_ms)])
        some = told.where(tried).order_by(order.c.id).limit(MAX_PER_STEP)
        found = connection.execute(some.with_for_update(of=order)).all()
        lock_stock(connection, found)

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            for row in rows:
                for each in paid_together(connection, row.id):
                    _follow(connection, each, row, now_ms)

        return setbacks.act_on(connection, STEP, found, lambda row: bytes(row.id.bytes), act, now_ms)


def orders_to_issue(connection: Connection, left_out: Sequence[UUID] = ()) -> Sequence[sa.Row[Any]]:
    """Paid orders without their passes, oldest first, but for those `left_out`."""
    query = sa.select(order).where(order.c.state.in_(AWAITING_ISSUE), order.c.id.not_in(left_out))
    return connection.execute(query.order_by(order.c.paid_at_ms, order.c.id).limit(MAX_PER_STEP)).all()


def mark_issued(
    connection: Connection, order_id: UUID, valid_from: int, valid_to: int, now_ms: int, actor: str = ACTOR
) -> None:
    """The order's tickets are numbered and signed, all of them, in this transaction.

    Validity in minutes since 2020-01-01T00:00Z, half-open, as signed into the tokens.
    """
    row = locked(connection, order_id)
    first_end = valid_to if row.kind == "TICKET" else None
    advance(connection, row, "issued", now_ms, actor, issued_at_ms=now_ms, first_end=first_end)
    tickets = sa.select(ticket.c.id).where(ticket.c.order_id == order_id)
    connection.execute(
        order_item.update().where(order_item.c.ticket_id.in_(tickets)).values(valid_from=valid_from, valid_to=valid_to)
    )
    persons.hold_until(connection, order_id, minute_ms(valid_to))


def issuing_failed(connection: Connection, order_id: UUID, reason: str, now_ms: int, actor: str) -> bool:
    """Note that an order could not be issued; True once it is given up. Of tickets a person decides so
    (`settlement.unissued`).
    """
    row = locked(connection, order_id)
    given_up = next_state(row.kind, row.state, "issue_failed") is not None
    if row.kind != "PASS" or not given_up or row.paid_at_ms is None or now_ms < row.paid_at_ms + GIVE_UP_ISSUING_MS:
        return False
    advance(connection, row, "issue_failed", now_ms, actor, reason=reason)
    return True


def locked(connection: Connection, order_id: UUID) -> sa.Row[Any]:
    """The order's row, which nobody else changes until the transaction ends."""
    return connection.execute(sa.select(order).where(order.c.id == order_id).with_for_update()).one()


def paid_together(connection: Connection, order_id: UUID) -> Sequence[sa.Row[Any]]:
    """The orders that have one payment with this one, itself among them, the first before the others; all locked."""
    group = connection.scalar(sa.select(order.c.payment_group).where(order.c.id == order_id))
    mine = sa.select(order).where(order.c.payment_group == group).order_by(order.c.id).with_for_update()
    rows = connection.execute(mine).all()
    if not rows:
        raise NotFoundError(f"no order has the id {order_id}")
    return sorted(rows, key=lambda row: bool(row.id != group))


def advance(
    connection: Connection,
    row: sa.Row[Any],
    event: str,
    now_ms: int,
    actor: str,
    *,
    reason: str | None = None,
    **changes: object,
) -> str:
    """Let an event happen to an order whose row is locked, and write it down; the state it leads to."""
    state = next_state(row.kind, row.state, event)
    if state is None:
        raise NotAllowedError(f"order {row.number} is {row.state}: it cannot be {event}")
    connection.execute(order.update().where(order.c.id == row.id).values(state=state, **changes))
    history.add(connection, row.id, event, state, now_ms, actor, reason)
    if event in ("issued", "refunded"):
        tell_buyer(connection, row, event, now_ms)
    return state


def mark_paid(connection: Connection, row: sa.Row[Any], now_ms: int, actor: str) -> None:
    """An order's money is there: its stock is sold. Issuing finds it."""
    paid_fen = row.dist_price_fen + row.charge_fee_fen
    advance(connection, row, "paid", now_ms, actor, paid_fen=paid_fen, paid_at_ms=now_ms, hold=None)
    stock.sell(connection, stock_counts(connection, row.id))


def hold(connection: Connection, row: sa.Row[Any], reason: str | None, now_ms: int, actor: str) -> int:
    """An order waits for its distributor's top-up; until when, which only the first hold says."""
    until_ms: int = row.hold_deadline_ms or now_ms + row.hold_deadline_h * HOUR_MS
    advance(connection, row, "held", now_ms, actor, reason=reason, hold="INSUFFICIENT", hold_deadline_ms=until_ms)
    tell_distributor(connection, row, until_ms, now_ms)
    return until_ms


def advance_all(
    connection: Connection, rows: Sequence[sa.Row[Any]], event: str, now_ms: int, actor: str, **changes: Value
) -> None:
    """The same event to many orders of one kind and state, whose rows are locked."""
    if not rows:
        return
    state = next_state(rows[0].kind, rows[0].state, event)
    if state is None:
        raise NotAllowedError(f"order {rows[0].number} is {rows[0].state}: it cannot be {event}")
    ids = [row.id for row in rows]
    change(connection, order, {"state": state, **changes}, ids)
    history.add_to_all(connection, ids, event, state, now_ms, actor)


def stock_counts(connection: Connection, order_id: UUID) -> dict[UUID, int]:
    """How many tickets of an order came from which stock row."""
    return dict(Counter(connection.scalars(sa.select(ticket.c.stock_id).where(ticket.c.order_id == order_id))))


def lock_stock(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
    """Lock the stock of these orders and of those paid together with them: a step that loops over orders begins so.

    Of two such steps one then waits for the other's stock before either holds an account that the other needs.
    """
    groups = [row.payment_group for row in rows]
    theirs = sa.select(ticket.c.stock_id).join(order, order.c.id == ticket.c.order_id)
    stock.lock(connection, theirs.where(order.c.payment_group.in_(groups)))


def _told_by_transfers() -> sa.Select[Any]:
    """Unpaid orders that do not say what their transfers say; of those paid together the first stands for all."""
    moved = external_transfer.c.state
    lacking = sa.and_(moved == "INSUFFICIENT", order.c.kind == "TICKET")
    failed = sa.and_(moved.in_(("DEFINITE_FAIL", "INSUFFICIENT")), order.c.kind == "PASS")
    return (
        sa.select(
            order,
            moved.label("transfer_state"),
            external_transfer.c.id.label("transfer_id"),
            external_transfer.c.reason,
        )
        .join(external_transfer, external_transfer.c.subject_id == order.c.id)
        .where(
            external_transfer.c.kind.in_(INCOMING),
            order.c.state.in_(UNPAID),
            sa.or_(
                moved == "SUCCEEDED",
                lacking != order.c.hold.is_not(None),
                sa.and_(failed, order.c.state == "PENDING_PAYMENT"),
            ),
        )
    )


def _follow(connection: Connection, row: sa.Row[Any], told: sa.Row[Any], now_ms: int) -> None:
    """Let an order do what the transfer that pays it says."""
    if told.transfer_state == "SUCCEEDED":
        mark_paid(connection, row, now_ms, ACTOR)
    elif row.kind == "PASS":
        advance(connection, row, "pay_failed", now_ms, ACTOR, reason=told.reason)
    elif told.transfer_state == "INSUFFICIENT":
        until_ms = hold(connection, row, told.reason, now_ms, ACTOR)
        transfers.expire(connection, told.transfer_id, until_ms)
    else:
        advance(connection, row, "resumed", now_ms, ACTOR, reason=told.reason, hold=None)
