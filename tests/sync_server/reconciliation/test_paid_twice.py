"""What somebody paid beside what counts goes back to them through its provider; what came back is made again."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sandbox_provider.faults import FaultKind
from sync_server.errors import NotAllowedError
from sync_server.payments import top_ups, transfers
from sync_server.payments.provider import Refused, StatementLine, Succeeded, Unclear
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.reconciliation import recon_cases
from sync_server.reconciliation.differences import Difference
from sync_server.second_person import deeds
from sync_server.settlement.tables import payout
from tests.sync_server.command_line import command
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import PASSWORD, two_of_finance
from tests.sync_server.orders.test_closing import a_pass
from tests.sync_server.payments.test_remitting import failing
from tests.sync_server.payments.test_transfers import drive
from tests.sync_server.reconciliation.telling import TODAY, Opened, case_id, cases, flaws, judge, posted, said, tell
from tests.sync_server.reconciliation.test_accepting import Two, give_up, moved_after_all
from tests.sync_server.reconciliation.test_undoing import Generous
from tests.sync_server.sandbox import World


@pytest.fixture
def two(world: World) -> Two:
    return two_of_finance(world.centre)


def paid_twice(world: World, clock: Clock, kind: str) -> UUID:
    """A payment of which another attempt moved as well."""
    if kind == "TOP_UP":
        with world.centre.write() as connection:
            top_ups.begin(connection, world.distributor, 5231, "travel", clock())
    elif kind == "COLLECT":
        a_pass(world)
    else:
        world.buy()
    with world.centre.read() as connection:
        row = connection.execute(sa.select(external_transfer)).one()
    if kind == "CHARGE":
        drive(world, clock, Refused("closed"), Succeeded("P2", row.amount_fen))
    else:
        drive(world, clock, Refused("closed"))
        with world.centre.write() as connection:
            transfers.expire(connection, row.id, clock() + 9_000_000)
            transfers.begin_again(connection, row.id, clock())
        drive(world, clock, Succeeded("P2", row.amount_fen))
    world.turn()
    moved_after_all(world, row.id, row.amount_fen)
    judge(world)
    assert cases(world) == {"DOUBLE_PAID": ("OPEN", row.amount_fen, True)}
    found: UUID = row.id
    return found


@pytest.mark.parametrize("kind", ["CHARGE", "COLLECT", "TOP_UP"])
def test_a_second_payment_goes_back_through_its_provider(world: World, clock: Clock, two: Two, kind: str) -> None:
    before = paid_twice(world, clock, kind)
    with world.centre.write() as connection:
        mine = case_id(world, Difference.DOUBLE_PAID)
        asked = recon_cases.ask_write_off(connection, two[0], mine, "REFUND", "they paid twice", clock())
    with world.centre.write() as connection:
        done = deeds.confirm(connection, two[1], asked, clock())
    assert ", and its provider gives it back to who paid (DOUBLE_PAID" in done.does
    with world.centre.read() as connection:
        refund = connection.execute(sa.select(external_transfer).where(external_transfer.c.kind == "REFUND")).one()
        number = connection.scalars(
            sa.select(transfer_attempt.c.out_no).where(
                transfer_attempt.c.transfer_id == before, transfer_attempt.c.state == "EXTRA"
            )
        ).one()
    assert (refund.original_out_no, refund.state, posted(world, "1310"), flaws(world)) == (number, "CREATED", 0, [])
    platform_fen = posted(world, "1010")
    world.clients = {"ALIPAY": Generous()}
    for _ in range(2):
        world.turn()
        judge(world)
    assert (posted(world, "1010"), flaws(world)) == (platform_fen - refund.amount_fen, [])
    with world.centre.read() as connection:
        mine = sa.select(external_transfer.c.state).where(external_transfer.c.id == refund.id)
        assert connection.scalar(mine) == "SUCCEEDED"


def test_what_may_count_and_what_went_out_is_not_given_back(world: World, clock: Clock, two: Two) -> None:
    world.buy()
    with world.centre.read() as connection:
        row = connection.execute(sa.select(external_transfer)).one()
    drive(world, clock, Refused("closed"), Unclear("?"))
    moved_after_all(world, row.id, 5231)
    judge(world)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="only a payment that came beside"):
        recon_cases.ask_write_off(connection, two[0], case_id(world, Difference.DOUBLE_PAID), "REFUND", "?", clock())


def test_offsetting_answers_with_the_command_that_makes_it_again(world: World, clock: Clock, two: Two) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, transfer_id)
    line = moved_after_all(world, transfer_id, 4970)
    tell(world, clock, [*said(world, TODAY), line, StatementLine("back", None, "RETURN", 4970, 0, START_MS)])
    both = [str(case_id(world, each)) for each in (Difference.PAID_AFTER_VOID, Difference.FOREIGN)]
    who = ("--organisation", "1000", "--account", "qian", "--password-stdin", "--note", "it came back")
    ran = CliRunner().invoke(command("recon-case"), ["offset", *both, *who], obj=Opened(world.centre), input=PASSWORD)
    with world.centre.read() as connection:
        again = [f"payout again {connection.scalars(sa.select(payout.c.number)).one()}"]
    assert [json.loads(said)["next"] for said in ran.stdout.splitlines()] == [again, again]
    listed = CliRunner().invoke(command("recon-case"), ["list", "--state", "RESOLVED"], obj=Opened(world.centre))
    lines = [json.loads(said) for said in listed.stdout.splitlines()]
    assert [one["next"] for one in lines if one["difference"] == "PAID_AFTER_VOID"] == [again]
