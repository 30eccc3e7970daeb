"""Income of annual passes: straight line by day, booked by month, whatever happens meanwhile; no fen is lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from sync_server.issuance.tables import issued_pass
from sync_server.ledger.tables import ledger_txn
from sync_server.money import shares_of
from sync_server.settlement import income
from sync_server.settlement.income import days_of, earn_income, line_fen
from sync_server.settlement.months import month_of
from sync_server.settlement.pass_refunds import Refunded, refund_pass
from tests.sync_server.conftest import Clock
from tests.sync_server.orders.test_closing import a_pass
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.test_expiring import HOUR_MS, assert_books_agree, posted
from tests.sync_server.settlement.test_visits import a_pass_in_use
from wire.moments import minute_floor

DAY_MS = 24 * HOUR_MS
PRICE_FEN = 19_800


@given(st.integers(0, 10**7), st.integers(1, 800))
def test_the_days_sum_to_the_price_by_largest_remainder(price_fen: int, days: int) -> None:
    shares = shares_of(price_fen, [1] * days)
    line = [line_fen(price_fen, days, over) for over in range(days + 1)]
    assert [after - before for before, after in pairwise(line)] == shares
    assert line[-1] == line_fen(price_fen, days, days + 9) == price_fen
    assert line_fen(price_fen, days, -3) == 0


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_validity_is_over_at_its_end_and_not_before(begins: int, minutes: int) -> None:
    days, over = days_of(begins, begins + minutes, begins + minutes - 1)
    assert (days - 1) * 1440 < minutes <= days * 1440
    assert over < days
    assert days_of(begins, begins + minutes, begins + minutes) == (days, days)


def earn(world: World) -> int:
    """All months that are over."""
    done = 0
    while part := earn_income(world.centre):
        done += part
    return done


def to_month_end(world: World, clock: Clock) -> None:
    clock.pass_ms(month_of(clock.now_ms, world.centre.settings.zone).ends_ms - clock.now_ms)


def test_each_month_books_its_days_and_the_last_one_all_that_is_left(world: World, clock: Clock) -> None:
    a_pass_in_use(world, clock)
    assert earn(world) == 0
    begins_ms = clock.now_ms
    for _ in range(13):
        to_month_end(world, clock)
        earn(world)
        earn(world)
        over = (clock.now_ms - begins_ms) // DAY_MS
        assert posted(world).get("4060", 0) == -line_fen(PRICE_FEN, 365, over)
        assert_books_agree(world)
    assert posted(world)["4060"] == -PRICE_FEN
    assert "2510" not in posted(world)


def test_after_a_standstill_every_month_is_booked_at_its_own_end(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(income, "MAX_PER_STEP", 1)
    a_pass_in_use(world, clock)
    clock.pass_ms(100 * DAY_MS)
    earn(world)
    with world.centre.read() as connection:
        booked = connection.execute(
            sa.select(ledger_txn.c.txn_key, ledger_txn.c.effective_at_ms)
            .where(ledger_txn.c.txn_key.like("income:%"))
            .order_by(ledger_txn.c.effective_at_ms)
        ).all()
    zone = world.centre.settings.zone
    assert [row.txn_key.rpartition(":")[2] for row in booked] == ["2026-09", "2026-10", "2026-11"]
    assert [month_of(row.effective_at_ms, zone).name for row in booked] == ["2026-09", "2026-10", "2026-11"]
    assert_books_agree(world)


@pytest.mark.parametrize("amount_fen", [None, 5_000])
def test_a_refund_books_what_was_earned_until_then(world: World, clock: Clock, amount_fen: int | None) -> None:
    order_id = a_pass_in_use(world, clock)
    with world.centre.write() as connection:
        connection.execute(issued_pass.update().values(status="REVOKED"))  # its list is none of our business here
    to_month_end(world, clock)
    earn(world)
    clock.pass_ms(10 * DAY_MS + HOUR_MS)
    with world.centre.read() as connection:
        minute = connection.scalars(sa.select(issued_pass.c.not_before)).one()
    over = days_of(minute, minute + 365 * 1440, minute_floor(clock.now_ms))[1]
    with world.centre.write() as connection:
        number = connection.scalars(sa.text('SELECT number FROM "order"')).one()
        done = refund_pass(connection, number, "complaint", clock.now_ms, "operator", amount_fen)
    earned = line_fen(PRICE_FEN, 365, over)
    back_fen = PRICE_FEN if amount_fen is None else amount_fen
    kept_fen = 0 if amount_fen is None else PRICE_FEN - earned - amount_fen
    assert done == Refunded(back_fen, kept_fen, 0)
    world.turn()
    to_month_end(world, clock)
    earn(world)
    left = posted(world)
    assert (left.get("4060", 0), left.get("4050", 0)) == ((0, 0) if amount_fen is None else (-earned, -kept_fen))
    assert "2510" not in left and left.get("1010", 0) == PRICE_FEN - back_fen
    assert world.state(order_id) == "REFUNDED"
    assert_books_agree(world)


def test_what_is_not_issued_earns_nothing(world: World, clock: Clock) -> None:
    a_pass(world, pay=False)
    clock.pass_ms(90 * DAY_MS)
    assert earn(world) == 0
