"""What moved after it was given up, and came back: once both are offset it is owed as before, and can be made again."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.errors import NotAllowedError
from sync_server.payments import remitting, top_ups, transfers
from sync_server.payments.provider import Refused, StatementLine, Unclear, Waiting
from sync_server.payments.tables import transfer_attempt
from sync_server.reconciliation import recon_cases
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.statements_in import take_in
from sync_server.reconciliation.tables import recon_case
from sync_server.second_person import deeds
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.tables import payout
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.payments.test_remitting import HOUR_MS, VOUCHER, failing
from tests.sync_server.payments.test_transfers import drive
from tests.sync_server.reconciliation.telling import TODAY, case_id, cases, flaws, judge, posted, said, tell
from tests.sync_server.reconciliation.test_accepting import Two, give_up, moved_after_all
from tests.sync_server.sandbox import World


@pytest.fixture
def two(world: World) -> Two:
    return two_of_finance(world.centre)


def offset(world: World, two: Two, moved: Difference) -> None:
    with world.centre.write() as connection:
        both = case_id(world, moved), case_id(world, Difference.FOREIGN)
        recon_cases.offset(connection, two[0], *both, "it came back", world.centre.now_ms())


def refund_that_moved(world: World, clock: Clock) -> tuple[UUID, UUID, StatementLine]:
    """Under an attempt that the provider had refused: the order, the transfer, and the line of the movement."""
    order_id, transfer_id = failing(world, clock, "REFUND", FaultKind.REFUSED)
    clock.pass_ms(HOUR_MS)
    drive(world, clock, Unclear("?"))
    line = moved_after_all(world, transfer_id, 5200)
    drive(world, clock, Refused("closed"))
    return order_id, transfer_id, line


@pytest.mark.parametrize("line_first", [True, False])
def test_a_payout_is_paid_again(world: World, clock: Clock, two: Two, *, line_first: bool) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, transfer_id)
    world.turn()  # the payout has FAILED
    line = moved_after_all(world, transfer_id, 4970)
    before, back = said(world, TODAY), StatementLine("back", None, "RETURN", 4970, 0, START_MS)
    tell(world, clock, [*before, line, back] if line_first else [*before, back], next_day=line_first)
    with world.centre.read() as connection:
        number = connection.scalars(sa.select(payout.c.number)).one()
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="paid twice"):
        pay_again(connection, two[0], number, "it came back", clock.now_ms)
    offset(world, two, Difference.PAID_AFTER_VOID)
    if not line_first:
        tell(world, clock, [*before, line, back])
    assert (cases(world)["PAID_AFTER_VOID"][0], posted(world, "1310"), flaws(world)) == ("RESOLVED", 0, [])
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="is VOID"):
        remitting.ask(connection, two[0], transfer_id, VOUCHER, "it came back", clock.now_ms)
    with world.centre.write() as connection:
        pay_again(connection, two[0], number, "it came back", clock.now_ms)
    world.turn()
    world.turn()
    with world.centre.read() as connection:
        assert set(connection.scalars(sa.select(payout.c.state))) == {"REPLACED", "PAID"}
    assert (posted(world, "1010"), flaws(world)) == (5231 - 4970, [])
    with world.centre.write() as connection:
        returned = transfer_attempt.update().where(transfer_attempt.c.state == "RETURNED")
        connection.execute(returned.values(state="EXTRA"))
    assert any("where its case was offset, or written off" in flaw for flaw in flaws(world))


def test_a_refund_is_made_again(world: World, clock: Clock, two: Two) -> None:
    order_id, transfer_id, line = refund_that_moved(world, clock)
    tell(world, clock, [*said(world, TODAY), line, StatementLine("back", None, "RETURN", 5200, 0, START_MS)])
    offset(world, two, Difference.PAID_AFTER_VOID)
    with world.centre.write() as connection:
        transfers.resume(connection, two[0], transfer_id, "it came back", clock.now_ms)
    for _ in range(2):
        world.turn()
        clock.pass_ms(HOUR_MS)
    assert world.state(order_id) == "CLOSED_REFUNDED"
    assert (posted(world, "1010"), posted(world, "1310"), flaws(world)) == (31, 0, [])


def test_a_refund_that_was_given_up_is_paid_by_bank(world: World, clock: Clock, two: Two) -> None:
    order_id, transfer_id, line = refund_that_moved(world, clock)
    judge(world)
    give_up(world, two, transfer_id)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="accept that"):
        remitting.ask(connection, two[0], transfer_id, VOUCHER, "it came back", clock.now_ms)
    tell(world, clock, [*said(world, TODAY), line, StatementLine("back", None, "RETURN", 5200, 0, START_MS)])
    offset(world, two, Difference.PAID_AFTER_VOID)
    with world.centre.write() as connection:
        asked = remitting.ask(connection, two[0], transfer_id, VOUCHER, "it came back", clock.now_ms)
    with world.centre.write() as connection:
        deeds.confirm(connection, two[1], asked, clock.now_ms)
    world.turn()
    assert world.state(order_id) == "CLOSED_REFUNDED"
    assert (posted(world, "1010"), posted(world, "1030"), posted(world, "1310")) == (5231, -5200, 0)
    assert flaws(world) == []


def test_the_line_of_what_was_written_off_as_missing_is_a_case_when_it_comes(
    world: World, clock: Clock, two: Two
) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, transfer_id)
    line = moved_after_all(world, transfer_id, 4970)
    before = said(world, TODAY)
    tell(world, clock, before)
    with world.centre.write() as connection:
        mine = case_id(world, Difference.MISSING_THERE)
        asked = recon_cases.ask_write_off(connection, two[0], mine, "5090", "it never left", clock())
        recon_cases.confirm_write_off(connection, two[1], asked, clock())
    assert (posted(world, "1010"), posted(world, "5090"), flaws(world)) == (5231, -4970, [])
    with world.centre.write() as connection:
        take_in(connection, "ALIPAY", TODAY, [*before, line], clock())
    judge(world)
    assert cases(world)["MISSING_HERE"] == ("OPEN", -4970, True)
    assert (posted(world, "1010"), flaws(world)) == (5231 - 4970, [])


def test_what_two_transfers_moved_is_not_what_came_back_of_either(world: World, clock: Clock, two: Two) -> None:
    """A payout's money, out after it was given up, and a top-up's as much, in after its time."""
    _, paid_out = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, paid_out)
    with world.centre.write() as connection:
        paid_in = top_ups.begin(connection, world.distributor, 4970, "travel", clock.now_ms)
    drive(world, clock, Waiting("http://cashier"), Refused("its time is over"))
    world.turn()
    for transfer_id in (paid_out, paid_in):
        moved_after_all(world, transfer_id, 4970)
    judge(world)
    with world.centre.read() as connection:
        found = sa.select(recon_case.c.id).where(recon_case.c.difference == Difference.PAID_AFTER_VOID)
        first, second = connection.scalars(found)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="both moved for a transfer"):
        recon_cases.offset(connection, two[0], first, second, "as much out as in", clock.now_ms)


def test_what_another_transfer_moved_too_much_is_not_what_came_back(world: World, clock: Clock, two: Two) -> None:
    """A payout's money, out after it was given up, and a charge of which as much more came in."""
    _, paid_out = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, paid_out)
    line = moved_after_all(world, paid_out, 4970)
    lines = [replace(each, amount_fen=each.amount_fen + 4970) for each in said(world, TODAY) if each.kind == "CHARGE"]
    tell(world, clock, [*lines, line])
    assert cases(world)["AMOUNT_OFF"] == ("OPEN", 4970, True)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="a line of nobody's"):
        both = case_id(world, Difference.PAID_AFTER_VOID), case_id(world, Difference.AMOUNT_OFF)
        recon_cases.offset(connection, two[0], *both, "as much out as in", clock())
