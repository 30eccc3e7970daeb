"""Whatever a distributor that paid in does: its balance is what it paid in, less charges, plus refunds, at least 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.orders import applying, closing, paying, placing
from sync_server.orders.paying import Deducted, Short
from sync_server.orders.tables import order, ticket
from sync_server.parties.parties import NewParty, add_party, set_funding
from sync_server.payments import top_ups
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.settlement import refunding
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ
from tests.sync_server.sandbox import Sandbox, World, money_flaws

HOUR_MS = 3_600_000
ONE_FEN = 5200  # the walkers' distributors pay no fee

ACTS = st.one_of(
    st.tuples(st.just("pay_in"), st.integers(1, 4 * ONE_FEN)),
    st.tuples(st.just("buy"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["apply", "cancel", "enter", "refund"]), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([1, 25, 8 * 24])),
)


@dataclass
class Walker:
    """One distributor, what it did, and what its balance must be by that: `held_fen`, and what was given back."""

    world: World
    clock: Clock
    two: tuple[Person, Person]
    party: UUID
    held_fen: int = 0
    orders: list[UUID] = field(default_factory=list)

    def pay_in(self, amount_fen: int) -> None:
        voucher = Voucher("bank", date(2026, 9, 21), self.world.centre.new_id().hex)
        with self.world.centre.write() as connection:
            now_ms = self.clock()
            asked = top_ups.ask(connection, self.two[0], self.party, amount_fen, voucher, "test", now_ms)
            top_ups.confirm(connection, self.two[1], asked, now_ms)
        self.held_fen += amount_fen

    def buy(self, count: int) -> None:
        with self.world.centre.write() as connection:
            new = placing.NewOrder(1, count, "其他", self.party)
            placed = placing.place(self.world.centre, connection, new, "test")
            assert isinstance(placed, placing.Placed), placed
            done = paying.pay(connection, placed.order_id, "test", self.clock())
        self._expect(done, placed.amount_fen)
        self.orders.append(placed.order_id)

    def apply(self, which: int) -> None:
        if (row := self._order(which)) is not None:
            try:
                with self.world.centre.write() as connection:
                    done = applying.apply(connection, row.number, "test", self.clock())
            except NotAllowedError:
                return
            self._expect(done, row.dist_price_fen)

    def cancel(self, which: int) -> None:
        if (row := self._order(which)) is not None and row.state == "PENDING_PAYMENT":
            with self.world.centre.write() as connection:
                closing.cancel(connection, row.number, "test", self.clock(), "test")

    def enter(self, which: int) -> None:
        if (row := self._order(which)) is not None and row.state == "ISSUED":
            for item in self.world.items(row.id)[:1]:
                try:
                    self.world.enter(item)
                except AssertionError:
                    return  # it had ended before

    def refund(self, which: int) -> None:
        if (row := self._order(which)) is not None:
            with self.world.centre.write() as connection:
                numbers = connection.scalars(sa.select(ticket.c.number).where(ticket.c.order_id == row.id)).all()
                try:
                    refunding.ask(connection, numbers[-1], "test", self.clock(), "test")
                except NotAllowedError:
                    return

    def wait(self, hours: int) -> None:
        self.clock.pass_ms(hours * HOUR_MS)
        for _ in range(2):
            self.world.turn()

    def _expect(self, done: UUID | Deducted | Short, amount_fen: int) -> None:
        """Deducted exactly when the balance covers it, else exactly what lacks is named."""
        if isinstance(done, Deducted):
            self.held_fen -= amount_fen
        else:
            assert done == Short(amount_fen - self.held_fen - self.given_back())

    def given_back(self) -> int:
        """What the book gave back of orders."""
        return self._credits("refund:%")

    def check(self) -> None:
        with self.world.centre.read() as connection:
            query = sa.select(ledger_account).where(ledger_account.c.name == Account("2010", self.party).name)
            totals = connection.execute(query).one_or_none()
        held_fen = 0 if totals is None else totals.credits_posted_fen - totals.debits_posted_fen
        assert held_fen == self.held_fen + self.given_back() >= 0
        paid_in, charged = self._credits("topup:%"), -self._credits("charge:%")
        assert held_fen == paid_in - charged + self.given_back()

    def _credits(self, keys: str) -> int:
        query = (
            sa.select(sa.func.coalesce(sa.cast(sa.func.sum(-posting.c.amount_fen), sa.BigInteger), 0))
            .select_from(posting.join(ledger_txn).join(ledger_account))
            .where(ledger_account.c.name == Account("2010", self.party).name, ledger_txn.c.txn_key.like(keys))
        )
        with self.world.centre.read() as connection:
            credited: int = connection.execute(query).scalar_one()
        return credited

    def _order(self, which: int) -> sa.Row[tuple[object, ...]] | None:
        if not self.orders:
            return None
        with self.world.centre.read() as connection:
            mine = sa.select(order).where(order.c.id == self.orders[which % len(self.orders)])
            return connection.execute(mine).one()


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_balance_is_what_was_paid_in_less_charges_plus_refunds(
    walking: tuple[World, tuple[Person, Person]], clock: Clock, data: st.DataObject
) -> None:
    world, two = walking
    walker = a_walker(world, clock, two)
    for act, size in data.draw(st.lists(ACTS, min_size=3, max_size=14)):
        getattr(walker, act)(size)
        walker.check()
    walker.wait(9 * 24)
    walker.check()
    with world.centre.read() as connection:
        assert money_flaws(connection) == []


@pytest.fixture
def walking(centre: Centre, sandbox: Sandbox, clock: Clock) -> tuple[World, tuple[Person, Person]]:
    world = World(centre, sandbox)
    sandbox.book.top_up("platform", 100_000_000)
    with centre.write() as connection:
        add_party(connection, NewParty("PLATFORM", "1000", "平台", "Platform", "platform"), "Asia/Shanghai", clock())
    return world, (employ(centre, "qian", "finance"), employ(centre, "sun", "finance"))


def a_walker(world: World, clock: Clock, two: tuple[Person, Person]) -> Walker:
    with world.centre.write() as connection:
        number = f"4{world.centre.new_id().hex[-12:].upper()}"
        party = add_party(
            connection, NewParty("DISTRIBUTOR", number, "旅行社", "Travel", "distributor"), "Asia/Shanghai", clock()
        )
        set_funding(connection, party, "PREPAID", False, "contract", "test", clock())
    return Walker(world, clock, two, party)
