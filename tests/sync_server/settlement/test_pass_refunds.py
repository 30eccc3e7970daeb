"""Annual passes given back: by an operator, in part, by themselves where issuing failed; to the fen."""

from __future__ import annotations

from uuid import UUID

import pytest
import requests
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.catalog.tables import product, stock
from sync_server.errors import NotAllowedError
from sync_server.orders.progress import GIVE_UP_ISSUING_MS, issuing_failed
from sync_server.orders.tables import order, person_product
from sync_server.settlement.pass_refunds import Refunded, refund_pass
from tests.sync_server.beside import assert_stock_comes_first
from tests.sync_server.conftest import Clock
from tests.sync_server.orders.test_closing import a_pass, cashier, reserved_and_sold
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.test_expiring import HOUR_MS, assert_books_agree, posted


def bought(world: World, clock: Clock) -> UUID:
    """A pass that is paid for and issued."""
    order_id = a_pass(world)
    world.turn()
    requests.post(cashier(world), timeout=5)
    clock.pass_ms(60_000)
    world.turn()
    assert world.state(order_id) == "ISSUED"
    return order_id


def give_back(world: World, order_id: UUID, amount_fen: int | None = None) -> Refunded:
    with world.centre.write() as connection:
        number = connection.scalars(sa.select(order.c.number).where(order.c.id == order_id)).one()
        return refund_pass(connection, number, "投诉", world.centre.now_ms(), "operator", amount_fen)


def test_all_of_it_goes_back_and_person_and_stock_are_free_again(world: World, clock: Clock) -> None:
    order_id = bought(world, clock)
    assert reserved_and_sold(world)[1] == (0, 1)
    assert give_back(world, order_id) == Refunded(19800, 0, 0)
    assert world.state(order_id) == "REFUNDING"
    world.turn()
    assert world.state(order_id) == "REFUNDED"
    assert posted(world) == {}
    assert reserved_and_sold(world)[1] == (0, 0)
    with world.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(person_product)) == 0
    assert_books_agree(world)
    with pytest.raises(NotAllowedError, match="REFUNDED"):
        give_back(world, order_id)


def test_where_the_product_says_so_its_stock_stays_sold(world: World, clock: Clock) -> None:
    order_id = bought(world, clock)
    with world.centre.write() as connection:
        connection.execute(product.update().values(refund_frees_stock=False))
    give_back(world, order_id)
    world.turn()
    assert world.state(order_id) == "REFUNDED"
    assert reserved_and_sold(world)[1] == (0, 1)
    assert_books_agree(world)


def test_what_is_kept_of_a_part_refund_is_income(world: World, clock: Clock) -> None:
    order_id = bought(world, clock)
    for wrong in (0, 19801):
        with pytest.raises(NotAllowedError, match="19800"):
            give_back(world, order_id, wrong)
    assert give_back(world, order_id, 15000) == Refunded(15000, 4800, 0)
    world.turn()
    assert posted(world) == {"1010": 4800, "4050": -4800}
    assert_books_agree(world)


def test_a_refund_that_lacks_money_goes_on_by_a_person(world: World, clock: Clock) -> None:
    order_id = bought(world, clock)
    world.sandbox.play(FaultKind.INSUFFICIENT, "refund")
    give_back(world, order_id)
    world.turn()
    assert world.state(order_id) == "REFUND_FAILED"
    clock.pass_ms(24 * HOUR_MS)
    world.turn()
    assert world.state(order_id) == "REFUND_FAILED"
    give_back(world, order_id)
    world.turn()
    assert world.state(order_id) == "REFUNDED"
    assert_books_agree(world)


def test_one_that_failed_goes_on_with_its_own_amount(world: World, clock: Clock) -> None:
    order_id = bought(world, clock)
    world.sandbox.play(FaultKind.INSUFFICIENT, "refund")
    give_back(world, order_id, 5_000)
    world.turn()
    assert world.state(order_id) == "REFUND_FAILED"
    for other_fen in (19_800, 4_999):
        with pytest.raises(NotAllowedError, match="5000 fen are to be given back, which failed"):
            give_back(world, order_id, other_fen)
    assert world.state(order_id) == "REFUND_FAILED"
    assert give_back(world, order_id, 5_000) == Refunded(5_000, 14_800, 0)
    world.turn()
    assert world.state(order_id) == "REFUNDED"
    assert posted(world) == {"1010": 14_800, "4050": -14_800}
    assert_books_agree(world)


def test_what_cannot_be_issued_goes_back_by_itself(world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = a_pass(world)
    world.turn()
    requests.post(cashier(world), timeout=5)
    clock.pass_ms(60_000)
    monkeypatch.setattr(world, "issue", lambda: None)
    world.turn()
    for after_ms, given_up in ((0, False), (GIVE_UP_ISSUING_MS, True)):
        clock.pass_ms(after_ms)
        with world.centre.write() as connection:
            assert issuing_failed(connection, order_id, "no key", clock.now_ms, "test") is given_up
    assert world.state(order_id) == "ISSUE_FAILED"
    world.turn()
    assert world.state(order_id) == "REFUNDED"
    assert posted(world) == {}
    assert_books_agree(world)


@pytest.mark.postgres
def test_stock_is_locked_before_any_account(postgres_world: World, clock: Clock) -> None:
    world = postgres_world
    order_id = bought(world, clock)
    with world.centre.read() as connection:
        passes = connection.scalars(sa.select(stock.c.id).where(stock.c.product_id == world.annual)).one()
    assert_stock_comes_first(world.centre, passes, lambda: give_back(world, order_id))
    assert world.state(order_id) == "REFUNDING"
    assert reserved_and_sold(world)[1] == (0, 0)
