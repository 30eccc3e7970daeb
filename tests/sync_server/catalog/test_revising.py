"""Other deadlines and promises of a product are a new version, as prices are; orders keep theirs."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sync_server.catalog import fees, publishing, sale
from sync_server.catalog.products import find_product
from sync_server.catalog.stock import add_stock
from sync_server.catalog.tables import stock
from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.errors import NotAllowedError
from sync_server.orders.tables import order, order_item, ticket
from tests.sync_server.catalog.test_publishing import Trade, trade_at


@pytest.fixture
def trade(any_centre: Centre) -> Trade:
    return trade_at(any_centre)


def test_other_promises_are_a_new_version_and_orders_keep_theirs(trade: Trade) -> None:
    asked = {"on_expiry": "FORFEIT", "refundable": False, "refund_charge_fee": True}
    asked |= {"pay_deadline_min": 60, "hold_deadline_h": 6}
    number, distributor = trade.on_sale(), trade.town.distributor
    assert distributor is not None
    with trade.town.centre.write() as connection:
        fees.add_fee_rule(connection, "CHARGE", distributor, 100, 0)
    trade.place(number)
    with trade.town.centre.write() as connection:
        sale.take_off(connection, find_product(connection, number).id, "改约定", 1, "test")
    trade.town.clock.pass_ms(1)
    assert trade.do(publishing.revise, "composer", number, asked) == 2
    assert trade.state(number) == "DRAFT"
    with pytest.raises(NotAllowedError, match="is sold so already"):
        trade.do(publishing.revise, "composer", number, {"refundable": False})
    for wrong, says in (({"pay_deadline_min": 0}, "is 1 to 10080"), ({"validity_days": 8}, "not validity_days")):
        with pytest.raises(NotAllowedError, match=says):
            trade.do(publishing.revise, "composer", number, wrong)
    trade.do(publishing.submit, "composer", number)
    with pytest.raises(NotAllowedError, match="2 venues"):
        trade.do(publishing.approve, "reviewer", number)  # what they agreed to was the version before
    for name, price_fen in (("bridge", 5_000), ("park", 3_000)):
        trade.do(publishing.agree, name, number, price_fen)
    trade.do(publishing.approve, "reviewer", number)
    trade.place(number)
    with trade.town.centre.read() as connection:
        orders = connection.execute(sa.select(order).order_by(order.c.placed_at_ms)).all()
        kept = (order_item.c.on_expiry, order_item.c.refundable, order_item.c.fee_back_fen)
        items = connection.execute(
            sa.select(order.c.product_version, *kept)
            .join(ticket, ticket.c.id == order_item.c.ticket_id)
            .join(order, order.c.id == ticket.c.order_id)
            .order_by(order.c.placed_at_ms, order_item.c.venue_price_fen)
        ).all()
        assert flaws_of(connection) == []
    waits = [(row.pay_deadline_ms - row.placed_at_ms, row.hold_deadline_h) for row in orders]
    assert waits == [(30 * 60_000, 24), (60 * 60_000, 6)]
    assert [tuple(item) for item in items] == [
        (1, "REFUND", True, 0),
        (1, "REFUND", True, 0),
        (2, "FORFEIT", False, 34),
        (2, "FORFEIT", False, 56),
    ]


def test_of_a_pass_the_deadlines_alone_and_its_stock_keeps_its_prices(trade: Trade) -> None:
    number = trade.town.products["annual"]
    with trade.town.centre.write() as connection:
        row = find_product(connection, number)
        add_stock(connection, row.id, 25_000, 10, 1)
        sale.take_off(connection, row.id, "改约定", 1, "test")
    with pytest.raises(NotAllowedError, match="of a PASS can be revised: pay_deadline_min, hold_deadline_h; not"):
        trade.do(publishing.revise, "composer", number, {"refundable": False})
    trade.do(publishing.revise, "composer", number, {"pay_deadline_min": 45})
    with trade.town.centre.read() as connection:
        prices = sa.select(stock.c.price_fen).where(stock.c.product_id == row.id).order_by(stock.c.seq)
        assert connection.scalars(prices).all() == [19_800, 25_000]
        assert (find_product(connection, number).pay_deadline_min, flaws_of(connection)) == (45, [])
