"""Stock is sold in order and never twice, whoever buys at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.catalog import products, stock
from sync_server.catalog.stock import OutOfStock, Taken
from sync_server.catalog.tables import stock as stock_table
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.parties.parties import NewParty, add_party

NOW_MS = 1_790_000_000_000


def single_ticket(centre: Centre) -> UUID:
    with centre.write() as connection:
        venue = add_party(connection, NewParty("VENUE", "2001", "汴河", "Bridge", "v"), "Asia/Shanghai", NOW_MS)
        new = products.NewProduct("SINGLE", "单票", "Ticket", 5200, {venue: 5000}, 7)
        return products.add_product(connection, new, NOW_MS)


@pytest.mark.slow("money")
def test_fifty_buyers_for_the_last_ten(any_centre: Centre, times: Callable[[int], int]) -> None:
    """Exactly ten get one, in every one of 200 rounds."""
    product = single_ticket(any_centre)

    def buy(_buyer: int) -> int:
        with any_centre.write() as connection:
            taken = stock.reserve(connection, product, 1)
        return 0 if isinstance(taken, OutOfStock) else sum(each.tickets for each in taken)

    with ThreadPoolExecutor(50) as pool:
        for _ in range(times(200)):
            with any_centre.write() as connection:
                stock.add_stock(connection, product, 5200, 10, NOW_MS)
            assert sum(pool.map(buy, range(50))) == 10
    with any_centre.read() as connection:
        totals = connection.execute(sa.select(stock_table.c.total, stock_table.c.reserved)).all()
    assert all(row.total == row.reserved == 10 for row in totals)


def test_rows_sell_in_order_at_their_own_price(any_centre: Centre) -> None:
    product = single_ticket(any_centre)
    with any_centre.write() as connection:
        first = stock.add_stock(connection, product, 5200, 3, NOW_MS)
        second = stock.add_stock(connection, product, 5500, 3, NOW_MS)
        assert stock.reserve(connection, product, 2) == [Taken(first, 5200, 2)]
        assert stock.reserve(connection, product, 3) == [Taken(first, 5200, 1), Taken(second, 5500, 2)]
        assert stock.reserve(connection, product, 2) == OutOfStock(1)
        stock.sell(connection, {first: 3, second: 1})
        rows = connection.execute(sa.select(stock_table.c.reserved, stock_table.c.sold).order_by(stock_table.c.seq))
        assert [tuple(row) for row in rows] == [(0, 3), (1, 1)]


def test_stock_can_only_be_increased(centre: Centre) -> None:
    product = single_ticket(centre)
    with centre.write() as connection:
        row = stock.add_stock(connection, product, 5200, 10, NOW_MS)
        stock.raise_total(connection, row, 12)
        with pytest.raises(NotAllowedError, match="12 are on sale, 11 would be fewer"):
            stock.raise_total(connection, row, 11)


def test_a_price_below_what_the_venue_is_owed_is_refused(centre: Centre) -> None:
    product = single_ticket(centre)
    with pytest.raises(NotAllowedError, match="below the 5000 fen"), centre.write() as connection:
        stock.add_stock(connection, product, 4999, 10, NOW_MS)


def test_the_database_itself_refuses_to_oversell(any_centre: Centre) -> None:
    product = single_ticket(any_centre)
    with any_centre.write() as connection:
        row = stock.add_stock(connection, product, 5200, 1, NOW_MS)
    with pytest.raises(sa.exc.IntegrityError), any_centre.write() as connection:
        connection.execute(stock_table.update().where(stock_table.c.id == row).values(reserved=2))
