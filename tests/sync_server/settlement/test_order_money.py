"""What an order's money did: every movement with its direction, and every transaction that the book has of it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.ledger.tables import ledger_txn
from sync_server.orders.tables import order
from sync_server.settlement.order_money import OrderMoney, money_of
from tests.sync_server.combo_world import ComboWorld
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.orders.test_prepaid import pay_in, set_prepaid
from tests.sync_server.sandbox import Sandbox, World
from tests.sync_server.settlement.test_expiring import MINUTES_MS, WEEK_MS
from tests.sync_server.settlement.test_payouts import clawed_back

MONTH_MS = 31 * 24 * 3_600_000
OF_NO_ORDER = ("payout", "topup", "netting")


def money(world: World, order_id: UUID) -> OrderMoney:
    with world.centre.read() as connection:
        group = connection.scalars(sa.select(order.c.payment_group).where(order.c.id == order_id)).one()
        return money_of(connection, order_id, group)


def assert_all_of_the_book(world: World, found: OrderMoney) -> None:
    """Of a world with one order."""
    with world.centre.read() as connection:
        keys = connection.scalars(sa.select(ledger_txn.c.txn_key))
        booked = sorted(key for key in keys if key.split(":")[0] not in OF_NO_ORDER)
    assert sorted(one.txn_key for one in found.txns) == booked


def test_what_goes_back_of_a_ticket_and_of_a_visit_is_its_orders(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    order_id = world.buy(3)
    world.turn()
    for item_id in world.items(order_id)[:2]:
        world.enter(item_id)
    world.turn()
    clawed_back(world, clock, order_id, two)
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    world.turn()
    found = money(world, order_id)
    assert sorted((one.kind, one.moved_fen) for one in found.attempts) == [
        ("CHARGE", 15_694),
        ("REFUND", -5_200),
        ("REFUND", -5_200),
    ]
    assert [one.ticket_number is None for one in found.attempts] == [False, False, True]
    assert (found.back_fen, found.kept_fen) == (10_400, 0)
    assert_all_of_the_book(world, found)


@pytest.fixture
def combos(any_centre: Centre, sandbox: Sandbox) -> Iterator[ComboWorld]:
    made = ComboWorld(any_centre, sandbox)
    yield made
    made.close()


def test_a_combos_fund_goes_out_and_comes_back(combos: ComboWorld, clock: Clock) -> None:
    combos.bring_capital(10_000)
    order_id = combos.buy_combo()
    for _ in range(3):
        combos.turn()
    combos.visit(order_id, "A")
    clock.pass_ms(MONTH_MS)
    for _ in range(4):
        combos.turn()
    found = money(combos, order_id)
    moved = {one.kind: one.moved_fen for one in found.attempts if one.kind != "REFUND"}
    closed_fen = moved.pop("FUND_CLOSE")
    assert moved == {"CHARGE": 11_066, "FUND_BUY": -11_000, "FUND_SELL": 5_000}
    assert closed_fen >= 6_000  # the rest, with what it yielded
    assert sum(one.moved_fen for one in found.attempts if one.kind == "REFUND") == -found.back_fen
    assert_all_of_the_book(combos, found)


def test_what_was_paid_from_a_balance_moves_nothing_and_goes_back_to_it(world: World, clock: Clock) -> None:
    set_prepaid(world)
    pay_in(world, 5_231)
    order_id = world.buy()
    world.turn()
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    world.turn()
    found = money(world, order_id)
    assert (found.attempts, found.back_fen) == ([], 5_200)
    assert_all_of_the_book(world, found)
