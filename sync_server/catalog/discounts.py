"""Discounts 优惠 of an annual pass: by who will hold it, or for a while. One applies: the lowest price (A5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit.log import record
from sync_server.catalog.person_lists import is_listed
from sync_server.catalog.stock import price_now
from sync_server.catalog.tables import discount, product
from sync_server.catalog.terms import joined_areas
from sync_server.crypto import Secrets
from sync_server.db import new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.id_numbers import age_on, is_of_area, person_index

MAX_DISCOUNTS = 20  # of one product at a time
AGES = range(1, 130)


@dataclass(frozen=True)
class NewDiscount:
    """RESIDENT: `areas`. SENIOR: `min_age`. LISTED: `person_list_id`. PROMOTION: from `from_ms` until `until_ms`."""

    kind: str
    price_fen: int
    areas: tuple[str, ...] = ()
    min_age: int | None = None
    person_list_id: UUID | None = None
    from_ms: int | None = None
    until_ms: int | None = None


class Price(NamedTuple):
    """What is charged, and the kind of the discount that makes it so; None: the list price."""

    price_fen: int
    reason: str | None


def add_discount(connection: Connection, sold: sa.Row[Any], new: NewDiscount, now_ms: int, actor: str) -> UUID:
    """Offer an annual pass for less to some, for the orders placed from now on."""
    if sold.kind != "PASS":
        raise NotAllowedError(f"product {sold.number} is a {sold.kind}: only annual passes have discounts")
    if new.price_fen <= 0:
        raise NotAllowedError(f"a pass costs 1 fen at least, not {new.price_fen}")
    price_fen = connection.scalars(sa.select(price_now()).where(product.c.id == sold.id)).one()
    if new.price_fen >= price_fen:
        raise NotAllowedError(f"{new.price_fen} fen are no discount: everybody pays {price_fen} fen")
    needs = {"RESIDENT": new.areas, "SENIOR": new.min_age, "LISTED": new.person_list_id, "PROMOTION": new.until_ms}
    if [kind for kind, value in needs.items() if value] != [new.kind]:
        raise NotAllowedError("a discount is for residents, seniors, a list of people, or a while: one of them")
    if new.kind != "PROMOTION" and (new.from_ms, new.until_ms) != (None, None):
        raise NotAllowedError("only a promotion for everybody has a first and a last day: any other holds from now on")
    if new.min_age is not None and new.min_age not in AGES:
        raise NotAllowedError(f"{new.min_age} is no age")
    if new.kind == "PROMOTION" and (new.from_ms is None or new.until_ms is None or new.from_ms >= new.until_ms):
        raise NotAllowedError("a promotion ends after it begins")
    if len(discounts_of(connection, sold.id)) >= MAX_DISCOUNTS:
        raise NotAllowedError(f"a product has at most {MAX_DISCOUNTS} discounts at a time: end one first")
    discount_id = new_id(now_ms)
    values = {**vars(new), "areas": joined_areas(new.areas)}
    connection.execute(discount.insert().values(id=discount_id, product_id=sold.id, added_at_ms=now_ms, **values))
    told = {**values, "id": str(discount_id), "person_list_id": str(new.person_list_id or "")}
    record(connection, now_ms, actor, "product.discount", f"product:{sold.id}", told)
    return discount_id


def end_discount(connection: Connection, discount_id: UUID, now_ms: int, actor: str) -> None:
    """From now on it is not offered; orders keep what they were placed for."""
    mine = sa.and_(discount.c.id == discount_id, discount.c.ended_at_ms.is_(None))
    if not connection.execute(discount.update().where(mine).values(ended_at_ms=now_ms)).rowcount:
        raise NotFoundError(f"no discount is offered under the id {discount_id}")
    record(connection, now_ms, actor, "product.discount_end", f"discount:{discount_id}", {})


def discounts_of(connection: Connection, product_id: UUID) -> Sequence[sa.Row[Any]]:
    """Those that are offered, promotions of other days among them, in the order in which they were added."""
    mine = sa.and_(discount.c.product_id == product_id, discount.c.ended_at_ms.is_(None))
    return connection.execute(sa.select(discount).where(mine).order_by(discount.c.id)).all()


def price_for(
    connection: Connection,
    secrets: Secrets,
    product_id: UUID,
    list_price_fen: int,
    id_number: str,
    now_ms: int,
    today: date,
) -> Price:
    """What the holder of this ID number pays now: of the list price and all discounts that hold the lowest."""
    best = Price(list_price_fen, None)
    for row in discounts_of(connection, product_id):
        if row.price_fen < best.price_fen and _holds(connection, secrets, row, id_number, now_ms, today):
            best = Price(row.price_fen, row.kind)
    return best


def _holds(
    connection: Connection, secrets: Secrets, row: sa.Row[Any], id_number: str, now_ms: int, today: date
) -> bool:
    match row.kind:
        case "RESIDENT":
            return is_of_area(id_number, row.areas.split(","))
        case "SENIOR":
            age = age_on(id_number, today)
            return age is not None and age >= row.min_age
        case "LISTED":
            return is_listed(connection, row.person_list_id, person_index(secrets, id_number))
    return bool(row.from_ms <= now_ms < row.until_ms)
