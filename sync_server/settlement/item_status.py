"""What an item shows: usage × money, derived from its claim and its payout, never stored (money.md §2.3)."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.orders.tables import holder, item_claim, order_item, ticket
from sync_server.payments.tables import external_transfer
from sync_server.settlement.tables import payout, payout_line

# What people read; usage and money are independent words of one item.
USAGE_WORDS = {"INACTIVE": "待激活", "READY": "待游玩", "USED": "已游玩"}
MONEY_WORDS = {
    "HELD": "待处理",
    "DUE": "待结算",
    "SETTLING": "结算中",
    "SETTLE_FAILED": "结算失败",
    "SETTLED": "已结算",
}


class ItemStatus(NamedTuple):
    """One item of an issued order. `reason` says why a payout failed."""

    item_id: UUID
    ticket_id: UUID
    venue_id: UUID
    usage: str
    money: str
    used_at_ms: int | None
    reason: str | None


def usage_expression() -> sa.ColumnElement[str]:
    """Over order_item joined with its claim and holder (see `statuses_of`)."""
    return sa.case(
        (item_claim.c.kind == "REDEEM", "USED"),
        (holder.c.ticket_id.is_not(None), "READY"),
        else_="INACTIVE",
    )


def money_expression() -> sa.ColumnElement[str]:
    """Over order_item joined with its claim, payout and transfer (see `statuses_of`)."""
    return sa.case(
        (item_claim.c.item_id.is_(None), "HELD"),
        (payout.c.state == "PAID", "SETTLED"),
        (payout.c.state == "FAILED", "SETTLE_FAILED"),
        (external_transfer.c.state.in_(("SENT", "UNKNOWN", "SUCCEEDED")), "SETTLING"),
        else_="DUE",
    )


def statuses_of(connection: Connection, order_id: UUID) -> list[ItemStatus]:
    """Every item of an order, by ticket and venue; empty for an annual pass, which has none."""
    rows = connection.execute(
        sa.select(
            order_item.c.id,
            order_item.c.ticket_id,
            order_item.c.venue_id,
            usage_expression(),
            money_expression(),
            item_claim.c.at_ms,
            external_transfer.c.reason,
        )
        .select_from(
            order_item.join(ticket, ticket.c.id == order_item.c.ticket_id)
            .outerjoin(holder, holder.c.ticket_id == ticket.c.id)
            .outerjoin(item_claim, item_claim.c.item_id == order_item.c.id)
            .outerjoin(payout_line, payout_line.c.item_id == order_item.c.id)
            .outerjoin(payout, payout.c.id == payout_line.c.payout_id)
            .outerjoin(external_transfer, external_transfer.c.id == payout.c.transfer_id)
        )
        .where(ticket.c.order_id == order_id)
        .order_by(ticket.c.seq, order_item.c.venue_id)
    )
    return [ItemStatus(*row) for row in rows]
