"""Payouts that collect a day or a week, are sealed once, paid again where they were given up, and keep what is owed."""

from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sandbox_provider.faults import FaultKind
from sync_server.audit.tables import event_log
from sync_server.catalog import fees
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.orders.tables import ticket
from sync_server.parties.parties import set_funding
from sync_server.parties.tables import party
from sync_server.payments import abandoning, top_ups
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import Succeeded, day_of
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.settlement import clawing_back
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.collecting import closes_at_ms
from sync_server.settlement.lines import all_lines
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.payout_modes import set_payout_mode
from sync_server.settlement.tables import payout
from tests.sync_server.command_line import command
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ, two_of_finance
from tests.sync_server.reconciliation.telling import Opened
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_expiring import HOUR_MS, assert_books_agree, posted, states

DAY_MS = 24 * HOUR_MS
SHANGHAI = "Asia/Shanghai"


def pay_each(world: World, mode: str) -> None:
    with world.centre.write() as connection:
        connection.execute(party.update().where(party.c.id == world.venue).values(payout_mode=mode))


def payouts(world: World) -> list[tuple[str, int]]:
    with world.centre.read() as connection:
        rows = connection.execute(sa.select(payout.c.state, payout.c.total_fen).order_by(payout.c.created_at_ms))
        return [(row.state, row.total_fen) for row in rows]


def paid(world: World) -> int:
    return world.sandbox.book.balances()["venue"]


def used(world: World, count: int = 1) -> object:
    """Tickets bought, issued and entered; they are cleared with the next turn."""
    order_id = world.buy(count)
    world.turn()
    for item in world.items(order_id):
        world.enter(item)
    return order_id


@pytest.mark.parametrize(("mode", "days"), [("DAILY", 1), ("WEEKLY", 7)])
def test_a_payout_collects_until_the_end_of_the_day_or_week_and_is_one_transfer(
    world: World, clock: Clock, mode: str, days: int
) -> None:
    pay_each(world, mode)
    until_ms = closes_at_ms(mode, SHANGHAI, clock.now_ms)
    order_id = used(world, 2)
    world.turn()
    clock.pass_ms(60_000)
    used(world)
    world.turn()
    assert payouts(world) == [("OPEN", 3 * 4970)]
    told = json.loads(CliRunner().invoke(command("payout"), ["list"], obj=Opened(world.centre)).stdout)
    assert (told["venue"], told["party"], told["total_fen"]) == (1, "2001", 3 * 4970)
    assert states(world, order_id) == ["USED DUE"] * 2
    clock.pass_ms(until_ms - clock.now_ms - 1)
    world.turn()
    assert paid(world) == 0
    clock.pass_ms(1)
    world.turn()
    assert payouts(world) == [("PAID", 3 * 4970)]
    assert paid(world) == 3 * 4970
    assert states(world, order_id) == ["USED SETTLED"] * 2
    used(world)
    world.turn()
    assert payouts(world) == [("PAID", 3 * 4970), ("OPEN", 4970)]
    with world.centre.read() as connection:
        closes = connection.scalars(sa.select(payout.c.closes_at_ms).where(payout.c.state == "OPEN")).one()
    assert closes == until_ms + days * DAY_MS
    assert_books_agree(world)


def test_what_comes_after_the_end_is_never_put_into_the_payout_that_is_over(world: World, clock: Clock) -> None:
    pay_each(world, "DAILY")
    order_id = world.buy(2)
    world.turn()
    for item in world.items(order_id):
        world.enter(item)
        clear_redemptions(world.centre)  # no step that seals was turned before
        clock.pass_ms(DAY_MS)
    assert payouts(world) == [("SEALED", 4970), ("OPEN", 4970)]
    assert_books_agree(world)


