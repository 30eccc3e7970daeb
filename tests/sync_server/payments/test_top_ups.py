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
from sync_server.parties.parties import NewParty, add_party
from sync_server.payments import top_ups, transfers
from sync_server.payments.tables import bank_top_up, external_transfer
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ
from tests.sync_server.sandbox import World, money_flaws

VOUCHER = Voucher("工商银行开封支行", date(2026, 9, 21), "20260921-0007")


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
