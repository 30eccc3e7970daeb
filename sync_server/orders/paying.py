"""Paying an order: from its distributor's prepaid account at once, or by a transfer that charges or collects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.errors import NotAllowedError, OverdrawnError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import owed_to
from sync_server.ledger.book import Leg, legs
from sync_server.money import yuan
from sync_server.orders import owing
from sync_server.orders.progress import advance, hold, locked, mark_paid, paid_together
from sync_server.orders.states import next_state
from sync_server.orders.tables import order_item, ticket
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
    """Give the pay command, in the caller's transaction, for the order and those it was placed together with.

    Of a transfer its id, the same when given again. `caller_sends`: the caller will call `transfers.move_now` after
    committing, as somebody waits for the answer.
    """
    rows = paid_together(connection, order_id)
    for row in rows:
        if next_state(row.kind, row.state, "pay") is None:
            raise NotAllowedError(f"order {row.number} is {row.state}: only one that waits for its payment can be paid")
        if row.cancelled_at_ms is not None or now_ms >= row.pay_deadline_ms:
            raise NotAllowedError(f"order {row.number} had to be paid earlier: place it again")
        if row.hold is not None:
            raise NotAllowedError(f"order {row.number} waits for a top-up: its distributor applies for it to go on")
    first = rows[0]
    funding = first.funding
    if funding is None and first.distributor_id is not None:
        funding = find_party(connection, first.distributor_id).funding
    for row in rows:
        advance(connection, row, "pay", now_ms, actor, funding=funding)
    if funding == "PREPAID":
        return _pay_from_prepaid(connection, locked(connection, first.id), actor, now_ms)
    return _pay_by_transfer(connection, rows, actor, now_ms, caller_sends)


def deduct(connection: Connection, row: sa.Row[Any], actor: str, now_ms: int) -> Deducted | Short:
    """P2' (of an annual pass P17): the order paid from what its distributor paid in, or nothing done.

    What the distributor owes is left: a late entry that came first is charged first, however soon an order comes.
    """
    prepaid = Account("2010", row.distributor_id)
    charge = book.Txn(charge_key(row.kind, row.id), charge_legs(connection, [row], prepaid), now_ms, actor)
    try:
        with connection.begin_nested():
            mark_paid(connection, row, now_ms, actor)  # stock before accounts, as whoever places an order locks them
            book.post(connection, [charge], now_ms)
            lacks_fen = owing.owed_fen(connection, row.distributor_id) - owed_to(connection, prepaid)
            if lacks_fen > 0:  # looked at now that nobody else charges the balance
                raise OverdrawnError(prepaid.code, prepaid.owner, lacks_fen)
    except OverdrawnError as error:
        return Short(max(error.lacking_fen, lacking_fen(connection, row)))
    return Deducted()


def lacking_fen(connection: Connection, row: sa.Row[Any]) -> int:
    """How much its distributor would have to pay in for an order to be deducted now; 0: nothing."""
    due_fen: int = row.dist_price_fen + row.charge_fee_fen + owing.owed_fen(connection, row.distributor_id)
    return max(0, due_fen - owed_to(connection, Account("2010", row.distributor_id)))


def _pay_from_prepaid(connection: Connection, row: sa.Row[Any], actor: str, now_ms: int) -> Deducted | Short:
    done = deduct(connection, row, actor, now_ms)
    if isinstance(done, Short) and row.kind == "PASS":
        advance(connection, row, "pay_failed", now_ms, actor, reason=done.words)
    elif isinstance(done, Short):
        hold(connection, row, done.words, now_ms, actor)
    return done


def _pay_by_transfer(
    connection: Connection, rows: Sequence[sa.Row[Any]], actor: str, now_ms: int, caller_sends: bool
) -> UUID:
    first = rows[0]
    party_id, provider, account_ref = first.distributor_id, VISITORS, None
    if party_id is not None:
        provider, account_ref = account_of(connection, party_id, now_ms)
    wanted = transfers.Request(
        kind="COLLECT" if party_id is None else "CHARGE",
        subject_key=charge_key(first.kind, first.id),
        subject_id=first.id,
        provider=provider,
        party_id=party_id,
        account_ref=account_ref,
        amount_fen=sum(row.dist_price_fen + row.charge_fee_fen for row in rows),
        title=f"订单 {first.number}" + (f" 等 {len(rows)} 笔" if len(rows) > 1 else ""),
        legs=charge_legs(connection, rows, CLEARING[provider]),
        expires_at_ms=first.pay_deadline_ms,
    )
    transfer_id = transfers.request(connection, [wanted], actor, now_ms, caller_sends=caller_sends)[wanted.subject_key]
    if first.state == "PAY_FAILED":
        transfers.begin_again(connection, transfer_id, now_ms)
    return transfer_id


def charge_key(kind: str, payment_group: UUID) -> str:
    """The ledger key of the one payment of orders placed together (money.md P2, P17)."""
    return f"pass:{payment_group.hex}:charge" if kind == "PASS" else f"charge:{payment_group.hex}"


def charge_legs(connection: Connection, rows: Sequence[sa.Row[Any]], payer: Account) -> tuple[Leg, ...]:
    """One sum in for orders that are paid together; then each one's P2 or P17."""
    sides = [side for row in rows for side in _credits(connection, row)]
    return legs((payer, -sum(amount_fen for _, amount_fen in sides)), *sides)


def _credits(connection: Connection, row: sa.Row[Any]) -> list[tuple[Account, int]]:
    """P2: the venues' parts held per item, the margin per order. P17: a pass's whole price deferred."""
    sides = [(Account("4010"), -row.charge_fee_fen)]
    if row.kind == "PASS":
        return [*sides, (Account("2510", row.id), -row.dist_price_fen)]
    items = connection.execute(
        sa.select(order_item.c.id, order_item.c.venue_price_fen)
        .join(ticket, ticket.c.id == order_item.c.ticket_id)
        .where(ticket.c.order_id == row.id)
        .order_by(order_item.c.id)
    ).all()
    sides += [(Account("2110", item.id), -item.venue_price_fen) for item in items]
    margin_fen = row.dist_price_fen - sum(item.venue_price_fen for item in items)
    return [*sides, (Account("2120", row.id), -margin_fen)]
