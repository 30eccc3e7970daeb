"""Money that moved under a payout or refund that was given up: two persons take it as the transfer's success."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.approvals.tables import approval
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import Balance, balance
from sync_server.payments import abandoning, transfers
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import Refused, StatementLine, Succeeded, Unclear
from sync_server.payments.tables import external_transfer
from sync_server.people.identifying import Person
from sync_server.second_person import deeds as second_person
from sync_server.settlement import accepting
from sync_server.settlement.differences import Difference
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.tables import payout
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.payments.test_remitting import HOUR_MS, failing
from tests.sync_server.payments.test_transfers import drive
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.telling import TODAY, case_id, cases, flaws, judge, posted, said, tell

Two = tuple[Person, Person]


@pytest.fixture
def two(world: World) -> Two:
    return two_of_finance(world.centre)


def give_up(world: World, two: Two, transfer_id: UUID) -> None:
    with world.centre.write() as connection:
        request_id = abandoning.ask(connection, two[0], transfer_id, "account closed", world.centre.now_ms())
        abandoning.confirm(connection, two[1], request_id, world.centre.now_ms())


def moved_after_all(world: World, transfer_id: UUID, amount_fen: int, n: int = 1) -> StatementLine:
    """The provider says that an attempt succeeded; the line that its statement has."""
    number = transfers.number_of(transfer_id, n)
    with world.centre.write() as connection:
        apply_notice(connection, "ALIPAY", number, Succeeded(f"late-{n}", amount_fen), world.centre.now_ms())
        query = sa.select(external_transfer.c.kind).where(external_transfer.c.id == transfer_id)
        kind = connection.scalars(query).one()
    return StatementLine("late", number, kind, -amount_fen, 0, START_MS, f"late-{n}")


def accept(world: World, two: Two, difference: Difference) -> str:
    """By two persons, the second one from the list of what waits; in the words that they read."""
    judge(world)
    mine = case_id(world, difference)
    with world.centre.write() as connection:
        request_id = accepting.ask(connection, two[0], mine, "the receipt is here", world.centre.now_ms())
    with world.centre.write() as connection:
        done = second_person.confirm(connection, two[1], request_id, world.centre.now_ms())
    return done.does


def refusal(world: World, two: Two, difference: Difference) -> str:
    judge(world)
    mine = case_id(world, difference)
    with world.centre.write() as connection, pytest.raises(NotAllowedError) as refused:
        accepting.ask(connection, two[0], mine, "the receipt is here", world.centre.now_ms())
    return str(refused.value)


@pytest.mark.parametrize("line_first", [True, False])
def test_a_payout_that_was_given_up_and_paid_is_paid(world: World, clock: Clock, two: Two, *, line_first: bool) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, transfer_id)
    line = moved_after_all(world, transfer_id, 4970)
    lines = [*said(world, TODAY), line]
    if line_first:
        tell(world, clock, lines)
    does = accept(world, two, Difference.PAID_AFTER_VOID)
    assert does.startswith(f"counts as done by what moved under {line.out_no}: PAYOUT of 49.70 yuan")
    world.turn()
    tell(world, clock, lines)
    with world.centre.read() as connection:
        assert balance(connection, Account("2210", world.venue)) == Balance(0, 0)
        assert connection.scalar(sa.select(payout.c.state)) == "PAID"
    assert (posted(world, "1010"), posted(world, "1310"), posted(world, "5090")) == (5231 - 4970, 0, 0)
    assert cases(world) == {"PAID_AFTER_VOID": ("RESOLVED", 0, True), "VOIDED": ("OPEN", 0, False)}
    assert flaws(world) == []


@pytest.mark.parametrize("void", [True, False])
def test_a_refund_of_which_another_attempt_moved_is_done(world: World, clock: Clock, two: Two, *, void: bool) -> None:
    order_id, transfer_id = failing(world, clock, "REFUND", FaultKind.REFUSED)
    clock.pass_ms(HOUR_MS)
    drive(world, clock, Unclear("?"))
    moved_after_all(world, transfer_id, 5200)
    drive(world, clock, Refused("closed"))
    judge(world)
    if void:
        give_up(world, two, transfer_id)
    accept(world, two, Difference.DOUBLE_PAID)
    world.turn()
    assert world.state(order_id) == "CLOSED_REFUNDED"
    assert (posted(world, "1010"), posted(world, "1310"), posted(world, "5090")) == (31, 0, 0)
    assert flaws(world) == []


def test_what_was_paid_beside_another_is_not_accepted(world: World, clock: Clock, two: Two) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, transfer_id)
    with world.centre.write() as connection:
        number = connection.scalars(sa.select(payout.c.number)).one()
    world.turn()  # the payout has FAILED
    with world.centre.write() as connection:
        pay_again(connection, two[0], number, "a new account", clock.now_ms)
    moved_after_all(world, transfer_id, 4970)
    assert "is REPLACED" in refusal(world, two, Difference.PAID_AFTER_VOID)
    assert "is VOIDED" in refusal(world, two, Difference.VOIDED)


def test_of_two_attempts_that_moved_none_is_accepted(world: World, clock: Clock, two: Two) -> None:
    _, transfer_id = failing(world, clock, "REFUND", FaultKind.REFUSED)
    clock.pass_ms(HOUR_MS)
    drive(world, clock, Unclear("?"))
    moved_after_all(world, transfer_id, 5200)
    judge(world)
    assert "is UNKNOWN" in refusal(world, two, Difference.DOUBLE_PAID)
    mine = case_id(world, Difference.DOUBLE_PAID)
    drive(world, clock, Refused("closed"))
    give_up(world, two, transfer_id)
    moved_after_all(world, transfer_id, 5200, 2)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="2 attempts"):
        accepting.ask(connection, two[0], mine, "the receipt is here", clock.now_ms)


def test_what_no_second_person_accepted_is_named_by_check(world: World, clock: Clock, two: Two) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, transfer_id)
    moved_after_all(world, transfer_id, 4970)
    accept(world, two, Difference.PAID_AFTER_VOID)
    assert flaws(world) == []
    with world.centre.write() as connection:
        connection.execute(approval.update().where(approval.c.act == "recon_case.accept").values(act="recon_case.x"))
    [flaw] = flaws(world)
    assert "by the word of two persons, from suspense" in flaw
