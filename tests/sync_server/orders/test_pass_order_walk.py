"""Every state of an annual-pass order × every event, on real rows: what is in the table happens, all else does not."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from sync_server.catalog.tables import product
from sync_server.issuance.issuing import issue_paid_orders
from sync_server.keys.key_set import create_first
from sync_server.orders import placing
from sync_server.orders.states import PASS_ORDER
from sync_server.payments.provider import Refused, Succeeded
from sync_server.people.identifying import Person
from sync_server.settlement.pass_refunds import follow_pass_refunds, refund_pass
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.orders.order_walks import HOUR_MS, Walked
from tests.sync_server.orders.test_orders import legal
from tests.sync_server.payments.looking import changes
from tests.sync_server.people_numbers import traveller
from tests.sync_server.sandbox import World, money_flaws

COLLECTED = {"1010": 19_800, "2510": -19_800}
REFUND = {"1010": -19_800, "2320": 19_800}
BOOKS = {
    "paid": COLLECTED,
    "paid_late": {"1010": 19_800, "2320": -19_800},
    "refund": {"2510": 19_800, "2320": -19_800},
    "refunded": REFUND,
    "refund_undone": {"1010": 19_800, "2320": -19_800},
}
"""What an event posts, by account code; the others post nothing, nor does a refund that goes on."""
PENDING = {
    **dict.fromkeys(("pay", "pay_failed"), COLLECTED),
    **dict.fromkeys(("paid_late", "refund", "refund_failed", "refund_undone"), REFUND),
}
"""What is announced after an event, and not moved yet; after the others, nothing."""
_NOT_LATE = "what is paid before the order closes is not late"
NEVER = {("PENDING_PAYMENT", "paid_late"): _NOT_LATE, ("PAY_FAILED", "paid_late"): _NOT_LATE}


class Passes(Walked):
    """A visitor's order of one pass."""

    refunded_fen = 19_800
    ways: ClassVar[dict[str, tuple[str, ...]]] = {
        "PENDING_PAYMENT": (),
        "PAY_FAILED": ("pay_failed",),
        "CANCELLED": ("pay_failed", "cancelled"),
        "TIMED_OUT": ("pay_failed", "timed_out"),
        "ISSUING": ("paid",),
        "ISSUED": ("paid", "issued"),
        "ISSUE_FAILED": ("paid", "issue_failed"),
        "REFUNDING": ("paid", "issued", "refund"),
        "REFUNDED": ("paid", "issued", "refund", "refunded"),
        "REFUND_FAILED": ("paid", "issued", "refund", "refund_failed"),
    }

    def pay_failed(self) -> None:
        self.answered(Refused("closed"))

    def paid(self) -> None:
        self.answered(Succeeded("ours", 19_800))

    def issued(self) -> None:
        self._issue(24)

    def issue_failed(self) -> None:
        """For an hour it could not be signed, as it would end before it begins."""
        self.clock.pass_ms(HOUR_MS)
        self._issue(9_000)

    def refund(self) -> None:
        with self.trying() as connection:
            refund_pass(connection, self.row.number, "test", self.clock(), "test")

    def refund_failed(self) -> None:
        self._refund_says(Refused("closed"))

    def refunded(self) -> None:
        self._refund_says(Succeeded("back", 19_800))

    @property
    def back(self) -> Any:
        return self.transfer(self.id, ("REFUND",))

    def _issue(self, activation_delay_h: int) -> None:
        with self.world.centre.write() as connection:
            connection.execute(product.update().values(activation_delay_h=activation_delay_h))
        issue_paid_orders(self.world.centre)

    def _refund_says(self, answer: Refused | Succeeded) -> None:
        self.says(self.back, answer)
        follow_pass_refunds(self.world.centre)


def a_pass(world: World, clock: Clock, two: tuple[Person, Person], nth: int) -> Passes:
    """Ordered by the nth person."""
    with world.centre.write() as connection:
        new = placing.NewOrder(2, 1, "其他", None, (traveller(nth),), f"139{nth:08d}")
        placed = placing.place(world.centre, connection, new, "test")
        assert isinstance(placed, placing.Placed), placed
    return Passes(world, clock, two, placed.order_id)


@pytest.mark.slow("money")
@pytest.mark.parametrize("state", PASS_ORDER.words)
def test_the_whole_cross_product_on_real_rows(world: World, clock: Clock, state: str) -> None:
    create_first(world.centre)
    two = two_of_finance(world.centre)
    for nth, event in enumerate(PASS_ORDER.events, 1):
        if (state, event) in NEVER:
            continue
        one = a_pass(world, clock, two, nth)
        one.go(state)
        before = one.facts()
        getattr(one, event)()
        after, leads_to = one.facts(), legal("PASS").get((state, event))
        if leads_to is None:
            assert after == before, (state, event)
        else:
            books = {} if (state, event) == ("REFUND_FAILED", "refund") else BOOKS.get(event, {})
            assert (after.state, after.history[-1]) == (leads_to, event), (state, event)
            assert changes(before.posted, after.posted) == books, (state, event)
            assert after.pending == PENDING.get(event, {}), (state, event)
        with world.centre.read() as connection:
            assert money_flaws(connection) == [], (state, event)
