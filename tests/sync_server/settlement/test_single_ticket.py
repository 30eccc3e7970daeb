"""The single ticket of money.md §3 to the fen, from the charge to the venue's money, and the provider's own book."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

import pytest
import requests
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance, trial_balance
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.parties.parties import set_funding
from sync_server.payments import top_ups, transfers
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.settlement.item_status import statuses_of
from sync_server.settlement.tables import payout, payout_line
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import World, money_flaws

HOUR_MS = 3_600_000


def posted(world: World) -> dict[str, int]:
    with world.centre.read() as connection:
        return {line.code: line.balance_fen for line in trial_balance(connection)}


def assert_books_agree(world: World) -> None:
    """Our clearing account is what the provider holds for us, and every invariant holds."""
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
        assert sum(line.balance_fen for line in trial_balance(connection)) == 0
        ours = balance(connection, Account("1010")).posted_fen
    assert ours == world.sandbox.book.balances()["platform"]


def test_to_the_fen(world: World) -> None:
    order_id = world.buy()
    world.turn()
    assert world.state(order_id) == "ISSUED"
    assert posted(world) == {"1010": 5231, "2110": -5000, "2120": -200, "4010": -31}
    world.enter(world.items(order_id)[0])
    world.turn()
    assert world.state(order_id) == "COMPLETED"
    assert posted(world) == {"1010": 261, "2110": 0, "2120": 0, "2210": 0, "4010": -31, "4020": -30, "4030": -200}
    assert world.sandbox.book.balances() == {"distributor": 100_000_000 - 5231, "platform": 261, "venue": 4970}
    assert_books_agree(world)
    with world.centre.read() as connection:
        (status,) = statuses_of(connection, order_id)
        line = connection.execute(sa.select(payout_line)).one()
    assert (status.usage, status.money) == ("USED", "SETTLED")
    assert (line.gross_fen, line.fee_fen, line.net_fen) == (5000, 30, 4970)


def booked(world: World) -> dict[str, dict[str, int]]:
    """What was posted, by what it is for: per account code, debits above 0."""
    query = (
        sa.select(ledger_txn.c.txn_key, ledger_account.c.code, posting.c.amount_fen)
        .select_from(posting.join(ledger_txn).join(ledger_account))
        .where(posting.c.layer == "posted")
    )
    lines: defaultdict[str, dict[str, int]] = defaultdict(dict)
    with world.centre.read() as connection:
        for key, code, amount_fen in connection.execute(query):
            lines[key.split(":")[0]][code] = amount_fen
    return dict(lines)


def test_every_line_of_the_example(world: World) -> None:
    order_id = world.buy()
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    assert booked(world) == {
        "charge": {"1010": 5231, "2110": -5000, "2120": -200, "4010": -31},
        "redeem": {"2110": 5000, "2210": -4970, "4020": -30},
        "payout": {"2210": 4970, "1010": -4970},
        "margin": {"2120": 200, "4030": -200},
    }


def test_every_line_of_the_example_prepaid(world: World, clock: Clock) -> None:
    """After a top-up of 100000 at the cashier: 2010 = 94769 after the charge, 1010 unchanged."""
    with world.centre.write() as connection:
        set_funding(connection, world.distributor, "PREPAID", False, "contract", "test", clock())
        top_up = top_ups.begin(connection, world.distributor, 100_000, "travel", clock())
    world.turn()
    with world.centre.read() as connection:
        address = transfers.pay_url(connection, top_up)
    assert address is not None
    assert requests.post(address, timeout=5).ok
    clock.pass_ms(HOUR_MS)
    world.turn()
    assert posted(world) == {"1010": 100_000, "2010": -100_000}
    order_id = world.buy()
    assert posted(world) == {"1010": 100_000, "2010": -94_769, "2110": -5000, "2120": -200, "4010": -31}
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    assert booked(world) == {
        "topup": {"1010": 100_000, "2010": -100_000},
        "charge": {"2010": 5231, "2110": -5000, "2120": -200, "4010": -31},
        "redeem": {"2110": 5000, "2210": -4970, "4020": -30},
        "payout": {"2210": 4970, "1010": -4970},
        "margin": {"2120": 200, "4030": -200},
    }
    assert_books_agree(world)


def test_turning_again_pays_nothing_again(world: World) -> None:
    order_id = world.buy(3)
    world.turn()
    for item in world.items(order_id):
        world.enter(item)
    for _ in range(4):
        world.turn()
    assert world.sandbox.book.balances()["venue"] == 3 * 4970
    assert_books_agree(world)


def test_an_order_is_finished_with_its_last_item(world: World) -> None:
    order_id = world.buy(2)
    world.turn()
    first, second = world.items(order_id)
    world.enter(first)
    world.turn()
    assert world.state(order_id) == "ISSUED"
    world.enter(second)
    world.turn()
    assert world.state(order_id) == "COMPLETED"


def test_a_payout_without_money_waits_for_a_person(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.INSUFFICIENT, "payout")
    world.enter(world.items(order_id)[0])
    world.turn()
    assert states(world) == ("FAILED", "INSUFFICIENT")
    with world.centre.read() as connection:
        (status,) = statuses_of(connection, order_id)
    assert (status.money, status.reason) == ("SETTLE_FAILED", "played: insufficient")
    clock.pass_ms(24 * HOUR_MS)
    world.turn()
    assert states(world) == ("FAILED", "INSUFFICIENT")  # no timer lets it go
    with world.centre.write() as connection:
        transfers.begin_again(connection, payout_transfer(connection), clock.now_ms)
    world.turn()
    assert states(world) == ("PAID", "SUCCEEDED")
    assert_books_agree(world)


def test_a_refused_payout_is_tried_again_under_a_new_number(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.REFUSED, "payout", times=2)
    world.enter(world.items(order_id)[0])
    world.turn()
    assert states(world) == ("FAILED", "DEFINITE_FAIL")
    for _ in range(2):
        clock.pass_ms(HOUR_MS)
        world.turn()
    assert states(world) == ("PAID", "SUCCEEDED")
    with world.centre.read() as connection:
        tried = connection.execute(
            sa.select(transfer_attempt.c.n, transfer_attempt.c.state)
            .where(transfer_attempt.c.transfer_id == payout_transfer(connection))
            .order_by(transfer_attempt.c.n)
        ).all()
    assert [tuple(row) for row in tried] == [(1, "DEFINITE_FAIL"), (2, "DEFINITE_FAIL"), (3, "SUCCEEDED")]
    assert_books_agree(world)


UNCLEAR = (FaultKind.LOST_ANSWER, FaultKind.NONSENSE, FaultKind.LOST_REQUEST, FaultKind.SYSTEM_ERROR)


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNCLEAR)
def test_an_unclear_answer_pays_once_under_the_same_number(world: World, clock: Clock, kind: FaultKind) -> None:
    order_id = world.buy()
    world.turn()
    world.sandbox.play(kind, "payout")
    world.sandbox.play(FaultKind.SYSTEM_ERROR, "query")
    world.enter(world.items(order_id)[0])
    world.turn()
    assert states(world) == ("SEALED", "UNKNOWN")
    with world.centre.read() as connection:
        assert statuses_of(connection, order_id)[0].money == "SETTLING"
    for _ in range(3):
        clock.pass_ms(HOUR_MS)
        world.turn()
    assert states(world) == ("PAID", "SUCCEEDED")
    with world.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.max(transfer_attempt.c.n))) == 1
    assert world.sandbox.book.balances()["venue"] == 4970
    assert_books_agree(world)


def states(world: World) -> tuple[str, str]:
    with world.centre.read() as connection:
        row = connection.execute(
            sa.select(payout.c.state, external_transfer.c.state.label("transfer")).join(
                external_transfer, external_transfer.c.id == payout.c.transfer_id
            )
        ).one()
    return row.state, row.transfer


def payout_transfer(connection: sa.Connection) -> UUID:
    query = sa.select(external_transfer.c.id).where(external_transfer.c.kind == "PAYOUT")
    transfer_id: UUID = connection.scalars(query).one()
    return transfer_id
