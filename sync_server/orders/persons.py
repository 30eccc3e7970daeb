"""One person holds one pass of a product at a time, and at most one renewal of it beside (money.md §2.5, §2.6)."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.orders.tables import person_product, person_renewal

DAY_MS = 24 * 3_600_000
KEY = ["product_id", "person_index"]


class Place(NamedTuple):
    """The person's name is down for the order. A renewal begins at `starts_at_ms`, a first pass as it is issued."""

    starts_at_ms: int | None


def take(
    connection: Connection, product_id: UUID, person: bytes, order_id: UUID, renewal_days: int, now_ms: int
) -> Place | None:
    """Put a person's name down for a product; None: it is down already, and not about to end. An ended pass gives way.

    The primary keys let one of several orders through. What is held is left as it is: a renewal begins at its end, and
    is not bought while that pass is being given back (`renewal_of`).
    """
    _let_go_ended(connection, product_id, person, now_ms)
    row = {"product_id": product_id, "person_index": person, "order_id": order_id}
    if insert_missing(connection, person_product, [row]):
        return Place(None)
    held = sa.select(person_product.c.until_ms).where(_is(person_product, row)).with_for_update()
    held_until_ms = connection.scalar(held)
    if held_until_ms is None or now_ms < held_until_ms - renewal_days * DAY_MS:
        return None
    return Place(held_until_ms) if insert_missing(connection, person_renewal, [row]) else None


def hold_until(connection: Connection, order_id: UUID, until_ms: int) -> None:
    """The order's pass is issued and ends then."""
    for table in (person_product, person_renewal):
        connection.execute(table.update().where(table.c.order_id == order_id).values(until_ms=until_ms))


def renewal_of(connection: Connection, order_id: UUID) -> UUID | None:
    """The order of the renewal that waits for this order's pass to end; none is bought until the caller is through."""
    mine = sa.select(person_product).where(person_product.c.order_id == order_id).with_for_update()
    held = connection.execute(mine).one_or_none()
    if held is None:
        return None
    found: UUID | None = connection.scalar(
        sa.select(person_renewal.c.order_id).where(_is(person_renewal, dict(held._mapping)))
    )
    return found


def let_go(connection: Connection, order_id: UUID) -> None:
    """The order came to nothing, or its pass was given back: the person may buy again."""
    for table in (person_product, person_renewal):
        connection.execute(table.delete().where(table.c.order_id == order_id))


def _let_go_ended(connection: Connection, product_id: UUID, person: bytes, now_ms: int) -> None:
    """An ended pass is forgotten and its renewal takes its place, which may have ended as well."""
    row = {"product_id": product_id, "person_index": person}
    ended = sa.and_(_is(person_product, row), person_product.c.until_ms <= now_ms)
    for _ in range(2):
        connection.execute(person_product.delete().where(ended))
        if connection.scalar(sa.select(person_product.c.order_id).where(_is(person_product, row))) is not None:
            return
        columns = [column.name for column in person_product.c]
        renewal = sa.select(*(person_renewal.c[name] for name in columns)).where(_is(person_renewal, row))
        connection.execute(person_product.insert().from_select(columns, renewal))
        connection.execute(person_renewal.delete().where(_is(person_renewal, row)))


def _is(table: sa.Table, row: dict[str, object]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == row[name] for name in KEY))
