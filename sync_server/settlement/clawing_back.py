"""A visit that was paid to its venue is refunded to the buyer all the same, by two persons (money.md P16).

The buyer gets its share as with any refund; the venue owes what it had got, which its next payouts keep back
(`sealing`); the platform gives up the fee and the margin that it had kept. The item stays redeemed.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person
from sync_server.audit.log import record
from sync_server.db import derived_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.money import yuan
from sync_server.orders.closing import refund_account
from sync_server.orders.tables import order, order_item, ticket
from sync_server.parties.parties import party_words, venue_by_number
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import INCOMING, external_transfer, transfer_attempt
from sync_server.people.permissions import Permission
from sync_server.settlement.giving_back import BACK_FEN
from sync_server.settlement.item_states import ITEM
from sync_server.settlement.item_status import statuses_of
from sync_server.settlement.tables import clawback, payout_line

REFUND_VISIT = Act("visit.refund", Permission.VISITS_REFUND)


def ask(connection: Connection, who: Person, ticket_number: str, venue_number: int, reason: str, now_ms: int) -> UUID:
    """Ask that the visit to a venue with a ticket is refunded; the id of the request, which another person confirms."""
    item_id = _item_named(connection, ticket_number, venue_by_number(connection, venue_number))
    _settled(connection, item_id)
    return approvals.request(connection, who, REFUND_VISIT, f"item:{item_id.hex}", reason, now_ms)


def confirm(connection: Connection, who: Person, approval_id: UUID, now_ms: int) -> UUID:
    """Confirm another person's request and carry it out at once; the item that was refunded."""
    agreed = approvals.confirm(connection, who, REFUND_VISIT, approval_id, now_ms)
    item_id = UUID(hex=agreed.subject.removeprefix("item:"))
    row = _settled(connection, item_id)
    clawback_id = derived_id(item_id, f"clawback {item_id.hex}")
    owed = {"venue_id": row.venue_id, "owed_fen": row.net_fen}
    connection.execute(clawback.insert().values(id=clawback_id, item_id=item_id, **owed, agreed_at_ms=now_ms))
    booked, wanted = [_owed_back(row, now_ms, who.actor)], []
    if row.funding == "PREPAID":
        booked.append(_credited(row, now_ms, who.actor))
    else:
        wanted.append(_refund(row, clawback_id))
    transfers.request(connection, wanted, who.actor, now_ms, posted=booked)
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by), "amount_fen": row.back_fen}
    record(connection, now_ms, who.actor, "visit.refund", agreed.subject, detail)
    return item_id


def in_words(connection: Connection, asked: approvals.Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    item_id = UUID(hex=asked.subject.removeprefix("item:"))
    back_fen = BACK_FEN.label("back_fen")
    paid = sa.select(order_item.c.venue_id, back_fen, payout_line.c.net_fen, ticket.c.number).select_from(
        order_item.join(ticket).join(
            payout_line, sa.and_(payout_line.c.item_id == order_item.c.id, payout_line.c.kind == "REDEEM")
        )
    )
    row = connection.execute(paid.where(order_item.c.id == item_id)).one()
    venue = party_words(connection, row.venue_id)
    return (
        f"{yuan(row.back_fen)} yuan go back to the buyer for the visit with ticket {row.number} to {venue},"
        f" whose next payouts are {yuan(row.net_fen)} yuan less"
    )


def _item_named(connection: Connection, ticket_number: str, venue_id: UUID) -> UUID:
    query = sa.select(order_item.c.id).join(ticket, ticket.c.id == order_item.c.ticket_id)
    found: UUID | None = connection.scalar(
        query.where(ticket.c.number == ticket_number, order_item.c.venue_id == venue_id)
    )
    if found is None:
        raise NotFoundError(f"no ticket for this venue has the number {ticket_number!r}")
    return found


def _settled(connection: Connection, item_id: UUID) -> sa.Row[Any]:
    """The item with what was paid for it, its order locked. NotAllowedError: its venue has not been paid."""
    charge = sa.and_(external_transfer.c.subject_id == order.c.id, external_transfer.c.kind.in_(INCOMING))
    paid_by = sa.and_(transfer_attempt.c.transfer_id == external_transfer.c.id, transfer_attempt.c.state == "SUCCEEDED")
    query: sa.Select[Any] = (
        sa.select(
            order_item.c.id.label("item_id"),
            order_item.c.venue_id,
            order_item.c.venue_price_fen,
            order_item.c.share_fen,
            order_item.c.fee_back_fen,
            BACK_FEN.label("back_fen"),
            payout_line.c.net_fen,
            payout_line.c.fee_fen,
            ticket.c.number.label("ticket_number"),
            order.c.id,
            order.c.state,
            order.c.distributor_id,
            order.c.funding,
            order.c.invest_basis,
            order.c.fund_closed_at_ms,
            external_transfer.c.provider,
            external_transfer.c.account_ref,
            transfer_attempt.c.out_no,
        )
        .select_from(order_item)
        .join(ticket, ticket.c.id == order_item.c.ticket_id)
        .join(order, order.c.id == ticket.c.order_id)
        .outerjoin(external_transfer, charge)
        .outerjoin(transfer_attempt, paid_by)
        .outerjoin(payout_line, sa.and_(payout_line.c.item_id == order_item.c.id, payout_line.c.kind == "REDEEM"))
        .where(order_item.c.id == item_id)
    )
    row = connection.execute(query.with_for_update(of=order)).one()
    (state,) = [one.state for one in statuses_of(connection, row.id) if one.item_id == item_id]
    if ITEM.next(state, "clawed_back") is None:
        raise NotAllowedError(
            f"ticket {row.ticket_number} is {ITEM.words[state]} here: only a visit whose venue was paid is refunded so"
        )
    return row


def _owed_back(row: sa.Row[Any], now_ms: int, actor: str) -> Txn:
    """P16. The margin lies in 2120 until P10: until the order has ended, and its fund, if it has one, is closed."""
    earned = row.state == "COMPLETED" and (row.invest_basis is None or row.fund_closed_at_ms is not None)
    margin = Account("4030") if earned else Account("2120", row.id)
    sides = legs(
        (Account("1220", row.venue_id), row.net_fen),
        (Account("4020"), row.fee_fen),
        (margin, row.share_fen - row.venue_price_fen),
        (Account("4010"), row.fee_back_fen),
        (refund_account(row), -row.back_fen),
    )
    return Txn(f"clawback:{row.item_id.hex}", sides, now_ms, actor)


def _credited(row: sa.Row[Any], now_ms: int, actor: str) -> Txn:
    """Of a prepaid order: back to the balance that paid for it, at once."""
    sides = legs((refund_account(row), row.back_fen), (Account("2010", row.distributor_id), -row.back_fen))
    return Txn(f"clawback:{row.item_id.hex}:refund", sides, now_ms, actor)


def _refund(row: sa.Row[Any], clawback_id: UUID) -> transfers.Request:
    """Back to who paid. Its subject is the claw-back, not the item, which keeps its payout."""
    return transfers.Request(
        kind="REFUND",
        subject_key=f"clawback:{row.item_id.hex}:refund",
        subject_id=clawback_id,
        provider=row.provider,
        party_id=row.distributor_id,
        account_ref=row.account_ref,
        amount_fen=row.back_fen,
        title=f"票 {row.ticket_number} 退款",
        legs=legs((refund_account(row), row.back_fen), (CLEARING[row.provider], -row.back_fen)),
        original_out_no=row.out_no,
    )
