"""A provider that moved another amount and stays with it: two persons end the transfer, whatever its kind."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sync_server.approvals.tables import approval
from sync_server.catalog.tables import stock
from sync_server.errors import NotAllowedError
from sync_server.parties.tables import PROVIDERS
from sync_server.payments import sweeps, top_ups, transfers
from sync_server.payments.provider import Answer, Instruction, StatementLine, Succeeded, day_of
from sync_server.payments.tables import COMING_IN, LATE_ENTRY, external_transfer, transfer_attempt
from sync_server.reconciliation import accepting, other_amounts, recon_cases
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.other_amounts import Outcome
from sync_server.reconciliation.statements_in import take_in
from sync_server.reconciliation.tables import recon_case
from sync_server.redemptions import decisions
from sync_server.second_person import deeds
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.tables import payout
from tests.sync_server.command_line import command
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import PASSWORD, two_of_finance
from tests.sync_server.orders.test_closing import a_pass
from tests.sync_server.payments.test_funds import Fund
from tests.sync_server.reconciliation.telling import (
    TODAY,
    Opened,
    case_id,
    cases,
    flaws,
    judge,
    payout_state,
    posted,
)  # fmt: skip
from tests.sync_server.reconciliation.test_accepting import Two
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.test_late_entries import borne_by, refunded_then_late
from tests.sync_server.silent_provider import SilentProvider

WEEK_MS = 7 * 86_400_000
PLAIN = ("CHARGE", "COLLECT", "TOP_UP", "PAYOUT", "REFUND", "LATE", "SWEEP_OUT", "FUND_BUY", "FUND_SELL")


class Short(SilentProvider):
    """It moves one fen less than it was told to, and says so each time."""

    def send(self, instruction: Instruction) -> Answer:
        return Succeeded(f"SP-{instruction.out_no}", instruction.amount_fen - 1)

    query = cancel = send


@pytest.fixture
def two(world: World) -> Two:
    return two_of_finance(world.centre)


def one_short(world: World, clock: Clock, two: Two, what: str, line_fen: int | None = None) -> sa.Row[Any]:
    """A transfer of this kind of which one fen less moved, as the statement says, too; or it says `line_fen`."""
    sound = world.clients
    if what in ("PAYOUT", "REFUND", "SWEEP_OUT", "SWEEP_IN"):
        order_id = world.buy()
        world.turn()
        if what == "PAYOUT":
            world.enter(world.items(order_id)[0])
        elif what == "REFUND":
            clock.pass_ms(WEEK_MS + 120_000)
        else:
            with world.centre.write() as connection:
                sweeps.ask(connection, two[0], "ALIPAY", "HUIJINBAO", 3000, "combos", clock())
            if what == "SWEEP_IN":
                transfers.move_due(world.centre, sound)
                sweeps.follow_sweeps(world.centre)
    elif what == "LATE":
        late = refunded_then_late(world, clock)
        borne_by(world, "DISTRIBUTOR")
        with world.centre.write() as connection:
            decisions.honour(connection, two[0], late, "cut off", clock())
    elif what == "CHARGE":
        world.buy()
    elif what == "COLLECT":
        a_pass(world)
    elif what == "TOP_UP":
        with world.centre.write() as connection:
            top_ups.begin(connection, world.distributor, 7000, "travel", clock())
    fund = Fund(world) if what in ("FUND_SELL", "FUND_CLOSE") else None
    world.clients = dict.fromkeys(PROVIDERS, Short())
    if what == "FUND_BUY":
        Fund(world)
    elif fund is not None:
        fund.move(what, "fundsell" if what == "FUND_SELL" else "fundclose", 5000)
    world.turn()
    world.turn()
    row = transfer(world, what)
    with world.centre.read() as connection:
        mine = sa.select(transfer_attempt.c.out_no).where(transfer_attempt.c.transfer_id == row.id)
        number = connection.scalars(mine).one()
    moved_fen = line_fen or (row.amount_fen - 1) * (1 if row.kind in COMING_IN else -1)
    line = StatementLine("1", number, row.kind, moved_fen, 0, clock.now_ms, "SP-1")
    clock.pass_ms(3 * 86_400_000)
    with world.centre.write() as connection:
        take_in(connection, row.provider, day_of(line.at_ms), [line], clock.now_ms)
    judge(world)
    assert [*cases(world).values()] == [("OPEN", moved_fen, True)]
    assert (row.state, flaws(world)) == ("UNKNOWN", [])
    return row


def transfer(world: World, what: str) -> sa.Row[Any]:
    """The newest of this kind."""
    late = external_transfer.c.subject_key.startswith(LATE_ENTRY)
    mine = late if what == "LATE" else external_transfer.c.kind == what
    with world.centre.read() as connection:
        newest = sa.select(external_transfer).where(mine).order_by(external_transfer.c.created_at_ms.desc())
        return connection.execute(newest.limit(1)).one()


def end(world: World, two: Two, outcome: Outcome, difference: Difference = Difference.AMOUNT_OFF) -> str:
    """In the words that the second person reads."""
    with world.centre.write() as connection:
        mine = case_id(world, difference)
        asked = other_amounts.ask(connection, two[0], mine, outcome, "they stay with it", world.centre.now_ms())
    with world.centre.write() as connection:
        return deeds.confirm(connection, two[1], asked, world.centre.now_ms()).does


def refusal(world: World, two: Two, outcome: Outcome, difference: Difference = Difference.AMOUNT_OFF) -> str:
    mine = case_id(world, difference)
    with world.centre.write() as connection, pytest.raises(NotAllowedError) as refused:
        other_amounts.ask(connection, two[0], mine, outcome, "they stay with it", world.centre.now_ms())
    return str(refused.value)


@pytest.mark.parametrize("what", [*PLAIN, "SWEEP_IN"])
def test_what_counts_as_done_leaves_the_fen_that_differs_with_its_case(
    world: World, clock: Clock, two: Two, what: str
) -> None:
    row = one_short(world, clock, two, what)
    comes_in = row.kind in COMING_IN
    does = end(world, two, "done")
    assert does.startswith("counts as done, and what differs stays with the case, as ")
    for _ in range(3):
        judge(world)
    ended, left_fen = transfer(world, what), -1 if comes_in else 1
    assert (ended.state, ended.provider_ref) == ("SUCCEEDED", "SP-1")
    assert cases(world)["AMOUNT_OFF"] == ("OPEN", left_fen, True)
    assert (posted(world, "1310"), flaws(world)) == (-left_fen, [])
    with world.centre.write() as connection:
        mine = case_id(world, Difference.AMOUNT_OFF)
        asked = recon_cases.ask_write_off(connection, two[0], mine, "5090", "one fen", clock())
        recon_cases.confirm_write_off(connection, two[1], asked, clock())
    assert (posted(world, "1310"), flaws(world)) == (0, [])


@pytest.mark.parametrize("what", PLAIN)
def test_what_is_given_up_leaves_what_moved_in_a_case_of_its_own(
    world: World, clock: Clock, two: Two, what: str
) -> None:
    row = one_short(world, clock, two, what)
    moved_fen = cases(world)["AMOUNT_OFF"][1]
    assert end(world, two, "given-up").startswith("is given up, and what moved is a case of its own, as ")
    for _ in range(3):
        world.turn()
        judge(world)
    assert transfer(world, what).state == "VOID"
    moved = Difference.DOUBLE_PAID if what in ("CHARGE", "COLLECT") else Difference.PAID_AFTER_VOID
    assert cases(world)["AMOUNT_OFF"] == ("RESOLVED", 0, True)
    assert cases(world)[moved] == ("OPEN", moved_fen, True)
    assert (posted(world, "1310"), flaws(world)) == (-moved_fen, [])
    assert "is VOID" in refusal_of_what_ended(world, two, row.id)


def refusal_of_what_ended(world: World, two: Two, transfer_id: UUID) -> str:
    with world.centre.write() as connection, pytest.raises(NotAllowedError) as refused:
        transfers.resume(connection, two[0], transfer_id, "again", world.centre.now_ms())
    return str(refused.value)


def test_an_order_of_which_less_was_paid_closes_and_its_stock_is_free(world: World, clock: Clock, two: Two) -> None:
    one_short(world, clock, two, "CHARGE")
    with world.centre.read() as connection:
        assert set(connection.scalars(sa.select(stock.c.reserved))) == {0, 1}
    end(world, two, "given-up")
    world.turn()
    with world.centre.read() as connection:
        order_id = connection.scalars(sa.select(external_transfer.c.subject_id)).one()
        assert set(connection.scalars(sa.select(stock.c.reserved))) == {0}
    assert world.state(order_id) == "CLOSED_UNPAID"


def test_a_payout_given_up_so_is_paid_again_once_what_moved_came_back(world: World, clock: Clock, two: Two) -> None:
    one_short(world, clock, two, "PAYOUT")
    end(world, two, "given-up")
    world.turn()
    back = StatementLine("back", None, "RETURN", 4969, 0, START_MS)
    with world.centre.write() as connection:
        number = connection.scalars(sa.select(payout.c.number)).one()
        with pytest.raises(NotAllowedError, match="paid twice"):
            pay_again(connection, two[0], number, "again", clock())
        take_in(connection, "ALIPAY", TODAY, [back], clock())
    judge(world)
    with world.centre.write() as connection:
        both = case_id(world, Difference.PAID_AFTER_VOID), case_id(world, Difference.FOREIGN)
        recon_cases.offset(connection, two[0], *both, "it came back", clock())
        pay_again(connection, two[0], number, "again", clock())
    assert (posted(world, "1310"), flaws(world)) == (0, [])


def test_what_was_given_up_so_may_be_accepted_after_all(world: World, clock: Clock, two: Two) -> None:
    one_short(world, clock, two, "PAYOUT")
    end(world, two, "given-up")
    judge(world)
    with world.centre.write() as connection:
        asked = accepting.ask(connection, two[0], case_id(world, Difference.PAID_AFTER_VOID), "they keep it", clock())
        accepting.confirm(connection, two[1], asked, clock())
    judge(world)
    assert payout_state(world) == "SUCCEEDED"
    with world.centre.read() as connection:
        left = sa.select(recon_case.c.amount_fen).where(recon_case.c.state == "OPEN")
        assert list(connection.scalars(left)) == [1]
    assert (posted(world, "1310"), posted(world, "1010"), flaws(world)) == (-1, 5231 - 4969, [])


def test_nobody_settles_the_case_while_the_outcome_is_open(world: World, clock: Clock, two: Two) -> None:
    row = one_short(world, clock, two, "PAYOUT")
    mine = case_id(world, Difference.AMOUNT_OFF)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match=f"other-amount {mine}"):
        recon_cases.ask_write_off(connection, two[0], mine, "5090", "gone", clock())
    with world.centre.write() as connection:
        take_in(connection, "ALIPAY", TODAY, [StatementLine("back", None, "BACK", 4969, 0, START_MS)], clock())
    judge(world)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match=f"transfer {row.id}"):
        recon_cases.offset(connection, two[0], mine, case_id(world, Difference.FOREIGN), "back", clock())
    assert "is FOREIGN" in refusal(world, two, "done", Difference.FOREIGN)


def test_what_arrives_is_never_given_up(world: World, clock: Clock, two: Two) -> None:
    one_short(world, clock, two, "SWEEP_IN")
    assert "a SWEEP_IN is not given up" in refusal(world, two, "given-up")


@pytest.mark.parametrize(("line_fen", "difference"), [(4970, Difference.SIGN_WRONG), (4969, Difference.AMOUNT_OFF)])
def test_what_went_the_other_way_is_never_done(
    world: World, clock: Clock, two: Two, line_fen: int, difference: Difference
) -> None:
    """Neither at once, nor after it was given up: the venue has nothing."""
    one_short(world, clock, two, "PAYOUT", line_fen)
    assert "went the other way" in refusal(world, two, "done", difference)
    end(world, two, "given-up", difference)
    judge(world)
    mine = case_id(world, Difference.PAID_AFTER_VOID)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="went the other way"):
        accepting.ask(connection, two[0], mine, "they keep it", clock())


def test_the_command_asks_and_check_names_what_no_second_person_gave_up(world: World, clock: Clock, two: Two) -> None:
    one_short(world, clock, two, "PAYOUT")
    mine = case_id(world, Difference.AMOUNT_OFF)
    who = ("--organisation", "1000", "--account", "qian", "--password-stdin", "--reason", "they stay with it")
    arguments = ["other-amount", str(mine), "--as", "given-up", *who]
    said = CliRunner().invoke(command("recon-case"), arguments, obj=Opened(world.centre), input=f"{PASSWORD}\n")
    request_id = UUID(json.loads(said.stdout)["request"])
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="two persons"):
        deeds.confirm(connection, two[0], request_id, clock())
    with world.centre.write() as connection:
        deeds.confirm(connection, two[1], request_id, clock())
    judge(world)
    assert flaws(world) == []
    with world.centre.write() as connection:
        connection.execute(approval.update().where(approval.c.id == request_id).values(act="x"))
    assert any("by the word of two persons" in flaw for flaw in flaws(world))
