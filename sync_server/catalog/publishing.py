"""How a product comes to be sold: drafted, agreed to by the venues it owes something, reviewed by another person.

A venue publishes its single tickets 单票 into the pool 票池; the platform composes combos 联票 of several venues, and
annual passes 年票. A ticket's prices, and what is promised with it, change between sales only, as a new version that
goes the same way; a pass has the prices of its stock (`catalog.pass_stock`). The venues of a product never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals.approvals import Person
from sync_server.audit.log import record
from sync_server.catalog.products import (
    DEADLINES,
    PROMISES,
    NewProduct,
    add_product,
    add_version,
    check_limits,
    check_prices,
    check_ranges,
    find_product,
    venue_prices,
)
from sync_server.catalog.sale import checked_reason, move
from sync_server.catalog.stock import add_stock, raise_total
from sync_server.catalog.tables import product, product_agreement, stock
from sync_server.errors import NotAllowedError
from sync_server.parties.parties import find_party
from sync_server.people.permissions import Permission, need
from sync_server.people.tables import operator


def draft(connection: Connection, who: Person, new: NewProduct, now_ms: int) -> int:
    """Draft a single ticket of the person's own venue, a combo or an annual pass; its number."""
    _need_author(connection, who, new.kind, new.venue_prices_fen)
    check_limits(new)
    product_id = add_product(connection, new, now_ms, sale="DRAFT", actor=who.actor)
    number: int = connection.scalars(sa.select(product.c.number).where(product.c.id == product_id)).one()
    record(connection, now_ms, who.actor, "product.draft", f"product:{product_id}", {"number": number})
    return number


def submit(connection: Connection, who: Person, number: int, now_ms: int) -> None:
    """Ask the platform to review a draft."""
    row = find_product(connection, number)
    _need_author(connection, who, row.kind, venue_prices(connection, row.id))
    move(connection, row.id, "submit", submitted_by=who.actor)
    record(connection, now_ms, who.actor, "product.submit", f"product:{row.id}", {"version": row.version})


def agree(connection: Connection, who: Person, number: int, venue_price_fen: int, now_ms: int) -> None:
    """Agree for the person's venue to its price in a combo; the price is said again, so that it is the one they saw."""
    row = find_product(connection, number)
    need(who, Permission.PRICES_AGREE)
    venue_id = organisation_of(connection, who)
    if row.kind != "COMBO":
        raise NotAllowedError(f"product {number} is no combo: its venue sets the price itself")
    state = move(connection, row.id, "agree")
    row = find_product(connection, number)  # as it is now that nobody else changes it
    price_fen = venue_prices(connection, row.id).get(venue_id)
    if price_fen is None:
        raise NotAllowedError(f"product {number} does not open your venue")
    if price_fen != venue_price_fen:
        raise NotAllowedError(f"your price in version {row.version} of product {number} is {price_fen} fen")
    if venue_id in agreed_venues(connection, row.id, row.version):
        return
    agreed = {"product_id": row.id, "version": row.version, "venue_id": venue_id}
    connection.execute(product_agreement.insert().values(**agreed, agreed_at_ms=now_ms, actor=who.actor))
    detail = {"version": row.version, "venue": str(venue_id), "venue_price_fen": price_fen, "state": state}
    record(connection, now_ms, who.actor, "product.agree", f"product:{row.id}", detail)


def approve(connection: Connection, who: Person, number: int, now_ms: int) -> None:
    """Put on sale what was reviewed."""
    row = find_product(connection, number)
    need(who, Permission.PRODUCTS_REVIEW)
    move(connection, row.id, "approve")
    row = find_product(connection, number)
    if row.submitted_by == who.actor:
        raise NotAllowedError("a review needs another person than the one who submitted it")
    lacking = venue_prices(connection, row.id).keys() - agreed_venues(connection, row.id, row.version)
    if row.kind == "COMBO" and lacking:
        raise NotAllowedError(f"{len(lacking)} venues of product {number} have not agreed to their price")
    record(connection, now_ms, who.actor, "product.approve", f"product:{row.id}", {"version": row.version})


def send_back(connection: Connection, who: Person, number: int, reason: str, now_ms: int) -> None:
    """Give a product back to who submitted it; it is a draft again."""
    row = find_product(connection, number)
    need(who, Permission.PRODUCTS_REVIEW)
    reason = checked_reason(reason)
    move(connection, row.id, "send_back")
    detail = {"version": row.version, "reason": reason}
    record(connection, now_ms, who.actor, "product.send_back", f"product:{row.id}", detail)


