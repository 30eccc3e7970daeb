"""A product may give its part of the charge fee back with what is given back (money.md Q12); to the fen, all ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from sync_server.approvals import approvals
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.orders.tables import order_item, ticket
from sync_server.profit.report import PARTS, month_of, profit_of, total_of
from sync_server.settlement import clawing_back
from tests.sync_server.combo_world import ComboWorld
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.orders.test_prepaid import pay_in, set_prepaid
from tests.sync_server.sandbox import Sandbox, World, money_flaws
from tests.sync_server.settlement.test_balance_checks import named, planted
from tests.sync_server.settlement.test_expiring import MINUTES_MS, WEEK_MS, assert_books_agree, posted, states
from tests.sync_server.settlement.test_payouts import clawed_back, used

DAY_MS = 24 * 3_600_000
ALL_FEN = 100_000_000


def gives_fees_back(world: World, gives: bool = True) -> None:
    with world.centre.write() as connection:
        connection.execute(product.update().values(refund_charge_fee=gives))


@pytest.fixture
def generous(world: World) -> World:
    gives_fees_back(world)
    return world


def parts_fen(world: World) -> list[int]:
    with world.centre.read() as connection:
        query = sa.select(order_item.c.fee_back_fen).join(ticket, ticket.c.id == order_item.c.ticket_id)
        return list(connection.scalars(query.order_by(ticket.c.seq, order_item.c.share_fen.desc())))


def test_the_parts_of_the_fee_sum_to_it_and_all_of_it_goes_back(generous: World, clock: Clock) -> None:
    order_id = generous.buy(3)
    gives_fees_back(generous, False)  # what was promised holds
    assert parts_fen(generous) == [32, 31, 31]
    generous.turn()
    assert posted(generous)["4010"] == -94
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    generous.turn()
    assert (states(generous, order_id), generous.state(order_id)) == (["EXPIRED REFUNDED"] * 3, "CLOSED_REFUNDED")
    assert posted(generous) == {}
    assert generous.sandbox.book.balances()["distributor"] == ALL_FEN
    assert_books_agree(generous)


def test_to_a_balance_too(generous: World, clock: Clock) -> None:
    set_prepaid(generous)
    pay_in(generous, 10_462)
    generous.buy(2)
    generous.turn()
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    generous.turn()
    assert posted(generous) == {"1030": 10_462, "2010": -10_462}
    assert_books_agree(generous)


def test_of_what_was_visited_the_fee_is_earned(generous: World, clock: Clock) -> None:
    order_id = generous.buy(2)
    generous.turn()
    generous.enter(generous.items(order_id)[0])
    generous.turn()
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    generous.turn()
    assert states(generous, order_id) == ["USED SETTLED", "EXPIRED REFUNDED"]
    assert posted(generous) == {"1010": 31 + 30 + 200, "4010": -31, "4020": -30, "4030": -200}
    assert_books_agree(generous)


def test_a_visit_that_is_refunded_takes_it_along_and_who_confirms_is_told(generous: World, clock: Clock) -> None:
    two = two_of_finance(generous.centre)
    generous.buy()  # so that there is money to give back
    order_id = used(generous)
    generous.turn()
    with generous.centre.write() as connection:
        number = connection.scalars(sa.select(ticket.c.number).where(ticket.c.order_id == order_id)).one()
        asked = clawing_back.ask(connection, two[0], number, 1, "closed", clock())
        said = clawing_back.in_words(connection, approvals.find(connection, asked), clock())
        assert said.startswith("52.31 yuan go back to the buyer")
        approvals.withdraw(connection, two[0], clawing_back.REFUND_VISIT, asked, clock())
    clawed_back(generous, clock, order_id, two)
    generous.turn()
    assert posted(generous) == {"1010": 5231 - 4970, "1220": 4970, "2110": -5000, "2120": -200, "4010": -31}
    assert_books_agree(generous)


@pytest.fixture
def combos(any_centre: Centre, sandbox: Sandbox) -> Iterator[ComboWorld]:
    made = ComboWorld(any_centre, sandbox)
    gives_fees_back(made)
    yield made
    made.close()


def test_of_a_combo_each_venue_has_its_part_and_the_profit_is_less_by_what_went_back(
    combos: ComboWorld, clock: Clock
) -> None:
    combos.bring_capital(10_000)
    order_id = combos.buy_combo()
    assert parts_fen(combos) == [33, 20, 13]
    for _ in range(3):
        combos.turn()
    for place in "AB":
        combos.visit(order_id, place)
    clock.pass_ms(31 * DAY_MS)
    for _ in range(4):
        combos.turn()
    left = {"1020": 1001 - 87 - 13, "4010": -(66 - 13), "4020": -48, "4030": -800}
    assert combos.posted() == left
    with combos.centre.read() as connection:
        months = [total_of(profit_of(connection, month_of(f"2026-{month}", "Asia/Shanghai"))) for month in ("09", "10")]
    for code, part in PARTS.items():
        assert sum(month[part] for month in months) == -left.get(code, 0), code
    combos.assert_books_agree()


def test_planted_flaws_are_named(generous: World) -> None:
    generous.buy(2)
    generous.turn()
    with generous.centre.write() as connection:
        assert money_flaws(connection) == []
        with planted(connection, order_item.update().values(fee_back_fen=30)) as flaws:
            assert named(flaws, "of an order's charge fee all goes back")


def test_unless_a_product_says_so_the_fee_is_kept(world: World) -> None:
    world.buy(2)
    assert parts_fen(world) == [0, 0]
