"""A ticket's money is asked back before its end: held until no gate can still let it in, then given back.

From the moment of asking the item is revoked in its venue's list. It is the buyer's money once every journal of the
venue has confirmed a list that says so and is complete up to there, or when the hold's deadline is over; an entry that
was made before and arrives meanwhile wins, and the request is refused (money.md §2.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.catalog.tables import channel
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.feed.tables import feed
from sync_server.gates.watermarks import confirmed_list
from sync_server.issuance.passes import relist_items
from sync_server.issuance.tables import entitlement
from sync_server.orders import history
from sync_server.orders.claims import REQUESTED
from sync_server.orders.tables import item_claim, order, order_item, refund_hold, ticket
from sync_server.settlement.giving_back import end_items, unclaimed_items
from wire import moments

ACTOR = "system:refunds"
STEP = "settlement.confirm_refunds"
MAX_PER_STEP = 500
HOUR_MS = 3_600_000
MAX_REASON_CHARACTERS = 200

_OPEN = sa.text("refund_hold.ended_as IS NULL")  # as ix_refund_hold_open says


def ask(connection: Connection, ticket_number: str, reason: str, now_ms: int, actor: str) -> list[UUID]:
    """Ask the money of a ticket back, for every venue it was not used at yet; the items concerned.

    NotAllowedError: not refundable, not issued, over, ended everywhere, or asked for already.
    """
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON_CHARACTERS:
        raise NotAllowedError(f"a refund needs a reason of 1 to {MAX_REASON_CHARACTERS} characters")
    rows = _items_of(connection, ticket_number)
    if rows[0].state != "ISSUED":
        raise NotAllowedError(f"the order of ticket {ticket_number} is {rows[0].state}: only an issued one is refunded")
    if not all(row.refundable for row in rows):
        raise NotAllowedError(f"ticket {ticket_number} was sold as not refundable")
    now = moments.minute_floor(now_ms)
    open_ = [row for row in rows if row.claim_kind is None and not row.asked]
    left = [row.item_id for row in open_ if row.valid_to > now]
    if open_ and not left:
        raise NotAllowedError(f"ticket {ticket_number} is over: it goes back, or is kept, as it was sold")
    if not left:
        raise NotAllowedError(f"nothing of ticket {ticket_number} is left that could be asked back")
    holds = [
        {
            "item_id": item_id,
            "requested_at_ms": now_ms,
            "requested_by": actor,
            "reason": text,
            "deadline_ms": now_ms + rows[0].refund_hold_h * HOUR_MS,
        }
        for item_id in left
    ]
    connection.execute(refund_hold.insert(), holds)
    relist_items(connection, left)
    history.add(connection, rows[0].order_id, "refund_asked", rows[0].state, now_ms, actor, text)
    return left


def confirm_refunds(centre: Centre) -> int:
    """Worker step: give back what no gate can let in any more, refuse what was used; how many requests moved on."""
    asked = sa.select(order_item.c.venue_id).join(refund_hold, refund_hold.c.item_id == order_item.c.id).where(_OPEN)
    venues_asked = asked.distinct()
    if not centre.finds(venues_asked):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        venues = connection.scalars(venues_asked.order_by(order_item.c.venue_id)).all()
        done = _end_ended(connection, now_ms)
        left_out = setbacks.left_out(connection, STEP, now_ms)

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            _end_holds(connection, list(end_items(connection, rows, REQUESTED, now_ms, ACTOR)), "CONFIRMED", now_ms)

        for venue_id in venues:
            done += _note_lists(connection, venue_id)
            ready = _ready(connection, venue_id, now_ms, left_out)
            done += setbacks.act_on(connection, STEP, ready, lambda row: bytes(row.item_id.bytes), act, now_ms)
    return done


def _items_of(connection: Connection, ticket_number: str) -> Sequence[sa.Row[Any]]:
    rows = connection.execute(
        sa.select(
            order_item.c.id.label("item_id"),
            order_item.c.refundable,
            order_item.c.valid_to,
            order.c.id.label("order_id"),
            order.c.state,
            channel.c.refund_hold_h,
            item_claim.c.kind.label("claim_kind"),
            refund_hold.c.item_id.is_not(None).label("asked"),
        )
        .select_from(order_item)
        .join(ticket, ticket.c.id == order_item.c.ticket_id)
        .join(order, order.c.id == ticket.c.order_id)
        .join(channel, channel.c.name == order.c.channel)
        .outerjoin(item_claim, item_claim.c.item_id == order_item.c.id)
        .outerjoin(refund_hold, refund_hold.c.item_id == order_item.c.id)
        .where(ticket.c.number == ticket_number)
        .order_by(order_item.c.id)
        .with_for_update(of=order)
    ).all()
    if not rows:
        raise NotFoundError(f"no ticket with money in it has the number {ticket_number!r}")
    return rows


def _end_ended(connection: Connection, now_ms: int) -> int:
    """Requests for what had been used: what is left of a used right holds again. What is over went back by itself."""
    found = sa.select(refund_hold.c.item_id, item_claim.c.kind)
    found = found.join(item_claim, item_claim.c.item_id == refund_hold.c.item_id).where(_OPEN).limit(MAX_PER_STEP)
    rows = connection.execute(found).all()
    for ended_as, kinds in (("CONFIRMED", ("REFUND",)), ("REFUSED", ("REDEEM", "FORFEIT"))):
        item_ids = [row.item_id for row in rows if row.kind in kinds]
        if item_ids:
            _end_holds(connection, item_ids, ended_as, now_ms)
            relist_items(connection, item_ids)
    return len(rows)


def _note_lists(connection: Connection, venue_id: UUID) -> int:
    """Requests that the venue's list has said by now; how many."""
    held = connection.execute(sa.select(feed.c.epoch, feed.c.version).where(feed.c.venue_id == venue_id)).one_or_none()
    if held is None:
        return 0
    said = sa.select(entitlement.c.listed_version).where(entitlement.c.item_id == refund_hold.c.item_id)
    in_force = said.where(entitlement.c.listed_version <= held.version)
    noted = refund_hold.update().where(
        refund_hold.c.ended_as.is_(None),
        refund_hold.c.list_version.is_(None),
        refund_hold.c.item_id.in_(sa.select(order_item.c.id).where(order_item.c.venue_id == venue_id)),
        in_force.exists(),
    )
    values = {"list_epoch": held.epoch, "list_version": said.scalar_subquery()}
    return connection.execute(noted.values(values)).rowcount


def _ready(connection: Connection, venue_id: UUID, now_ms: int, left_out: Sequence[bytes]) -> Sequence[sa.Row[Any]]:
    known = confirmed_list(connection, venue_id, now_ms)
    over = refund_hold.c.deadline_ms <= now_ms
    listed = sa.tuple_(refund_hold.c.list_epoch, refund_hold.c.list_version)
    safe = over if known is None else sa.or_(over, listed <= sa.tuple_(*known))
    query = (
        unclaimed_items()
        .join(refund_hold, refund_hold.c.item_id == order_item.c.id)
        .where(_OPEN, order_item.c.venue_id == venue_id, safe)
        .where(order_item.c.id.not_in([UUID(bytes=one) for one in left_out]))
    )
    return connection.execute(query.order_by(refund_hold.c.requested_at_ms, order_item.c.id).limit(MAX_PER_STEP)).all()


def _end_holds(connection: Connection, item_ids: Sequence[UUID], ended_as: str, now_ms: int) -> None:
    mine = refund_hold.update().where(refund_hold.c.item_id.in_(item_ids), refund_hold.c.ended_as.is_(None))
    connection.execute(mine.values(ended_as=ended_as, ended_at_ms=now_ms))
