"""Several travellers of one payment: reserved, paid, cancelled and timed out together; issued and refunded alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import requests
import sqlalchemy as sa
from click.testing import CliRunner

from sandbox_provider.faults import FaultKind
from sync_server.catalog.stock import OutOfStock
from sync_server.catalog.tables import product, stock
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.orders import closing, paying, placing
from sync_server.orders.commands import order_
from sync_server.orders.holders import Holder
from sync_server.orders.refusals import AlreadyHeld, PriceChanged, Refusal
from sync_server.orders.tables import order, order_history, person_product
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import StatementLine, Succeeded
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.matching import news
from sync_server.reconciliation.movements import by_number
from sync_server.settlement.pass_refunds import refund_pass
from tests.sync_server.conftest import Clock
from tests.sync_server.orders.test_closing import HALF_HOUR_MS, cashier, reserved_and_sold
from tests.sync_server.people_numbers import traveller
from tests.sync_server.reconciliation.telling import cases, tell
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_expiring import assert_books_agree, posted

THREE = tuple(traveller(nth) for nth in (1, 2, 3))


def place(world: World, new: placing.NewOrder) -> tuple[placing.Placed, ...] | Refusal:
    with world.centre.write() as connection:
        return placing.place_together(world.centre, connection, new, "test")


def three(world: World, *, pay: bool = True, expected_fen: int | None = None) -> list[UUID]:
    """Three passes at the cashier, paid by one payment."""
    placed = place(world, placing.NewOrder(2, 3, "其他", None, THREE, expected_fen=expected_fen))
    assert isinstance(placed, tuple), placed
    if pay:
        with world.centre.write() as connection:
            paying.pay(connection, placed[1].order_id, "test", world.centre.now_ms())  # whichever is named
    return [each.order_id for each in placed]


def states(world: World) -> list[str]:
    with world.centre.read() as connection:
        return list(connection.scalars(sa.select(order.c.state).order_by(order.c.number)))


def count(world: World, table: sa.Table) -> int:
    with world.centre.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def pay_at_cashier(world: World, clock: Clock) -> None:
    world.turn()
    requests.post(cashier(world), timeout=5)
    clock.pass_ms(60_000)
    world.turn()


def test_one_payment_pays_all_and_each_is_issued_for_itself(world: World, clock: Clock) -> None:
    ids = three(world)
    assert len(set(ids)) == 3
    world.turn()
    assert "¥594.00" in requests.get(cashier(world), timeout=5).text
    pay_at_cashier(world, clock)
    assert states(world) == ["ISSUED"] * 3
    assert reserved_and_sold(world)[1] == (0, 3)
    with world.centre.read() as connection:
        payment = connection.execute(sa.select(external_transfer)).one()
        deferred = [balance(connection, Account("2510", each)).posted_fen for each in ids]
    assert (payment.kind, payment.amount_fen, payment.subject_id) == ("COLLECT", 3 * 19800, ids[0])
    assert deferred == [-19800] * 3
    assert_books_agree(world)


def test_one_of_them_is_given_back_out_of_the_one_payment(world: World, clock: Clock) -> None:
    ids = three(world)
    pay_at_cashier(world, clock)
    for order_id, amount_fen in ((ids[1], None), (ids[0], 10000)):
        with world.centre.write() as connection:
            number = connection.scalars(sa.select(order.c.number).where(order.c.id == order_id)).one()
            refund_pass(connection, number, "投诉", clock.now_ms, "operator", amount_fen)
        world.turn()
    assert [world.state(each) for each in ids] == ["REFUNDED", "REFUNDED", "ISSUED"]
    with world.centre.read() as connection:
        refunds = connection.execute(sa.select(external_transfer).where(external_transfer.c.kind == "REFUND")).all()
        paid_by = connection.scalars(sa.select(transfer_attempt.c.out_no).where(transfer_attempt.c.n == 1)).all()
    assert sorted(row.amount_fen for row in refunds) == [10000, 19800]
    assert {row.original_out_no for row in refunds} <= set(paid_by)
    assert posted(world) == {"1010": 29600, "2510": -19800, "4050": -9800}
    assert reserved_and_sold(world)[1] == (0, 1)
    assert_books_agree(world)


def test_all_or_none_is_reserved(world: World) -> None:
    with world.centre.write() as connection:
        connection.execute(stock.update().values(total=2))
    assert place(world, placing.NewOrder(2, 3, "其他", None, THREE)) == OutOfStock(2)
    with world.centre.write() as connection:
        connection.execute(stock.update().values(total=3))
    twice = (THREE[0], THREE[1], THREE[0])
    assert place(world, placing.NewOrder(2, 3, "其他", None, twice)) == AlreadyHeld(THREE[0].name)
    assert (count(world, order), count(world, person_product)) == (0, 0)
    assert reserved_and_sold(world)[1] == (0, 0)


@pytest.mark.parametrize("by_somebody", [True, False])
def test_they_close_together(world: World, clock: Clock, by_somebody: bool) -> None:
    ids = three(world)
    world.turn()
    if by_somebody:
        with world.centre.write() as connection:
            number = connection.scalars(sa.select(order.c.number).where(order.c.id == ids[2])).one()
            closing.cancel(connection, number, "不去了", clock.now_ms, "visitor")
        clock.pass_ms(1_000)
    else:
        clock.pass_ms(HALF_HOUR_MS)
    world.turn()
    assert states(world) == ["CANCELLED" if by_somebody else "TIMED_OUT"] * 3
    assert reserved_and_sold(world)[1] == (0, 0)
    assert count(world, person_product) == 0
    assert_books_agree(world)


def test_what_comes_too_late_goes_back_part_by_part(world: World, clock: Clock) -> None:
    ids = three(world)
    world.turn()
    clock.pass_ms(HALF_HOUR_MS)
    world.turn()
    with world.centre.write() as connection:
        out_no = connection.scalars(sa.select(transfer_attempt.c.out_no)).one()
        apply_notice(connection, "ALIPAY", out_no, Succeeded("LATE1", 3 * 19800), clock.now_ms)
    line = StatementLine("L1", out_no, "COLLECT", 3 * 19800, 0, clock.now_ms, "LATE1")
    assert closing.give_back_late_payments(world.centre) == 1
    assert closing.give_back_late_payments(world.centre) == 0
    tell(world, clock, [line])  # the one payment is one line
    assert cases(world) == {}
    assert posted(world) == {"1010": 59400, "2320": -59400}
    with world.centre.read() as connection:
        refunds = connection.execute(sa.select(external_transfer).where(external_transfer.c.kind == "REFUND")).all()
        late = connection.scalars(sa.select(order_history.c.order_id).where(order_history.c.event == "paid_late")).all()
        assert money_flaws(connection) == []
    assert {(row.subject_id, row.amount_fen, row.original_out_no) for row in refunds} == {
        (each, 19800, out_no) for each in ids
    }
    assert sorted(late) == sorted(ids)


def paid_twice_too_late(world: World, clock: Clock) -> list[str]:
    """Two attempts at a payment failed, its orders were closed, then both succeed; their numbers."""
    world.sandbox.play(FaultKind.REFUSED, "collect", times=2)
    ids = three(world)
    world.turn()
    with world.centre.write() as connection:
        paying.pay(connection, ids[0], "visitor", clock.now_ms)
    world.turn()
    clock.pass_ms(HALF_HOUR_MS)
    world.turn()
    assert states(world) == ["TIMED_OUT"] * 3
    with world.centre.read() as connection:
        return list(connection.scalars(sa.select(transfer_attempt.c.out_no).order_by(transfer_attempt.c.n)))


@pytest.mark.parametrize("given_back_between", [True, False])
def test_a_second_payment_that_comes_too_late_is_suspense(world: World, clock: Clock, given_back_between: bool) -> None:
    first, second = paid_twice_too_late(world, clock)
    told_at_ms = clock.now_ms
    for out_no in (first, second):
        with world.centre.write() as connection:
            apply_notice(connection, "ALIPAY", out_no, Succeeded(f"LATE-{out_no}", 3 * 19800), clock.now_ms)
        if given_back_between:
            closing.give_back_late_payments(world.centre)
    assert closing.give_back_late_payments(world.centre) == (0 if given_back_between else 1)
    assert posted(world) == {"1010": 2 * 59400, "1310": -59400, "2320": -59400}
    with world.centre.read() as connection:
        query = sa.select(external_transfer.c.original_out_no).where(external_transfer.c.kind == "REFUND")
        assert set(connection.scalars(query)) == {first}
    lines = [StatementLine(no, no, "COLLECT", 59400, 0, told_at_ms, f"LATE-{no}") for no in (first, second)]
    tell(world, clock, lines)
    assert cases(world) == {"DOUBLE_PAID": ("OPEN", 59400, True)}
    assert posted(world) == {"1010": 2 * 59400, "1310": -59400, "2320": -59400}
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
        late = by_number(connection, "ALIPAY", [first])[first]
    assert news(late.movement) is Difference.PAID_LATE


def test_a_payment_that_failed_is_made_again_for_all(world: World, clock: Clock) -> None:
    world.sandbox.play(FaultKind.REFUSED, "collect")
    ids = three(world)
    world.turn()
    assert states(world) == ["PAY_FAILED"] * 3
    with world.centre.write() as connection:
        paying.pay(connection, ids[2], "visitor", clock.now_ms)
    assert states(world) == ["PENDING_PAYMENT"] * 3
    world.turn()
    with world.centre.read() as connection:
        url = connection.scalars(sa.select(transfer_attempt.c.pay_url).where(transfer_attempt.c.n == 2)).one()
    requests.post(url, timeout=5)
    clock.pass_ms(60_000)
    world.turn()
    assert states(world) == ["ISSUED"] * 3
    assert_books_agree(world)


def test_a_price_that_changed_is_said_and_must_be_confirmed(world: World) -> None:
    with world.centre.write() as connection:
        connection.execute(stock.update().where(stock.c.price_fen == 19800).values(price_fen=20800))
    new = placing.NewOrder(2, 3, "其他", None, THREE, expected_fen=59400)
    assert place(world, new) == PriceChanged(62400)
    assert (count(world, order), count(world, person_product)) == (0, 0)
    three(world, expected_fen=62400)


def test_the_command_prints_a_line_for_each(world: World) -> None:
    holders = [part for who in THREE for part in ("--holder", f"{who.name},{who.id_number},{who.phone}")]
    asked = ["place", "--product", "2", "--count", "3", *holders, "--phone", "13900000000"]
    done = CliRunner().invoke(order_, [*asked, "--key", "k1"], obj=lambda: world.centre)
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 3
    assert done.stdout.count(cashier(world)) == 3
    again = CliRunner().invoke(order_, [*asked, "--key", "k1"], obj=lambda: world.centre)
    assert again.stdout == done.stdout
    held = CliRunner().invoke(order_, asked, obj=lambda: world.centre)
    assert "该游客已办理本年票" in held.stderr
    with world.centre.write() as connection:
        connection.execute(product.update().values(sale="OFF_SALE"))
    off = CliRunner().invoke(order_, asked, obj=lambda: world.centre)
    assert "not on sale" in off.stderr


@pytest.mark.slow
def test_fifty_families_for_the_last_ten(world: World) -> None:
    """Each wants two passes: five get both, nobody gets one."""
    with world.centre.write() as connection:
        connection.execute(stock.update().values(total=10))
    families = [(traveller(2 * nth), traveller(2 * nth + 1)) for nth in range(50)]

    def buy(family: tuple[Holder, Holder]) -> bool:
        return isinstance(place(world, placing.NewOrder(2, 2, "其他", None, family)), tuple)

    with ThreadPoolExecutor(25) as pool:
        assert sum(pool.map(buy, families)) == 5
    assert reserved_and_sold(world)[1] == (10, 0)
    assert (count(world, order), count(world, person_product)) == (10, 10)
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
