"""Combos in any order of visits, refunds, ends and faults of the provider: no fen is lost or made on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox_provider.faults import Fault, FaultKind
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.orders.tables import item_claim, order, ticket
from sync_server.settlement import refunding
from tests.sync_server.combo_world import PRICES_FEN, ComboWorld
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import Sandbox, money_flaws
from tests.sync_server.settlement.test_funds import LEFT, hours, resume_all

HOUR_MS = 3_600_000
MONTH_MS = 31 * 24 * HOUR_MS
CAPITAL_FEN = 1_000_000
PLAYED = (
    FaultKind.LOST_ANSWER,
    FaultKind.LOST_REQUEST,
    FaultKind.SYSTEM_ERROR,
    FaultKind.REFUSED,
    FaultKind.INSUFFICIENT,
)
METHODS = ("fund_buy", "fund_sell", "fund_close", "payout", "refund", "query")
EVENTS = st.one_of(
    st.tuples(st.just("visit"), st.sampled_from(sorted(PRICES_FEN)), st.integers(1, 2)),
    st.tuples(st.just("refund"), st.integers(1, 2)),
    st.tuples(st.just("fault"), st.sampled_from(PLAYED), st.sampled_from(METHODS)),
    st.tuples(st.just("turn")),
    st.tuples(st.just("hours"), st.integers(1, 48)),
)


@pytest.fixture
def combos(centre: Centre, sandbox: Sandbox) -> Iterator[ComboWorld]:
    made = ComboWorld(centre, sandbox)
    made.bring_capital(CAPITAL_FEN)
    yield made
    made.close()


@pytest.mark.slow
def test_no_fen_is_lost_on_any_way(combos: ComboWorld, clock: Clock, times: Callable[[int], int]) -> None:
    @settings(
        max_examples=times(80), deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
    )
    @given(events=st.lists(EVENTS, max_size=12), yield_fen=st.integers(-900, 900))
    def walk(events: list[tuple[object, ...]], yield_fen: int) -> None:
        Walk(combos, clock).go(events, yield_fen)

    walk()


class Walk:
    """One order of two tickets, from its payment to the end of everything it moves."""

    def __init__(self, world: ComboWorld, clock: Clock) -> None:
        self.world, self.clock = world, clock
        self.order_id = world.buy_combo(2)
        world.turn()
        world.turn()

    def go(self, events: list[tuple[object, ...]], yield_fen: int) -> None:
        """Each event with every invariant after it; then the month ends, and a person helps what lacks money."""
        for name, *arguments in events:
            getattr(self, f"_{name}")(*arguments)
            with self.world.centre.read() as connection:
                assert money_flaws(connection) == []
        faults = self.world.sandbox.huijinbao.faults
        faults.clear()
        hours(self.world, self.clock)
        if self.world.balance("1110", self.order_id):
            book = self.world.sandbox.huijinbao.book
            book.set_fund_yield("platform", self.world.number(self.order_id), yield_fen, self.clock.now_ms)
        self.clock.pass_ms(MONTH_MS)
        for _ in range(3):
            resume_all(self.world)
            hours(self.world, self.clock)
        self._assert_over()

    def _visit(self, place: str, seq: int) -> None:
        item = self.world.item(self.order_id, place, seq)
        with self.world.centre.read() as connection:
            ended = connection.scalar(sa.select(item_claim.c.kind).where(item_claim.c.item_id == item))
        if ended is None:
            self.world.visit(self.order_id, place, seq)

    def _refund(self, seq: int) -> None:
        mine = sa.and_(ticket.c.order_id == self.order_id, ticket.c.seq == seq)
        with self.world.centre.write() as connection, suppress(NotAllowedError):  # it may have ended, or be asked for
            number = connection.scalars(sa.select(ticket.c.number).where(mine)).one()
            refunding.ask(connection, number, "改行程", self.clock.now_ms, "test")

    def _fault(self, kind: FaultKind, method: str) -> None:
        self.world.sandbox.huijinbao.faults.add(Fault(kind, method))

    def _turn(self) -> None:
        self.world.turn()

    def _hours(self, count: int) -> None:
        self.clock.pass_ms(count * HOUR_MS)
        self.world.turn()

    def _assert_over(self) -> None:
        """I10: nothing is owed, nothing invested; what is left is what was earned."""
        self.world.assert_books_agree()
        with self.world.centre.read() as connection:
            row = connection.execute(sa.select(order).where(order.c.id == self.order_id)).one()
        assert row.state in {"COMPLETED", "CLOSED_REFUNDED"}
        assert row.fund_closed_at_ms is not None
        left = self.world.posted()
        assert set(left) <= {*LEFT, "5030"}
        assert left["1020"] == -sum(fen for code, fen in left.items() if code != "1020")
