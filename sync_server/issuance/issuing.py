"""Worker steps: a paid order gets its passes, all or none; a holder's ID number becomes a card credential."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from stdnum import luhn

from sync_server import setbacks
from sync_server.catalog.tables import product, product_item
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.issuance.tables import entitlement, issued_pass, pass_token
from sync_server.issuance.versions import BELIEVED_LISTED_ALONE, next_listed
from sync_server.keys.pairs import SigningKey, open_pass_key
from sync_server.orders.progress import issuing_failed, mark_issued, orders_to_issue
from sync_server.orders.states import AWAITING_ISSUE
from sync_server.orders.tables import holder, order, order_item, ticket
from sync_server.parties.tables import venue
from wire import moments
from wire.token import PASS_ID_BYTES, Claims, Scope, evidence_of, sign_token

ACTOR = "system:issuance"
STEP = "issuance.issue_paid_orders"
NUMBER_DIGITS = 16
HOUR_MS = 3_600_000


def issue_paid_orders(centre: Centre) -> int:
    """Worker step: every paid order without passes gets them, one transaction per order; how many were issued.

    One that cannot be issued is put aside and holds up no other.
    """
    with centre.read() as connection:
        left_out = [UUID(bytes=one) for one in setbacks.left_out(connection, STEP, centre.now_ms())]
        waiting = [row.id for row in orders_to_issue(connection, left_out)]
    return sum(_try(centre, order_id) for order_id in waiting)


def _try(centre: Centre, order_id: UUID) -> bool:
    try:
        return issue_order(centre, order_id)
    except Exception as error:  # whatever it was, the others are to be issued; it is told with the order
        with centre.write() as connection:
            now_ms = centre.now_ms()
            setbacks.put_aside(connection, STEP, order_id.bytes, error, now_ms)
            if issuing_failed(connection, order_id, str(error)[:200], now_ms, ACTOR):
                setbacks.forget(connection, STEP, [order_id.bytes])
        return False


def issue_order(centre: Centre, order_id: UUID, token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> bool:
    """Issue one order in a transaction of its own; False when another worker has done it already."""
    with centre.write() as connection:
        bought = connection.execute(
            sa.select(order.c.state, order.c.number.label("order_number"), order.c.starts_at_ms, product)
            .join(product, product.c.id == order.c.product_id)
            .where(order.c.id == order_id)
            .with_for_update(of=order)
        ).one()
        if bought.state not in AWAITING_ISSUE:
            return False
        now_ms = centre.now_ms()
        not_before, not_after = validity(bought, now_ms, ZoneInfo(centre.settings.zone))
        key = open_pass_key(connection, centre.secrets)
        if moments.minute_ms(not_after) > key.not_after_ms:
            raise NotAllowedError(
                f"the pass key {key.id} ends before what order {bought.order_number} buys: create and start a new one"
            )
        rows = _lay_out(connection, order_id, bought, (not_before, not_after), key, now_ms, token_bytes)
        for table in (issued_pass, pass_token, entitlement):
            connection.execute(table.insert(), rows[table.name])
        mark_issued(connection, order_id, not_before, not_after, now_ms, ACTOR)
        setbacks.forget(connection, STEP, [order_id.bytes])
    return True


def validity(bought: sa.Row[Any], now_ms: int, zone: ZoneInfo) -> tuple[int, int]:
    """Minutes [from, until): from the activation delay on, to the end of the last local day of `validity_days`.

    A renewal counts its days from the end of the pass it renews, and opens no earlier.
    """
    starts_ms = max(now_ms, bought.starts_at_ms or 0)
    first_day = datetime.fromtimestamp(starts_ms / 1000, zone).date()
    end = datetime.combine(first_day + timedelta(days=bought.validity_days), datetime.min.time(), zone)
    # A delay is never cut short; without one the ticket opens at once, not at the next full minute.
    begins_ms = max(starts_ms, now_ms + bought.activation_delay_h * HOUR_MS)
    not_before = moments.minute_ceil(begins_ms) if bought.activation_delay_h else moments.minute_floor(begins_ms)
    not_after = moments.minute_ceil(int(end.timestamp() * 1000))
    if not_before >= not_after:
        raise NotAllowedError(f"product {bought.number} would end before it begins: its validity is too short")
    return not_before, not_after


def new_number(token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A pass number 票号: digits of chance with a check digit, so that a slip of the tongue finds no other pass."""
    span = 9 * 10 ** (NUMBER_DIGITS - 2)
    body = str(10 ** (NUMBER_DIGITS - 2) + int.from_bytes(token_bytes(16), "big") % span)
    return body + luhn.calc_check_digit(body)


def _lay_out(
    connection: Connection,
    order_id: UUID,
    bought: sa.Row[Any],
    span: tuple[int, int],
    key: SigningKey,
    now_ms: int,
    token_bytes: Callable[[int], bytes],
) -> dict[str, list[dict[str, Any]]]:
    """The rows of one order's passes by table."""
    venues = connection.execute(
        sa.select(venue.c.id, venue.c.number)
        .join(product_item, product_item.c.venue_id == venue.c.id)
        .where(product_item.c.product_id == bought.id)
    ).all()
    scope_kind, scope = Scope.LIST, 0
    if bought.kind != "PASS" and len(venues) == 1:
        scope_kind, scope = Scope.VENUE, venues[0].number
    issued_version = next_listed(connection)
    rows: dict[str, list[dict[str, Any]]] = {issued_pass.name: [], pass_token.name: [], entitlement.name: []}
    for one in _tickets(connection, order_id):
        bound = one.has_holder or not bought.holder_required
        version = issued_version if bound else BELIEVED_LISTED_ALONE
        claims = Claims(token_bytes(PASS_ID_BYTES), bought.number, scope_kind, scope, *span, 1, version)
        token = sign_token(claims, key.id, key.private)
        rows[issued_pass.name].append(
            {
                "id": claims.pass_id,
                "number": new_number(token_bytes),
                "ticket_id": one.id,
                "product_id": bought.id,
                "status": "ACTIVE" if bound else "NOT_BOUND",
                "id_number_due": one.has_id_number,
                "issue": claims.issue,
                "not_before": claims.not_before,
                "not_after": claims.not_after,
                "issued_at_ms": now_ms,
            }
        )
        rows[pass_token.name].append(
            {
                "pass_id": claims.pass_id,
                "issue": claims.issue,
                "token": token,
                "evidence": evidence_of(token),
                "key_id": key.id,
                "issued_version": version,
                "signed_at_ms": now_ms,
            }
        )
        items = _items(connection, one.id)
        rows[entitlement.name] += [
            {"pass_id": claims.pass_id, "venue_id": place.id, "item_id": items.get(place.id), "listed_version": None}
            for place in venues
        ]
    return rows


def _tickets(connection: Connection, order_id: UUID) -> Sequence[sa.Row[Any]]:
    return connection.execute(
        sa.select(
            ticket.c.id,
            holder.c.ticket_id.is_not(None).label("has_holder"),
            holder.c.id_number_index.is_not(None).label("has_id_number"),
        )
        .outerjoin(holder, holder.c.ticket_id == ticket.c.id)
        .where(ticket.c.order_id == order_id)
        .order_by(ticket.c.seq)
    ).all()


def _items(connection: Connection, ticket_id: UUID) -> dict[UUID, UUID]:
    """The item at each venue; an annual pass has none."""
    rows = connection.execute(
        sa.select(order_item.c.venue_id, order_item.c.id).where(order_item.c.ticket_id == ticket_id)
    )
    return {row.venue_id: row.id for row in rows}