def test_the_mode_is_changed_by_a_person_and_what_collects_is_sealed_at_its_own_end(world: World, clock: Clock) -> None:
    finance, _ = two_of_finance(world.centre)
    outsider = employ(world.centre, "zhao", "operations")
    for who, mode, reason, match in (
        (outsider, "DAILY", "agreed", "permission"),
        (finance, "HOURLY", "agreed", "none of"),
        (finance, "DAILY", " ", "reason"),
    ):
        with pytest.raises(NotAllowedError, match=match), world.centre.write() as connection:
            set_payout_mode(connection, who, 1, mode, reason, clock.now_ms)
    for mode in ("WEEKLY", "PER_REDEMPTION"):
        with world.centre.write() as connection:
            set_payout_mode(connection, finance, 1, mode, "agreed", clock.now_ms)
        used(world)
        world.turn()
    assert sorted(payouts(world)) == [("OPEN", 4970), ("PAID", 4970)]
    clock.pass_ms(7 * DAY_MS)
    world.turn()
    assert paid(world) == 2 * 4970
    with world.centre.read() as connection:
        said = sa.select(sa.func.count()).select_from(event_log).where(event_log.c.action == "payout.mode")
        assert connection.scalar(said) == 2
    assert_books_agree(world)


def given_up(world: World, clock: Clock, two: tuple[Person, Person]) -> str:
    """The number of the one payout, whose transfer two persons gave up."""
    world.sandbox.play(FaultKind.REFUSED, "payout")
    world.turn()
    first, second = two
    with world.centre.write() as connection:
        row = connection.execute(sa.select(payout)).one()
        request_id = abandoning.ask(connection, first, row.transfer_id, "account closed", clock.now_ms)
        abandoning.confirm(connection, second, request_id, clock.now_ms)
    return str(row.number)


@pytest.mark.parametrize("mode", ["PER_REDEMPTION", "DAILY"])
def test_a_payout_that_was_given_up_is_paid_by_another_to_the_account_of_today(
    world: World, clock: Clock, mode: str
) -> None:
    two = two_of_finance(world.centre)
    pay_each(world, mode)
    order_id = used(world, 2 if mode == "DAILY" else 1)
    if mode == "DAILY":
        world.turn()
        clock.pass_ms(DAY_MS)
    number = given_up(world, clock, two)
    assert paid(world) == 0
    with world.centre.write() as connection:  # what `payments.account_changes` does a day later
        connection.execute(party.update().where(party.c.id == world.venue).values(account_ref="venue-new"))
    world.sandbox.book.top_up("venue-new", 0)
    with world.centre.write() as connection:
        pay_again(connection, two[0], number, "new account", clock.now_ms)
    with pytest.raises(NotAllowedError, match="REPLACED"), world.centre.write() as connection:
        pay_again(connection, two[0], number, "new account", clock.now_ms)
    assert states(world, order_id) == ["USED DUE"] * len(states(world, order_id))
    world.turn()
    world.turn()
    total_fen = 4970 * len(states(world, order_id))
    assert sorted(payouts(world)) == [("PAID", total_fen), ("REPLACED", total_fen)]
    assert world.sandbox.book.balances()["venue-new"] == total_fen and paid(world) == 0
    assert states(world, order_id) == ["USED SETTLED"] * len(states(world, order_id))
    assert_books_agree(world)


