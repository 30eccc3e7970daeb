"""Orders that are not paid: cancelled or out of time, closed once no payment of theirs can succeed any more.

A payment that is under way is cancelled at the provider when its time is over (`payments.transfers`); what arrives all
the same is given back whole (money.md Q4, P18).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.catalog import stock
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.ledger.tables import ledger_txn
from sync_server.orders import applying, history, persons
from sync_server.orders.progress import ACTOR, advance, lock_stock, paid_together, stock_counts
from sync_server.orders.states import CLOSED_BEFORE_PAYMENT, UNPAID, next_state
from sync_server.orders.tables import order
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import STOPPED
from sync_server.payments.tables import INCOMING, external_transfer, transfer_attempt

STEP = "orders.close_unpaid"
LATE_STEP = "orders.give_back_late_payments"
MAX_PER_STEP = 200


def cancel(connection: Connection, number: str, reason: str, now_ms: int, actor: str) -> None:
    """Cancel an order that is not paid, whole and with those it was placed together with (money.md Q16).

    They close as soon as no payment of theirs is under way.
    """
    found = connection.execute(sa.select(order.c.id).where(order.c.number == number)).one_or_none()
    if found is None:
        raise NotFoundError(f"no order has the number {number!r}")
    rows = paid_together(connection, found.id)
    first = rows[0]
    if next_state(first.kind, first.state, "cancelled") is None:
        raise NotAllowedError(
            f"order {number} is {first.state}: only an unpaid order can be cancelled, a paid one refunded"
        )
    if first.cancelled_at_ms is not None:
        return
    mine = order.c.payment_group == first.id
    connection.execute(order.update().where(mine).values(cancelled_at_ms=now_ms))
    transfer = external_transfer.c
    payment = sa.select(transfer.id).where(transfer.subject_id == first.id, transfer.kind.in_(INCOMING))
    if (transfer_id := connection.scalar(payment)) is not None:
        transfers.expire(connection, transfer_id, now_ms)
    for row in rows:
        history.add(connection, row.id, "cancel_asked", row.state, now_ms, actor, reason)


def close_unpaid(centre: Centre) -> int:
    """Worker step: close the orders whose time is over and of which no payment is under way; how many were closed."""
    over = _over(centre.now_ms())
    if not centre.finds(over):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        found = _found(connection, over, setbacks.left_out(connection, STEP, now_ms))
        lock_stock(connection, found)

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            for row in rows:
                _close(connection, row, now_ms)

        return setbacks.act_on(connection, STEP, found, lambda row: bytes(row.id.bytes), act, now_ms)


def give_back_late_payments(centre: Centre) -> int:
    """Worker step: give back what was paid for an order after it was closed, fee and all; how many were."""
    late = _paid_late()
    if not centre.finds(late):
        return 0
    with centre.write() as connection:
        exclusive(connection, LATE_STEP)
        now_ms = centre.now_ms()
        found = _found(connection, late, setbacks.left_out(connection, LATE_STEP, now_ms))

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            for row in rows:
                _give_back(connection, row, now_ms)

        return setbacks.act_on(connection, LATE_STEP, found, lambda row: bytes(row.id.bytes), act, now_ms)


def _found(connection: Connection, query: sa.Select[Any], left_out: Sequence[bytes]) -> Sequence[sa.Row[Any]]:
    """The first orders of a query, locked."""
    tried = query.where(order.c.id.not_in([UUID(bytes=one) for one in left_out]))
    return connection.execute(tried.order_by(order.c.id).limit(MAX_PER_STEP).with_for_update(of=order)).all()


def _over(now_ms: int) -> sa.Select[Any]:
    """Orders whose time is over; of those paid together the first, which stands for all."""
    deadline_ms = sa.func.coalesce(order.c.cancelled_at_ms, order.c.hold_deadline_ms, order.c.pay_deadline_ms)
    charge = sa.and_(external_transfer.c.subject_id == order.c.id, external_transfer.c.kind.in_(INCOMING))
    return (
        sa.select(order, external_transfer.c.id.label("transfer_id"))
        .outerjoin(external_transfer, charge)
        .where(
            order.c.state.in_(UNPAID),
            order.c.payment_group == order.c.id,
            deadline_ms <= now_ms,
            sa.or_(external_transfer.c.id.is_(None), external_transfer.c.state.in_(STOPPED)),
        )
    )


def _close(connection: Connection, row: sa.Row[Any], now_ms: int) -> None:
    event = "timed_out" if row.cancelled_at_ms is None else "cancelled"
    if row.transfer_id is not None:
        transfers.abandon(connection, row.transfer_id, f"order {row.number} {event}", ACTOR, now_ms)
    for each in paid_together(connection, row.id):
        advance(connection, each, event, now_ms, ACTOR, hold=None)
        applying.lapse(connection, each.id, now_ms, ACTOR)
        stock.release(connection, stock_counts(connection, each.id))
        persons.let_go(connection, each.id)


def _paid_late() -> sa.Select[Any]:
    refund = external_transfer.alias("refund")
    given_back = sa.exists().where(refund.c.subject_id == order.c.id, refund.c.kind == "REFUND")
    in_suspense = sa.exists().where(ledger_txn.c.txn_key == sa.literal("double:").concat(transfer_attempt.c.out_no))
    extra = sa.text("transfer_attempt.state = 'EXTRA'")  # as ix_transfer_attempt_extra says
    return (
        sa.select(
            order,
            external_transfer.c.provider,
            external_transfer.c.account_ref,
            transfer_attempt.c.out_no,
            transfer_attempt.c.changed_at_ms.label("paid_at"),
        )
        .select_from(transfer_attempt)
        .join(external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id)
        .join(order, order.c.id == external_transfer.c.subject_id)
        .where(
            extra,
            external_transfer.c.kind.in_(INCOMING),
            order.c.state.in_(CLOSED_BEFORE_PAYMENT),
            ~given_back,
            ~in_suspense,
        )
    )


def _give_back(connection: Connection, late: sa.Row[Any], now_ms: int) -> None:
    """P18, one transaction as one payment came in, and the refunds of it: each order's part."""
    clearing, owing, wanted = CLEARING[late.provider], [], []
    rows = paid_together(connection, late.id)
    for row in rows:
        owed, part_fen = refund_account(row), row.dist_price_fen + row.charge_fee_fen
        owing.append((owed, -part_fen))
        wanted.append(
            transfers.Request(
                kind="REFUND",
                subject_key=f"refund:late:{row.id.hex}",
                subject_id=row.id,
                provider=late.provider,
                party_id=row.distributor_id,
                account_ref=late.account_ref,
                amount_fen=part_fen,
                title=f"订单 {row.number} 退款",
                legs=legs((owed, part_fen), (clearing, -part_fen)),
                original_out_no=late.out_no,
            )
        )
    came_in = legs((clearing, -sum(owed_fen for _, owed_fen in owing)), *owing)
    booked = Txn(f"late:{late.payment_group.hex}", came_in, late.paid_at, ACTOR)
    transfers.request(connection, wanted, ACTOR, now_ms, posted=[booked])
    for row in rows:
        advance(connection, row, "paid_late", now_ms, ACTOR)


def refund_account(row: sa.Row[Any]) -> Account:
    """Where an order's refunds are owed: its distributor's account, or one of its own for a visitor at the cashier."""
    return Account("2320", row.id) if row.distributor_id is None else Account("2310", row.distributor_id)
