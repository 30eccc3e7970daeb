"""Job: a product on sale of which little is left, or nothing, is somebody's to look after."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.catalog.tables import product, stock
from sync_server.centre import Centre
from sync_server.notices.promising import Promise, promise


def tell_low_stock(centre: Centre) -> int:
    """Promise to tell of products with `low_stock_percent` left at most, and when nothing is; how many were told of.

    Once for what was put on sale: when more is, they may be told of again.
    """
    total, taken = sa.func.sum(stock.c.total), sa.func.sum(stock.c.reserved + stock.c.sold)
    low = (
        sa.select(product.c.id, product.c.name_zh, total.label("total"), (total - taken).label("left"))
        .join(stock, stock.c.product_id == product.c.id)
        .where(product.c.sale == "ON_SALE")
        .group_by(product.c.id, product.c.name_zh)
        .having((total - taken) * 100 <= total * centre.settings.low_stock_percent)
    )
    with centre.read() as connection:
        found = connection.execute(low).all()
    promises = [
        Promise(
            "low_stock",
            f"product:{row.id}:{row.total}:{'low' if row.left else 'out'}",
            {"product": row.name_zh, "left": row.left},
            cause=f"product:{row.id}",
        )
        for row in found
    ]
    if not promises:
        return 0
    with centre.write() as connection:
        return promise(connection, centre.now_ms(), *promises)
