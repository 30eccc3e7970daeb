"""Stock: rows of a product that sell in order and are never oversold, whoever buys at the same time (features A5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.catalog.tables import product, product_item, stock
from sync_server.db import new_id
from sync_server.errors import NotAllowedError, NotFoundError

MAX_STOCK = 100_000_000


class Taken(NamedTuple):
    """So many from one stock row, at its price."""

    stock_id: UUID
    price_fen: int
    tickets: int


@dataclass(frozen=True)
class OutOfStock:
    """There was less than asked for; nothing was taken."""

    left: int


def add_stock(connection: Connection, product_id: UUID, price_fen: int, total: int, now_ms: int) -> UUID:
    """Put a further row of a product on sale, behind those it has."""
    owed = sa.select(sa.func.sum(product_item.c.venue_price_fen)).where(product_item.c.product_id == product_id)
    owed_fen = connection.scalar(owed)
    if owed_fen is None:
        raise NotFoundError(f"no product has the id {product_id}")
    if price_fen < owed_fen:
        raise NotAllowedError(f"the price of {price_fen} fen is below the {owed_fen} fen the venues are owed")
    _check_total(total)
    connection.execute(sa.select(product.c.id).where(product.c.id == product_id).with_for_update())
    last = connection.scalar(sa.select(sa.func.max(stock.c.seq)).where(stock.c.product_id == product_id))
    stock_id = new_id(now_ms)
    row = {"id": stock_id, "product_id": product_id, "seq": (last or 0) + 1, "created_at_ms": now_ms}
    connection.execute(stock.insert().values(**row, price_fen=price_fen, total=total))
    return stock_id


def raise_total(connection: Connection, stock_id: UUID, total: int) -> None:
    """Put more of a row on sale; a decrease is refused (money.md Q21)."""
    _check_total(total)
    found = connection.scalar(sa.select(stock.c.total).where(stock.c.id == stock_id).with_for_update())
    if found is None:
        raise NotFoundError(f"no stock row has the id {stock_id}")
    if total < found:
        raise NotAllowedError(f"stock can only be increased: {found} are on sale, {total} would be fewer")
    connection.execute(stock.update().where(stock.c.id == stock_id).values(total=total))


def price_now() -> sa.ColumnElement[int]:
    """What the next buyer pays for a row of `product`: by its stock that sells now; without any, its own price."""
    selling = sa.and_(stock.c.product_id == product.c.id, stock.c.total > stock.c.reserved + stock.c.sold)
    first = sa.select(stock.c.price_fen).where(selling).order_by(stock.c.seq).limit(1)
    return sa.func.coalesce(first.scalar_subquery(), product.c.dist_price_fen)


def reserve(connection: Connection, product_id: UUID, count: int) -> list[Taken] | OutOfStock:
    """Take `count` from the product's rows in order, in the caller's transaction; all or nothing.

    The rows are locked first (on SQLite the transaction is alone anyway), so two buyers never see the same ticket; the
    table's CHECK would refuse it besides.
    """
    locked = sa.select(stock).where(stock.c.product_id == product_id).order_by(stock.c.seq).with_for_update()
    rows = [(row, row.total - row.reserved - row.sold) for row in connection.execute(locked)]
    left = sum(free for _, free in rows)
    if left < count:
        return OutOfStock(left)
    taken: list[Taken] = []
    for row, free in rows:
        if (part := min(free, count - sum(each.tickets for each in taken))) > 0:
            taken.append(Taken(row.id, row.price_fen, part))
    for each in taken:
        _move(connection, each.stock_id, reserved=each.tickets, sold=0)
    return taken


def lock(connection: Connection, stock_ids: sa.Select[tuple[UUID]]) -> None:
    """Nobody else moves these rows until the transaction ends."""
    connection.execute(sa.select(stock.c.id).where(stock.c.id.in_(stock_ids)).order_by(stock.c.id).with_for_update())


def sell(connection: Connection, counts: dict[UUID, int]) -> None:
    """What was reserved of each stock row is now sold."""
    for stock_id in sorted(counts, key=lambda one: one.bytes):
        _move(connection, stock_id, reserved=-counts[stock_id], sold=counts[stock_id])


def release(connection: Connection, counts: dict[UUID, int]) -> None:
    """What was reserved of each stock row, and not paid, is free again."""
    for stock_id in sorted(counts, key=lambda one: one.bytes):
        _move(connection, stock_id, reserved=-counts[stock_id], sold=0)


def take_back(connection: Connection, counts: dict[UUID, int]) -> None:
    """What was sold of each stock row, and given back, is free again."""
    for stock_id in sorted(counts, key=lambda one: one.bytes):
        _move(connection, stock_id, reserved=0, sold=-counts[stock_id])


def _move(connection: Connection, stock_id: UUID, reserved: int, sold: int) -> None:
    connection.execute(
        stock.update()
        .where(stock.c.id == stock_id)
        .values(reserved=stock.c.reserved + reserved, sold=stock.c.sold + sold)
    )


def _check_total(total: int) -> None:
    if not 0 < total <= MAX_STOCK:
        raise NotAllowedError(f"a stock row holds 1 to {MAX_STOCK}, not {total}")
