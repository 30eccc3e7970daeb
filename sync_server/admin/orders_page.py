"""年票订单管理 and 门票订单: orders with filters, and one order with its history, payments, tickets and postings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import abort, render_template, request
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response

from sync_server import setbacks
from sync_server.admin import filters
from sync_server.admin.access import page
from sync_server.admin.actors import names_of
from sync_server.admin.language import named
from sync_server.admin.paging import Page, keyset_page
from sync_server.admin.passes_page import pass_state
from sync_server.admin.shown import centre
from sync_server.admin.words import CHIPS, DISCOUNT_WORDS, ORDER_EVENT_WORDS, TRANSFER_KIND_WORDS
from sync_server.catalog.channels import all_channels
from sync_server.catalog.tables import product
from sync_server.issuance import issuing
from sync_server.issuance.tables import issued_pass
from sync_server.orders.states import AWAITING_ISSUE
from sync_server.orders.tables import holder, order, order_history, order_item, ticket
from sync_server.parties.tables import party
from sync_server.people.permissions import Permission
from sync_server.settlement.item_status import refund_statuses, statuses_of
from sync_server.settlement.order_money import money_of

PLAIN = ("number", "state", "channel", "from", "to")
MAX_TICKETS_SHOWN = 200  # as many as an order can have


@page("/orders", needs=Permission.ORDERS_VIEW, methods=("GET", "POST"))
def pass_orders() -> str | Response:
    return _list("PASS", "admin.pass_orders")


@page("/ticket-orders", needs=Permission.ORDERS_VIEW, methods=("GET", "POST"))
def ticket_orders() -> str | Response:
    return _list("TICKET", "admin.ticket_orders")


def _list(kind: str, here: str) -> str | Response:
    if request.method == "POST":
        return filters.search_by_post(here, PLAIN, {"phone": str})
    with centre().read() as connection:
        words = _words(connection, kind, here)
        listed = _listed(connection, kind)
    return render_template("admin/orders.html", **words, **listed)


def _listed(connection: Connection, kind: str) -> dict[str, Any]:
    found, arguments = _found(connection, kind)
    return {
        "page": found,
        "arguments": arguments,
        "refunds": refund_statuses(connection, [row.id for row in found.rows]),
    }


def _words(connection: Connection, kind: str, here: str) -> dict[str, Any]:
    channels = {row.name: named(row.name, row.name_en) for row in all_channels(connection)}
    words = {"events": ORDER_EVENT_WORDS, "discounts": DISCOUNT_WORDS, "transfer_kinds": TRANSFER_KIND_WORDS}
    return {"here": here, "kind": kind, "channels": channels, **words}


def _found(connection: Connection, kind: str) -> tuple[Page, dict[str, str]]:
    """The page of the list that the address asks for, newest first."""
    arguments = filters.asked(*PLAIN, "phone", "before", "after")
    query = (
        sa.select(
            order.c.id,
            order.c.number,
            order.c.state,
            order.c.hold,
            order.c.channel,
            order.c.count,
            order.c.paid_fen,
            (order.c.dist_price_fen + order.c.charge_fee_fen).label("due_fen"),
            order.c.placed_at_ms,
            order.c.buyer_phone_masked,
            product.c.name_zh,
            product.c.name_en,
            party.c.name_zh.label("distributor_zh"),
            party.c.name_en.label("distributor_en"),
            holder.c.name_masked,
        )
        .select_from(order)
        .join(product, product.c.id == order.c.product_id)
        .outerjoin(party, party.c.id == order.c.distributor_id)
        .outerjoin(ticket, sa.and_(ticket.c.order_id == order.c.id, ticket.c.seq == 1))
        .outerjoin(holder, holder.c.ticket_id == ticket.c.id)
        .where(order.c.kind == kind)
    )
    if "number" in arguments:
        query = query.where(order.c.number == arguments["number"])
    if state := filters.one_of(arguments.get("state"), CHIPS[kind]):
        query = query.where(order.c.state == state)
    if channel := filters.one_of(arguments.get("channel"), [row.name for row in all_channels(connection)]):
        query = query.where(order.c.channel == channel)
    if phone := filters.index_of(arguments.get("phone")):
        query = query.where(order.c.buyer_phone_index == phone)
    start_ms, end_ms = filters.day_span_ms(arguments)
    if start_ms is not None:
        query = query.where(order.c.placed_at_ms >= start_ms)
    if end_ms is not None:
        query = query.where(order.c.placed_at_ms < end_ms)
    found = keyset_page(connection, query, (order.c.placed_at_ms, order.c.id), arguments)
    return found, arguments


@page("/orders/<order_number>", needs=Permission.ORDERS_VIEW)
def order_detail(order_number: str) -> str:
    """One order over the list it was opened from."""
    with centre().read() as connection:
        row = connection.execute(
            sa.select(
                order,
                product.c.name_zh,
                product.c.name_en,
                party.c.name_zh.label("distributor_zh"),
                party.c.name_en.label("distributor_en"),
            )
            .join(product, product.c.id == order.c.product_id)
            .outerjoin(party, party.c.id == order.c.distributor_id)
            .where(order.c.number == order_number)
        ).one_or_none()
        if row is None:
            abort(404)
        listed = _listed(connection, row.kind)
        history = connection.execute(
            sa.select(order_history).where(order_history.c.order_id == row.id).order_by(order_history.c.seq.desc())
        ).all()
        tickets = _tickets(connection, row.id)
        shown = {
            "order": row,
            "history": history,
            "actors": names_of(connection, (event.actor for event in history)),
            "tickets": tickets,
            "stuck": setbacks.of(connection, issuing.STEP, row.id.bytes) if row.state in AWAITING_ISSUE else None,
            "refund": refund_statuses(connection, [row.id]).get(row.id),
            "statuses": {status.item_id: status for status in statuses_of(connection, row.id)},
            **money_of(connection, row.id, row.payment_group)._asdict(),
        }
        here = "admin.pass_orders" if row.kind == "PASS" else "admin.ticket_orders"
        words = _words(connection, row.kind, here)
    return render_template("admin/order.html", **words, **listed, **shown)


def _tickets(connection: Connection, order_id: UUID) -> list[sa.Row[Any]]:
    """One row per item: a ticket at a venue, with its pass and its masked holder."""
    query = (
        sa.select(
            ticket.c.number,
            ticket.c.dist_price_fen,
            order_item.c.id.label("item_id"),
            order_item.c.venue_price_fen,
            order_item.c.payout_fee_fen,
            party.c.name_zh,
            party.c.name_en,
            holder.c.name_masked,
            issued_pass.c.number.label("pass_number"),
            pass_state(centre().now_ms()).label("pass_state"),
        )
        .select_from(ticket)
        .join(order, order.c.id == ticket.c.order_id)
        .outerjoin(order_item, order_item.c.ticket_id == ticket.c.id)
        .outerjoin(party, party.c.id == order_item.c.venue_id)
        .outerjoin(holder, holder.c.ticket_id == ticket.c.id)
        .outerjoin(issued_pass, issued_pass.c.ticket_id == ticket.c.id)
        .where(ticket.c.order_id == order_id)
        .order_by(ticket.c.seq, party.c.org_number)
        .limit(MAX_TICKETS_SHOWN)
    )
    return list(connection.execute(query))
