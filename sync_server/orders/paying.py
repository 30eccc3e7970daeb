"""Paying an order: the transfer that charges its distributor or collects from its visitor, and what it books."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Leg, legs
from sync_server.orders import history
from sync_server.orders.states import next_state
from sync_server.orders.tables import order, order_item, ticket
from sync_server.parties.accounts import account_of
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING, VISITORS


def pay(connection: Connection, order_id: UUID, actor: str, now_ms: int, *, caller_sends: bool = False) -> UUID:
    """Give the pay command, in the caller's transaction; the id of the order's one transfer, also when given again.

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
    party_id, provider, account_ref = row.distributor_id, VISITORS, None
    if party_id is not None:
        provider, account_ref = account_of(connection, party_id, now_ms)
    wanted = transfers.Request(
        kind="COLLECT" if party_id is None else "CHARGE",
        subject_key=charge_key(row.kind, order_id),
        subject_id=order_id,
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
    connection.execute(order.update().where(order.c.id == order_id).values(state=state))
    history.add(connection, order_id, "pay", state, now_ms, actor)
    return transfer_id


def charge_key(kind: str, order_id: UUID) -> str:
    """The ledger key of an order's payment (money.md P2, P17)."""
    return f"pass:{order_id.hex}:charge" if kind == "PASS" else f"charge:{order_id.hex}"


def charge_legs(connection: Connection, row: sa.Row[Any], clearing: Account) -> tuple[Leg, ...]:
    """P2: the venues' parts held per item, the margin per order. P17: a pass's whole price deferred."""
    total_fen = row.dist_price_fen + row.charge_fee_fen
    sides = [(clearing, total_fen), (Account("4010"), -row.charge_fee_fen)]
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
