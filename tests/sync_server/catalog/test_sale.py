"""A product is taken off sale and put on again: nobody orders it meanwhile, and what was sold still opens."""

from __future__ import annotations

from itertools import product as pairs
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.audit.tables import event_log
from sync_server.catalog import sale
from sync_server.catalog.products import find_product
from sync_server.catalog.states import SALE
from sync_server.catalog.tables import SALE_STATES, product, stock
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.feed.publishing import publish_feeds
from sync_server.orders.placing import NewOrder, Placed, place
from sync_server.orders.refusals import Unfit
from tests.sync_server.feed.fetching import fetch
from tests.sync_server.town import Town, build_town


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


def id_of(town: Town) -> UUID:
    with town.centre.read() as connection:
        found: UUID = find_product(connection, town.products["single"]).id
    return found


def act(town: Town, event: str) -> None:
    product_id = id_of(town)
    with town.centre.write() as connection:
        if event == "take_off":
            sale.take_off(connection, product_id, "门票改版", town.clock.now_ms, "test")
        else:
            sale.put_on(connection, product_id, town.clock.now_ms, "test")


def order(town: Town) -> object:
    with town.centre.write() as connection:
        new = NewOrder(town.products["single"], 1, "其他", town.distributor)
        return place(town.centre, connection, new, "test")


def reserved(town: Town) -> int:
    with town.centre.read() as connection:
        return int(connection.scalars(sa.select(sa.func.sum(stock.c.reserved))).one())


def test_taken_off_nobody_orders_it_and_what_was_sold_stays_listed(town: Town) -> None:
    [sold] = town.sell("single")
    assert isinstance(order(town), Placed)
    act(town, "take_off")
    assert order(town) == Unfit("this product is not on sale")
    assert reserved(town) == 1
    publish_feeds(town.centre)
    assert sold.pass_id in fetch(town).passes
    act(town, "put_on")
    assert isinstance(order(town), Placed)
    with town.centre.read() as connection:
        done = sa.select(event_log.c.action).where(event_log.c.action.like("product.%")).order_by(event_log.c.seq)
        assert connection.scalars(done).all() == ["product.take_off", "product.put_on"]


@pytest.mark.parametrize(("state", "event"), list(pairs(SALE_STATES, ("take_off", "put_on"))))
def test_no_other_move_is_possible(town: Town, state: str, event: str) -> None:
    product_id = id_of(town)
    with town.centre.write() as connection:
        connection.execute(product.update().where(product.c.id == product_id).values(sale=state))
    if SALE.next(state, event) is not None:
        act(town, event)
    else:
        with pytest.raises(NotAllowedError, match=state):
            act(town, event)


@pytest.mark.parametrize("reason", ["", "因" * 201, "two\nlines"])
def test_taking_off_needs_a_reason(town: Town, reason: str) -> None:
    product_id = id_of(town)
    with pytest.raises(NotAllowedError, match="reason"), town.centre.write() as connection:
        sale.take_off(connection, product_id, reason, town.clock.now_ms, "test")
    assert isinstance(order(town), Placed)


def test_an_unknown_product_is_refused(town: Town) -> None:
    with pytest.raises(NotFoundError), town.centre.write() as connection:
        sale.put_on(connection, town.venues["park"], 0, "test")