def test_only_what_two_gave_up_and_what_did_not_move_is_paid_again(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    outsider = employ(world.centre, "zhao", "operations")
    used(world)
    world.sandbox.play(FaultKind.REFUSED, "payout")
    world.turn()
    with world.centre.read() as connection:
        number = connection.scalars(sa.select(payout.c.number)).one()
    for who, match in ((two[0], "given its transfer up"), (outsider, "permission")):
        with pytest.raises(NotAllowedError, match=match), world.centre.write() as connection:
            pay_again(connection, who, number, "new account", clock.now_ms)
    with world.centre.write() as connection:
        row = connection.execute(sa.select(payout)).one()
        request_id = abandoning.ask(connection, two[0], row.transfer_id, "account closed", clock.now_ms)
        abandoning.confirm(connection, two[1], request_id, clock.now_ms)
    with world.centre.write() as connection:  # and now the provider says that it had paid
        mine = transfer_attempt.c.transfer_id == row.transfer_id
        out_no = connection.scalars(sa.select(transfer_attempt.c.out_no).where(mine)).one()
        apply_notice(connection, "ALIPAY", out_no, Succeeded("P9", 4970), clock.now_ms)
    world.turn()
    with pytest.raises(NotAllowedError, match="paid twice"), world.centre.write() as connection:
        pay_again(connection, two[0], number, "new account", clock.now_ms)


def clawed_back(world: World, clock: Clock, order_id: object, two: tuple[Person, Person], nth: int = 0) -> None:
    """The visit with an order's nth ticket is refunded by two persons."""
    first, second = two
    with world.centre.write() as connection:
        mine = sa.select(ticket.c.number).where(ticket.c.order_id == order_id).order_by(ticket.c.seq)
        number = connection.scalars(mine).all()[nth]
        request_id = clawing_back.ask(connection, first, number, 1, "closed cable car", clock.now_ms)
        with pytest.raises(NotAllowedError, match="two persons"), connection.begin_nested():
            clawing_back.confirm(connection, first, request_id, clock.now_ms)
        clawing_back.confirm(connection, second, request_id, clock.now_ms)


def test_a_visit_refunded_afterwards_is_kept_back_of_the_next_payout(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    world.buy(2)  # so that there is money to give back
    order_id = used(world, 2)
    world.turn()
    before, distributor = posted(world), world.sandbox.book.balances()["distributor"]
    clawed_back(world, clock, order_id, two)
    with pytest.raises(NotAllowedError, match="only a visit whose venue was paid"), world.centre.write() as connection:
        number = connection.scalars(sa.select(ticket.c.number).where(ticket.c.order_id == order_id)).first()
        clawing_back.ask(connection, two[0], str(number), 1, "again", clock.now_ms)
    world.turn()
    assert states(world, order_id) == ["USED SETTLED clawback", "USED SETTLED"]
    assert world.sandbox.book.balances()["distributor"] == distributor + 5200
    assert posted(world) == {
        **before, "1010": before["1010"] - 5200, "1220": 4970, "4020": -30, "4030": -200,
    }  # fmt: skip
    assert_books_agree(world)
    used(world)
    world.turn()  # 4970 due, 4970 kept: nothing to pay
    assert paid(world) == 2 * 4970
    assert sorted(payouts(world)) == [("PAID", 0), ("PAID", 4970), ("PAID", 4970)]
    used(world)
    world.turn()
    assert paid(world) == 3 * 4970
    assert "1220" not in posted(world)
    assert_books_agree(world)


def test_a_visit_of_a_prepaid_order_goes_back_to_the_balance_that_paid_for_it(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    voucher = Voucher("bank", day_of(clock.now_ms), "1")
    with world.centre.write() as connection:
        set_funding(connection, world.distributor, "PREPAID", False, "contract", "test", clock.now_ms)
        asked = top_ups.ask(connection, two[0], world.distributor, 10_000, voucher, "paid in", clock.now_ms)
        top_ups.confirm(connection, two[1], asked, clock.now_ms)
    world.sandbox.book.top_up("platform", 10_000)  # what came in by bank, moved there
    order_id = used(world)
    world.turn()
    assert posted(world)["2010"] == -(10_000 - 5231)
    before = posted(world)
    clawed_back(world, clock, order_id, two)
    after = {**before, "2010": -(10_000 - 31), "1220": 4970, "4020": 0, "4030": 0}
    assert posted(world) == {code: fen for code, fen in after.items() if fen}
    world.turn()
    assert states(world, order_id) == ["USED SETTLED clawback"]
    with world.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).where(external_transfer.c.kind == "REFUND")) == 0
        assert money_flaws(connection) == []


def test_what_is_clawed_back_of_an_order_that_goes_on_is_taken_of_its_deferred_margin(
    world: World, clock: Clock
) -> None:
    two = two_of_finance(world.centre)
    world.buy(2)  # so that there is money to give back
    order_id = world.buy(2)
    world.turn()
    first, second = world.items(order_id)
    world.enter(first)
    world.turn()
    before = posted(world)
    clawed_back(world, clock, order_id, two)
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
    assert posted(world)["2120"] == before["2120"] + 200
    world.enter(second)
    world.turn()
    assert world.state(order_id) == "COMPLETED"
    assert posted(world)["4030"] == before.get("4030", 0) - 200
    assert_books_agree(world)


def test_the_rest_of_a_claw_back_is_carried_on_and_no_payout_falls_below_nothing(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    order_id = used(world, 3)
    world.turn()
    for nth in range(3):
        clock.pass_ms(1)
        clawed_back(world, clock, order_id, two, nth)
    pay_each(world, "DAILY")
    for days, total_fen, left_fen in ((1, 0, 2 * 4970), (2, 0, 0), (3, 2 * 4970, 0)):
        used(world, 1 if days == 1 else 2)
        world.turn()
        clock.pass_ms(DAY_MS)
        world.turn()
        assert payouts(world)[-1] == ("PAID", total_fen)
        with world.centre.read() as connection:
            assert balance(connection, Account("1220", world.venue)).posted_fen == left_fen
        assert_books_agree(world)
    with world.centre.read() as connection:
        line = all_lines()
        kept = connection.scalars(sa.select(line.c.net_fen).where(line.c.kind == "CLAWBACK")).all()
    assert kept == [-4970] * 3


def test_a_payout_that_does_not_cover_a_claw_back_keeps_a_part_of_it(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    pay_each(world, "DAILY")
    order_id = used(world, 2)
    world.turn()
    clock.pass_ms(DAY_MS)
    world.turn()
    clawed_back(world, clock, order_id, two)
    with world.centre.write() as connection:  # what this venue gets is less from now on
        fees.add_fee_rule(connection, "PAYOUT", world.venue, 0, clock.now_ms, min_fen=2018)
    for kept_fen, paid_fen in ((2982, 0), (1988, 994)):
        used(world)
        world.turn()
        clock.pass_ms(DAY_MS)
        world.turn()
        assert payouts(world)[-1] == ("PAID", paid_fen)
        with world.centre.read() as connection:
            line = all_lines()
            kept = connection.scalars(sa.select(line.c.net_fen).where(line.c.kind == "CLAWBACK")).all()
        assert -kept_fen in kept
        assert_books_agree(world)
    assert "1220" not in posted(world)


@given(st.integers(1_735_689_600, 1_893_456_000), st.sampled_from([SHANGHAI, "Europe/Berlin"]))
def test_days_and_weeks_end_at_local_midnight(now_s: int, zone: str) -> None:
    now_ms = now_s * 1000
    for mode, longest in (("DAILY", 25), ("WEEKLY", 7 * 24 + 1)):
        end_ms = closes_at_ms(mode, zone, now_ms)
        end = datetime.fromtimestamp(end_ms / 1000, ZoneInfo(zone))
        assert 0 < end_ms - now_ms <= longest * HOUR_MS
        assert (end.hour, end.minute, end.second) == (0, 0, 0)
        assert mode == "DAILY" or end.weekday() == 0
        assert closes_at_ms(mode, zone, end_ms - 1) == end_ms < closes_at_ms(mode, zone, end_ms)


def test_transfers_of_payouts_are_what_the_provider_moved(world: World, clock: Clock) -> None:
    """Line by line: a payout without a transfer has nothing to pay."""
    two = two_of_finance(world.centre)
    order_id = used(world)
    world.turn()
    clawed_back(world, clock, order_id, two)
    used(world, 2)
    world.turn()
    moved = sa.select(external_transfer.c.amount_fen).where(external_transfer.c.kind == "PAYOUT")
    with world.centre.read() as connection:
        assert sorted(connection.scalars(moved)) == [4970, 4970]
    assert paid(world) == 2 * 4970
