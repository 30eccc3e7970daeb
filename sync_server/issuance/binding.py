"""A ticket that was sold without a holder gets one 待激活 → 待游玩; gates admit it as soon as their list says so."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit.log import record
from sync_server.crypto import Secrets
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.issuance.passes import relist
from sync_server.issuance.tables import issued_pass
from sync_server.orders.holders import Holder, holder_row
from sync_server.orders.tables import holder, item_claim, order, order_item, refund_hold, ticket
from wire import moments

BINDABLE = ("NOT_BOUND", "ACTIVE")
"""ACTIVE: of a product that asks for no holder, whose tickets may be given one all the same."""


def bind(connection: Connection, secrets: Secrets, ticket_number: str, who: Holder, now_ms: int, actor: str) -> bool:
    """Name the holder of an issued ticket; False when it is this one already.

    NotAllowedError: there is another holder, or the ticket was used, has ended, or its money is asked back.
    """
    if (flaw := who.flaw()) is not None:
        raise NotAllowedError(flaw)
    row = connection.execute(
        sa.select(issued_pass)
        .join(ticket, ticket.c.id == issued_pass.c.ticket_id)
        .join(order, order.c.id == ticket.c.order_id)
        .where(ticket.c.number == ticket_number)
        .with_for_update(of=order)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"no issued ticket has the number {ticket_number!r}")
    named = holder_row(secrets, row.ticket_id, who)
    known = connection.execute(sa.select(holder).where(holder.c.ticket_id == row.ticket_id)).one_or_none()
    if known is not None:
        if all(known._mapping[name] == named[name] for name in ("name_index", "id_number_index", "phone_index")):
            return False
        raise NotAllowedError(f"ticket {ticket_number} has a holder already: {known.name_masked}")
    if row.status not in BINDABLE:
        raise NotAllowedError(f"the pass of ticket {ticket_number} is {row.status}: nobody can be named for it")
    if moments.minute_ms(row.not_after) <= now_ms:
        raise NotAllowedError(f"ticket {ticket_number} has ended: nobody can be named for it")
    if _ended_somewhere(connection, row.ticket_id):
        raise NotAllowedError(f"ticket {ticket_number} was used, or its money is asked back")
    connection.execute(holder.insert().values(named))
    mine = sa.and_(issued_pass.c.id == row.id, issued_pass.c.status == row.status)
    bound = issued_pass.update().where(mine).values(status="ACTIVE", id_number_due=who.id_number is not None)
    if connection.execute(bound).rowcount != 1:
        raise NotAllowedError(f"the pass of ticket {ticket_number} was changed meanwhile: look at it, then try again")
    relist(connection, [row.id])
    record(connection, now_ms, actor, "ticket.bind", f"ticket:{ticket_number}", {"pass": row.number})
    return True


def _ended_somewhere(connection: Connection, ticket_id: UUID) -> bool:
    """Whether an item of the ticket was claimed, or is asked back."""
    asked = sa.and_(refund_hold.c.item_id.is_not(None), refund_hold.c.ended_as.is_(None))
    ended = (
        sa.select(order_item.c.id)
        .outerjoin(item_claim, item_claim.c.item_id == order_item.c.id)
        .outerjoin(refund_hold, refund_hold.c.item_id == order_item.c.id)
        .where(order_item.c.ticket_id == ticket_id)
        .where(sa.or_(item_claim.c.item_id.is_not(None), asked))
    )
    return connection.execute(ended.limit(1)).first() is not None
