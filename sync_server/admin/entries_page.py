"""入园记录: what the gates reported, newest first: entries and what they counted as, refusals and why."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import render_template
from sqlalchemy.engine import Connection

from sync_server.admin import filters
from sync_server.admin.access import page
from sync_server.admin.paging import Page, keyset_page
from sync_server.admin.reason_words import REASON_WORDS
from sync_server.admin.shown import centre
from sync_server.admin.words import CHIPS, PRESENTATION_WORDS
from sync_server.catalog.tables import product
from sync_server.gates.tables import device
from sync_server.issuance.tables import issued_pass
from sync_server.orders.tables import holder
from sync_server.parties.tables import party, venue
from sync_server.people.permissions import Permission
from sync_server.redemptions.tables import OUTCOMES, entry, redemption
from wire.messages import EntryKind

HERE = "admin.entries"
# What is a row of its own; the outcome of an intent, a shift and an event are told by the rows they belong to.
SHOWN = (EntryKind.INTENT, EntryKind.REFUSED, EntryKind.MANUAL)
RARE = frozenset(OUTCOMES) - {"CLAIMED", "PASS_VISIT"}


def entry_state() -> sa.ColumnElement[str]:
    """What an entry counted as; REFUSED by the gate; NOT_ENTERED while nobody is known to have passed."""
    return sa.func.coalesce(
        redemption.c.outcome, sa.case((entry.c.kind == EntryKind.REFUSED, "REFUSED"), else_="NOT_ENTERED")
    )


@page("/entries", needs=Permission.ENTRIES_VIEW)
def entries() -> str:
    with centre().read() as connection:
        venues = venue_choices(connection)
        found, arguments = _found(connection)
    words = {"reasons": REASON_WORDS, "presentations": PRESENTATION_WORDS}
    return render_template("admin/entries.html", here=HERE, page=found, arguments=arguments, venues=venues, **words)


def _found(connection: Connection) -> tuple[Page, dict[str, str]]:
    arguments = filters.asked("venue", "state", "pass", "from", "to", "before", "after")
    query = (
        sa.select(
            entry.c.kind,
            entry.c.lane,
            entry.c.presentation,
            entry.c.reason,
            entry.c.occurred_at_ms,
            entry.c.received_at_ms,
            redemption.c.cause,
            entry_state().label("state"),
            device.c.name.label("device_name"),
            party.c.name_zh.label("venue_zh"),
            party.c.name_en.label("venue_en"),
            product.c.name_zh,
            product.c.name_en,
            issued_pass.c.number,
            holder.c.name_masked,
        )
        .select_from(entry)
        .join(device, device.c.id == entry.c.device_id)
        .join(party, party.c.id == entry.c.venue_id)
        .outerjoin(
            redemption,
            sa.and_(*(redemption.c[name] == entry.c[name] for name in ("device_id", "incarnation", "seq"))),
        )
        .outerjoin(issued_pass, issued_pass.c.id == entry.c.pass_id)
        .outerjoin(product, product.c.id == issued_pass.c.product_id)
        .outerjoin(holder, holder.c.ticket_id == issued_pass.c.ticket_id)
        .where(entry.c.kind.in_(SHOWN))
    )
    if number := arguments.get("venue"):
        place = sa.select(venue.c.id).where(venue.c.number == (int(number) if number.isdecimal() else 0))
        query = query.where(entry.c.venue_id == place.scalar_subquery())
    if state := filters.one_of(arguments.get("state"), CHIPS["redemption"]):
        # Rare outcomes are found by their index, common ones by walking back in time.
        query = query.where(redemption.c.outcome == state if state in RARE else entry_state() == state)
    if "pass" in arguments:
        query = query.where(issued_pass.c.number == "".join(arguments["pass"].split()))
    start_ms, end_ms = filters.day_span_ms(arguments)
    if start_ms is not None:
        query = query.where(entry.c.occurred_at_ms >= start_ms)
    if end_ms is not None:
        query = query.where(entry.c.occurred_at_ms < end_ms)
    place_columns = (entry.c.occurred_at_ms, entry.c.device_id, entry.c.incarnation, entry.c.seq)
    return keyset_page(connection, query, place_columns, arguments), arguments


def venue_choices(connection: Connection) -> list[sa.Row[Any]]:
    """Every venue by its number, for a filter."""
    query = sa.select(venue.c.id, venue.c.number, party.c.name_zh, party.c.name_en)
    return list(connection.execute(query.join(party, party.c.id == venue.c.id).order_by(venue.c.number)))
