"""Another amount that moved under a number which had failed, or was given up: nothing of it moves a second time."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sandbox_provider.faults import FaultKind
from sync_server.audit.tables import event_log
from sync_server.errors import NotAllowedError
from sync_server.money import MAX_FEN
from sync_server.payments import remitting, transfers
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import StatementLine, Succeeded
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.reconciliation import recon_cases
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.tables import recon_case
from sync_server.second_person import deeds
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.tables import payout
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.payments.test_remitting import HOUR_MS, VOUCHER, failing
from tests.sync_server.reconciliation.telling import (
    TODAY,
    case_id,
    cases,
    flaws,
    judge,
    payout_state,
    posted,
    said,
    tell,
)  # fmt: skip
from tests.sync_server.reconciliation.test_accepting import Two, accept, give_up
from tests.sync_server.sandbox import World


@pytest.fixture
def two(world: World) -> Two:
    return two_of_finance(world.centre)


def failed(world: World, clock: Clock, two: Two, how: str) -> UUID:
    """The transfer of a payout of 4970 fen: it lacks money, was refused, or two persons gave it up."""
    fault = FaultKind.INSUFFICIENT if how == "lacking" else FaultKind.REFUSED
    _, transfer_id = failing(world, clock, "PAYOUT", fault)
    if how == "given up":
        give_up(world, two, transfer_id)
        world.turn()
    return transfer_id


def line_of(transfer_id: UUID, amount_fen: int) -> StatementLine:
    number = transfers.number_of(transfer_id, 1)
    return StatementLine("late", number, "PAYOUT", amount_fen, 0, START_MS, "SP-late")


def notice(world: World, transfer_id: UUID, amount_fen: int) -> None:
    with world.centre.write() as connection:
        number = transfers.number_of(transfer_id, 1)
        apply_notice(connection, "ALIPAY", number, Succeeded("SP-late", amount_fen), world.centre.now_ms())


def refuses(world: World, two: Two, how: str, transfer_id: UUID) -> list[str]:
    """Why nobody may pay it once more, in each way there is."""
    now_ms, words = world.centre.now_ms(), []

    def again(connection: Connection) -> None:
        if how == "given up":
            pay_again(connection, two[0], connection.scalars(sa.select(payout.c.number)).one(), "again", now_ms)
        else:
            transfers.resume(connection, two[0], transfer_id, "again", now_ms)

    def by_bank(connection: Connection) -> None:
        remitting.ask(connection, two[0], transfer_id, VOUCHER, "again", now_ms)

    for act in (again, by_bank):
        with pytest.raises(NotAllowedError) as refused, world.centre.write() as connection:
            act(connection)
        words.append(str(refused.value))
    return words


@pytest.mark.parametrize("how", ["lacking", "refused", "given up"])
@pytest.mark.parametrize("by_notice", [False, True])
def test_it_is_not_paid_again_but_accepted(world: World, clock: Clock, two: Two, how: str, *, by_notice: bool) -> None:
    transfer_id = failed(world, clock, two, how)
    lines = [*said(world, TODAY), line_of(transfer_id, -4969)]
    if by_notice:
        notice(world, transfer_id, 4969)
    tell(world, clock, lines)
    for _ in range(2):
        clock.pass_ms(HOUR_MS)
        world.turn()
        judge(world)
    assert world.sandbox.book.balances()["venue"] == 0  # which has them by the other word
    assert cases(world)["PAID_AFTER_VOID"] == ("OPEN", -4969, True)
    assert (posted(world, "1310"), flaws(world)) == (4969, [])
    again, by_bank = refuses(world, two, how, transfer_id)
    assert "twice" in again
    if how != "given up":
        assert "moved the money" in by_bank
    clock.pass_ms(HOUR_MS)
    does = accept(world, two, Difference.PAID_AFTER_VOID)
    assert does.startswith("counts as done by the 49.69 yuan that moved under ")
    with world.centre.read() as connection:
        case = connection.execute(sa.select(recon_case).where(recon_case.c.amount_fen == 1)).one()
        mine = sa.and_(event_log.c.action == "recon_case.accept", event_log.c.subject == f"recon_case:{case.id.hex}")
        detail = json.loads(connection.scalars(sa.select(event_log.c.detail).where(mine)).one())
    told = {"reason": "the receipt is here", "moved_fen": -4969, "amount_fen": 1}
    assert (case.changed_at_ms, detail) == (clock.now_ms, told)
    world.turn()
    judge(world)
    assert (payout_state(world), cases(world)["AMOUNT_OFF"]) == ("SUCCEEDED", ("OPEN", 1, True))
    assert (posted(world, "1310"), posted(world, "1010"), flaws(world)) == (-1, 5231 - 4969, [])


@pytest.mark.parametrize("how", ["lacking", "given up"])
def test_once_it_came_back_it_is_paid_as_before(world: World, clock: Clock, two: Two, how: str) -> None:
    transfer_id = failed(world, clock, two, how)
    back = StatementLine("back", None, "BACK", 4969, 0, START_MS)
    tell(world, clock, [*said(world, TODAY), line_of(transfer_id, -4969), back])
    with world.centre.write() as connection:
        both = case_id(world, Difference.PAID_AFTER_VOID), case_id(world, Difference.FOREIGN)
        recon_cases.offset(connection, two[0], *both, "it came back", clock())
        if how == "given up":
            pay_again(connection, two[0], connection.scalars(sa.select(payout.c.number)).one(), "again", clock())
        else:
            transfers.resume(connection, two[0], transfer_id, "again", clock())
    for _ in range(2):
        clock.pass_ms(HOUR_MS)
        world.turn()
    assert world.sandbox.book.balances()["venue"] == 4970
    assert (posted(world, "1310"), flaws(world)) == (0, [])


@pytest.mark.parametrize("how", ["refused", "given up"])
@pytest.mark.parametrize("to", ["5090", "1030"])
def test_once_it_is_written_off_it_is_paid_as_before(world: World, clock: Clock, two: Two, how: str, to: str) -> None:
    transfer_id = failed(world, clock, two, how)
    tell(world, clock, [*said(world, TODAY), line_of(transfer_id, -1)])
    with world.centre.write() as connection:
        mine = case_id(world, Difference.PAID_AFTER_VOID)
        asked = recon_cases.ask_write_off(connection, two[0], mine, to, "1 fen is lost", clock())
    with world.centre.write() as connection:
        does = deeds.confirm(connection, two[1], asked, clock()).does
    assert ("its transfer, if nothing else paid it, may be made again" in does, flaws(world)) == (True, [])
    with world.centre.write() as connection:
        if how == "given up":
            pay_again(connection, two[0], connection.scalars(sa.select(payout.c.number)).one(), "again", clock())
        else:
            transfers.resume(connection, two[0], transfer_id, "again", clock())
    world.turn()
    assert (world.sandbox.book.balances()["venue"], posted(world, to), flaws(world)) == (4970, 1, [])


def test_what_went_the_other_way_was_not_paid(world: World, clock: Clock, two: Two) -> None:
    transfer_id = failed(world, clock, two, "lacking")
    tell(world, clock, [*said(world, TODAY), line_of(transfer_id, 4970)])
    assert cases(world)["SIGN_WRONG"] == ("OPEN", 4970, True)
    with world.centre.write() as connection:
        transfers.resume(connection, two[0], transfer_id, "topped up", clock())
    world.turn()
    assert (world.sandbox.book.balances()["venue"], payout_state(world)) == (4970, "SUCCEEDED")
    assert flaws(world) == []


@pytest.mark.parametrize("amount_fen", [0, -4970, MAX_FEN + 1])
def test_what_is_no_amount_moved_nothing(world: World, clock: Clock, two: Two, amount_fen: int) -> None:
    transfer_id = failed(world, clock, two, "refused")
    notice(world, transfer_id, amount_fen)
    with world.centre.read() as connection:
        states = connection.execute(
            sa.select(transfer_attempt.c.state, external_transfer.c.state)
            .join(external_transfer)
            .where(external_transfer.c.id == transfer_id)
        ).all()
    assert [tuple(row) for row in states] == [("DEFINITE_FAIL", "DEFINITE_FAIL")]
    assert (posted(world, "1310"), flaws(world)) == (0, [])
