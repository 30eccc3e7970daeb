"""充值: at the cashier or by bank; credited once, and never before the money is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
import requests
import sqlalchemy as sa

from sync_server.approvals import approvals
from sync_server.approvals.tables import approval
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import Balance, balance
from sync_server.parties.parties import NewParty, add_party, set_funding
from sync_server.payments import top_ups, transfers
from sync_server.payments.tables import bank_top_up, external_transfer
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.second_person import deeds
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ, two_of_finance
from tests.sync_server.sandbox import World, money_flaws

VOUCHER = Voucher("工商银行开封支行", date(2026, 9, 21), "20260921-0007")
BACK = replace(VOUCHER, number="20260921-0008")


@pytest.fixture
def two(world: World, clock: Clock) -> tuple[Person, Person]:
    with world.centre.write() as connection:
        add_party(connection, NewParty("PLATFORM", "1000", "平台", "Platform", "platform"), "Asia/Shanghai", clock())
    return employ(world.centre, "qian", "finance"), employ(world.centre, "sun", "finance")


def at_the_cashier(world: World, amount_fen: int) -> tuple[UUID, str]:
    """A top-up that waits to be paid; its transfer and where to pay."""
    with world.centre.write() as connection:
        transfer_id = top_ups.begin(connection, world.distributor, amount_fen, "travel", world.centre.now_ms())
    world.turn()
    with world.centre.read() as connection:
        url = transfers.pay_url(connection, transfer_id)
    assert url is not None
    return transfer_id, url


def ask(world: World, who: Person, amount_fen: int = 100_000, voucher: Voucher = VOUCHER) -> UUID:
    with world.centre.write() as connection:
        now_ms = world.centre.now_ms()
        return top_ups.ask(connection, who, world.distributor, amount_fen, voucher, "seen on the list", now_ms)


def confirm(world: World, who: Person, request_id: UUID) -> None:
    with world.centre.write() as connection:
        top_ups.confirm(connection, who, request_id, world.centre.now_ms())


def balances(world: World) -> tuple[Balance, Balance, Balance]:
    """Of the distributor, the provider's clearing account, and the bank's."""
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
        accounts = (Account("2010", world.distributor), Account("1010"), Account("1030"))
        return balance(connection, accounts[0]), balance(connection, accounts[1]), balance(connection, accounts[2])


NOTHING = Balance(0, 0)


def test_what_is_paid_at_the_cashier_is_credited_once_it_is_there(world: World, clock: Clock) -> None:
    _, url = at_the_cashier(world, 100_000)
    assert balances(world) == (Balance(0, -100_000), Balance(0, 100_000), NOTHING)  # announced: no order can use it
    assert requests.post(url, timeout=5).ok
    for _ in range(2):
        clock.pass_ms(60_000)
        world.turn()
    assert balances(world) == (Balance(-100_000, 0), Balance(100_000, 0), NOTHING)
    assert world.sandbox.book.balances()["platform"] == 100_000


def test_what_is_announced_pays_no_order(world: World, clock: Clock) -> None:
    at_the_cashier(world, 100_000)
    with world.centre.write() as connection:
        from_prepaid = sa.text("UPDATE party SET funding = 'PREPAID' WHERE kind = 'DISTRIBUTOR'")
        connection.execute(from_prepaid)
    assert world.state(world.buy()) == "PENDING_PAYMENT"


def test_what_nobody_pays_at_the_cashier_is_void_after_half_an_hour(world: World, clock: Clock) -> None:
    transfer_id, url = at_the_cashier(world, 100_000)
    clock.pass_ms(top_ups.CASHIER_OPEN_MS)
    for _ in range(2):
        world.turn()
        clock.pass_ms(3_600_000)
    assert balances(world) == (NOTHING, NOTHING, NOTHING)
    with world.centre.read() as connection:
        state = connection.scalar(sa.select(external_transfer.c.state).where(external_transfer.c.id == transfer_id))
    assert state == "VOID"
    assert "已支付" not in requests.post(url, timeout=5).text
    assert world.sandbox.book.balances()["platform"] == 0


def test_a_bank_transfer_is_credited_by_the_word_of_two(world: World, two: tuple[Person, Person]) -> None:
    request_id = ask(world, two[0])
    assert balances(world) == (NOTHING, NOTHING, NOTHING)
    with pytest.raises(NotAllowedError, match="two persons"):
        confirm(world, two[0], request_id)
    confirm(world, two[1], request_id)
    assert balances(world) == (Balance(-100_000, 0), NOTHING, Balance(100_000, 0))
    with pytest.raises(NotAllowedError, match="CONFIRMED"):
        confirm(world, two[1], request_id)


@pytest.mark.parametrize("days", [3, -400])
def test_a_day_on_which_nobody_can_have_paid_is_refused(clock: Clock, days: int) -> None:
    today = datetime.fromtimestamp(clock() / 1000, UTC).date()
    assert Voucher("bank", today, "1").flaw(clock()) is None
    flaw = Voucher("bank", today + timedelta(days=days), "1").flaw(clock())
    assert flaw is not None
    assert "in the future, or more than a year ago" in flaw


def test_a_voucher_is_credited_once(world: World, two: tuple[Person, Person]) -> None:
    confirm(world, two[1], ask(world, two[0]))
    with pytest.raises(NotAllowedError, match="booked already"):
        ask(world, two[0])
    assert balances(world)[0] == Balance(-100_000, 0)


def test_what_was_taken_back_is_not_credited(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    request_id = ask(world, two[0])
    with world.centre.write() as connection:
        approvals.withdraw(connection, two[0], top_ups.RECORD, request_id, clock())
    with pytest.raises(NotAllowedError, match="WITHDRAWN"):
        confirm(world, two[1], request_id)
    assert balances(world) == (NOTHING, NOTHING, NOTHING)


def test_what_cannot_be_recorded_is_refused(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    outsider = employ(world.centre, "zhao", "operations")
    for who, amount_fen, voucher, says in (
        (outsider, 1, VOUCHER, "permission"),
        (two[0], 0, VOUCHER, "1 to"),
        (two[0], top_ups.MAX_TOP_UP_FEN + 1, VOUCHER, "1 to"),
        (two[0], 1, replace(VOUCHER, number=""), "voucher number"),
    ):
        with pytest.raises(NotAllowedError, match=says):
            ask(world, who, amount_fen, voucher)
    with pytest.raises(NotAllowedError, match="no distributor"), world.centre.write() as connection:
        top_ups.begin(connection, world.venue, 1, "venue", clock())


@pytest.mark.parametrize(
    "planted",
    [bank_top_up.update().values(amount_fen=99_999), approval.update().values(state="REQUESTED")],
    ids=["amount", "one person"],
)
def test_a_planted_flaw_is_named(world: World, two: tuple[Person, Person], planted: sa.sql.dml.UpdateBase) -> None:
    confirm(world, two[1], ask(world, two[0]))
    with world.centre.write() as connection:
        connection.execute(planted)
        assert [flaw for flaw in money_flaws(connection) if flaw.startswith("I12 (what a distributor paid in by bank")]


def test_what_is_left_of_a_balance_goes_back_by_bank_and_no_more(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    confirm(world, two[1], ask(world, two[0]))
    for amount_fen, says in ((-100_001, "its balance is 100000 fen"), (-top_ups.MAX_TOP_UP_FEN - 1, "1 to")):
        with pytest.raises(NotAllowedError, match=says):
            ask(world, two[0], amount_fen, BACK)
    request_id = ask(world, two[0], -94_769, BACK)
    with pytest.raises(NotAllowedError, match="two persons"):
        confirm(world, two[0], request_id)
    assert balances(world)[0] == Balance(-100_000, 94_769)
    with world.centre.read() as connection:
        (told,) = deeds.waiting(connection, clock())
    said = "947.69 yuan, paid back by bank (工商银行开封支行, voucher 20260921-0008 of 2026-09-21"
    assert told.does.startswith(said) and told.does.endswith("are taken from the balance of 旅行社 (3001)")
    confirm(world, two[1], request_id)
    assert balances(world) == (Balance(-5_231, 0), NOTHING, Balance(5_231, 0))


def paid_in_before(world: World, clock: Clock, two: tuple[Person, Person], amount_fen: int) -> None:
    with world.centre.write() as connection:
        set_funding(connection, world.distributor, "PREPAID", False, "contract", "test", clock())
    confirm(world, two[1], ask(world, two[0], amount_fen))


def test_what_went_back_is_used_by_no_order_while_the_second_person_is_waited_for(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    paid_in_before(world, clock, two, 6000)
    request_id = ask(world, two[0], -6000, BACK)
    assert balances(world)[0] == Balance(-6000, 6000)
    assert world.state(world.buy()) == "PENDING_PAYMENT"
    with pytest.raises(NotAllowedError, match="its balance is 0 fen"):
        ask(world, two[0], -1, replace(VOUCHER, number="20260921-0009"))
    confirm(world, two[1], request_id)
    assert balances(world) == (NOTHING, NOTHING, NOTHING)


def test_what_was_used_before_the_asking_does_not_go_back(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    paid_in_before(world, clock, two, 6000)
    world.buy()
    with pytest.raises(NotAllowedError, match="its balance is 769 fen"):
        ask(world, two[0], -6000, BACK)


@pytest.mark.parametrize("end", ["withdrawn", "void"])
def test_a_pay_back_that_nobody_confirmed_can_be_used_again(world: World, clock: Clock, end: str) -> None:
    two = two_of_finance(world.centre)
    paid_in_before(world, clock, two, 6000)
    request_id = ask(world, two[0], -6000, BACK)
    clock.pass_ms(approvals.LIFE_MS - 1)
    assert top_ups.free_pay_backs(world.centre) == 0
    if end == "void":
        clock.pass_ms(1)
    else:
        with world.centre.write() as connection:
            approvals.withdraw(connection, two[0], top_ups.RECORD, request_id, clock())
    other = ask(world, two[0], 1, replace(VOUCHER, number="20260921-0009"))  # notes what is void
    assert (top_ups.free_pay_backs(world.centre), top_ups.free_pay_backs(world.centre)) == (1, 0)
    confirm(world, two[1], other)
    assert balances(world)[0] == Balance(-6001, 0)
    kept = ask(world, two[0], -6000, BACK)
    assert top_ups.free_pay_backs(world.centre) == 0  # the first one is done
    confirm(world, two[1], kept)
    assert balances(world) == (Balance(-1, 0), NOTHING, Balance(1, 0))


def test_nobody_stops_paying_in_before_while_something_is_left(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)

    def pay_by(funding: str) -> None:
        with world.centre.write() as connection:
            set_funding(connection, world.distributor, funding, False, "contract", "test", clock())

    pay_by("PREPAID")
    confirm(world, two[1], ask(world, two[0]))
    pay_by("PREPAID")
    with pytest.raises(NotAllowedError, match="3001 has 100000 fen of what it paid in, and 0 are on their way"):
        pay_by("DIRECT_DEBIT")
    confirm(world, two[1], ask(world, two[0], -100_000, BACK))
    at_the_cashier(world, 700)
    with pytest.raises(NotAllowedError, match="3001 has 0 fen of what it paid in, and 700 are on their way"):
        pay_by("DIRECT_DEBIT")
    clock.pass_ms(top_ups.CASHIER_OPEN_MS)
    for _ in range(2):
        world.turn()
        clock.pass_ms(3_600_000)
    pay_by("DIRECT_DEBIT")
