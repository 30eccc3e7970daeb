"""The price column of a statement adds up: what was sold, less what its visitors got back, and nothing else."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sync_server.issuance.tables import issued_pass
from sync_server.orders import paying, placing
from sync_server.orders.tables import ticket
from sync_server.settlement.pass_refunds import refund_pass
from sync_server.statements.rows import StatementLine, lines_between
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.people_numbers import traveller
from tests.sync_server.reconciliation.telling import DAY_MS
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.test_debts import confirm, two_visits_refunded, write_off
from tests.sync_server.settlement.test_payouts import used
from wire.moments import minute_floor


def lines(world: World, kind: str) -> list[StatementLine]:
    """All of it, of the world's venue or distributor."""
    party_id = world.venue if kind == "VENUE" else world.distributor
    with world.centre.read() as connection:
        return list(lines_between(connection, kind, party_id, 0, world.centre.now_ms() + 1))


def prices_fen(found: list[StatementLine]) -> dict[str, int]:
    """The sum of the prices by what the lines are about, of those that have one."""
    sums: dict[str, int] = {}
    for line in found:
        if line.price_fen is not None:
            word = line.txn_key.split(":")[0]
            sums[word] = sums.get(word, 0) + line.price_fen
    return sums


def test_a_debt_that_is_kept_back_or_given_up_is_no_price(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    two_visits_refunded(world, clock, two)
    used(world)
    world.turn()
    world.turn()
    left_fen = confirm(world, two[1], write_off(world, two[0], "2001"))
    assert left_fen == 4970
    found = lines(world, "VENUE")
    assert {line.txn_key.split(":")[0] for line in found} >= {"netting", "writeoff"}
    assert prices_fen(found) == {"redeem": 3 * 5_000, "clawback": -2 * 5_000}


def distributors_pass(world: World, clock: Clock) -> str:
    """Bought by the distributor and in use; the order's number."""
    new = placing.NewOrder(2, 1, "其他", world.distributor, (traveller(1),))
    with world.centre.write() as connection:
        placed = placing.place(world.centre, connection, new, "test")
        assert isinstance(placed, placing.Placed), placed
        paying.pay(connection, placed.order_id, "test", clock.now_ms)
    world.turn()
    begins = minute_floor(clock.now_ms)
    with world.centre.write() as connection:
        row = {
            "id": b"pass0001",
            "number": "1000000000000008",
            "ticket_id": connection.scalars(sa.select(ticket.c.id)).one(),
            "product_id": world.annual,
            "status": "REVOKED",  # its list is none of our business here
            "issue": 1,
            "id_number_due": False,
            "issued_at_ms": clock.now_ms,
            "not_before": begins,
            "not_after": begins + 365 * 1440,
        }
        connection.execute(issued_pass.insert().values(row))
    return placed.number


@pytest.mark.parametrize("amount_fen", [19_800, 5_000])
def test_a_pass_given_back_is_no_price_whatever_was_earned_before(world: World, clock: Clock, amount_fen: int) -> None:
    number = distributors_pass(world, clock)
    clock.pass_ms(200 * DAY_MS)
    with world.centre.write() as connection:
        refund_pass(connection, number, "complaint", clock.now_ms, "operator", amount_fen)
    world.turn()
    found = lines(world, "DISTRIBUTOR")
    assert [(line.txn_key.rpartition(":")[2], line.owed_fen, line.moved_fen) for line in found] == [
        ("charge", 0, -19_919),
        ("refund", amount_fen, 0),
        ("refunded", -amount_fen, amount_fen),
    ]
    assert prices_fen(found) == {"pass": 19_800}
