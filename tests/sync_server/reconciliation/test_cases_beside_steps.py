"""A person settles a case while a step of reconciliation works on it: whoever is later sees what the first one did."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.db import exclusive
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import StatementLine, Succeeded
from sync_server.payments.tables import external_transfer
from sync_server.reconciliation import recon_cases, returned_sweeps
from sync_server.reconciliation.case_finding import match_later
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.reconciling import judge_lines
from sync_server.reconciliation.statements_in import take_in
from sync_server.second_person import deeds
from tests.sync_server.beside import Beside
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.payments.test_remitting import failing
from tests.sync_server.reconciliation.telling import (
    TODAY,
    case_id,
    cases,
    flaws,
    judge,
    payout_line,
    posted,
    said,
    sell_and_pay,
    tell,
)
from tests.sync_server.reconciliation.test_returned_sweeps import on_its_way
from tests.sync_server.sandbox import World

pytestmark = pytest.mark.postgres


def test_a_missing_movement_is_not_written_off_and_found(postgres_world: World, clock: Clock) -> None:
    world, (asks, confirms) = postgres_world, two_of_finance(postgres_world.centre)
    sell_and_pay(world)
    lines = said(world, TODAY)
    tell(world, clock, [line for line in lines if line.kind != "PAYOUT"])
    with world.centre.write() as connection:
        mine = case_id(world, Difference.MISSING_THERE)
        asked = recon_cases.ask_write_off(connection, asks, mine, "5090", "gone", clock.now_ms)
        take_in(connection, "ALIPAY", TODAY, lines, clock.now_ms)  # once more, now with the payout
    with world.centre.write() as connection:
        deeds.confirm(connection, confirms, asked, clock.now_ms)
        later = Beside(world.centre, lambda: judge_lines(world.centre, "ALIPAY"))
    later.finish()
    assert cases(world)["MISSING_HERE"] == ("OPEN", -4970, True)
    assert posted(world, "1010") == world.sandbox.book.balances()["platform"] == 261


def test_what_is_written_off_is_not_matched_besides(postgres_world: World, clock: Clock) -> None:
    world, (asks, confirms) = postgres_world, two_of_finance(postgres_world.centre)
    failing(world, clock, "PAYOUT", FaultKind.LOST_ANSWER)
    off = replace(payout_line(world), amount_fen=-4900)
    tell(world, clock, [*(line for line in said(world, TODAY) if line.kind != "PAYOUT"), off])
    with world.centre.write() as connection:
        mine = case_id(world, Difference.AMOUNT_OFF)
        apply_notice(connection, "ALIPAY", str(off.out_no), Succeeded("SP-1", 4970), clock.now_ms)
        asked = recon_cases.ask_write_off(connection, asks, mine, "5090", "gone", clock.now_ms)
    with world.centre.write() as connection:
        deeds.confirm(connection, confirms, asked, clock.now_ms)
        later = Beside(world.centre, lambda: match_later(world.centre))
    later.finish()
    judge(world)
    assert cases(world)["AMOUNT_OFF"] == ("RESOLVED", -4900, True)
    assert (posted(world, "1310"), flaws(world)) == (0, [])


def test_who_says_that_a_sweep_came_back_holds_no_transfer_that_a_step_wants(
    postgres_world: World, clock: Clock
) -> None:
    world = postgres_world
    world.buy()
    world.turn()
    two = two_of_finance(world.centre)
    transfer_id = on_its_way(world, two)
    tell(world, clock, [*said(world, TODAY), StatementLine("back", None, "RETURN", 3000, 0, START_MS)])
    came_back = case_id(world, Difference.FOREIGN)

    def ask() -> None:
        with world.centre.write() as connection:
            returned_sweeps.ask(connection, two[0], transfer_id, came_back, "sent back", clock.now_ms)

    with world.centre.write() as connection:
        exclusive(connection, recon_cases.STEP)
        later = Beside(world.centre, ask)
        mine = sa.select(external_transfer.c.id).where(external_transfer.c.id == transfer_id)
        assert connection.scalar(mine.with_for_update(nowait=True)) == transfer_id
    later.finish()
