"""Clearing: who gets what, by workers side by side, and how the work is found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from sync_server.catalog import fees
from sync_server.centre import Centre
from sync_server.payments.tables import external_transfer
from sync_server.settlement import clearing, collecting
from sync_server.settlement.item_status import statuses_of
from sync_server.settlement.tables import payout, payout_line
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import World, money_flaws


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_net_and_fee_are_the_whole_price(price_fen: int, fee_fen: int) -> None:
    if fee_fen > price_fen:
        with pytest.raises(ValueError, match="cannot be kept"):
            collecting.clear(price_fen, fee_fen)
        return
    cleared = collecting.clear(price_fen, fee_fen)
    assert cleared.net_fen + cleared.fee_fen == cleared.gross_fen == price_fen
    assert min(cleared) >= 0


@pytest.mark.slow
def test_workers_side_by_side_clear_each_redemption_once(world: World) -> None:
    order_id = world.buy(30)
    world.turn()
    for item in world.items(order_id):
        world.enter(item)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _worker: clearing.clear_redemptions(world.centre), range(4)))
    assert sum(done) == 30
    world.turn()
    assert world.state(order_id) == "COMPLETED"
    assert world.sandbox.book.balances()["venue"] == 30 * 4970
    with world.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(payout_line)) == 30
        assert money_flaws(connection) == []


def test_a_fee_that_eats_the_price_is_settled_without_a_transfer(world: World, clock: Clock) -> None:
    clock.pass_ms(1)  # the newer rule holds
    with world.centre.write() as connection:
        fees.add_fee_rule(connection, "PAYOUT", world.venue, 0, world.centre.now_ms(), min_fen=9_000)
    order_id = world.buy()
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    with world.centre.read() as connection:
        row = connection.execute(sa.select(payout)).one()
        assert (row.state, row.total_fen, row.transfer_id) == ("PAID", 0, None)
        assert statuses_of(connection, order_id)[0].money == "SETTLED"
        assert money_flaws(connection) == []


def test_payouts_of_one_moment_have_each_its_number(world: World) -> None:
    """All items of an order are of one millisecond. The ids of these two's payouts end in the same eight digits."""
    order_id = world.buy(2)
    world.turn()
    ids = bytes.fromhex("312a60882a8ff3a14ee5c1b800d6f7c8"), bytes.fromhex("fe611f7c345a4ac03c2f1364c9e48eaf")
    for item, redemption_id in zip(world.items(order_id), ids, strict=True):
        world.enter(item, redemption_id)
    world.turn()
    with world.centre.read() as connection:
        rows = connection.execute(sa.select(payout.c.number, payout.c.state)).all()
        titles = connection.scalars(sa.select(external_transfer.c.title).where(external_transfer.c.kind == "PAYOUT"))
        assert sorted(titles) == sorted(f"结算单 {row.number}" for row in rows)
        assert [row.state for row in rows] == ["PAID"] * 2
        assert len({row.number[-8:] for row in rows}) == 1, "no longer what this test is about"


def test_what_is_due_is_found_by_its_own_index(centre: Centre) -> None:
    """A look at nothing must cost nothing, however many redemptions there are."""
    plans: list[list[str]] = []

    def explain(connection: sa.Connection, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        if statement.startswith("SELECT") and "FROM redemption" in statement:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            plans.append([row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)])

    sa.event.listen(centre.engine, "before_cursor_execute", explain)
    assert clearing.clear_redemptions(centre) == 0
    counted, honoured = plans  # of the second only what an operator decided is sorted
    assert counted[0] == "SEARCH redemption USING INDEX ix_redemption_due (outcome=?)"
    assert not [step for step in counted if "SCAN" in step or "TEMP B-TREE" in step]
    assert not [step for step in honoured if "SCAN" in step]
