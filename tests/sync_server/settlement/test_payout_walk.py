"""Every state of a payout × every event, on real rows: what is in the table happens, all else changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.errors import NotAllowedError
from sync_server.keys.key_set import create_first
from sync_server.orders.tables import ticket
from sync_server.payments import abandoning
from sync_server.payments.provider import Answer, Refused, Succeeded
from sync_server.reconciliation import undoing
from sync_server.settlement import clawing_back
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.payout_modes import set_payout_mode
from sync_server.settlement.payout_states import PAYOUT
from sync_server.settlement.payouts import follow_transfers
from sync_server.settlement.sealing import seal_payouts
from sync_server.settlement.tables import payout, payout_line
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.payments.looking import books, changes, looked_at, stated
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_item_states import PAYOUT_CELLS, Item, an_item

DAY_MS = 86_400_000
NET_FEN = 4_970
POSTS = {
    "nothing_to_pay": {"1220": -NET_FEN, "2210": NET_FEN},
    "paid": {"1010": -NET_FEN, "2210": NET_FEN},
    "undone": {"1310": NET_FEN, "2210": -NET_FEN},
}
"""What an event posts, by account code; the others post nothing."""
ANNOUNCES = {"sealed": NET_FEN, "paid": -NET_FEN, "replaced": NET_FEN}
"""What is pending more, or less."""
WAYS = {
    "OPEN": (),
    "SEALED": ("sealed",),
    "PAID": ("sealed", "paid"),
    "FAILED": ("sealed", "failed"),
    "REPLACED": ("sealed", "failed", "given_up", "replaced"),
}
"""The events that lead to each state."""


@dataclass
class Walked:
    """The payout of one visit, of a venue that is paid by the day, and an earlier visit that was paid."""

    world: World
    clock: Clock
    id: UUID
    earlier: Item
    case_id: UUID | None = None

    def sealed(self) -> None:
        self.clock.pass_ms(DAY_MS)
        seal_payouts(self.world.centre)

    def nothing_to_pay(self) -> None:
        """As the venue owes as much."""
        self.sealed()

    def paid(self) -> None:
        self._answered(Succeeded("paid", NET_FEN))

    def failed(self) -> None:
        self._answered(Refused("closed"))

    def replaced(self) -> None:
        with self.trying() as connection:
            pay_again(connection, self.earlier.two[0], self.row.number, "another account", self.clock())

    def undone(self) -> None:
        with self.trying() as connection:
            if (transfer_id := self.row.transfer_id) is not None and self.case_id is not None:
                first, second = self.earlier.two
                asked = undoing.ask(connection, first, self.case_id, transfer_id, "it came back", self.clock())
                undoing.confirm(connection, second, asked, self.clock())

    def owed(self) -> None:
        """The earlier visit is refunded, and its venue's next payouts keep that back."""
        first, second = self.earlier.two
        with self.world.centre.write() as connection:
            mine = sa.select(ticket.c.number).where(ticket.c.order_id == self.earlier.order_id)
            number = connection.scalars(mine).one()
            asked = clawing_back.ask(connection, first, number, 1, "test", self.clock())
            clawing_back.confirm(connection, second, asked, self.clock())

    def came_back(self) -> None:
        """As much as it is of."""
        self.case_id = stated(self.world, self.clock, None, "RETURN", NET_FEN)

    def given_up(self) -> None:
        first, second = self.earlier.two
        with self.trying() as connection:
            if (transfer_id := self.row.transfer_id) is not None:
                asked = abandoning.ask(connection, first, transfer_id, "account closed", self.clock())
                abandoning.confirm(connection, second, asked, self.clock())
        follow_transfers(self.world.centre)

    def _answered(self, answer: Answer) -> None:
        if (transfer_id := self.row.transfer_id) is not None:  # an open one has none
            looked_at(self.world, transfer_id, answer)
        follow_transfers(self.world.centre)

    @contextmanager
    def trying(self) -> Iterator[Connection]:
        """A transaction that may be refused, and then changes nothing."""
        with suppress(NotAllowedError), self.world.centre.write() as connection:
            yield connection

    @property
    def row(self) -> Any:
        with self.world.centre.read() as connection:
            return connection.execute(sa.select(payout).where(payout.c.id == self.id)).one()


def a_payout(world: World, clock: Clock) -> Walked:
    """That collects until its day is over."""
    create_first(world.centre)
    two = two_of_finance(world.centre)
    earlier, item = (an_item(world, clock, "INACTIVE", two) for _ in range(2))
    for event in ("redeem", "payout_sent", "payout_ok"):
        earlier.happen(event)
    assert earlier.state == "USED SETTLED"
    with world.centre.write() as connection:
        set_payout_mode(connection, two[0], 1, "DAILY", "test", clock())
    item.redeem()
    clear_redemptions(world.centre)
    with world.centre.read() as connection:
        mine = sa.select(payout_line.c.payout_id).where(payout_line.c.item_id == item.id)
        return Walked(world, clock, connection.scalars(mine).one(), earlier)


@pytest.mark.slow("money")
@pytest.mark.parametrize("event", PAYOUT.events)
@pytest.mark.parametrize("state", PAYOUT.words)
def test_the_whole_cross_product_on_real_rows(world: World, clock: Clock, state: str, event: str) -> None:
    one = a_payout(world, clock)
    for step in WAYS[state]:
        getattr(one, step)()
    if event == "nothing_to_pay":
        one.owed()
    if event == "undone":
        one.came_back()
    if (state, event) == ("FAILED", "replaced"):
        one.replaced()
        assert one.row.state == "FAILED", "it may be made still, as nobody gave it up"
        one.given_up()
    row = one.row
    assert row.state == state
    with world.centre.read() as connection:
        posted, pending_fen = books(connection)
    getattr(one, event)()
    leads_to = PAYOUT_CELLS.get((state, event))
    if leads_to is None:
        assert one.row == row
    else:
        assert one.row.state == leads_to
    with world.centre.read() as connection:
        posted_after, pending_after_fen = books(connection)
        assert changes(posted, posted_after) == (POSTS.get(event, {}) if leads_to else {})
        assert pending_after_fen - pending_fen == (ANNOUNCES.get(event, 0) if leads_to else 0)
        assert money_flaws(connection) == []
