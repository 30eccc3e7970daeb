"""A sweep that was sent back is in transit no more, by the word of two persons, whichever way it came."""

from __future__ import annotations

import json
from datetime import date
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from sandbox_provider.faults import Fault, FaultKind
from sync_server.approvals.tables import approval
from sync_server.errors import NotAllowedError
from sync_server.payments import sweeps, top_ups, transfers
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import Refused, StatementLine, Succeeded, Waiting
from sync_server.payments.tables import external_transfer
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.reconciliation import returned_sweeps
from sync_server.reconciliation.differences import Difference
from sync_server.second_person import deeds
from tests.sync_server.command_line import command
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import PASSWORD, two_of_finance
from tests.sync_server.payments.test_transfers import drive
from tests.sync_server.reconciliation.telling import (
    DAY_MS,
    TODAY,
    Opened,
    case_id,
    cases,
    flaws,
    judge,
    posted,
    said,
    tell,
)  # fmt: skip
from tests.sync_server.reconciliation.test_accepting import moved_after_all
from tests.sync_server.sandbox import World

VOUCHER = Voucher("工商银行开封支行", date(2026, 9, 21), "20260921-0007")
LATER_MS = 100_000


@pytest.fixture
def two(world: World) -> tuple[Person, Person]:
    """5231 fen of the platform are at Alipay."""
    world.buy()
    world.turn()
    return two_of_finance(world.centre)


def on_its_way(world: World, two: tuple[Person, Person], *, asked_for: bool = True) -> UUID:
    """3000 fen that left Alipay and do not arrive; the transfer that awaits them."""
    world.sandbox.faults.add(Fault(FaultKind.LATE_ARRIVAL, "sweep_out", delay_ms=LATER_MS))
    with world.centre.write() as connection:
        sweeps.ask(connection, two[0], "ALIPAY", "HUIJINBAO", 3000, "combos", world.centre.now_ms())
    transfers.move_due(world.centre, world.clients)
    assert sweeps.follow_sweeps(world.centre) == 1
    if asked_for:
        transfers.move_due(world.centre, world.clients)
    with world.centre.read() as connection:
        query = sa.select(external_transfer.c.id).where(external_transfer.c.kind == "SWEEP_IN")
        found: UUID = connection.scalars(query).one()
        return found


def came_back(world: World, clock: Clock, amount_fen: int = 3000) -> UUID:
    """The case of the line by which it did."""
    tell(world, clock, [*said(world, TODAY), StatementLine("back", "theirs", "SWEEP_BACK", amount_fen, 0, START_MS)])
    found: UUID = case_id(world, Difference.FOREIGN)
    return found


def ask(world: World, who: Person, transfer_id: UUID, by: UUID | Voucher, fee_fen: int = 0) -> UUID:
    with world.centre.write() as connection:
        now_ms = world.centre.now_ms()
        return returned_sweeps.ask(connection, who, transfer_id, by, "their bank refused it", now_ms, fee_fen)


def confirm(world: World, who: Person, request_id: UUID) -> str:
    """What the second person reads."""
    with world.centre.write() as connection:
        return deeds.confirm(connection, who, request_id, world.centre.now_ms()).does


def held(world: World) -> dict[str, int]:
    """What stands anywhere between the accounts of the platform; every invariant holds."""
    assert flaws(world) == []
    found = {code: posted(world, code) for code in ("1010", "1020", "1030", "1090", "1310")}
    return {code: fen for code, fen in found.items() if fen}


@pytest.mark.parametrize("asked_for", [True, False])
def test_what_came_back_by_a_line_is_there_again(
    world: World, clock: Clock, two: tuple[Person, Person], *, asked_for: bool
) -> None:
    arrival = on_its_way(world, two, asked_for=asked_for)
    assert held(world) == {"1010": 2231, "1090": 3000}
    case = came_back(world, clock)
    request_id = ask(world, two[0], arrival, case)
    with pytest.raises(NotAllowedError, match="two persons"):
        confirm(world, two[0], request_id)
    does = confirm(world, two[1], request_id)
    assert does.startswith(f"is awaited no more, as it came back by the line of case {case}: SWEEP_IN of 30.00 yuan")
    clock.pass_ms(DAY_MS)
    transfers.move_due(world.centre, world.clients)  # nobody asks for it any more
    judge(world)
    assert held(world) == {"1010": 5231}
    assert cases(world) == {"FOREIGN": ("RESOLVED", 0, True)}
    with pytest.raises(NotAllowedError, match="is a SWEEP_IN, VOID"):
        ask(world, two[0], arrival, VOUCHER)


