"""A combo that went the whole way to its sale: composed by one person, agreed to by its venues, reviewed by another."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import sqlalchemy as sa

from sync_server.catalog import publishing
from sync_server.catalog.products import NewProduct, find_product
from sync_server.catalog.stock import add_stock
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.parties.tables import party
from tests.sync_server.operators import employ


def combo_on_sale(
    centre: Centre,
    dist_price_fen: int,
    venue_prices_fen: Mapping[UUID, int],
    *,
    days: int = 30,
    on_expiry: str = "REFUND",
    invest_basis: str = "DIST_PRICE",
    pay_deadline_min: int = 30,
) -> int:
    """Its number; the organisation 1000 is the platform."""
    now_ms, run = centre.now_ms(), centre.new_id().hex[-6:]
    composer, reviewer = (employ(centre, f"{name}-{run}", "operations") for name in ("composer", "reviewer"))
    with centre.read() as connection:
        named = sa.select(party.c.id, party.c.org_number).where(party.c.id.in_(list(venue_prices_fen)))
        organisations = {row.id: row.org_number for row in connection.execute(named)}
    managers = {
        venue_id: employ(centre, f"manager-{run}", "venue_manager", organisations[venue_id])
        for venue_id in venue_prices_fen
    }
    new = NewProduct(
        "COMBO",
        "联票",
        "Combo",
        dist_price_fen,
        venue_prices_fen,
        days,
        total=1,
        on_expiry=on_expiry,
        invest_basis=invest_basis,
    )
    with centre.write() as connection:
        number = publishing.draft(connection, composer, new, now_ms)
        for venue_id, manager in managers.items():
            publishing.agree(connection, manager, number, venue_prices_fen[venue_id], now_ms)
        publishing.submit(connection, composer, number, now_ms)
        publishing.approve(connection, reviewer, number, now_ms)
        combo_id = find_product(connection, number).id
        deadline = {"pay_deadline_min": pay_deadline_min}  # longer than anybody may ask for, where a test needs that
        connection.execute(product.update().where(product.c.id == combo_id).values(deadline))
        add_stock(connection, combo_id, dist_price_fen, 1_000, now_ms)
    return number
