"""Money that moved twice is suspense and an alarm; what cannot be moved is given up by two persons."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.audit.tables import event_log
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import Balance, balance
from sync_server.parties.parties import NewParty, add_party
from sync_server.payments import abandoning, remitting, transfers
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import Refused, Succeeded, Unclear
from sync_server.payments.tables import external_transfer, transfer_attempt
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ, two_of_finance
from tests.sync_server.payments.test_remitting import HOUR_MS, ask, failing
from tests.sync_server.payments.test_transfers import ScriptedProvider, drive, transfer_row
from tests.sync_server.sandbox import World, money_flaws


def told(world: World, n: int, reference: str, amount_fen: int = 5231) -> None:
    """The provider says that attempt `n` succeeded."""
    with world.centre.write() as connection:
        out_no = connection.scalars(sa.select(transfer_attempt.c.out_no).where(transfer_attempt.c.n == n)).one()
        apply_notice(connection, "ALIPAY", out_no, Succeeded(reference, amount_fen), world.centre.now_ms())


def alarms(world: World) -> int:
    with world.centre.read() as connection:
        count = sa.select(sa.func.count()).select_from(event_log)
        return connection.scalar(count.where(event_log.c.action == "transfer.double_paid")) or 0


def suspense(world: World) -> tuple[Balance, Balance]:
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
        return balance(connection, Account("1010")), balance(connection, Account("1310"))


def test_a_second_success_is_suspense_and_an_alarm(world: World, clock: Clock) -> None:
    world.buy()
    drive(world, clock, Refused("closed"), Succeeded("P2", 5231))
    assert transfer_row(world).state == "SUCCEEDED"
    for _ in range(2):  # the same again is once
        told(world, 1, "P1")
    assert transfer_row(world).state == "SUCCEEDED"
    assert alarms(world) == 1
    assert suspense(world) == (Balance(2 * 5231, 0), Balance(-5231, 0))


def test_a_success_beside_an_open_attempt_stops_all_further_ones(world: World, clock: Clock) -> None:
    world.buy()
    drive(world, clock, Refused("closed"), Unclear("?"))
    told(world, 1, "P1")
    assert (transfer_row(world).state, alarms(world)) == ("UNKNOWN", 1)
    drive(world, clock, Refused("closed"))
    clock.pass_ms(3_600_000)
    assert transfers.move_due(world.centre, {"ALIPAY": ScriptedProvider([])}) == 1  # nothing is sent any more
    assert transfer_row(world).state == "DEFINITE_FAIL"
    assert suspense(world) == (Balance(5231, 5231), Balance(-5231, 0))


def test_two_persons_give_up_a_payout_that_cannot_be_made(world: World, clock: Clock) -> None:
    with world.centre.write() as connection:
        platform = NewParty("PLATFORM", "1000", "平台", "Platform", "platform")
        add_party(connection, platform, "Asia/Shanghai", clock.now_ms)
    first, second = employ(world.centre, "qian", "finance"), employ(world.centre, "sun", "finance")
    outsider = employ(world.centre, "zhao", "operations")
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.REFUSED, "payout", times=99)
    world.enter(world.items(order_id)[0])
    world.turn()
    with world.centre.read() as connection:
        charge, payout = (
            connection.scalars(sa.select(external_transfer.c.id).where(external_transfer.c.kind == kind)).one()
            for kind in ("CHARGE", "PAYOUT")
        )
    for who, transfer_id, match in ((outsider, payout, "permission"), (first, charge, "with its order")):
        with pytest.raises(NotAllowedError, match=match), world.centre.write() as connection:
            abandoning.ask(connection, who, transfer_id, "account closed", clock.now_ms)
    with world.centre.write() as connection:
        request_id = abandoning.ask(connection, first, payout, "account closed", clock.now_ms)
    with pytest.raises(NotAllowedError, match="two persons"), world.centre.write() as connection:
        abandoning.confirm(connection, first, request_id, clock.now_ms)
    with world.centre.write() as connection:
        assert abandoning.confirm(connection, second, request_id, clock.now_ms) == payout
    clock.pass_ms(3_600_000)
    world.turn()
    with world.centre.read() as connection:
        row = connection.execute(sa.select(external_transfer).where(external_transfer.c.id == payout)).one()
        assert (row.state, row.reason) == ("VOID", "account closed")
        assert balance(connection, Account("2210", world.venue)) == Balance(-4970, 0)  # owed as before
        assert money_flaws(connection) == []


def test_a_refund_is_not_given_up_but_paid_by_bank(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    order_id, refund = failing(world, clock, "REFUND", FaultKind.REFUSED)
    with pytest.raises(NotAllowedError, match="by bank"), world.centre.write() as connection:
        abandoning.ask(connection, two[0], refund, "account closed", clock.now_ms)
    request_id = ask(world, two[0], refund)
    with world.centre.write() as connection:
        remitting.confirm(connection, two[1], request_id, clock.now_ms)
    world.turn()
    assert world.state(order_id) == "CLOSED_REFUNDED"


def test_a_refund_that_moved_after_it_was_refused_is_given_up(world: World, clock: Clock) -> None:
    """Nothing sends it any more, and no bank is to pay it again."""
    two = two_of_finance(world.centre)
    _, refund = failing(world, clock, "REFUND", FaultKind.REFUSED)
    clock.pass_ms(HOUR_MS)
    drive(world, clock, Unclear("?"))
    with world.centre.write() as connection:
        apply_notice(connection, "ALIPAY", transfers.number_of(refund, 1), Succeeded("R1", 5200), clock.now_ms)
    drive(world, clock, Refused("closed"))
    assert suspense(world)[1] == Balance(5200, 0)
    with world.centre.write() as connection:
        request_id = abandoning.ask(connection, two[0], refund, "it moved", clock.now_ms)
        abandoning.confirm(connection, two[1], request_id, clock.now_ms)
    with world.centre.read() as connection:
        assert connection.scalar(sa.select(external_transfer.c.state).where(external_transfer.c.id == refund)) == "VOID"
