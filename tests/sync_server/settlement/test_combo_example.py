"""The combo of money.md §3 to the fen, step by step over the real sandbox, and the provider's own book line by line."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from sync_server.centre import Centre
from sync_server.orders.progress import take_payments
from sync_server.payments.transfers import move_due, move_now
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.expiring import expire_items
from sync_server.settlement.finishing import close_refunded
from sync_server.settlement.funds import buy_funds, close_funds, sell_from_funds
from sync_server.settlement.item_states import refund_status
from sync_server.settlement.item_status import statuses_of
from sync_server.settlement.payouts import follow_transfers
from sync_server.settlement.tables import payout
from tests.sync_server.combo_world import ComboWorld
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import Sandbox

MONTH_MS = 31 * 24 * 3_600_000
STEPS = [
    ("charge", 11066, 0),
    ("fund buy", 66, 11000),
    ("redeem A", 66, 11000),
    ("fund sell A", 5066, 6000),
    ("payout A", 96, 6000),
    ("redeem B", 96, 6000),
    ("fund sell B", 3096, 3000),
    ("payout B", 114, 3000),
    ("expire C", 114, 3000),
    ("fund close", 3201, 0),
    ("margin", 3201, 0),
    ("refund C", 1001, 0),
]
"""After each step of the table: 1020 and 1110 in fen."""


@pytest.fixture
def combos(any_centre: Centre, sandbox: Sandbox) -> Iterator[ComboWorld]:
    made = ComboWorld(any_centre, sandbox)
    yield made
    made.close()


def move(world: ComboWorld, subject_key: str) -> None:
    """One transfer alone, so that each line of the table has its moment."""
    found = world.transfer(subject_key)
    assert found is not None, subject_key
    move_now(world.centre, world.clients, found.id)


def pay_out(world: ComboWorld, net_fen: int) -> None:
    with world.centre.read() as connection:
        payout_id: UUID = connection.scalars(payout.select().where(payout.c.total_fen == net_fen)).one()
    move(world, f"payout:{payout_id.hex}")
    follow_transfers(world.centre)


def test_to_the_fen(combos: ComboWorld, clock: Clock) -> None:
    order_id = combos.buy_combo()
    steps: list[tuple[str, int, int]] = []

    def note(step: str) -> None:
        steps.append((step, combos.balance("1020"), combos.balance("1110", order_id)))
        assert combos.balance("1020") == combos.sandbox.huijinbao.book.balances()["platform"], step
        combos.assert_books_agree()

    a, b, c = (combos.item(order_id, place) for place in "ABC")
    move_due(combos.centre, combos.clients)
    take_payments(combos.centre)
    note("charge")
    assert combos.posted() == {"1020": 11066, "2110": -10000, "2120": -1000, "4010": -66}
    combos.issue()
    assert buy_funds(combos.centre) == 1
    assert buy_funds(combos.centre) == 0
    move(combos, f"fundbuy:{order_id.hex}")
    note("fund buy")
    combos.sandbox.huijinbao.book.set_fund_yield("platform", combos.number(order_id), 87, clock.now_ms)
    for item, place, net_fen in ((a, "A", 4970), (b, "B", 2982)):
        combos.visit(order_id, place)
        assert clear_redemptions(combos.centre) == 1
        note(f"redeem {place}")
        assert sell_from_funds(combos.centre) == 1
        move(combos, f"fundsell:{item.hex}")
        note(f"fund sell {place}")
        pay_out(combos, net_fen)
        note(f"payout {place}")
    assert close_funds(combos.centre) == 0  # C may still be visited
    clock.pass_ms(MONTH_MS)
    assert expire_items(combos.centre) == 1
    note("expire C")
    assert combos.state(order_id) == "COMPLETED"
    assert combos.posted() == {
        "1020": 114, "1110": 3000, "2120": -800, "2310": -2200, "4010": -66, "4020": -48,
    }  # fmt: skip
    assert close_funds(combos.centre) == 1
    move(combos, f"fundclose:{order_id.hex}")
    note("fund close")
    assert combos.posted()["4040"] == -87
    assert close_funds(combos.centre) == 1
    note("margin")
    assert combos.posted()["4030"] == -800
    move(combos, f"refund:{c.hex}")
    close_refunded(combos.centre)
    note("refund C")
    assert steps == STEPS
    assert combos.posted() == {"1020": 1001, "4010": -66, "4020": -48, "4030": -800, "4040": -87}
    with combos.centre.read() as connection:
        shown = sorted(f"{one.usage} {one.money}" for one in statuses_of(connection, order_id))
    assert shown == ["EXPIRED REFUNDED", "USED SETTLED", "USED SETTLED"]
    assert refund_status(shown) == "部分退款成功"
    held = combos.sandbox.huijinbao.book.balances()
    assert (held["venue-A"], held["venue-B"], held["venue-C"]) == (4970, 2982, 0)
    assert held["agency"] == 100_000_000 - 11066 + 2200
