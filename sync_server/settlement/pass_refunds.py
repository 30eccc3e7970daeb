"""Annual passes given back: by an operator with a reason, or by themselves where issuing failed (money.md §2.5).

The pass is revoked in the transaction that owes the money; gates that are cut off may let it in until they hear of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.catalog import stock
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.issuance.passes import change_status
from sync_server.issuance.tables import issued_pass
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.ledger.book import Txn, legs
from sync_server.orders import persons
from sync_server.orders.closing import refund_account
from sync_server.orders.progress import advance, lock_stock, locked, stock_counts
from sync_server.orders.states import UNPAID, next_state
from sync_server.orders.tables import order, ticket
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import INCOMING, external_transfer, transfer_attempt
from sync_server.redemptions.tables import redemption
from sync_server.settlement.income import earned_until
from wire.entitlement import StopCause

ACTOR = "system:pass-refunds"
STEP = "settlement.refund_failed_issues"
FOLLOW_STEP = "settlement.follow_pass_refunds"
MAX_PER_STEP = 200

# What a refund's transfer says of its order; an unknown outcome says nothing.
EVENTS = {"SUCCEEDED": "refunded", "DEFINITE_FAIL": "refund_failed", "INSUFFICIENT": "refund_failed"}


class Refunded(NamedTuple):
    """What goes back to who paid, what is kept of it, and how often the pass was let in until now."""

    amount_fen: int
    kept_fen: int
    visits: int


def refund_pass(
    connection: Connection, number: str, reason: str, now_ms: int, actor: str, amount_fen: int | None = None
) -> Refunded:
    """Give an annual-pass order's price back, all of it unless told otherwise; one that failed goes on.

    The charge fee goes with it where nothing was issued for it.

    NotAllowedError: the state of the order, or the amount.
    """
    found = connection.execute(
        sa.select(order.c.id).where(order.c.number == number, order.c.kind == "PASS")
    ).one_or_none()
    if found is None:
        raise NotFoundError(f"no annual-pass order has the number {number!r}")
    row = locked(connection, found.id)
    if next_state(row.kind, row.state, "refund") is None:
        raise NotAllowedError(f"order {number} is {row.state}: it cannot be refunded")
    if row.state == "REFUND_FAILED":
        return _go_on(connection, row, reason, now_ms, actor, amount_fen)
    back_fen = row.dist_price_fen if amount_fen is None else amount_fen
    if not 0 < back_fen <= row.dist_price_fen:
        raise NotAllowedError(f"order {number} cost {row.dist_price_fen} fen: {back_fen} fen cannot be given back")
    visits = _revoke(connection, row.id, reason, now_ms, actor)
    if connection.scalar(
        sa.select(product.c.refund_frees_stock).where(product.c.id == row.product_id)
    ):  # before accounts: `lock_stock`
        stock.take_back(connection, stock_counts(connection, row.id))
    _need_no_renewal(connection, row)  # after stock, as who buys a renewal locks them
    fee_fen = row.charge_fee_fen if row.state == "ISSUE_FAILED" else 0
    kept_fen = _owe_back(connection, row, back_fen, fee_fen, now_ms, actor)
    advance(connection, row, "refund", now_ms, actor, reason=reason[:200])
    if row.funding == "PREPAID":
        advance(connection, locked(connection, row.id), "refunded", now_ms, actor)
    persons.let_go(connection, row.id)
    return Refunded(back_fen + fee_fen, kept_fen, visits)


def refund_failed_issues(centre: Centre) -> int:
    """Worker step: what could not be issued is given back without anybody asking (money.md Q19); how many orders."""
    failed = sa.select(order).where(order.c.state == "ISSUE_FAILED", order.c.kind == "PASS")
    if not centre.finds(failed):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        left_out = [UUID(bytes=one) for one in setbacks.left_out(connection, STEP, now_ms)]
        query = failed.where(order.c.id.not_in(left_out)).order_by(order.c.id)
        found = connection.execute(query.limit(MAX_PER_STEP).with_for_update()).all()
        lock_stock(connection, found)

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            for row in rows:
                refund_pass(connection, row.number, "出票失败，自动退款", now_ms, ACTOR)

        return setbacks.act_on(connection, STEP, found, lambda row: bytes(row.id.bytes), act, now_ms)


def follow_pass_refunds(centre: Centre) -> int:
    """Worker step: orders whose refund got through or definitely failed; how many changed."""
    moves = [
        sa.and_(order.c.state == state, external_transfer.c.state == told)
        for state in ("REFUNDING", "REFUND_FAILED")
        for told, event in EVENTS.items()
        if next_state("PASS", state, event) is not None
    ]
    moved = (
        sa.select(order, external_transfer.c.state.label("told"), external_transfer.c.reason.label("why"))
        .join(external_transfer, external_transfer.c.subject_id == order.c.id)
        .where(external_transfer.c.kind == "REFUND", sa.or_(*moves))
    )
    if not centre.finds(moved):
        return 0
    with centre.write() as connection:
        exclusive(connection, FOLLOW_STEP)
        now_ms = centre.now_ms()
        left_out = [UUID(bytes=one) for one in setbacks.left_out(connection, FOLLOW_STEP, now_ms)]
        some = moved.where(order.c.id.not_in(left_out)).order_by(order.c.id).limit(MAX_PER_STEP)
        found = connection.execute(some.with_for_update(of=order)).all()

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            for row in rows:
                advance(connection, row, EVENTS[row.told], now_ms, ACTOR, reason=row.why)

        return setbacks.act_on(connection, FOLLOW_STEP, found, lambda row: bytes(row.id.bytes), act, now_ms)


def _need_no_renewal(connection: Connection, row: sa.Row[Any]) -> None:
    """Between a pass that is given back and its renewal its holder could neither enter nor buy, for a year or two."""
    renewal_id = persons.renewal_of(connection, row.id)
    if renewal_id is None:
        return
    renewal = connection.execute(sa.select(order.c.number, order.c.state).where(order.c.id == renewal_id)).one()
    what = "cancel it" if renewal.state in UNPAID else "give it back"
    raise NotAllowedError(
        f"order {row.number} was renewed by order {renewal.number} ({renewal.state}), which begins only where this pass"
        f" ends: {what} first, then this one; its holder can buy anew at once"
    )


def _revoke(connection: Connection, order_id: UUID, reason: str, now_ms: int, actor: str) -> int:
    """No pass of the order opens a gate that hears of it; the visits until now."""
    passes = connection.execute(
        sa.select(issued_pass.c.id, issued_pass.c.number, issued_pass.c.status)
        .join(ticket, ticket.c.id == issued_pass.c.ticket_id)
        .where(ticket.c.order_id == order_id)
    ).all()
    for one in passes:
        if one.status != "REVOKED":
            change_status(connection, one.number, "revoke", reason, now_ms, actor, StopCause.CANCELLED)
    visits = sa.select(sa.func.count()).select_from(redemption)
    visited = visits.where(redemption.c.pass_id.in_([one.id for one in passes]), redemption.c.outcome == "PASS_VISIT")
    return connection.scalar(visited) or 0


def _owe_back(connection: Connection, row: sa.Row[Any], price_fen: int, fee_fen: int, now_ms: int, actor: str) -> int:
    """P17: out of what is not earned yet, the rest out of what is; what nobody gets back is kept. How much is kept."""
    deferred, owed = Account("2510", row.id), refund_account(row)
    earned = earned_until(connection, row.id, now_ms, actor)
    deferred_fen = -balance(connection, deferred).posted_fen - (earned.legs[0].amount_fen if earned else 0)
    unearned_fen, back_fen = min(price_fen, deferred_fen), price_fen + fee_fen
    kept_fen = deferred_fen - unearned_fen
    sides = legs(
        (deferred, deferred_fen),
        (Account("4060"), price_fen - unearned_fen),
        (Account("4010"), fee_fen),
        (owed, -back_fen),
        (Account("4050"), -kept_fen),
    )
    booked = [*([earned] if earned else []), Txn(f"pass:{row.id.hex}:refund", sides, now_ms, actor)]
    if row.funding == "PREPAID":
        back = legs((owed, back_fen), (Account("2010", row.distributor_id), -back_fen))
        book.post(connection, [*booked, Txn(f"pass:{row.id.hex}:refunded", back, now_ms, actor)], now_ms)
        return kept_fen
    paid_by = connection.execute(
        sa.select(external_transfer.c.provider, external_transfer.c.account_ref, transfer_attempt.c.out_no)
        .join(transfer_attempt, transfer_attempt.c.transfer_id == external_transfer.c.id)
        .where(external_transfer.c.subject_id == row.payment_group, external_transfer.c.kind.in_(INCOMING))
        .where(transfer_attempt.c.state == "SUCCEEDED")
    ).one()
    wanted = transfers.Request(
        kind="REFUND",
        subject_key=f"pass:{row.id.hex}:refunded",
        subject_id=row.id,
        provider=paid_by.provider,
        party_id=row.distributor_id,
        account_ref=paid_by.account_ref,
        amount_fen=back_fen,
        title=f"订单 {row.number} 退款",
        legs=legs((owed, back_fen), (CLEARING[paid_by.provider], -back_fen)),
        original_out_no=paid_by.out_no,
    )
    transfers.request(connection, [wanted], actor, now_ms, posted=booked)
    return kept_fen


def _go_on(
    connection: Connection, row: sa.Row[Any], reason: str, now_ms: int, actor: str, amount_fen: int | None
) -> Refunded:
    """The refund that failed is sent anew: its own amount, as what is kept is booked already."""
    transfer = external_transfer.c
    query = sa.select(transfer.id, transfer.amount_fen)
    found = connection.execute(query.where(transfer.subject_id == row.id, transfer.kind == "REFUND")).one()
    if amount_fen not in {None, found.amount_fen}:
        raise NotAllowedError(
            f"of order {row.number} {found.amount_fen} fen are to be given back, which failed: that goes on without"
            f" --amount-fen, not with {amount_fen}"
        )
    transfers.begin_again(connection, found.id, now_ms)
    advance(connection, row, "refund", now_ms, actor, reason=reason[:200])
    return Refunded(found.amount_fen, max(0, row.dist_price_fen - found.amount_fen), 0)
