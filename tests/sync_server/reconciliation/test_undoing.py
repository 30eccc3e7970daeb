"""A payout or refund that came back, or that no statement has: two persons say so, and it is owed and made again."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sandbox_provider.faults import FaultKind
from sync_server.approvals.tables import approval
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.orders.tables import order
from sync_server.payments import remitting, transfers
from sync_server.payments.provider import Answer, Instruction, StatementLine, Succeeded, day_of
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.reconciliation import recon_cases, undoing
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.statements_in import take_in
from sync_server.second_person import deeds
from sync_server.settlement.debts import debts
from sync_server.settlement.item_status import statuses_of
from sync_server.settlement.order_money import money_of
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.tables import payout
from sync_server.statements.rows import lines_between
from tests.sync_server.command_line import command
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import PASSWORD, two_of_finance
from tests.sync_server.payments.test_remitting import VOUCHER, failing
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
    sell_and_pay,
    tell,
)  # fmt: skip
from tests.sync_server.reconciliation.test_accepting import Two, accept, give_up, moved_after_all, open_case
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.test_pass_refunds import bought, give_back
from tests.sync_server.settlement.test_unissued import give_back as give_back_unissued
from tests.sync_server.settlement.test_unissued import paid_an_hour_ago
from tests.sync_server.silent_provider import SilentProvider

WEEK_MS = 7 * DAY_MS
SENT_BACK, NEVER_MADE = Difference.FOREIGN, Difference.MISSING_THERE


class Generous(SilentProvider):
    """It does what it is told to, and gives a payment back a second time."""

    def send(self, instruction: Instruction) -> Answer:
        return Succeeded(f"SP-{instruction.out_no}", instruction.amount_fen)

    query = cancel = send


@pytest.fixture
def two(world: World) -> Two:
    return two_of_finance(world.centre)


def made(world: World, kind: str) -> sa.Row[tuple[object, ...]]:
    """The newest transfer of a kind."""
    mine = sa.select(external_transfer).where(external_transfer.c.kind == kind)
    with world.centre.read() as connection:
        return connection.execute(mine.order_by(external_transfer.c.created_at_ms.desc()).limit(1)).one()


def told(world: World, clock: Clock, kind: str, how: Difference, back_fen: int) -> None:
    """Today's statement says that one of this kind came back, or has nothing of them; the next day's has nothing."""
    day, at_ms = day_of(clock.now_ms), clock.now_ms
    lines = said(world, day)
    if how == SENT_BACK:
        lines.append(StatementLine(f"back-{at_ms}", None, "RETURN", back_fen, 0, at_ms, "SP-back"))
    else:
        lines = [line for line in lines if line.kind != kind]
    clock.pass_ms(3 * DAY_MS)
    for each, its in ((day, lines), (day + timedelta(days=1), [])):
        with world.centre.write() as connection:
            take_in(connection, "ALIPAY", each, its, clock.now_ms)
    judge(world)


def undo(world: World, two: Two, how: Difference, transfer_id: UUID) -> str:
    """In the words that the second person reads."""
    with world.centre.write() as connection:
        mine = open_case(world, how)
        asked = undoing.ask(connection, two[0], mine, transfer_id, "its bank sent it back", world.centre.now_ms())
    with world.centre.write() as connection:
        return deeds.confirm(connection, two[1], asked, world.centre.now_ms()).does


def refusal(world: World, two: Two, how: Difference, transfer_id: UUID) -> str:
    with world.centre.write() as connection, pytest.raises(NotAllowedError) as refused:
        undoing.ask(connection, two[0], case_id(world, how), transfer_id, "back", world.centre.now_ms())
    return str(refused.value)


def owed(world: World, account: Account) -> int:
    with world.centre.read() as connection:
        return -balance(connection, account).posted_fen


@pytest.mark.parametrize(("how", "back_fen"), [(SENT_BACK, 4970), (SENT_BACK, 4960), (NEVER_MADE, 4970)])
def test_a_payout_that_its_venue_never_got_is_owed_and_paid_again(
    world: World, clock: Clock, two: Two, how: Difference, back_fen: int
) -> None:
    sell_and_pay(world)
    first = made(world, "PAYOUT")
    told(world, clock, "PAYOUT", how, back_fen)
    does = undo(world, two, how, first.id)
    fee_fen = 4970 - back_fen
    kept = " less a fee of 0.10 yuan" if fee_fen else ""
    assert does.startswith(
        f"counts as not made, by case {case_id(world, how)}{kept}, and is owed again: PAYOUT of 49.70 yuan"
    )
    assert owed(world, Account("2210", world.venue)) == 4970
    assert (posted(world, "1010"), posted(world, "5010"), posted(world, "1310")) == (5231 - fee_fen, fee_fen, 0)
    assert (cases(world)[how][0], cases(world)[how][1], flaws(world)) == ("RESOLVED", 0, [])
    world.turn()
    judge(world)
    with world.centre.write() as connection:
        [shown] = statuses_of(connection, connection.scalars(sa.select(order.c.id)).one())
        assert shown.state == "USED SETTLE_FAILED"
        number = connection.scalars(sa.select(payout.c.number)).one()
        pay_again(connection, two[0], number, "the venue has another account", clock())
    world.sandbox.provider.book.top_up("platform", 4970)  # its own book knows nothing of what came back
    world.turn()
    assert (owed(world, Account("2210", world.venue)), flaws(world)) == (0, [])
    assert made(world, "PAYOUT").id != first.id
    with world.centre.read() as connection:
        states = sorted(connection.scalars(sa.select(payout.c.state)))
        redeemed, paid, back, again = lines_between(connection, "VENUE", world.venue, 0, clock.now_ms + 1)
    assert states == ["PAID", "REPLACED"]
    assert [line.owed_fen for line in (redeemed, paid, back, again)] == [4970, -4970, 4970, -4970]
    assert (back.txn_key, back.moved_fen) == (f"reverse:{paid.txn_key}", -4970)
    assert (back.payout_number, back.provider_ref) == (number, first.provider_ref)
    assert (paid.provider_ref, again.provider_ref) == (first.provider_ref, made(world, "PAYOUT").provider_ref)


@pytest.mark.parametrize("by", ["its provider", "a bank"])
@pytest.mark.parametrize("how", [SENT_BACK, NEVER_MADE])
def test_a_refund_that_its_buyer_never_got_is_owed_and_made_again(
    world: World, clock: Clock, two: Two, how: Difference, by: str
) -> None:
    order_id = world.buy()
    world.turn()
    clock.pass_ms(WEEK_MS + 120_000)
    for _ in range(2):
        world.turn()
    assert world.state(order_id) == "CLOSED_REFUNDED"
    first = made(world, "REFUND")
    told(world, clock, "REFUND", how, 5200)
    undo(world, two, how, first.id)
    assert (world.state(order_id), owed(world, Account("2310", world.distributor))) == ("ISSUED", 5200)
    with world.centre.read() as connection:
        assert [one.state for one in statuses_of(connection, order_id)] == ["EXPIRED REFUND_FAILED"]
    for _ in range(2):
        world.turn()  # it does not go by itself
    assert (posted(world, "1010"), flaws(world)) == (5231, [])
    with world.centre.write() as connection:
        if by == "a bank":
            asked = remitting.ask(connection, two[0], first.id, VOUCHER, "a bank pays", clock())
            remitting.confirm(connection, two[1], asked, clock())
        else:
            transfers.resume(connection, two[0], first.id, "its account is right now", clock())
    sound, world.clients = world.clients, {"ALIPAY": Generous()}
    for _ in range(2):
        world.turn()
    world.clients = sound
    assert (world.state(order_id), owed(world, Account("2310", world.distributor))) == ("CLOSED_REFUNDED", 0)
    assert (posted(world, "1310"), flaws(world)) == (0, [])
    with world.centre.read() as connection:
        lines = list(lines_between(connection, "DISTRIBUTOR", world.distributor, 0, clock.now_ms + 1))
    assert [line.owed_fen for line in lines] == [0, 5200, -5200, 5200, -5200]
    with world.centre.read() as connection:
        shown = {txn.txn_key for txn in money_of(connection, order_id, order_id).txns}
    key = f"refund:{first.subject_id.hex}"
    assert {key, f"reverse:{key}", f"{key}:again-1:pending", f"{key}:again-1"} <= shown
    if by != "a bank" and how == NEVER_MADE:  # once more, under another number
        told(world, clock, "REFUND", how, 5200)
        undo(world, two, how, first.id)
        assert (owed(world, Account("2310", world.distributor)), flaws(world)) == (5200, [])


def test_a_pass_whose_refund_came_back_is_refunded_again(world: World, clock: Clock, two: Two) -> None:
    order_id = bought(world, clock)
    give_back(world, order_id)
    for _ in range(2):
        world.turn()
    assert world.state(order_id) == "REFUNDED"
    first = made(world, "REFUND")
    told(world, clock, "REFUND", SENT_BACK, first.amount_fen)
    undo(world, two, SENT_BACK, first.id)
    assert (world.state(order_id), owed(world, Account("2320", order_id))) == ("REFUND_FAILED", first.amount_fen)
    assert flaws(world) == []
    give_back(world, order_id)
    world.clients = {"ALIPAY": Generous()}
    for _ in range(2):
        world.turn()
    assert (world.state(order_id), owed(world, Account("2320", order_id)), flaws(world)) == ("REFUNDED", 0, [])


def test_an_order_that_was_never_issued_waits_for_its_refund_as_such(
    world: World, clock: Clock, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "issue", lambda: None)
    order_id = paid_an_hour_ago(world, clock)
    give_back_unissued(world, order_id)
    world.turn()
    assert world.state(order_id) == "CLOSED_REFUNDED"
    first = made(world, "REFUND")
    told(world, clock, "REFUND", SENT_BACK, first.amount_fen)
    undo(world, two, SENT_BACK, first.id)
    assert (world.state(order_id), flaws(world)) == ("ISSUE_FAILED", [])
    with world.centre.write() as connection:
        transfers.resume(connection, two[0], first.id, "its account is right now", clock())
    world.clients = {"ALIPAY": Generous()}
    world.turn()
    assert (world.state(order_id), flaws(world)) == ("CLOSED_REFUNDED", [])


def test_the_line_of_what_never_was_may_come_all_the_same(world: World, clock: Clock, two: Two) -> None:
    sell_and_pay(world)
    told(world, clock, "PAYOUT", NEVER_MADE, 0)
    undo(world, two, NEVER_MADE, made(world, "PAYOUT").id)
    with world.centre.write() as connection:
        take_in(connection, "ALIPAY", TODAY, said(world, TODAY), clock())
    judge(world)
    assert cases(world)["MISSING_HERE"] == ("OPEN", -4970, True)
    assert (posted(world, "1010"), flaws(world)) == (261, [])
    with world.centre.write() as connection:
        number = connection.scalars(sa.select(payout.c.number)).one()
        pay_again(connection, two[0], number, "the venue asks for it", clock())
        mine = case_id(world, Difference.MISSING_HERE)
        asked = recon_cases.ask_write_off(connection, two[0], mine, "1220", "it keeps both", clock())
    with world.centre.write() as connection:
        deeds.confirm(connection, two[1], asked, clock())
        assert [debt.amount_fen for debt in debts(connection)] == [4970]
    assert (posted(world, "1310"), flaws(world)) == (0, [])


def test_the_own_line_of_what_came_back_may_come_after_it(world: World, clock: Clock, two: Two) -> None:
    sell_and_pay(world)
    lines = said(world, TODAY)
    back = StatementLine("back", None, "RETURN", 4970, 0, START_MS)
    tell(world, clock, [*(line for line in lines if line.kind != "PAYOUT"), back], next_day=False)
    undo(world, two, SENT_BACK, made(world, "PAYOUT").id)
    tell(world, clock, [*lines, back])
    assert {what: state for what, (state, *_) in cases(world).items()} == {"FOREIGN": "RESOLVED", "VOIDED": "OPEN"}
    assert (posted(world, "1010"), posted(world, "1310"), flaws(world)) == (5231, 0, [])


def test_what_was_accepted_may_come_back_too(world: World, clock: Clock, two: Two) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, transfer_id)
    line = moved_after_all(world, transfer_id, 4970)
    accept(world, two, Difference.PAID_AFTER_VOID)
    world.turn()
    back = StatementLine("back", None, "RETURN", 4970, 0, START_MS)
    tell(world, clock, [*said(world, TODAY), line, back])
    undo(world, two, SENT_BACK, transfer_id)
    world.turn()
    assert (posted(world, "1010"), posted(world, "1310"), flaws(world)) == (5231, 0, [])
    assert owed(world, Account("2210", world.venue)) == 4970


def test_only_what_its_provider_made_comes_back_and_only_by_a_line_that_fits(
    world: World, clock: Clock, two: Two
) -> None:
    sell_and_pay(world)
    payout_id, charge_id = made(world, "PAYOUT").id, made(world, "CHARGE").id
    told(world, clock, "PAYOUT", SENT_BACK, 4971)
    assert "up to 4970 fen came back is needed" in refusal(world, two, SENT_BACK, payout_id)
    assert "is a CHARGE, SUCCEEDED: only a payout or refund" in refusal(world, two, SENT_BACK, charge_id)
    with world.centre.write() as connection:
        connection.execute(
            transfer_attempt.update().where(transfer_attempt.c.transfer_id == payout_id).values(provider="OFFLINE")
        )
    assert "a bank paid transfer" in refusal(world, two, SENT_BACK, payout_id)


def test_the_command_asks_and_check_names_what_no_second_person_undid(world: World, clock: Clock, two: Two) -> None:
    sell_and_pay(world)
    told(world, clock, "PAYOUT", SENT_BACK, 4970)
    who = ("--organisation", "1000", "--account", "qian", "--password-stdin", "--reason", "its bank sent it back")
    arguments = ["undo", str(case_id(world, SENT_BACK)), str(made(world, "PAYOUT").id), *who]
    ran = CliRunner().invoke(command("recon-case"), arguments, obj=Opened(world.centre), input=f"{PASSWORD}\n")
    request_id = UUID(json.loads(ran.stdout)["request"])
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="two persons"):
        deeds.confirm(connection, two[0], request_id, clock())
    with world.centre.write() as connection:
        deeds.confirm(connection, two[1], request_id, clock())
    assert flaws(world) == []
    with world.centre.write() as connection:
        connection.execute(approval.update().where(approval.c.id == request_id).values(state="WITHDRAWN"))
    assert any("reversed by link, each time by the word of two persons" in flaw for flaw in flaws(world))
