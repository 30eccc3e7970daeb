"""Every state of a ticket order × every event, on real rows: what is in the table happens, all else changes nothing."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.issuance.issuing import issue_paid_orders
from sync_server.keys.key_set import create_first
from sync_server.orders import applying
from sync_server.orders.claims import Claim, claim_items
from sync_server.orders.states import TICKET_ORDER
from sync_server.orders.tables import item_claim, order_item, refund_hold, ticket
from sync_server.payments.provider import Insufficient, Refused, Succeeded
from sync_server.settlement import refunding, unissued
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.expiring import expire_items
from sync_server.settlement.finishing import close_refunded
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.orders.order_walks import HOUR_MS, Walked
from tests.sync_server.orders.test_orders import legal
from tests.sync_server.payments.looking import changes
from tests.sync_server.sandbox import World, money_flaws

WEEK_MS = 7 * 24 * 3_600_000
CHARGED = {"1010": 5231, "2110": -5000, "2120": -200, "4010": -31}
BOOKS = {
    "paid": CHARGED,
    "paid_late": {"1010": 5231, "2310": -5231},
    "finished": {"2110": 5000, "2210": -4970, "4020": -30, "2120": 200, "4030": -200},
    "forfeited": {"2110": 5000, "2120": 200, "4050": -5200},
    "refunded": {"2110": 5000, "2120": 200, "1010": -5200},
    "issue_failed": {"2110": 5000, "2120": 200, "4010": 31, "2310": -5231},
    "refund_undone": {"1010": 5200, "2310": -5200},
    "unissued_refund_undone": {"1010": 5231, "2310": -5231},
}
"""What an event posts, by account code; the others post nothing."""
ALL_BACK = {"1010": -5231, "2310": 5231}
PENDING = {
    **dict.fromkeys(("pay", "held", "resumed"), CHARGED),
    **dict.fromkeys(("paid_late", "issue_failed", "unissued_refund_undone"), ALL_BACK),
    "refund_undone": {"1010": -5200, "2310": 5200},
}
"""What is announced after an event, and not moved yet; after the others, nothing."""
_NO_TICKET = "no ticket is signed yet, so that no gate lets anybody in"
_NOT_LATE = "what is paid before the order closes is not late"
NEVER = {
    ("PENDING_PAYMENT", "finished"): _NO_TICKET,
    ("PAID", "finished"): _NO_TICKET,
    ("ISSUE_FAILED", "finished"): _NO_TICKET,
    ("CLOSED_UNPAID", "finished"): _NO_TICKET,
    ("PENDING_PAYMENT", "paid_late"): _NOT_LATE,
}


class Tickets(Walked):
    """An order of one ticket."""

    ways: ClassVar[dict[str, tuple[str, ...]]] = {
        "PENDING_PAYMENT": (),
        "PAID": ("paid",),
        "ISSUE_FAILED": ("paid", "issue_failed"),
        "ISSUED": ("paid", "issued"),
        "COMPLETED": ("paid", "issued", "finished"),
        "CLOSED_UNPAID": ("refused", "cancelled"),
        "CLOSED_REFUNDED": ("paid", "issued", "refunded"),
    }

    def held(self) -> None:
        self.answered(Insufficient("empty"))

    def resumed(self) -> None:
        """Its distributor applies, where it waits for a top-up."""
        if self.row.state == "PENDING_PAYMENT":
            self.held()
        with self.trying() as connection:
            applying.apply(connection, self.row.number, "test", self.clock())

    def refused(self) -> None:
        """No event of the order's: the charge has failed, and would be tried again."""
        self.answered(Refused("closed"))

    def paid(self) -> None:
        self.answered(Succeeded("ours", 5231))

    def issued(self) -> None:
        issue_paid_orders(self.world.centre)

    def issue_failed(self) -> None:
        """Given back by an operator, as it could not be issued for an hour."""
        self.clock.pass_ms(HOUR_MS)
        with self.trying() as connection:
            unissued.give_back(connection, self.row.number, "no key", self.clock(), "test")

    def finished(self) -> None:
        """Somebody enters; where the item has ended before, the claim is lost."""
        now_ms = self.clock()
        with self.world.centre.write() as connection:
            if connection.scalar(sa.select(item_claim.c.kind).where(item_claim.c.item_id == self.item)) is not None:
                claim = Claim(self.item, "REDEEM", self.world.centre.new_id().hex, now_ms)
                assert claim_items(connection, [claim], now_ms) == set()
                return
        self.world.enter(self.item)
        clear_redemptions(self.world.centre)

    def forfeited(self) -> None:
        open_one = order_item.c.id.not_in(sa.select(item_claim.c.item_id))
        with self.world.centre.write() as connection:
            mine = order_item.update().where(order_item.c.id == self.item, open_one)
            connection.execute(mine.values(on_expiry="FORFEIT"))
        self.clock.pass_ms(WEEK_MS + 120_000)
        expire_items(self.world.centre)

    def refunded(self) -> None:
        with self.trying() as connection:
            mine = sa.select(ticket.c.number).where(ticket.c.order_id == self.id)
            refunding.ask(connection, connection.scalars(mine).one(), "test", self.clock(), "test")
            hold = refund_hold.update().where(refund_hold.c.item_id == self.item)
            connection.execute(hold.values(deadline_ms=self.clock()))
        refunding.confirm_refunds(self.world.centre)
        if self.back is not None:
            self.says(self.back, Succeeded("back", self.back.amount_fen))
        close_refunded(self.world.centre)

    def unissued_refund_undone(self) -> None:
        """The same, where it was never issued."""
        self.refund_undone()

    @property
    def back(self) -> Any:
        return self.transfer(self.item, ("REFUND",))

    @property
    def item(self) -> UUID:
        [found] = self.world.items(self.id)
        return found


@pytest.mark.slow("money")
@pytest.mark.parametrize("state", TICKET_ORDER.words)
def test_the_whole_cross_product_on_real_rows(world: World, clock: Clock, state: str) -> None:
    create_first(world.centre)
    two = two_of_finance(world.centre)
    for event in TICKET_ORDER.events:
        if (state, event) in NEVER:
            continue
        one = Tickets(world, clock, two, world.buy(pay=False))
        if (state, event) == ("CLOSED_REFUNDED", "unissued_refund_undone"):
            one.go("ISSUE_FAILED")
            one.refunded()
        else:
            one.go(state)
        assert one.row.state == state
        before = one.facts()
        getattr(one, event)()
        after, leads_to = one.facts(), legal("TICKET").get((state, event))
        if leads_to is None:
            assert after == before, (state, event)
        else:
            assert (after.state, after.history[-1]) == (leads_to, event), (state, event)
            books = ALL_BACK if (state, event) == ("ISSUE_FAILED", "refunded") else BOOKS.get(event, {})
            assert changes(before.posted, after.posted) == books, (state, event)
            assert after.pending == PENDING.get(event, {}), (state, event)
        with world.centre.read() as connection:
            assert money_flaws(connection) == [], (state, event)
