"""Paying an order: from its distributor's prepaid account at once, or by a transfer that charges or collects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.errors import NotAllowedError, NotFoundError, OverdrawnError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Leg, legs
from sync_server.ledger.tables import ledger_account
from sync_server.money import yuan
from sync_server.orders import history
from sync_server.orders.progress import advance, hold, locked, mark_paid
from sync_server.orders.states import next_state
from sync_server.orders.tables import order, order_item, ticket
from sync_server.parties.accounts import account_of
from sync_server.parties.parties import find_party
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING, VISITORS


@dataclass(frozen=True)
class Deducted:
    """The order is paid: its distributor's prepaid account covered it."""


@dataclass(frozen=True)
class Short:
    """The order is held: so much is lacking in its distributor's prepaid account."""

    lacking_fen: int

    @property
    def words(self) -> str:
        return f"预存款不足，还差 {yuan(self.lacking_fen)} 元"


def pay(
    connection: Connection, order_id: UUID, actor: str, now_ms: int, *, caller_sends: bool = False
) -> UUID | Deducted | Short:
    """Give the pay command, in the caller's transaction; of a transfer its id, the same when given again.

    `caller_sends`: the caller will call `transfers.move_now` after committing, as somebody waits for the answer.
    """
    row = connection.execute(sa.select(order).where(order.c.id == order_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"no order has the id {order_id}")
    state = next_state(row.kind, row.state, "pay")
    if state is None:
        raise NotAllowedError(f"order {row.number} is {row.state}: only one that waits for its payment can be paid")
    if row.cancelled_at_ms is not None or now_ms >= row.pay_deadline_ms:
        raise NotAllowedError(f"order {row.number} had to be paid earlier: place it again")
    if row.hold is not None:
        raise NotAllowedError(f"order {row.number} waits for a top-up: its distributor applies for it to go on")
    funding = row.funding
    if funding is None and row.distributor_id is not None:
        funding = find_party(connection, row.distributor_id).funding
    connection.execute(order.update().where(order.c.id == order_id).values(state=state, funding=funding))
    history.add(connection, order_id, "pay", state, now_ms, actor)
    if funding == "PREPAID":
        return _pay_from_prepaid(connection, locked(connection, order_id), actor, now_ms)
    return _pay_by_transfer(connection, row, actor, now_ms, caller_sends)


def deduct(connection: Connection, row: sa.Row[Any], actor: str, now_ms: int) -> Deducted | Short:
    """P2' (of an annual pass P17): the order paid from what its distributor paid in, or nothing done."""
    prepaid = Account("2010", row.distributor_id)
    charge = book.Txn(charge_key(row.kind, row.id), charge_legs(connection, row, prepaid), now_ms, actor)
    try:
        with connection.begin_nested():
            mark_paid(connection, row, now_ms, actor)  # stock before accounts, as whoever places an order locks them
            book.post(connection, [charge], now_ms)
    except OverdrawnError as error:
        return Short(error.lacking_fen)
    return Deducted()


def lacking_fen(connection: Connection, row: sa.Row[Any]) -> int:
    """How much its distributor would have to pay in for an order to be deducted now; 0: nothing."""
    totals = ledger_account.c
    covers = sa.select(totals.credits_posted_fen - totals.debits_posted_fen - totals.debits_pending_fen)
    prepaid = Account("2010", row.distributor_id)
    covered_fen: int = connection.scalar(covers.where(totals.name == prepaid.name)) or 0
    due_fen: int = row.dist_price_fen + row.charge_fee_fen
    return max(0, due_fen - covered_fen)


def _pay_from_prepaid(connection: Connection, row: sa.Row[Any], actor: str, now_ms: int) -> Deducted | Short:
    done = deduct(connection, row, actor, now_ms)
    if isinstance(done, Short) and row.kind == "PASS":
        advance(connection, row, "pay_failed", now_ms, actor, reason=done.words)
    elif isinstance(done, Short):
        hold(connection, row, done.words, now_ms, actor)
    return done


def _pay_by_transfer(connection: Connection, row: sa.Row[Any], actor: str, now_ms: int, caller_sends: bool) -> UUID:
    party_id, provider, account_ref = row.distributor_id, VISITORS, None
    if party_id is not None:
        provider, account_ref = account_of(connection, party_id, now_ms)
    wanted = transfers.Request(
        kind="COLLECT" if party_id is None else "CHARGE",
        subject_key=charge_key(row.kind, row.id),
        subject_id=row.id,
        provider=provider,
        party_id=party_id,
        account_ref=account_ref,
        amount_fen=row.dist_price_fen + row.charge_fee_fen,
        title=f"订单 {row.number}",
        legs=charge_legs(connection, row, CLEARING[provider]),
        expires_at_ms=row.pay_deadline_ms,
    )
    transfer_id = transfers.request(connection, [wanted], actor, now_ms, caller_sends=caller_sends)[wanted.subject_key]
    if row.state == "PAY_FAILED":
        transfers.begin_again(connection, transfer_id, now_ms)
    return transfer_id


def charge_key(kind: str, order_id: UUID) -> str:
    """The ledger key of an order's payment (money.md P2, P17)."""
    return f"pass:{order_id.hex}:charge" if kind == "PASS" else f"charge:{order_id.hex}"


def charge_legs(connection: Connection, row: sa.Row[Any], payer: Account) -> tuple[Leg, ...]:
    """P2: the venues' parts held per item, the margin per order. P17: a pass's whole price deferred."""
    total_fen = row.dist_price_fen + row.charge_fee_fen
    sides = [(payer, total_fen), (Account("4010"), -row.charge_fee_fen)]
    if row.kind == "PASS":
        return legs(*sides, (Account("2510", row.id), -row.dist_price_fen))
    items = connection.execute(
        sa.select(order_item.c.id, order_item.c.venue_price_fen)
        .join(ticket, ticket.c.id == order_item.c.ticket_id)
        .where(ticket.c.order_id == row.id)
        .order_by(order_item.c.id)
    ).all()
    sides += [(Account("2110", item.id), -item.venue_price_fen) for item in items]
    margin_fen = row.dist_price_fen - sum(item.venue_price_fen for item in items)
    return legs(*sides, (Account("2120", row.id), -margin_fen))