def test_what_came_to_the_bank_instead_is_there_by_its_voucher(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    arrival = on_its_way(world, two)
    does = confirm(world, two[1], ask(world, two[0], arrival, VOUCHER))
    assert "came back to the bank (工商银行开封支行, voucher 20260921-0007 of 2026-09-21): SWEEP_IN" in does
    assert held(world) == {"1010": 2231, "1030": 3000}
    with pytest.raises(NotAllowedError, match="booked already"):
        ask(world, two[0], on_its_way_again(world, two), VOUCHER)


def on_its_way_again(world: World, two: tuple[Person, Person]) -> UUID:
    """Another sweep of less."""
    with world.centre.write() as connection:
        sweep_id = sweeps.ask(connection, two[0], "ALIPAY", "HUIJINBAO", 100, "combos", world.centre.now_ms())
    transfers.move_due(world.centre, world.clients)
    sweeps.follow_sweeps(world.centre)
    with world.centre.read() as connection:
        mine = sa.and_(external_transfer.c.subject_id == sweep_id, external_transfer.c.kind == "SWEEP_IN")
        found: UUID = connection.scalars(sa.select(external_transfer.c.id).where(mine)).one()
        return found


def test_what_its_bank_kept_is_a_fee(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    arrival = on_its_way(world, two)
    case = came_back(world, clock, 2950)
    does = confirm(world, two[1], ask(world, two[0], arrival, case))
    assert f"by the line of case {case}, less a fee of 0.50 yuan: SWEEP_IN of 30.00 yuan" in does
    assert held(world) == {"1010": 5181}
    assert posted(world, "5010") == 50
    assert cases(world) == {"FOREIGN": ("RESOLVED", 0, True)}


def test_what_the_bank_got_less_is_a_fee_too(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    arrival = on_its_way(world, two)
    with pytest.raises(NotAllowedError, match="3000 fen cannot be the fee of 3000 fen"):
        ask(world, two[0], arrival, VOUCHER, 3000)
    does = confirm(world, two[1], ask(world, two[0], arrival, VOUCHER, 50))
    assert "of 2026-09-21), less a fee of 0.50 yuan: SWEEP_IN" in does
    assert held(world) == {"1010": 2231, "1030": 2950}
    assert posted(world, "5010") == 50


def test_only_the_sum_that_left_at_the_account_that_it_left_is_the_sweep_come_back(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    arrival = on_its_way(world, two)
    case = came_back(world, clock, 3001)
    with pytest.raises(NotAllowedError, match=r"FOREIGN of 3001 fen at ALIPAY: .* of up to 3000 fen at ALIPAY"):
        ask(world, two[0], arrival, case)
    with world.centre.read() as connection:
        left = connection.scalars(
            sa.select(external_transfer.c.id).where(external_transfer.c.kind == "SWEEP_OUT")
        ).one()
    with pytest.raises(NotAllowedError, match="is a SWEEP_OUT, SUCCEEDED: only an arrival"):
        ask(world, two[0], left, VOUCHER)


def test_what_a_distributor_paid_in_after_its_time_is_no_sweep_come_back(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    with world.centre.write() as connection:
        top_up = top_ups.begin(connection, world.distributor, 3000, "travel", clock())
    drive(world, clock, Waiting("http://cashier"), Refused("its time is over"))
    world.turn()
    arrival = on_its_way(world, two)
    moved_after_all(world, top_up, 3000)
    judge(world)
    with pytest.raises(NotAllowedError, match="is PAID_AFTER_VOID of 3000 fen at ALIPAY: a line that is nobody's"):
        ask(world, two[0], arrival, case_id(world, Difference.PAID_AFTER_VOID))


def test_what_arrives_all_the_same_is_in_suspense(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    arrival = on_its_way(world, two)
    confirm(world, two[1], ask(world, two[0], arrival, VOUCHER))
    with world.centre.write() as connection:
        number = transfers.number_of(arrival, 1)
        assert apply_notice(connection, "HUIJINBAO", number, Succeeded("A1", 3000), clock())
    judge(world)
    assert held(world) == {"1010": 2231, "1020": 3000, "1030": 3000, "1310": -3000}
    assert cases(world) == {"PAID_AFTER_VOID": ("OPEN", 3000, True)}


def test_the_commands_ask_and_check_names_what_no_second_person_said(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    def run(*arguments: str) -> Result:
        who = ("--organisation", "1000", "--account", "qian", "--password-stdin", "--reason", "their bank refused it")
        group = command("sweep")
        return CliRunner().invoke(group, [*arguments, *who], obj=Opened(world.centre), input=f"{PASSWORD}\n")

    arrival = on_its_way(world, two)
    bank = ("--bank", "工商银行", "--paid-on", "2026-09-21", "--voucher", "7")
    assert json.loads(run("returned-by-bank", str(arrival), *bank).stdout)["state"] == "requested"
    case = came_back(world, clock)
    request_id = json.loads(run("returned", str(arrival), str(case)).stdout)["request"]
    confirm(world, two[1], UUID(request_id))
    assert held(world) == {"1010": 5231}
    with world.centre.write() as connection:
        connection.execute(approval.update().where(approval.c.id == UUID(request_id)).values(act="x"))
    assert any("by the word of two persons" in flaw for flaw in flaws(world))
