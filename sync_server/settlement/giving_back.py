"""An item's money goes back to who paid for it: the claim, P7, and the refund that P8 books; or it is kept, P11.

Of a prepaid order it is the distributor's again at once; of another one a transfer gives it back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.orders.claims import Claim, claim_items
from sync_server.orders.closing import refund_account
from sync_server.orders.tables import item_claim, order, order_item, ticket
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import INCOMING, external_transfer, transfer_attempt
from sync_server.settlement.finishing import alone, ended_orders, finish, margin

BACK_FEN = order_item.c.share_fen + order_item.c.fee_back_fen
"""What an item gives back."""


def unclaimed_items() -> sa.Select[Any]:
    """Items that nothing ended, with their order and the payment that would be given back."""
    charge = sa.and_(external_transfer.c.subject_id == order.c.id, external_transfer.c.kind.in_(INCOMING))
    paid_by = sa.and_(transfer_attempt.c.transfer_id == external_transfer.c.id, transfer_attempt.c.state == "SUCCEEDED")
    return (
        sa.select(
            order_item.c.id.label("item_id"),
            order_item.c.venue_price_fen,
            order_item.c.share_fen,
            order_item.c.fee_back_fen,
            BACK_FEN.label("back_fen"),
            order_item.c.on_expiry,
            order_item.c.valid_to,
            ticket.c.number.label("ticket_number"),
            order.c.id,
            order.c.distributor_id,
            order.c.funding,
            external_transfer.c.provider,
            external_transfer.c.account_ref,
            transfer_attempt.c.out_no,
        )
        .select_from(order_item)
        .join(ticket, ticket.c.id == order_item.c.ticket_id)
        .join(order, order.c.id == ticket.c.order_id)
        .outerjoin(external_transfer, charge)
        .outerjoin(transfer_attempt, paid_by)
        .outerjoin(item_claim, item_claim.c.item_id == order_item.c.id)
        .where(item_claim.c.item_id.is_(None))
        .where(sa.or_(transfer_attempt.c.out_no.is_not(None), order.c.funding == "PREPAID"))
    )


def end_items(
    connection: Connection, rows: Sequence[sa.Row[Any]], ref: str, now_ms: int, actor: str, *, forfeit: bool = False
) -> set[UUID]:
    """End these items of `unclaimed_items`: their share, and the fee where it goes back with it, is owed to who paid;
    or the share is kept. Which did: others were used.
    """
    alone(connection)
    kind = "FORFEIT" if forfeit else "REFUND"
    won = claim_items(connection, [Claim(row.item_id, kind, ref, now_ms) for row in rows], now_ms)
    mine = [row for row in rows if row.item_id in won]
    margins = Counter[UUID]()
    for row in mine:
        margins[row.id] += row.share_fen - row.venue_price_fen
    ended = ended_orders(connection, {row.id for row in mine})
    booked = [_kept(row, now_ms, actor) if forfeit else _owed_back(row, now_ms, actor) for row in mine]
    earned = [margin(row, now_ms, actor, taken_fen=margins[row.id]) for row in ended]
    back = [] if forfeit else mine
    wanted = [_refund(row) for row in back if row.funding != "PREPAID"]
    credited = [_credited(row, now_ms, actor) for row in back if row.funding == "PREPAID"]
    posted = [*booked, *credited, *(txn for txn in earned if txn is not None)]
    transfers.request(connection, wanted, actor, now_ms, posted=posted)
    finish(connection, ended, now_ms, actor)
    return won


def _owed_back(row: sa.Row[Any], now_ms: int, actor: str) -> Txn:
    """P7."""
    sides = legs(
        (Account("2110", row.item_id), row.venue_price_fen),
        (Account("2120", row.id), row.share_fen - row.venue_price_fen),
        (Account("4010"), row.fee_back_fen),
        (refund_account(row), -row.back_fen),
    )
    return Txn(f"expire:{row.item_id.hex}", sides, now_ms, actor)


def _kept(row: sa.Row[Any], now_ms: int, actor: str) -> Txn:
    """P11."""
    sides = legs(
        (Account("2110", row.item_id), row.venue_price_fen),
        (Account("2120", row.id), row.share_fen - row.venue_price_fen),
        (Account("4050"), -row.share_fen),
    )
    return Txn(f"forfeit:{row.item_id.hex}", sides, now_ms, actor)


def _credited(row: sa.Row[Any], now_ms: int, actor: str) -> Txn:
    """P8 of a prepaid order: nothing leaves the platform."""
    sides = legs((refund_account(row), row.back_fen), (Account("2010", row.distributor_id), -row.back_fen))
    return Txn(f"refund:{row.item_id.hex}", sides, now_ms, actor)


def _refund(row: sa.Row[Any]) -> transfers.Request:
    """P8, pending until the provider has given it back."""
    return transfers.Request(
        kind="REFUND",
        subject_key=f"refund:{row.item_id.hex}",
        subject_id=row.item_id,
        provider=row.provider,
        party_id=row.distributor_id,
        account_ref=row.account_ref,
        amount_fen=row.back_fen,
        title=f"票 {row.ticket_number} 退款",
        legs=legs((refund_account(row), row.back_fen), (CLEARING[row.provider], -row.back_fen)),
        original_out_no=row.out_no,
    )
