"""Orders that are not paid: closed once nothing can be paid any more; what comes too late is given back whole."""

from __future__ import annotations

from uuid import UUID

import pytest
import requests
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server import setbacks
from sync_server.catalog.tables import stock
from sync_server.errors import NotAllowedError
from sync_server.orders import closing, paying, placing
from sync_server.orders.holders import Holder
from sync_server.orders.tables import order, order_history, person_product, ticket
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import Succeeded
from sync_server.payments.tables import external_transfer, transfer_attempt
from tests.sync_server.beside import assert_stock_comes_first
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import YEAR_MINUTES, World
from tests.sync_server.settlement.test_expiring import assert_books_agree, posted

HALF_HOUR_MS = 30 * 60_000
LI = Holder("李小花", "11010519491231002X", "13812341234")


def a_pass(world: World, *, pay: bool = True) -> UUID:
    """An annual-pass order at the cashier."""
    with world.centre.write() as connection:
        placed = placing.place(world.centre, connection, placing.NewOrder(2, 1, "其他", None, (LI,)), "test")
        assert isinstance(placed, placing.Placed), placed
        if pay:
            paying.pay(connection, placed.order_id, "test", world.centre.now_ms())
    return placed.order_id


def reserved_and_sold(world: World) -> list[tuple[int, int]]:
    with world.centre.read() as connection:
        rows = connection.execute(sa.select(stock.c.reserved, stock.c.sold).order_by(stock.c.price_fen))
        return [tuple(row) for row in rows]


def cashier(world: World) -> str:
    with world.centre.read() as connection:
        return str(connection.scalars(sa.select(transfer_attempt.c.pay_url)).one())


def test_an_order_nobody_pays_times_out_and_frees_its_ticket_and_person(world: World, clock: Clock) -> None:
    order_id = a_pass(world, pay=False)
    clock.pass_ms(HALF_HOUR_MS - 1)
    world.turn()
    assert world.state(order_id) == "PENDING_PAYMENT"
    clock.pass_ms(1)
    world.turn()
    assert world.state(order_id) == "TIMED_OUT"
    assert reserved_and_sold(world) == [(0, 0), (0, 0)]
    with world.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(person_product)) == 0
    assert_books_agree(world)


def test_an_open_cashier_is_shut_at_the_provider_before_the_order_closes(world: World, clock: Clock) -> None:
    order_id = a_pass(world)
    world.turn()
    url = cashier(world)
    clock.pass_ms(HALF_HOUR_MS)
    world.sandbox.play(FaultKind.SYSTEM_ERROR, "cancel")
    world.turn()
    assert world.state(order_id) == "PENDING_PAYMENT"  # nobody knows: it waits
    clock.pass_ms(HALF_HOUR_MS)
    world.turn()
    assert world.state(order_id) == "TIMED_OUT"
    assert "已支付" not in requests.post(url, timeout=5).text
    assert world.sandbox.book.balances()["platform"] == 0
    assert_books_agree(world)


def test_a_payment_in_the_last_moment_is_taken(world: World, clock: Clock) -> None:
    order_id = a_pass(world)
    world.turn()
    requests.post(cashier(world), timeout=5)
    clock.pass_ms(HALF_HOUR_MS)
    world.turn()
    assert world.state(order_id) == "ISSUED"
    assert_books_agree(world)


@pytest.mark.parametrize("by_distributor", [True, False])
def test_what_is_paid_too_late_goes_back_whole(world: World, clock: Clock, by_distributor: bool) -> None:
    world.sandbox.play(FaultKind.REFUSED, "charge")
    order_id = world.buy() if by_distributor else a_pass(world)
    if by_distributor:
        world.turn()
        clock.pass_ms(YEAR_MINUTES * 60_000)
        world.turn()
        assert world.state(order_id) == "CLOSED_UNPAID"
    else:
        world.turn()
        clock.pass_ms(HALF_HOUR_MS)
        world.turn()
        assert world.state(order_id) == "TIMED_OUT"
    amount_fen = 5231 if by_distributor else 19800
    with world.centre.write() as connection:
        assert connection.scalar(sa.select(external_transfer.c.state)) == "VOID"
        out_no = connection.scalars(sa.select(transfer_attempt.c.out_no)).one()
        apply_notice(connection, "ALIPAY", out_no, Succeeded("LATE1", amount_fen), clock.now_ms)
    assert closing.give_back_late_payments(world.centre) == 1
    assert closing.give_back_late_payments(world.centre) == 0
    owed = "2310" if by_distributor else "2320"
    assert posted(world) == {"1010": amount_fen, owed: -amount_fen}
    with world.centre.read() as connection:
        refund = connection.execute(sa.select(external_transfer).where(external_transfer.c.kind == "REFUND")).one()
        events = connection.scalars(sa.select(order_history.c.event).order_by(order_history.c.seq)).all()
    assert (refund.amount_fen, refund.original_out_no) == (amount_fen, out_no)
    assert events[-1] == "paid_late"


