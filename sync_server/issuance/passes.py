"""Passes after they were issued: found by number, suspended, resumed, revoked; every change is told to the gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server.audit.log import record
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.issuance.pass_states import MOVES
from sync_server.issuance.tables import entitlement, issued_pass, pass_photo, pass_token
from sync_server.orders.tables import order, ticket
from wire import moments
from wire.entitlement import StopCause


def find_pass(connection: Connection, number: str) -> Row[Any]:
    """The row of the pass with this number 票号, typed with or without blanks."""
    wanted = "".join(number.split())
    row = connection.execute(sa.select(issued_pass).where(issued_pass.c.number == wanted)).one_or_none()
    if row is None:
        raise NotFoundError(f"no pass has the number {number!r}")
    return row


def token_of(connection: Connection, pass_id: bytes) -> str:
    """The code that the pass shows now."""
    token: str | None = connection.scalar(
        sa.select(pass_token.c.token)
        .join(issued_pass, issued_pass.c.id == pass_token.c.pass_id)
        .where(issued_pass.c.id == pass_id, pass_token.c.issue == issued_pass.c.issue)
    )
    if token is None:
        raise NotFoundError(f"no pass has the id {pass_id.hex()}")
    return token


def passes_of_order(connection: Connection, order_number: str) -> Sequence[Row[Any]]:
    """The passes of an order in the order of its tickets, each with the `token` it shows now."""
    shown_now = sa.and_(pass_token.c.pass_id == issued_pass.c.id, pass_token.c.issue == issued_pass.c.issue)
    return connection.execute(
        sa.select(issued_pass, pass_token.c.token)
        .join(pass_token, shown_now)
        .join(ticket, ticket.c.id == issued_pass.c.ticket_id)
        .join(order, order.c.id == ticket.c.order_id)
        .where(order.c.number == order_number)
        .order_by(ticket.c.number)
    ).all()


def change_status(
    connection: Connection,
    number: str,
    event: str,
    reason: str,
    now_ms: int,
    actor: str,
    cause: StopCause = StopCause.OTHER,
) -> str:
    """Suspend, resume or revoke a pass; gives the status it has now. Gates learn of it with their next list.

    `reason` stays here, in the log of what operators did; `cause` and the time are told to the staff at the gates.
    """
    row = find_pass(connection, number)
    after = MOVES.get((row.status, event))
    changed = issued_pass.update().where(issued_pass.c.id == row.id, issued_pass.c.status == row.status)
    stop = (None, None) if after == "ACTIVE" else (cause, moments.minute_floor(now_ms))
    values = {"status": after, "stop_cause": stop[0], "stopped_at": stop[1]}
    if after is None or connection.execute(changed.values(values)).rowcount != 1:
        raise NotAllowedError(f"the pass {row.number} is {row.status}: you cannot {event} it")
    relist(connection, [row.id])
    if after == "REVOKED":
        connection.execute(
            pass_photo.update().where(pass_photo.c.pass_id == row.id).values(photo_sealed=None, due=True)
        )
    record(connection, now_ms, actor, f"pass.{event}", f"pass:{row.number}", {"reason": reason})
    return after


def relist(connection: Connection, pass_ids: Sequence[bytes]) -> None:
    """What the gates must know of these passes has changed: the lists of their venues are to be made anew."""
    connection.execute(entitlement.update().where(entitlement.c.pass_id.in_(pass_ids)).values(listed_version=None))


def relist_items(connection: Connection, item_ids: Sequence[UUID]) -> None:
    """The same, at the venues of these items alone."""
    connection.execute(entitlement.update().where(entitlement.c.item_id.in_(item_ids)).values(listed_version=None))
