"""Rows of stock of annual passes 年票库存: added, raised, and priced anew for orders still to come (A5)."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals.approvals import Person
from sync_server.audit.log import record
from sync_server.catalog.products import find_product
from sync_server.catalog.stock import add_stock, raise_total
from sync_server.catalog.tables import product, stock
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.people.permissions import Permission, need


class StockRow(NamedTuple):
    """What is on sale 总库存, waits for its payment, was sold 销量, and can be bought 剩余, at this price."""

    product: int
    row: int
    price_fen: int
    total: int
    reserved: int
    sold: int
    left: int


def add_row(
    connection: Connection, who: Person, number: int, total: int, now_ms: int, *, price_fen: int | None = None
) -> tuple[int, int]:
    """Put a further row of a pass on sale, at the product's price unless another is named; its number and its price."""
    sold = _editable(connection, who, number)
    cost_fen = sold.dist_price_fen if price_fen is None else price_fen
    _check_price(cost_fen)
    stock_id = add_stock(connection, sold.id, cost_fen, total, now_ms)
    seq: int = connection.scalars(sa.select(stock.c.seq).where(stock.c.id == stock_id)).one()
    _record(connection, who, "stock.add", sold.id, now_ms, row=seq, price_fen=cost_fen, total=total)
    return seq, cost_fen


def raise_row(connection: Connection, who: Person, number: int, seq: int, total: int, now_ms: int) -> None:
    """Say how many a row holds in all; fewer than before is refused (money.md Q21)."""
    sold = _editable(connection, who, number)
    row = _row(connection, sold, seq)
    raise_total(connection, row.id, total)
    _record(connection, who, "stock.raise", sold.id, now_ms, row=seq, before=row.total, total=total)


def price_row(connection: Connection, who: Person, number: int, seq: int, price_fen: int, now_ms: int) -> int:
    """Change what a pass of a row costs; the price before. Orders keep theirs, paid or not."""
    sold = _editable(connection, who, number)
    _check_price(price_fen)
    row = _row(connection, sold, seq)
    before_fen: int = row.price_fen
    connection.execute(stock.update().where(stock.c.id == row.id).values(price_fen=price_fen))
    _record(connection, who, "stock.price", sold.id, now_ms, row=seq, before_fen=before_fen, price_fen=price_fen)
    return before_fen


def rows_of(connection: Connection, number: int | None = None) -> list[StockRow]:
    """The rows of one product, or of all, tickets too, in the order in which they sell."""
    shown = [stock.c[name] for name in ("seq", "price_fen", "total", "reserved", "sold")]
    left = stock.c.total - stock.c.reserved - stock.c.sold
    rows = sa.select(product.c.number, *shown, left).join(product, product.c.id == stock.c.product_id)
    if number is not None:
        rows = rows.where(product.c.id == find_product(connection, number).id)
    return [StockRow._make(row) for row in connection.execute(rows.order_by(product.c.number, stock.c.seq))]


def _editable(connection: Connection, who: Person, number: int) -> sa.Row[Any]:
    need(who, Permission.STOCK_EDIT)
    sold = find_product(connection, number)
    if sold.kind != "PASS":
        raise NotAllowedError(f"product {number} is a {sold.kind}: who publishes it sets its stock (product stock)")
    return sold


def _check_price(price_fen: int) -> None:
    if price_fen <= 0:
        raise NotAllowedError(f"a pass costs 1 fen at least, not {price_fen}")


def _row(connection: Connection, sold: sa.Row[Any], seq: int) -> sa.Row[Any]:
    """The row, which nobody else changes or sells from here on."""
    mine = sa.and_(stock.c.product_id == sold.id, stock.c.seq == seq)
    found = connection.execute(sa.select(stock).where(mine).with_for_update()).one_or_none()
    if found is None:
        raise NotFoundError(f"product {sold.number} has no row {seq} of stock (stock list)")
    return found


def _record(connection: Connection, who: Person, action: str, product_id: UUID, now_ms: int, **detail: int) -> None:
    record(connection, now_ms, who.actor, action, f"product:{product_id}", detail)
