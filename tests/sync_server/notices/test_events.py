"""What happens to money, orders, gates and stock is promised to those whom it concerns, once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.catalog import stock
from sync_server.catalog.tables import stock as stock_table
from sync_server.centre import Centre
from sync_server.crypto import blind_index, seal
from sync_server.jobs.low_stock import tell_low_stock
from sync_server.jobs.silent_gates import watch_silent_gates
from sync_server.notices.tables import notice
from sync_server.orders.tables import order
from sync_server.payments.telling import tell_late
from sync_server.payments.transfers import MAX_RETRY_MS
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import Sandbox, World, with_provider
from tests.sync_server.settlement.test_pass_refunds import bought, give_back
from tests.sync_server.town import Town, build_town

DAY_MS = 86_400_000


def told(centre: Centre, *kinds: str) -> list[dict[str, Any]]:
    """The variables of what was promised of these kinds, with the kind and whom it is about."""
    query = sa.select(notice).order_by(notice.c.promised_at_ms, notice.c.key)
    with centre.read() as connection:
        rows = connection.execute(query.where(notice.c.kind.in_(kinds)) if kinds else query).all()
    return [{"kind": row.kind, "about": row.about_id, **msgspec.json.decode(row.variables)} for row in rows]


def reached_by(world: World, order_id: UUID, phone: str = "13900000005") -> None:
    """As if the buyer had left a number."""
    secrets = world.centre.secrets
    values = {
        "buyer_phone_sealed": seal(secrets, "order.buyer_phone", order_id.bytes, phone),
        "buyer_phone_index": blind_index(secrets, "phone", phone),
    }
    with world.centre.write() as connection:
        connection.execute(order.update().where(order.c.id == order_id).values(values))


def number_of(world: World, order_id: UUID) -> str:
    with world.centre.read() as connection:
        return str(connection.scalar(sa.select(order.c.number).where(order.c.id == order_id)))


def redeemed(world: World) -> None:
    """One ticket bought and used: its venue is to be paid."""
    order_id = world.buy()
    world.turn()
    world.enter(world.items(order_id)[0])


def test_a_distributor_whose_balance_does_not_suffice(world: World) -> None:
    world.sandbox.play(FaultKind.INSUFFICIENT, "charge")
    order_id = world.buy()
    world.turn()
    expected = {"order": number_of(world, order_id), "amount": "52.31", "hours": "24"}
    assert told(world.centre) == [{"kind": "insufficient_balance", "about": world.distributor, **expected}]
    world.turn()
    assert len(told(world.centre)) == 1


def test_the_platform_whose_balance_does_not_suffice(world: World) -> None:
    world.sandbox.play(FaultKind.INSUFFICIENT, "payout")
    redeemed(world)
    world.turn()
    values = {"purpose": "打款", "amount": "49.70", "provider": "支付宝", "advice": "充值"}
    assert told(world.centre) == [{"kind": "platform_balance", "about": None, **values}]


def test_a_payout_that_fails_is_told_the_first_time_and_after_a_day(world: World, clock: Clock) -> None:
    world.sandbox.play(FaultKind.REFUSED, "payout", times=1_000)
    redeemed(world)
    world.turn()
    (first,) = told(world.centre)
    assert (first["kind"], first["payee"], first["amount"]) == ("payout_failed", "汴河", "49.70") and first["reason"]
    for _ in range(DAY_MS // MAX_RETRY_MS):
        assert tell_late(world.centre) == 0
        clock.pass_ms(MAX_RETRY_MS)
        world.turn()
    assert (tell_late(world.centre), tell_late(world.centre)) == (1, 0)
    clock.pass_ms(DAY_MS)
    world.turn()
    assert tell_late(world.centre) == 0
    late = told(world.centre, "transfer_late")
    assert [(each["purpose"], each["amount"], each["hours"]) for each in late] == [("打款", "49.70", "24")]
    assert len(told(world.centre)) == 2


def test_what_got_through_and_what_a_visitor_left_unpaid_is_nobodys_to_look_after(world: World, clock: Clock) -> None:
    redeemed(world)
    world.turn()
    clock.pass_ms(2 * DAY_MS)
    assert tell_late(world.centre) == 0
    assert told(world.centre) == []


def test_a_buyer_of_an_annual_pass(world: World, clock: Clock) -> None:
    order_id = bought(world, clock)
    assert told(world.centre) == [], "this one left no number"
    reached_by(world, order_id)
    world.sandbox.play(FaultKind.REFUSED, "refund")
    give_back(world, order_id, 15000)
    world.turn()
    assert [(each["kind"], each["amount"]) for each in told(world.centre)] == [("refund_failed", "150.00")]
    clock.pass_ms(60_000)
    world.turn()
    world.turn()
    number = number_of(world, order_id)
    assert told(world.centre, "refunded") == [
        {"kind": "refunded", "about": order_id, "order": number, "amount": "150.00"}
    ]


def test_a_buyer_whose_tickets_are_issued(world: World) -> None:
    order_id = world.buy()
    reached_by(world, order_id)
    world.turn()
    number = number_of(world, order_id)
    assert told(world.centre) == [{"kind": "issued", "about": order_id, "product": "单票", "order": number}]


def test_little_stock_is_told_once_and_again_when_it_is_gone(world: World) -> None:
    assert tell_low_stock(world.centre) == 0
    sold = stock_table.update().where(stock_table.c.product_id == world.single)
    for taken, promised in ((89_999, 0), (90_000, 1), (95_000, 0), (100_000, 1)):
        with world.centre.write() as connection:
            connection.execute(sold.values(sold=taken))
        assert tell_low_stock(world.centre) == promised
    assert [(each["product"], each["left"]) for each in told(world.centre)] == [("单票", "10000"), ("单票", "0")]
    with world.centre.write() as connection:
        stock.add_stock(connection, world.single, 5200, 5_000, world.centre.now_ms())
    assert tell_low_stock(world.centre) == 1, "there was more, and little of it is left"


def test_what_is_off_sale_may_run_out(world: World) -> None:
    with world.centre.write() as connection:
        connection.execute(sa.text("UPDATE product SET sale = 'OFF_SALE'"))
        connection.execute(stock_table.update().values(sold=100_000))
    assert tell_low_stock(world.centre) == 0


@pytest.fixture
def town(any_centre: Centre, sandbox: Sandbox) -> Town:
    return build_town(with_provider(any_centre, sandbox))


def test_gates_that_fall_silent_are_told_under_their_venue(town: Town) -> None:
    gates = [town.gate(name="G1"), town.gate(name="G2")]
    town.clock.pass_ms(town.centre.settings.gate_silent_after_s * 1000)
    assert watch_silent_gates(town.centre) == len(gates)
    assert watch_silent_gates(town.centre) == 0
    assert [each["minutes"] for each in told(town.centre, "gate_offline")] == ["5", "5"]
    with town.centre.read() as connection:
        assert len(set(connection.scalars(sa.select(notice.c.cause)))) == 1