def reprice(
    connection: Connection,
    who: Person,
    number: int,
    dist_price_fen: int,
    venue_prices_fen: Mapping[UUID, int],
    now_ms: int,
) -> int:
    """Give a ticket that is not on sale new prices, for all its venues; the version."""
    row = find_product(connection, number)
    if row.kind == "PASS":
        raise NotAllowedError("an annual pass has the prices of its stock: change those (stock price)")
    _need_author(connection, who, row.kind, venue_prices_fen)
    move(connection, row.id, "reprice", submitted_by=None)
    before = venue_prices(connection, row.id)
    if before.keys() != venue_prices_fen.keys():
        raise NotAllowedError("a new version has prices for the same venues: other venues are another product")
    check_prices(row.kind, dist_price_fen, venue_prices_fen)
    version: int = find_product(connection, number).version + 1
    add_version(connection, row.id, version, dist_price_fen, venue_prices_fen, now_ms, who.actor)
    connection.execute(stock.update().where(stock.c.product_id == row.id).values(price_fen=dist_price_fen))
    detail = {"version": version, "dist_price_fen": dist_price_fen, "owed_fen": sum(venue_prices_fen.values())}
    record(connection, now_ms, who.actor, "product.reprice", f"product:{row.id}", detail)
    return version


def revise(connection: Connection, who: Person, number: int, asked: Mapping[str, Any], now_ms: int) -> int:
    """Give a product that is not on sale other deadlines, or promise something else with a ticket; the version.

    How long it is valid, how soon it opens and whether it asks for a holder are what it is, as its venues are.
    """
    row = find_product(connection, number)
    _need_author(connection, who, row.kind, venue_prices(connection, row.id))
    move(connection, row.id, "revise", submitted_by=None)
    row = find_product(connection, number)  # as it is now that nobody else changes it
    settings = DEADLINES if row.kind == "PASS" else (*DEADLINES, *PROMISES)
    if unknown := sorted(asked.keys() - set(settings)):
        raise NotAllowedError(f"of a {row.kind} can be revised: {', '.join(settings)}; not {', '.join(unknown)}")
    check_ranges(asked)
    before = {name: getattr(row, name) for name in asked}
    if asked == before:
        raise NotAllowedError(f"product {number} is sold so already: name what is to change")
    version: int = row.version + 1
    prices = venue_prices(connection, row.id)
    add_version(connection, row.id, version, row.dist_price_fen, prices, now_ms, who.actor)
    connection.execute(product.update().where(product.c.id == row.id).values(asked))
    detail = {"version": version, "before": before, "after": dict(asked)}
    record(connection, now_ms, who.actor, "product.revise", f"product:{row.id}", detail)
    return version


def set_stock(connection: Connection, who: Person, number: int, total: int, now_ms: int) -> None:
    """Say how many of a ticket there are in all; fewer than before is refused (money.md Q21)."""
    row = find_product(connection, number)
    if row.kind == "PASS":
        raise NotAllowedError("an annual pass has rows of stock, each at its price (stock add, stock raise)")
    _need_author(connection, who, row.kind, venue_prices(connection, row.id))
    connection.execute(sa.select(product.c.id).where(product.c.id == row.id).with_for_update())
    there = connection.scalars(sa.select(stock.c.id).where(stock.c.product_id == row.id)).all()
    if len(there) > 1:
        raise NotAllowedError(f"product {number} has {len(there)} rows of stock: raise each of them")
    if there:
        raise_total(connection, there[0], total)
    else:
        add_stock(connection, row.id, row.dist_price_fen, total, now_ms)
    record(connection, now_ms, who.actor, "product.stock", f"product:{row.id}", {"total": total})


def agreed_venues(connection: Connection, product_id: UUID, version: int) -> set[UUID]:
    """The venues that agreed to their price of a version."""
    mine = sa.and_(product_agreement.c.product_id == product_id, product_agreement.c.version == version)
    return set(connection.scalars(sa.select(product_agreement.c.venue_id).where(mine)))


def organisation_of(connection: Connection, who: Person) -> UUID:
    """The party whose operator a person is."""
    found: UUID = connection.scalars(sa.select(operator.c.party_id).where(operator.c.id == who.id)).one()
    return found


def _need_author(connection: Connection, who: Person, kind: str, venues: Mapping[UUID, Any]) -> None:
    """Who drafts, submits and prices it: its venue's person a single ticket, the platform's all else."""
    need(who, Permission.PRODUCTS_PUBLISH if kind == "SINGLE" else Permission.PRODUCTS_COMPOSE)
    if kind == "SINGLE" and set(venues) != {organisation_of(connection, who)}:
        raise NotAllowedError("a venue publishes tickets of its own alone")
    if kind == "SINGLE" and find_party(connection, organisation_of(connection, who)).kind != "VENUE":
        raise NotAllowedError("a single ticket is drafted by its venue's own people: you are of none")
