"""What becomes of payouts and of the orders they belong to, once the transfers are through."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.ledger.book import Txn, legs, post
from sync_server.orders.progress import mark_finished
from sync_server.orders.tables import item_claim, order, order_item, ticket
from sync_server.payments.tables import external_transfer
from sync_server.settlement.tables import payout

ACTOR = "system:settlement"
MAX_PER_STEP = 500

# (payout state, transfer state) -> the payout's next state (money.md §2.4): failed from the first definite failure on,
# until a later attempt pays it; an unknown outcome changes nothing.
TRANSITIONS = {
    ("SEALED", "SUCCEEDED"): "PAID",
    ("FAILED", "SUCCEEDED"): "PAID",
    ("SEALED", "DEFINITE_FAIL"): "FAILED",
    ("SEALED", "INSUFFICIENT"): "FAILED",
}


def follow_transfers(centre: Centre) -> int:
    """Worker step: payouts whose transfer got through or definitely failed; how many changed."""
    with centre.write() as connection:
        exclusive(connection, "settlement.follow_transfers")
        moves = [
            sa.and_(payout.c.state == state, external_transfer.c.state == transfer_state)
            for state, transfer_state in TRANSITIONS
        ]
        found = connection.execute(
            sa.select(payout.c.id, payout.c.state, external_transfer.c.state.label("transfer_state"))
            .join(external_transfer, external_transfer.c.id == payout.c.transfer_id)
            .where(sa.or_(*moves))
            .order_by(payout.c.id)
            .limit(MAX_PER_STEP)
        ).all()
        now_ms = centre.now_ms()
        for row in found:
            state = TRANSITIONS[row.state, row.transfer_state]
            paid_at_ms = now_ms if state == "PAID" else None
            connection.execute(payout.update().where(payout.c.id == row.id).values(state=state, paid_at_ms=paid_at_ms))
    return len(found)


def finish_orders(centre: Centre) -> int:
    """Worker step: ticket orders whose every item ended are completed and their margin is earned (P10); how many."""
    with centre.write() as connection:
        exclusive(connection, "settlement.finish_orders")
        items = order_item.join(ticket, ticket.c.id == order_item.c.ticket_id)
        open_item = (
            sa.select(sa.literal(1))
            .select_from(items.outerjoin(item_claim, item_claim.c.item_id == order_item.c.id))
            .where(ticket.c.order_id == order.c.id, item_claim.c.item_id.is_(None))
        )
        found = connection.execute(
            sa.select(order)
            .where(order.c.kind == "TICKET", order.c.state == "ISSUED", ~open_item.exists())
            .order_by(order.c.id)
            .limit(MAX_PER_STEP)
        ).all()
        now_ms = centre.now_ms()
        margins = [txn for row in found if (txn := _margin(connection, row, now_ms)) is not None]
        post(connection, margins, now_ms)
        for row in found:
            mark_finished(connection, row, now_ms, ACTOR)
    return len(found)


def _margin(connection: Connection, row: sa.Row[Any], now_ms: int) -> Txn | None:
    """P10: what is left of the order's deferred margin; None where there was none."""
    deferred = Account("2120", row.id)
    rest_fen = -balance(connection, deferred).posted_fen
    if rest_fen == 0:
        return None
    return Txn(f"margin:{row.id.hex}", legs((deferred, rest_fen), (Account("4030"), -rest_fen)), now_ms, ACTOR)
