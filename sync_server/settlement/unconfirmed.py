"""Which gates have not heard yet that a ticket or a pass is revoked: so long they may let it in (money.md Q17)."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.errors import NotFoundError
from sync_server.gates.watermarks import gates_behind
from sync_server.issuance.tables import entitlement, issued_pass
from sync_server.orders.tables import order, order_item, refund_hold, ticket
from sync_server.parties.tables import venue

MAX_LISTED = 1_000


class Hold(NamedTuple):
    """A refund that was asked for and waits for `gates`, at the latest until its deadline."""

    ticket: str
    venue: int
    requested_at_ms: int
    deadline_ms: int
    reason: str
    gates: list[str]


class Told(NamedTuple):
    """A venue that a ticket or pass opens, and its `gates` that have not confirmed the list that says how it stands."""

    ticket: str
    venue: int
    status: str
    gates: list[str]


def open_holds(connection: Connection, now_ms: int) -> list[Hold]:
    """The refunds that wait, the oldest first."""
    is_open = sa.text("refund_hold.ended_as IS NULL")  # as ix_refund_hold_open says
    rows = connection.execute(
        sa.select(refund_hold, ticket.c.number.label("ticket"), venue.c.id.label("venue_id"), venue.c.number)
        .join(order_item, order_item.c.id == refund_hold.c.item_id)
        .join(ticket, ticket.c.id == order_item.c.ticket_id)
        .join(venue, venue.c.id == order_item.c.venue_id)
        .where(is_open)
        .order_by(refund_hold.c.requested_at_ms, refund_hold.c.item_id)
        .limit(MAX_LISTED)
    )
    return [
        Hold(
            row.ticket,
            row.number,
            row.requested_at_ms,
            row.deadline_ms,
            row.reason,
            gates_behind(connection, row.venue_id, row.list_version, now_ms),
        )
        for row in rows
    ]


def told_of(connection: Connection, number: str, now_ms: int) -> list[Told]:
    """The same of one ticket, or of all tickets of an order, whatever became of it."""
    rows = connection.execute(
        sa.select(ticket.c.number, issued_pass.c.status, entitlement, venue.c.number.label("venue"))
        .join(order, order.c.id == ticket.c.order_id)
        .join(issued_pass, issued_pass.c.ticket_id == ticket.c.id)
        .join(entitlement, entitlement.c.pass_id == issued_pass.c.id)
        .join(venue, venue.c.id == entitlement.c.venue_id)
        .where(sa.or_(ticket.c.number == number, order.c.number == number))
        .order_by(ticket.c.number, venue.c.number)
        .limit(MAX_LISTED)
    ).all()
    if not rows:
        raise NotFoundError(f"no issued ticket or order has the number {number!r}")
    return [
        Told(row.number, row.venue, row.status, gates_behind(connection, row.venue_id, row.listed_version, now_ms))
        for row in rows
    ]