def test_a_cancelled_order_closes_at_once_where_nothing_is_under_way(world: World, clock: Clock) -> None:
    order_id = a_pass(world)
    world.turn()
    with world.centre.write() as connection:
        number = connection.scalars(sa.select(order.c.number).where(order.c.id == order_id)).one()
        closing.cancel(connection, number, "不去了", clock.now_ms, "visitor")
    with pytest.raises(NotAllowedError, match="earlier"), world.centre.write() as connection:
        paying.pay(connection, order_id, "test", clock.now_ms)
    clock.pass_ms(1_000)
    world.turn()
    assert world.state(order_id) == "CANCELLED"
    assert reserved_and_sold(world) == [(0, 0), (0, 0)]
    with pytest.raises(NotAllowedError, match="CANCELLED"), world.centre.write() as connection:
        closing.cancel(connection, number, "again", clock.now_ms, "visitor")
    assert_books_agree(world)


def test_a_visitor_who_lacks_money_for_a_ticket_may_pay_again(world: World, clock: Clock) -> None:
    """No top-up of a distributor is waited for, and nobody is told that one is."""
    world.sandbox.play(FaultKind.INSUFFICIENT, "collect")
    with world.centre.write() as connection:
        placed = placing.place(world.centre, connection, placing.NewOrder(1, 1, "其他", None), "visitor")
        assert isinstance(placed, placing.Placed)
        paying.pay(connection, placed.order_id, "visitor", clock.now_ms)
    for _ in range(2):
        clock.pass_ms(60_000)
        world.turn()
    assert world.state(placed.order_id) == "PENDING_PAYMENT"
    with world.centre.write() as connection:
        assert setbacks.listed(connection) == []
        paying.pay(connection, placed.order_id, "visitor", clock.now_ms)
    world.turn()
    with world.centre.read() as connection:
        url = connection.scalars(sa.select(transfer_attempt.c.pay_url).where(transfer_attempt.c.n == 2)).one()
    requests.post(str(url), timeout=5)
    clock.pass_ms(60_000)
    world.turn()
    assert world.state(placed.order_id) == "ISSUED"


def test_a_visitor_whose_payment_failed_may_pay_again(world: World, clock: Clock) -> None:
    world.sandbox.play(FaultKind.REFUSED, "collect")
    order_id = a_pass(world)
    world.turn()
    assert world.state(order_id) == "PAY_FAILED"
    clock.pass_ms(60_000)
    world.turn()
    assert world.state(order_id) == "PAY_FAILED"  # nobody pays for somebody else
    with world.centre.write() as connection:
        paying.pay(connection, order_id, "visitor", clock.now_ms)
    world.turn()
    assert world.state(order_id) == "PENDING_PAYMENT"
    with world.centre.read() as connection:
        url = connection.scalars(sa.select(transfer_attempt.c.pay_url).where(transfer_attempt.c.n == 2)).one()
    requests.post(url, timeout=5)
    clock.pass_ms(60_000)
    world.turn()
    assert world.state(order_id) == "ISSUED"
    assert_books_agree(world)


def test_one_order_that_cannot_be_taken_holds_up_no_other(world: World) -> None:
    bad, good = world.buy(), world.buy()
    with world.centre.write() as connection:  # as if its stock had been counted wrong
        connection.execute(stock.update().values(reserved=1))
        connection.execute(order.update().where(order.c.id == good).values(placed_at_ms=1))
    world.turn()
    assert sorted([world.state(bad), world.state(good)]) == ["ISSUED", "PENDING_PAYMENT"]


@pytest.mark.postgres
def test_the_stock_of_all_is_locked_before_any_account(postgres_world: World, clock: Clock) -> None:
    world = postgres_world
    first = world.buy()
    clock.pass_ms(1)
    last = a_pass(world, pay=False)
    with world.centre.write() as connection:
        for number in connection.scalars(sa.select(order.c.number)).all():
            closing.cancel(connection, number, "不去了", clock.now_ms, "test")
        of_last = connection.scalars(sa.select(ticket.c.stock_id).where(ticket.c.order_id == last)).one()
    assert_stock_comes_first(world.centre, of_last, lambda: closing.close_unpaid(world.centre))
    assert (world.state(first), world.state(last)) == ("CLOSED_UNPAID", "CANCELLED")
    assert_books_agree(world)
