"""Adding and finding products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server.catalog.tables import product, product_item
from sync_server.db import new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.parties.parties import allot_number


@dataclass(frozen=True)
class NewProduct:
    """What is asked of a product; prices in fen. `venue_prices_fen` names the venues it opens (0 each for a pass)."""

    kind: str
    name_zh: str
    name_en: str
    dist_price_fen: int
    venue_prices_fen: Mapping[UUID, int]
    validity_days: int
    activation_delay_h: int = 0
    per_day: int | None = None
    total: int | None = None
    offline_limit: int = 20
    max_unlisted_age_h: int = 24
    pay_deadline_min: int = 30
    holder_required: bool = False
    on_expiry: str = "REFUND"
    refundable: bool = True


def add_product(connection: Connection, new: NewProduct, now_ms: int) -> UUID:
    """Add a product and give it its number. A ticket may not cost less than its venues are owed (money.md Q7)."""
    owed_fen = sum(new.venue_prices_fen.values())
    if new.dist_price_fen < owed_fen:
        raise NotAllowedError(f"the price of {new.dist_price_fen} fen is below the {owed_fen} fen its venues are owed")
    if not new.venue_prices_fen or (new.kind == "SINGLE" and len(new.venue_prices_fen) != 1):
        raise NotAllowedError(f"a {new.kind} cannot open {len(new.venue_prices_fen)} venues")
    if (new.kind == "PASS") != (owed_fen == 0) or (owed_fen and 0 in new.venue_prices_fen.values()):
        raise NotAllowedError("a ticket owes each of its venues something; an annual pass owes them nothing per visit")
    product_id = new_id(now_ms)
    connection.execute(
        product.insert().values(
            id=product_id,
            number=allot_number(connection, "product"),
            kind=new.kind,
            name_zh=new.name_zh,
            name_en=new.name_en,
            dist_price_fen=new.dist_price_fen,
            validity_days=new.validity_days,
            activation_delay_h=new.activation_delay_h,
            per_day=new.per_day,
            total=new.total,
            offline_limit=new.offline_limit,
            max_unlisted_age_h=new.max_unlisted_age_h,
            pay_deadline_min=new.pay_deadline_min,
            holder_required=new.holder_required,
            on_expiry=new.on_expiry,
            refundable=new.refundable,
            created_at_ms=now_ms,
        )
    )
    items = [
        {"product_id": product_id, "venue_id": venue_id, "venue_price_fen": price_fen}
        for venue_id, price_fen in new.venue_prices_fen.items()
    ]
    connection.execute(product_item.insert(), items)
    return product_id


def find_product(connection: Connection, number: int) -> Row[tuple[object, ...]]:
    """The product's row by its number."""
    found = connection.execute(sa.select(product).where(product.c.number == number)).one_or_none()
    if found is None:
        raise NotFoundError(f"no product has the number {number}")
    return found


def venue_prices(connection: Connection, product_id: UUID) -> dict[UUID, int]:
    """What each venue of a product is owed for one redemption, in the order of the venues' ids."""
    rows = connection.execute(
        sa.select(product_item.c.venue_id, product_item.c.venue_price_fen)
        .where(product_item.c.product_id == product_id)
        .order_by(product_item.c.venue_id)
    )
    return {row.venue_id: row.venue_price_fen for row in rows}
