"""Items nobody used: given back or kept, once every gate has told what it did until then, to the fen."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.catalog.tables import product
from sync_server.gates.tables import device, incarnation
from sync_server.gates.watermarks import RETIRED_WAITS_MS
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance, trial_balance
from sync_server.orders.tables import order, order_item
from sync_server.settlement.item_status import statuses_of
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import World, money_flaws

HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS
MINUTES_MS = 120_000


def posted(world: World) -> dict[str, int]:
    """The balances that are not 0."""
    with world.centre.read() as connection:
        return {line.code: line.balance_fen for line in trial_balance(connection) if line.balance_fen}


def assert_books_agree(world: World) -> None:
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
        ours = balance(connection, Account("1010")).posted_fen
    assert ours == world.sandbox.book.balances()["platform"]


def states(world: World, order_id: object) -> list[str]:
    with world.centre.read() as connection:
        return [status.state for status in statuses_of(connection, order_id)]  # type: ignore[arg-type]  # an id


def a_gate(world: World, synced_through_ms: int | None) -> None:
    """A gate of the venue whose journal is complete up to then."""
    gate = {
        "id": b"g" * 16,
        "venue_id": world.venue,
        "name": "G9",
        "public_key": b"g" * 32,
        "state": "active",
        "reads_id_numbers": False,
        "software": "test",
        "enrolled_at_ms": world.centre.now_ms(),
    }
    journal = {"device_id": b"g" * 16, "incarnation": b"journal1", "through_seq": 9, "highest_seq": 9}
    times = {"first_seen_ms": world.centre.now_ms(), "last_seen_ms": world.centre.now_ms()}
    with world.centre.write() as connection:
        connection.execute(device.insert().values(gate))
        connection.execute(incarnation.insert().values(**journal, **times, synced_through_ms=synced_through_ms))


def tell(world: World, **values: int) -> None:
    with world.centre.write() as connection:
        connection.execute(incarnation.update().values(values))


def test_what_nobody_used_goes_back_whole_but_for_the_fee(world: World, clock: Clock) -> None:
    order_id = world.buy(2)
    world.turn()
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    world.turn()
    assert states(world, order_id) == ["EXPIRED REFUNDED"] * 2
    assert world.state(order_id) == "CLOSED_REFUNDED"
    assert posted(world) == {"1010": 62, "4010": -62}
    assert world.sandbox.book.balances()["distributor"] == 100_000_000 - 62
    world.turn()
    assert_books_agree(world)


def test_not_before_the_last_minute_is_over(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    clock.pass_ms(WEEK_MS - MINUTES_MS)
    world.turn()
    assert states(world, order_id) == ["INACTIVE HELD"]


def test_what_was_sold_as_not_given_back_is_kept(world: World, clock: Clock) -> None:
    with world.centre.write() as connection:
        connection.execute(product.update().values(on_expiry="FORFEIT"))
    order_id = world.buy()
    with world.centre.write() as connection:
        connection.execute(product.update().values(on_expiry="REFUND"))  # what was promised holds
    world.turn()
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    world.turn()
    assert states(world, order_id) == ["EXPIRED FORFEIT"]
    assert posted(world) == {"1010": 5231, "4010": -31, "4050": -5200}
    with world.centre.read() as connection:
        row = connection.execute(sa.select(order)).one()
    assert (row.state, row.breakage, row.first_end) == ("COMPLETED", True, None)
    assert_books_agree(world)


def test_one_visited_one_expired_is_a_completed_order_that_pays_both_ways(world: World, clock: Clock) -> None:
    order_id = world.buy(2)
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    assert world.state(order_id) == "ISSUED"
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    world.turn()
    assert states(world, order_id) == ["USED SETTLED", "EXPIRED REFUNDED"]
    assert world.state(order_id) == "COMPLETED"
    assert posted(world) == {"1010": 62 + 30 + 200, "4010": -62, "4020": -30, "4030": -200}
    assert_books_agree(world)


def test_a_gate_that_was_approved_and_never_heard_may_hold_an_entry_too(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    a_gate(world, None)
    with world.centre.write() as connection:
        connection.execute(incarnation.delete())
        connection.execute(device.update().values(approved_at_ms=world.centre.now_ms()))
    clock.pass_ms(2 * WEEK_MS)
    world.turn()
    assert states(world, order_id) == ["INACTIVE HELD"]
    with world.centre.write() as connection:
        connection.execute(device.update().values(retired_at_ms=world.centre.now_ms()))
    clock.pass_ms(RETIRED_WAITS_MS)
    world.turn()
    assert states(world, order_id) == ["EXPIRED REFUNDED"]


def test_a_gate_that_is_cut_off_may_still_hold_an_entry(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    end_ms = clock.now_ms + WEEK_MS
    a_gate(world, None)
    clock.pass_ms(WEEK_MS + 30 * 24 * HOUR_MS)
    world.turn()
    assert states(world, order_id) == ["INACTIVE HELD"]  # nothing is known of it at all
    tell(world, synced_through_ms=end_ms)
    world.turn()
    assert states(world, order_id) == ["INACTIVE HELD"]  # its clock may differ by a minute
    tell(world, synced_through_ms=end_ms + MINUTES_MS)
    world.turn()
    assert states(world, order_id) == ["EXPIRED REFUNDED"]


def test_a_journal_given_up_by_two_persons_is_waited_for_72_hours(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    a_gate(world, None)
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    tell(world, retired_at_ms=clock.now_ms)
    clock.pass_ms(RETIRED_WAITS_MS - 1)
    world.turn()
    assert states(world, order_id) == ["INACTIVE HELD"]
    clock.pass_ms(1)
    world.turn()
    assert states(world, order_id) == ["EXPIRED REFUNDED"]


def test_a_refund_that_fails_says_so_and_is_tried_until_it_gets_through(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    world.sandbox.play(FaultKind.REFUSED, "refund", times=2)
    world.turn()
    assert states(world, order_id) == ["EXPIRED REFUND_FAILED"]
    with world.centre.read() as connection:
        assert statuses_of(connection, order_id)[0].reason == "played: failed"
    clock.pass_ms(HOUR_MS)
    world.turn()
    assert states(world, order_id) == ["EXPIRED REFUND_FAILED"]
    assert world.state(order_id) == "ISSUED"
    clock.pass_ms(HOUR_MS)
    world.turn()
    assert states(world, order_id) == ["EXPIRED REFUNDED"]
    assert world.state(order_id) == "CLOSED_REFUNDED"
    assert_books_agree(world)


@pytest.mark.parametrize("kind", [FaultKind.LOST_ANSWER, FaultKind.LOST_REQUEST, FaultKind.SYSTEM_ERROR])
def test_an_unclear_refund_is_given_back_once(world: World, clock: Clock, kind: FaultKind) -> None:
    order_id = world.buy()
    world.turn()
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    world.sandbox.play(kind, "refund")
    world.turn()
    assert states(world, order_id) == ["EXPIRED REFUNDING"]
    clock.pass_ms(HOUR_MS)
    world.turn()
    assert states(world, order_id) == ["EXPIRED REFUNDED"]
    assert_books_agree(world)


def test_an_entry_that_counts_in_the_same_moment_wins(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    (item,) = world.items(order_id)
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    world.enter(item)
    world.turn()
    assert states(world, order_id) == ["USED SETTLED"]
    assert_books_agree(world)


def test_one_item_that_cannot_be_given_back_holds_up_no_other(world: World, clock: Clock) -> None:
    bad, good = world.buy(), world.buy()
    world.turn()
    with world.centre.write() as connection:  # as if its charge had never been booked whole
        mine = order_item.update().where(order_item.c.id == world.items(bad)[0])
        connection.execute(mine.values(share_fen=9_999))
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    world.turn()
    assert states(world, bad) == ["INACTIVE HELD"]
    assert states(world, good) == ["EXPIRED REFUNDED"]
