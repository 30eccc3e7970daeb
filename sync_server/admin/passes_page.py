"""出票记录: the annual passes issued, holders masked; one pass with its code; the full data with a reason, logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from flask import Response, abort, render_template, request
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response as AnyResponse

from sync_server.admin import filters
from sync_server.admin.access import page, who
from sync_server.admin.paging import Page, keyset_page
from sync_server.admin.shown import centre
from sync_server.admin.words import CHIPS, REVEAL_REASONS
from sync_server.audit import log
from sync_server.catalog.tables import product
from sync_server.issuance.passes import token_of
from sync_server.issuance.qr import qr_svg
from sync_server.issuance.tables import entitlement, issued_pass
from sync_server.orders.holders import holder_of
from sync_server.orders.tables import holder, order, ticket
from sync_server.parties.tables import party
from sync_server.people.permissions import Permission
from sync_server.redemptions.tables import redemption
from sync_server.settlement.item_status import statuses_of
from wire.credential import normal_id_number
from wire.moments import minute_floor

HERE = "admin.issued_passes"
PLAIN = ("number", "state", "from", "to")
PERSONAL: dict[str, Callable[[str], str]] = {"name": str, "id_number": normal_id_number, "phone": str}
MIN_NOTE_CHARACTERS = 5
MAX_NOTE_CHARACTERS = 200
REVEAL_S = 60


def pass_state(now_ms: int) -> sa.Case[str]:
    """What a pass shows, as `issuance.pass_states.derived` says it; over the pass joined with its order."""
    now = minute_floor(now_ms)
    revoked = issued_pass.c.status == "REVOKED"
    return sa.case(
        (sa.and_(revoked, order.c.state.in_(("REFUNDING", "REFUND_FAILED"))), "REFUNDING"),
        (sa.and_(revoked, order.c.state == "REFUNDED"), "REFUNDED"),
        (issued_pass.c.status != "ACTIVE", issued_pass.c.status),
        (issued_pass.c.not_before > now, "WAITING"),
        (issued_pass.c.not_after <= now, "EXPIRED"),
        else_="ACTIVE",
    )


@page("/passes", needs=Permission.PASSES_VIEW, methods=("GET", "POST"))
def issued_passes() -> str | AnyResponse:
    if request.method == "POST":
        return filters.search_by_post(HERE, PLAIN, PERSONAL)
    with centre().read() as connection:
        found, arguments = _found(connection)
    return render_template("admin/passes.html", here=HERE, page=found, arguments=arguments)


def _select() -> sa.Select[Any]:
    return (
        sa.select(
            issued_pass.c.id,
            issued_pass.c.number,
            issued_pass.c.not_before,
            issued_pass.c.not_after,
            issued_pass.c.issued_at_ms,
            pass_state(centre().now_ms()).label("state"),
            ticket.c.id.label("ticket_id"),
            order.c.id.label("order_id"),
            order.c.number.label("order_number"),
            order.c.buyer_phone_masked,
            order.c.placed_at_ms,
            product.c.kind,
            product.c.name_zh,
            product.c.name_en,
            holder.c.name_masked,
            holder.c.id_number_masked,
            holder.c.phone_masked,
            party.c.name_zh.label("distributor_zh"),
            party.c.name_en.label("distributor_en"),
        )
        .select_from(issued_pass)
        .join(ticket, ticket.c.id == issued_pass.c.ticket_id)
        .join(order, order.c.id == ticket.c.order_id)
        .join(product, product.c.id == issued_pass.c.product_id)
        .outerjoin(holder, holder.c.ticket_id == ticket.c.id)
        .outerjoin(party, party.c.id == order.c.distributor_id)
    )


def _found(connection: Connection) -> tuple[Page, dict[str, str]]:
    arguments = filters.asked(*PLAIN, *PERSONAL, "before", "after")
    query = _select().where(product.c.kind == "PASS")  # tickets have a list of their own, 门票订单
    if "number" in arguments:
        query = query.where(issued_pass.c.number == "".join(arguments["number"].split()))
    if state := filters.one_of(arguments.get("state"), CHIPS["pass"]):
        query = query.where(pass_state(centre().now_ms()) == state)
    for kind in PERSONAL:
        if index := filters.index_of(arguments.get(kind)):
            query = query.where(holder.c[f"{kind}_index"] == index)
    start_ms, end_ms = filters.day_span_ms(arguments)
    if start_ms is not None:
        query = query.where(issued_pass.c.issued_at_ms >= start_ms)
    if end_ms is not None:
        query = query.where(issued_pass.c.issued_at_ms < end_ms)
    return keyset_page(connection, query, (issued_pass.c.issued_at_ms, issued_pass.c.id), arguments), arguments


def _one(connection: Connection, number: str) -> sa.Row[Any]:
    row = connection.execute(_select().where(issued_pass.c.number == number)).one_or_none()
    if row is None:
        abort(404)
    return row


@page("/passes/<pass_number>", needs=Permission.PASSES_VIEW)
def pass_detail(pass_number: str) -> str:
    return _detail(pass_number)


def _detail(number: str, **more: Any) -> str:
    with centre().read() as connection:
        row = _one(connection, number)
        listed, arguments = _found(connection)
        venues = connection.execute(
            sa.select(party.c.name_zh, party.c.name_en)
            .join(entitlement, entitlement.c.venue_id == party.c.id)
            .where(entitlement.c.pass_id == row.id)
            .order_by(party.c.org_number)
        ).all()
        counted = redemption.c.outcome.in_(("CLAIMED", "PASS_VISIT"))
        visits = connection.scalar(
            sa.select(sa.func.count()).select_from(redemption).where(redemption.c.pass_id == row.id, counted)
        )
        usages = sorted({one.usage for one in statuses_of(connection, row.order_id) if one.ticket_id == row.ticket_id})
    shown = {"issued": row, "usages": usages, "venues": venues, "visits": visits, **more}
    return render_template("admin/pass.html", here=HERE, page=listed, arguments=arguments, **shown)


@page("/passes/<pass_number>/code.svg", needs=Permission.PASSES_REVEAL)
def pass_code(pass_number: str) -> Response:
    """The pass code as the visitor shows it: whoever holds it gets in, so every look is logged."""
    with centre().write() as connection:
        token = token_of(connection, _one(connection, pass_number).id)
        log.record(connection, centre().now_ms(), who().actor, "pass.code_shown", f"pass:{pass_number}", {})
    return Response(qr_svg(token), mimetype="image/svg+xml")


@page("/passes/<pass_number>/reveal", needs=Permission.PASSES_REVEAL, methods=("GET", "POST"))
def reveal_holder(pass_number: str) -> str | tuple[str, int]:
    """Name and numbers in full for REVEAL_S seconds: GET asks why, POST logs the answer and shows them."""
    reason, note = request.form.get("reason", ""), request.form.get("note", "").strip()[:MAX_NOTE_CHARACTERS]
    with centre().read() as connection:
        if _one(connection, pass_number).name_masked is None:
            abort(404)  # a bearer ticket: nobody to show
    asked = {"reveal": "ask", "reasons": REVEAL_REASONS, "reason": reason, "note": note, "seconds": REVEAL_S}
    if request.method == "GET":
        return _detail(pass_number, **asked)
    if reason not in REVEAL_REASONS or len(note) < MIN_NOTE_CHARACTERS:
        return _detail(pass_number, **asked, too_short=True), 400
    with centre().write() as connection:
        person = holder_of(connection, centre().secrets, _one(connection, pass_number).ticket_id)
        detail = {"reason": reason, "note": note}
        log.record(connection, centre().now_ms(), who().actor, "person.revealed", f"pass:{pass_number}", detail)
    return _detail(pass_number, reveal="shown", person=person, seconds=REVEAL_S)
