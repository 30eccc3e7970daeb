"""年票库存管理: the stock rows of the annual passes, in the order they sell."""

from __future__ import annotations

import sqlalchemy as sa
from flask import render_template

from sync_server.admin.access import page
from sync_server.admin.shown import centre
from sync_server.catalog.tables import product, stock
from sync_server.people.permissions import Permission

MAX_ROWS = 500  # a city has a handful of passes with a few rows each


@page("/stock", needs=Permission.STOCK_VIEW)
def stock_rows() -> str:
    query = (
        sa.select(stock, product.c.name_zh, product.c.name_en)
        .join(product, product.c.id == stock.c.product_id)
        .where(product.c.kind == "PASS")
        .order_by(product.c.number, stock.c.seq.desc())
        .limit(MAX_ROWS)
    )
    with centre().read() as connection:
        rows = connection.execute(query).all()
    total, sold, reserved = (sum(getattr(row, name) for row in rows) for name in ("total", "sold", "reserved"))
    sums = {"total": total, "sold": sold, "reserved": reserved, "left": total - sold - reserved}
    return render_template("admin/stock.html", here="admin.stock_rows", rows=rows, sums=sums)
