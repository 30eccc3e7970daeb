"""What an item shows: its state of `settlement.item_states`, from its claim, hold, payout, refund, claw-back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import among
from sync_server.orders.claims import EXPIRED
from sync_server.orders.tables import holder, item_claim, order, order_item, refund_hold, ticket
from sync_server.payments.states import OPEN
from sync_server.payments.tables import external_transfer
from sync_server.settlement.item_states import refund_status
from sync_server.settlement.tables import clawback, payout, payout_line

paid_out = external_transfer.alias("paid_out")
paid_back = external_transfer.alias("paid_back")


class ItemStatus(NamedTuple):
    """One item of an issued order. `reason` says why its payout or refund failed."""

    item_id: UUID
    ticket_id: UUID
    venue_id: UUID
    usage: str
    money: str
    refund_asked: bool
    used_at_ms: int | None
    reason: str | None
    clawed_back: bool = False

    @property
    def mark(self) -> str | None:
        """As `item_states.MARK_WORDS` names it: told in place of the money."""
        return "hold" if self.refund_asked else "clawback" if self.clawed_back else None

    @property
    def state(self) -> str:
        """As `item_states.ITEM` names it."""
        return " ".join(word for word in (self.usage, self.money, self.mark) if word)


def usage_expression() -> sa.ColumnElement[str]:
    """Over order_item joined with its claim and holder (see `joined`)."""
    return sa.case(
        (item_claim.c.kind == "REDEEM", "USED"),
        (item_claim.c.ref == EXPIRED, "EXPIRED"),
        (item_claim.c.item_id.is_not(None), "CANCELLED"),
        (holder.c.ticket_id.is_not(None), "READY"),
        else_="INACTIVE",
    )


def money_expression() -> sa.ColumnElement[str]:
    """Over order_item joined with its order, claim, payout, transfer and refund (see `joined`)."""
    return sa.case(
        (item_claim.c.item_id.is_(None), "HELD"),
        (item_claim.c.kind == "FORFEIT", "FORFEIT"),
        (item_claim.c.kind == "REFUND", _refund_expression()),
        (payout.c.state == "PAID", "SETTLED"),
        (payout.c.state == "FAILED", "SETTLE_FAILED"),
        (paid_out.c.state.in_((*OPEN, "SUCCEEDED")), "SETTLING"),
        else_="DUE",
    )


def _refund_expression() -> sa.ColumnElement[str]:
    """Failed from the first definite failure on, until it gets through; of a prepaid order it is never under way."""
    tried = sa.case((paid_back.c.state.in_(OPEN), paid_back.c.attempts - 1), else_=paid_back.c.attempts)
    return sa.case(
        (sa.or_(paid_back.c.state == "SUCCEEDED", order.c.funding == "PREPAID"), "REFUNDED"),
        (sa.or_(tried > 0, paid_back.c.state == "VOID"), "REFUND_FAILED"),
        (paid_back.c.state.in_(OPEN), "REFUNDING"),
        else_="REFUND_DUE",
    )


def joined() -> sa.FromClause:
    """order_item with all that its state is derived from."""
    line = sa.and_(payout_line.c.item_id == order_item.c.id, payout_line.c.kind == "REDEEM")
    refund = sa.and_(paid_back.c.subject_id == order_item.c.id, paid_back.c.kind == "REFUND")
    asked = sa.and_(refund_hold.c.item_id == order_item.c.id, refund_hold.c.ended_as.is_(None))
    return (
        order_item.join(ticket, ticket.c.id == order_item.c.ticket_id)
        .join(order, order.c.id == ticket.c.order_id)
        .outerjoin(holder, holder.c.ticket_id == ticket.c.id)
        .outerjoin(item_claim, item_claim.c.item_id == order_item.c.id)
        .outerjoin(refund_hold, asked)
        .outerjoin(payout_line, line)
        .outerjoin(payout, payout.c.id == payout_line.c.payout_id)
        .outerjoin(paid_out, paid_out.c.id == payout.c.transfer_id)
        .outerjoin(paid_back, refund)
    )


def refund_statuses(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, str]:
    """退款状态 of those of these orders of which something goes, or is asked, back (`item_states.refund_status`)."""
    back = sa.or_(item_claim.c.kind == "REFUND", refund_hold.c.item_id.is_not(None))
    items = order_item.join(ticket, ticket.c.id == order_item.c.ticket_id)
    items = items.outerjoin(item_claim, item_claim.c.item_id == order_item.c.id)
    items = items.outerjoin(refund_hold, refund_hold.c.item_id == order_item.c.id)
    query = sa.select(ticket.c.order_id).distinct().select_from(items)
    found = connection.scalars(query.where(back, among(connection, ticket.c.order_id, order_ids))).all()
    items_of = statuses_by_order(connection, found)
    told = {order_id: refund_status(one.state for one in statuses) for order_id, statuses in items_of.items()}
    return {order_id: word for order_id, word in told.items() if word is not None}


def statuses_of(connection: Connection, order_id: UUID) -> list[ItemStatus]:
    """Every item of an order, by ticket and venue; empty for an annual pass, which has none."""
    return statuses_by_order(connection, [order_id]).get(order_id, [])


def statuses_by_order(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, list[ItemStatus]]:
    """The same of each of these orders that has items, by one statement."""
    rows = connection.execute(
        sa.select(
            ticket.c.order_id,
            order_item.c.id,
            order_item.c.ticket_id,
            order_item.c.venue_id,
            usage_expression(),
            money_expression(),
            sa.and_(refund_hold.c.item_id.is_not(None), item_claim.c.item_id.is_(None)),
            sa.case((item_claim.c.kind == "REDEEM", item_claim.c.at_ms)),
            sa.func.coalesce(paid_out.c.reason, paid_back.c.reason),
            clawback.c.item_id.is_not(None),
        )
        .select_from(joined().outerjoin(clawback, clawback.c.item_id == order_item.c.id))
        .where(among(connection, ticket.c.order_id, order_ids))
        .order_by(ticket.c.seq, order_item.c.venue_id)
    )
    found: dict[UUID, list[ItemStatus]] = {}
    for row in rows:
        found.setdefault(row.order_id, []).append(ItemStatus(*row[1:]))
    return found
