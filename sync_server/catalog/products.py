"""Adding and finding products, and the versions of their prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server.catalog.tables import product, product_item, product_version, product_version_price
from sync_server.db import new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.parties.parties import MAX_NAME, allot_number

ACTOR = "system:catalog"
MAX_VALIDITY_DAYS = 3_660
MAX_ACTIVATION_DELAY_H = 720
MAX_PAY_DEADLINE_MIN = 7 * 24 * 60
MAX_HOLD_DEADLINE_H = 720
MAX_OFFLINE_LIMIT = 1_000
MAX_UNLISTED_AGE_H = 720
RANGES = {
    "validity_days": (1, MAX_VALIDITY_DAYS),
    "activation_delay_h": (0, MAX_ACTIVATION_DELAY_H),
    "pay_deadline_min": (1, MAX_PAY_DEADLINE_MIN),
    "hold_deadline_h": (1, MAX_HOLD_DEADLINE_H),
    "offline_limit": (0, MAX_OFFLINE_LIMIT),
    "max_unlisted_age_h": (0, MAX_UNLISTED_AGE_H),
}
DEADLINES = ("pay_deadline_min", "hold_deadline_h")
PROMISES = ("on_expiry", "refundable", "refund_charge_fee")
"""What is promised with a ticket, beside its price; an annual pass goes back by an operator's word alone."""


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
    hold_deadline_h: int = 24
    holder_required: bool = False
    on_expiry: str = "REFUND"
    refundable: bool = True
    refund_charge_fee: bool = False
    invest_basis: str = "DIST_PRICE"
    """Of a combo (money.md Q9)."""


def add_product(
    connection: Connection, new: NewProduct, now_ms: int, *, sale: str = "ON_SALE", actor: str = ACTOR
) -> UUID:
    """Add a product and give it its number. A combo begins as a draft (`catalog.publishing`)."""
    check_prices(new.kind, new.dist_price_fen, new.venue_prices_fen)
    for name in (new.name_zh, new.name_en):
        if not 0 < len(name.strip()) <= MAX_NAME or not name.isprintable():
            raise NotAllowedError(f"a product's name has 1 to {MAX_NAME} characters on one line")
    if new.kind == "COMBO" and sale != "DRAFT":
        raise NotAllowedError("a combo is drafted, then its venues agree to their prices")
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
            hold_deadline_h=new.hold_deadline_h,
            holder_required=new.holder_required,
            on_expiry=new.on_expiry,
            refundable=new.refundable,
            refund_charge_fee=new.refund_charge_fee,
            sale=sale,
            invest_basis=new.invest_basis if new.kind == "COMBO" else None,
            created_at_ms=now_ms,
        )
    )
    connection.execute(product_item.insert(), _items(product_id, new.venue_prices_fen))
    add_version(connection, product_id, 1, new.dist_price_fen, new.venue_prices_fen, now_ms, actor)
    return product_id


def check_prices(kind: str, dist_price_fen: int, venue_prices_fen: Mapping[UUID, int]) -> None:
    """A ticket may not cost less than its venues are owed (money.md Q7); else NotAllowedError."""
    owed_fen, venues = sum(venue_prices_fen.values()), len(venue_prices_fen)
    if dist_price_fen < owed_fen:
        raise NotAllowedError(f"the price of {dist_price_fen} fen is below the {owed_fen} fen its venues are owed")
    if not venues or (kind == "SINGLE" and venues != 1) or (kind == "COMBO" and venues < 2):
        raise NotAllowedError(f"a {kind} cannot open {venues} venues")
    if min(venue_prices_fen.values()) < 0:
        raise NotAllowedError("a venue price is not negative")
    if (kind == "PASS") != (owed_fen == 0) or (owed_fen and 0 in venue_prices_fen.values()):
        raise NotAllowedError("a ticket owes each of its venues something; an annual pass owes them nothing per visit")


def check_limits(new: NewProduct) -> None:
    """What is asked of a product beside its prices can be kept; else NotAllowedError."""
    check_ranges({name: getattr(new, name) for name in RANGES})
    if new.activation_delay_h and new.activation_delay_h >= (new.validity_days - 1) * 24:
        raise NotAllowedError(
            f"usable {new.activation_delay_h} h after it was issued, and valid for {new.validity_days} days: "
            "bought late in the day it would end before it begins"
        )


def check_ranges(asked: Mapping[str, Any]) -> None:
    """Of these settings those that are numbers can be kept; else NotAllowedError."""
    for name, (least, most) in RANGES.items():
        if name in asked and not least <= asked[name] <= most:
            raise NotAllowedError(f"{name} is {least} to {most}, not {asked[name]}")


def add_version(
    connection: Connection,
    product_id: UUID,
    version: int,
    dist_price_fen: int,
    venue_prices_fen: Mapping[UUID, int],
    now_ms: int,
    actor: str,
) -> None:
    """Put prices in force under a version; orders keep what they were placed with."""
    named = {"product_id": product_id, "version": version}
    row = {**named, "dist_price_fen": dist_price_fen, "changed_at_ms": now_ms, "actor": actor}
    connection.execute(product_version.insert().values(row))
    items = _items(product_id, venue_prices_fen)
    connection.execute(product_version_price.insert(), [{**item, "version": version} for item in items])
    in_force = product.update().where(product.c.id == product_id)
    connection.execute(in_force.values(version=version, dist_price_fen=dist_price_fen))
    for item in items:
        mine = sa.and_(product_item.c.product_id == product_id, product_item.c.venue_id == item["venue_id"])
        connection.execute(product_item.update().where(mine).values(venue_price_fen=item["venue_price_fen"]))


def _items(product_id: UUID, venue_prices_fen: Mapping[UUID, int]) -> list[dict[str, Any]]:
    return [
        {"product_id": product_id, "venue_id": venue_id, "venue_price_fen": price_fen}
        for venue_id, price_fen in venue_prices_fen.items()
    ]


def find_product(connection: Connection, number: int) -> Row[Any]:
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
