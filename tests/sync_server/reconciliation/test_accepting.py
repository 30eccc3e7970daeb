"""Money that moved under a transfer that was given up: two persons take it as the transfer's success."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.approvals.tables import approval
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import Balance, balance
from sync_server.orders.closing import cancel
from sync_server.orders.tables import order
from sync_server.payments import abandoning, sweeps, top_ups, transfers
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import Refused, StatementLine, Succeeded, Unclear, Waiting
from sync_server.payments.tables import LATE_ENTRY, external_transfer, transfer_attempt
from sync_server.people.identifying import Person
from sync_server.reconciliation import accepting, recon_cases
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.reconciling import reconcile
from sync_server.reconciliation.tables import recon_case
from sync_server.redemptions import decisions
from sync_server.second_person import deeds as second_person
from sync_server.settlement import debts
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.tables import clawback, payout
from sync_server.statements.rows import lines_between
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import employ, two_of_finance
from tests.sync_server.payments.test_funds import Fund
from tests.sync_server.payments.test_remitting import HOUR_MS, failing
from tests.sync_server.payments.test_transfers import ScriptedProvider, drive
from tests.sync_server.reconciliation.telling import TODAY, case_id, cases, flaws, judge, posted, said, tell
from tests.sync_server.sandbox import Sandbox, World
from tests.sync_server.settlement.test_funds import MONTH_MS, play, selling, turns
from tests.sync_server.settlement.test_late_entries import borne_by, refunded_then_late

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


def open_case(world: World, difference: Difference) -> UUID:
    """The first of them."""
    with world.centre.read() as connection:
        mine = sa.select(recon_case.c.id).where(recon_case.c.difference == difference, recon_case.c.state == "OPEN")
        found: UUID = connection.scalars(mine.order_by(recon_case.c.id).limit(1)).one()
    return found


def accept(world: World, two: Two, difference: Difference) -> str:
    """By two persons, the second one from the list of what waits; in the words that they read."""
    judge(world)
    mine = open_case(world, difference)
    with world.centre.write() as connection:
        request_id = accepting.ask(connection, two[0], mine, "the receipt is here", world.centre.now_ms())
    with world.centre.write() as connection:
        done = second_person.confirm(connection, two[1], request_id, world.centre.now_ms())
    return done.does


def refusal(world: World, two: Two, difference: Difference) -> str:
    judge(world)
    mine = open_case(world, difference)
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
    assert does.startswith(f"counts as done by the 49.70 yuan that moved under {line.out_no}: PAYOUT of 49.70 yuan")
    world.turn()
    tell(world, clock, lines)
    with world.centre.read() as connection:
        assert balance(connection, Account("2210", world.venue)) == Balance(0, 0)
        assert connection.scalar(sa.select(payout.c.state)) == "PAID"
        *_, shown = lines_between(connection, "VENUE", world.venue, 0, clock.now_ms + 1)
    assert (shown.txn_key.split(":")[0], shown.owed_fen, shown.moved_fen) == ("payout", -4970, 4970)
    assert (posted(world, "1010"), posted(world, "1310"), posted(world, "5090")) == (5231 - 4970, 0, 0)
    assert cases(world) == {"PAID_AFTER_VOID": ("RESOLVED", 0, True), "VOIDED": ("RESOLVED", 0, False)}
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
    accept(world, two, Difference.PAID_AFTER_VOID)
    world.turn()
    assert world.state(order_id) == "CLOSED_REFUNDED"
    assert (posted(world, "1010"), posted(world, "1310"), posted(world, "5090")) == (31, 0, 0)
    assert flaws(world) == []


@pytest.mark.parametrize("told_fen", [-4970, -4000])
def test_a_second_line_of_what_is_accepted_stays_a_case(world: World, clock: Clock, two: Two, told_fen: int) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, transfer_id)
    line = moved_after_all(world, transfer_id, 4970)
    tell(world, clock, [*said(world, TODAY), line, replace(line, line_no="zz", amount_fen=told_fen)])
    accept(world, two, Difference.PAID_AFTER_VOID)
    for _ in range(2):
        reconcile(world.centre)
        assert cases(world)["DOUBLE_LINE"] == ("OPEN", told_fen, True)
    assert (posted(world, "1010"), flaws(world)) == (5231 - 4970 + told_fen, [])


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


def test_of_two_attempts_that_moved_one_is_accepted_and_the_other_is_paid_twice(
    world: World, clock: Clock, two: Two
) -> None:
    order_id, transfer_id = failing(world, clock, "REFUND", FaultKind.REFUSED)
    clock.pass_ms(HOUR_MS)
    drive(world, clock, Unclear("?"))
    moved_after_all(world, transfer_id, 5200)
    assert "is UNKNOWN" in refusal(world, two, Difference.DOUBLE_PAID)
    drive(world, clock, Refused("closed"))
    give_up(world, two, transfer_id)
    moved_after_all(world, transfer_id, 5200, 2)
    accept(world, two, Difference.DOUBLE_PAID)
    world.turn()
    assert world.state(order_id) == "CLOSED_REFUNDED"
    with world.centre.read() as connection:
        query = sa.select(recon_case.c.difference, recon_case.c.state, recon_case.c.amount_fen)
        found = connection.execute(query.order_by(recon_case.c.subject)).all()
    assert sorted(map(tuple, found)) == [
        ("DOUBLE_PAID", "OPEN", -5200), ("DOUBLE_PAID", "RESOLVED", 0), ("VOIDED", "RESOLVED", 0)
    ]  # fmt: skip
    assert (posted(world, "1310"), posted(world, "5090"), flaws(world)) == (5200, 0, [])
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="is SUCCEEDED"):
        other = sa.select(recon_case.c.id).where(recon_case.c.state == "OPEN")
        accepting.ask(connection, two[0], connection.scalars(other).one(), "the other receipt", clock.now_ms)


def test_what_no_second_person_accepted_is_named_by_check(world: World, clock: Clock) -> None:
    accepted_alone(world, clock)
    [flaw] = flaws(world)
    assert "by the word of two persons, from suspense" in flaw


@pytest.mark.postgres
def test_it_is_named_also_where_the_database_sorts_as_people_do(sorted_world: World, clock: Clock) -> None:
    with sorted_world.centre.read() as connection:
        assert connection.scalar(sa.text("SELECT 'double;' < 'double\\:'"))  # not so by the bytes
    accepted_alone(sorted_world, clock)
    [flaw] = flaws(sorted_world)
    assert "by the word of two persons, from suspense" in flaw


def accepted_alone(world: World, clock: Clock) -> None:
    """A payout that was given up and paid, accepted; the word of the second person is gone."""
    two = two_of_finance(world.centre)
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, transfer_id)
    moved_after_all(world, transfer_id, 4970)
    accept(world, two, Difference.PAID_AFTER_VOID)
    assert flaws(world) == []
    with world.centre.write() as connection:
        connection.execute(approval.update().where(approval.c.act == "recon_case.accept").values(act="recon_case.x"))


def test_what_a_venue_was_paid_twice_its_next_payouts_keep_back(world: World, clock: Clock, two: Two) -> None:
    world.buy()  # so that there is money to pay twice with
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    give_up(world, two, transfer_id)
    moved_after_all(world, transfer_id, 4970)
    judge(world)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="beside the one that counts"):
        mine = case_id(world, Difference.PAID_AFTER_VOID)
        recon_cases.ask_write_off(connection, two[0], mine, "1220", "not yet known", clock.now_ms)
    accept(world, two, Difference.PAID_AFTER_VOID)
    clock.pass_ms(HOUR_MS)
    with world.centre.write() as connection:  # another attempt of it, as if it had been made before
        made = {"transfer_id": transfer_id, "out_no": transfers.number_of(transfer_id, 2), "state": "DEFINITE_FAIL"}
        times = {"sent_at_ms": clock.now_ms, "changed_at_ms": clock.now_ms}
        connection.execute(transfer_attempt.insert().values(**made, **times, n=2))
    moved_after_all(world, transfer_id, 4970, 2)
    judge(world)
    mine = open_case(world, Difference.DOUBLE_PAID)
    with world.centre.write() as connection:
        asked = recon_cases.ask_write_off(connection, two[0], mine, "1220", "it keeps both", clock.now_ms)
    with world.centre.write() as connection:
        done = second_person.confirm(connection, two[1], asked, clock.now_ms)
        [debt] = debts.debts(connection)
    assert "debit 1220 venue receivable, claw-back, credit 1310 suspense, and the venue's next payouts" in done.does
    assert (debt.amount_fen, posted(world, "1310"), flaws(world)) == (4970, 0, [])
    with world.centre.read() as connection:
        [order_id] = connection.scalars(sa.select(order.c.id).where(order.c.state == "ISSUED"))
    world.turn()
    before_fen = posted(world, "1010")
    clock.pass_ms(1)
    world.enter(world.items(order_id)[0])
    world.turn()
    assert posted(world, "1010") == before_fen  # earned and kept back
    with world.centre.read() as connection:
        assert (debts.debts(connection), balance(connection, Account("1220", world.venue))) == ([], Balance(0, 0))
        *_, case, earned, kept = lines_between(connection, "VENUE", world.venue, 0, clock.now_ms + 1)
    assert [case.txn_key.split(":")[0], earned.owed_fen, kept.owed_fen] == ["case", 4970, 0]
    assert (case.owed_fen, case.moved_fen, flaws(world)) == (-4970, 4970, [])
    with world.centre.write() as connection:
        connection.execute(clawback.update().values(owed_fen=5000))
    assert any("what two persons say was paid twice" in flaw for flaw in flaws(world))


def test_what_a_late_entry_was_charged_after_it_was_given_up_is_paid(world: World, clock: Clock, two: Two) -> None:
    redemption_id = refunded_then_late(world, clock)
    borne_by(world, "DISTRIBUTOR")
    with world.centre.write() as connection:
        decisions.honour(connection, two[0], redemption_id, "网络中断", clock.now_ms)
    world.sandbox.play(FaultKind.REFUSED, "charge")
    for _ in range(2):
        world.turn()
    before_fen = posted(world, "5020")
    with world.centre.read() as connection:
        mine = external_transfer.c.subject_key.startswith(LATE_ENTRY)
        row = connection.execute(sa.select(external_transfer).where(mine)).one()
    give_up(world, two, row.id)
    moved_after_all(world, row.id, row.amount_fen)
    accept(world, two, Difference.PAID_AFTER_VOID)
    assert (posted(world, "5020"), posted(world, "1310"), flaws(world)) == (before_fen - row.amount_fen, 0, [])


def test_a_top_up_that_was_paid_after_its_time_is_the_distributors(world: World, clock: Clock, two: Two) -> None:
    with world.centre.write() as connection:
        transfer_id = top_ups.begin(connection, world.distributor, 7000, "travel", clock.now_ms)
    drive(world, clock, Waiting("http://cashier"), Refused("its time is over"))
    world.turn()
    moved_after_all(world, transfer_id, 7000)
    accept(world, two, Difference.PAID_AFTER_VOID)
    with world.centre.read() as connection:
        assert balance(connection, Account("2010", world.distributor)) == Balance(-7000, 0)
    assert (posted(world, "1310"), flaws(world)) == (0, [])


@pytest.mark.parametrize("closed", [False, True])
def test_an_orders_payment_is_accepted_while_the_order_waits_for_it(
    world: World, clock: Clock, two: Two, *, closed: bool
) -> None:
    order_id = world.buy()
    drive(world, clock, Refused("closed"), Unclear("?"))
    with world.centre.read() as connection:
        transfer_id = connection.scalars(sa.select(external_transfer.c.id)).one()
    moved_after_all(world, transfer_id, 5231)
    drive(world, clock, Refused("closed"))
    if closed:
        with world.centre.write() as connection:
            number = connection.scalars(sa.select(order.c.number)).one()
            cancel(connection, number, "no more", clock.now_ms, "test")
        world.turn()
        assert world.state(order_id) == "CLOSED_UNPAID"
        assert "goes back to who paid" in refusal(world, two, Difference.DOUBLE_PAID)
    else:
        accept(world, two, Difference.DOUBLE_PAID)
        world.turn()
        assert (world.state(order_id), posted(world, "1310")) == ("ISSUED", 0)
    assert flaws(world) == []


def test_a_sweep_that_left_after_it_was_given_up_arrives(world: World, clock: Clock, two: Two) -> None:
    world.buy()
    world.turn()
    world.sandbox.play(FaultKind.REFUSED, "sweep_out")
    with world.centre.write() as connection:
        sweep_id = sweeps.ask(connection, two[0], "ALIPAY", "HUIJINBAO", 3000, "combos", clock.now_ms)
    world.turn()
    with world.centre.read() as connection:
        row = connection.execute(sa.select(external_transfer).where(external_transfer.c.subject_id == sweep_id)).one()
    give_up(world, two, row.id)
    moved_after_all(world, row.id, 3000)
    accept(world, two, Difference.PAID_AFTER_VOID)
    assert sweeps.follow_sweeps(world.centre) == 1
    with world.centre.write() as connection:
        apply_notice(connection, "HUIJINBAO", row.original_out_no, Unclear("?"), clock.now_ms)
    assert (posted(world, "1010"), posted(world, "1090"), posted(world, "1310")) == (2231, 3000, 0)
    assert flaws(world) == []


@pytest.mark.parametrize(("held_fen", "yield_fen"), [(11_000, 87), (11_000, -87), (0, 87)])
def test_a_fund_of_which_another_attempt_was_its_closing_is_closed(
    world: World, clock: Clock, two: Two, held_fen: int, yield_fen: int
) -> None:
    """Neither given up, as it holds money, nor closed again, as it is closed."""
    fund = Fund(world)
    if not held_fen:
        fund.move("FUND_SELL", "fundsell", 11_000)
    world.clients = {}  # another one answers from here on
    closing = fund.move("FUND_CLOSE", "fundclose", held_fen)
    provider = ScriptedProvider([Refused("closed"), Unclear("?")])
    for _ in range(2):
        transfers.move_due(world.centre, {"HUIJINBAO": provider})
        clock.pass_ms(HOUR_MS)
    with world.centre.write() as connection:
        came = Succeeded("late-1", held_fen, yield_fen)
        apply_notice(connection, "HUIJINBAO", transfers.number_of(closing, 1), came, clock.now_ms)
    provider.answers.append(Refused("there is no such fund"))
    transfers.move_due(world.centre, {"HUIJINBAO": provider})
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="it would move twice"):
        transfers.begin_again(connection, closing, clock.now_ms)
    assert fund.states()["FUND_CLOSE"] == "DEFINITE_FAIL"
    accept(world, two, Difference.PAID_AFTER_VOID)
    assert fund.states()["FUND_CLOSE"] == "SUCCEEDED"
    assert fund.booked("4040", "5030", "1310") == (0, yield_fen, -max(yield_fen, 0), max(-yield_fen, 0), 0)


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("kind", ["FUND_BUY", "FUND_SELL"])
def test_what_a_fund_moved_after_it_was_given_up_counts_until_the_fund_is_closed(
    any_centre: Centre, sandbox: Sandbox, clock: Clock, kind: str, *, ended: bool
) -> None:
    with selling(any_centre, sandbox) as combos:
        order_id = combos.buy_combo()
        finance = employ(any_centre, "qian", "finance"), employ(any_centre, "sun", "finance")
        play(combos, FaultKind.REFUSED, kind.lower())
        turns(combos)
        combos.visit(order_id, "A")
        turns(combos)
        key = f"fundbuy:{order_id.hex}" if kind == "FUND_BUY" else f"fundsell:{combos.item(order_id, 'A').hex}"
        given_up = combos.transfer(key)
        assert given_up.state == "DEFINITE_FAIL"
        give_up(combos, finance, given_up.id)
        play(combos, FaultKind.LOST_REQUEST, "fund_close", times=99)
        if ended:
            clock.pass_ms(MONTH_MS)
            turns(combos)
        with combos.centre.write() as connection:
            said = Succeeded("late-1", given_up.amount_fen)
            apply_notice(connection, "HUIJINBAO", transfers.number_of(given_up.id, 1), said, clock.now_ms)
        if ended:
            assert "fund is closed without it" in refusal(combos, finance, Difference.PAID_AFTER_VOID)
        else:
            accept(combos, finance, Difference.PAID_AFTER_VOID)
            assert combos.balance("1110", order_id) == (11_000 if kind == "FUND_BUY" else 6_000)
            assert combos.balance("1310") == 0
        assert flaws(combos) == []
