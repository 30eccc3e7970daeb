"""退还预存款: what is left of a balance goes back once, never what is owed, and nothing else uses it meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.tables import approval
from sync_server.errors import NotAllowedError
from sync_server.jobs import worker
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import Balance, balance
from sync_server.notices.tables import notice
from sync_server.orders import paying
from sync_server.orders.applying import go_on_after_top_up
from sync_server.orders.tables import charge_back, order
from sync_server.parties.parties import set_funding
from sync_server.payments import top_ups
from sync_server.payments.tables import bank_top_up
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.redemptions import decisions
from sync_server.second_person import deeds
from sync_server.settlement import paying_back, refunding
from sync_server.settlement.charging_back import charge_back_late
from sync_server.settlement.overdue import BALANCE_AFTER_MS, Overdue, overdue, tell_overdue
from sync_server.settlement.paying_back import PAY_BACK, free_pay_backs
from tests.sync_server.beside import Beside
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.orders.test_prepaid import pay_in, set_prepaid
from tests.sync_server.payments.test_top_ups import at_the_cashier
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_debts import VOUCHER, late_entry, owed, paid_in, write_off
from tests.sync_server.settlement.test_debts import confirm as confirm_debt
from tests.sync_server.settlement.test_expiring import assert_books_agree
from tests.sync_server.settlement.test_late_entries import borne_by, number_of, refunded_then_late

HOLD_MS = 72 * 3_600_000


@pytest.fixture
def two(world: World) -> tuple[Person, Person]:
    return two_of_finance(world.centre)


@pytest.fixture
def prepaid(world: World) -> World:
    """The world's distributor paid 6000 fen in before."""
    set_prepaid(world)
    pay_in(world, 6000)
    return world


def ask(world: World, who: Person, amount_fen: int, voucher: Voucher = VOUCHER) -> UUID:
    with world.centre.write() as connection:
        return paying_back.ask(connection, who, "3001", amount_fen, voucher, "it ends", world.centre.now_ms())


def confirm(world: World, who: Person, request_id: UUID) -> int:
    with world.centre.write() as connection:
        return paying_back.confirm(connection, who, request_id, world.centre.now_ms())


def take_back(world: World, who: Person, request_id: UUID) -> None:
    with world.centre.write() as connection:
        approvals.withdraw(connection, who, PAY_BACK, request_id, world.centre.now_ms())


def left(world: World) -> Balance:
    """Of the distributor's balance, below 0 what it has."""
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
        return balance(connection, Account("2010", world.distributor))


def test_what_is_left_of_a_balance_goes_back_by_bank_and_no_more(
    prepaid: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    for amount_fen, says in ((6001, "its balance is 6000 fen: no more"), (0, "1 fen or more")):
        with pytest.raises(NotAllowedError, match=says):
            ask(prepaid, two[0], amount_fen)
    request_id = ask(prepaid, two[0], 5500)
    with pytest.raises(NotAllowedError, match="two persons"):
        confirm(prepaid, two[0], request_id)
    assert left(prepaid) == (-6000, 5500)
    with prepaid.centre.read() as connection:
        (told,) = deeds.waiting(connection, clock())
    said = "55.00 yuan, paid back by bank (工商银行开封支行, voucher 20260921-0007 of 2026-09-21"
    assert told.does.startswith(said) and told.does.endswith("are taken from the balance of 旅行社 (3001)")
    assert confirm(prepaid, two[1], request_id) == 5500
    assert left(prepaid) == (-500, 0)
    with prepaid.centre.read() as connection:
        assert balance(connection, Account("1030")) == (500, 0)


def test_nothing_goes_back_to_who_is_no_distributor(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    with pytest.raises(NotAllowedError, match="of a distributor's balance"), world.centre.write() as connection:
        paying_back.ask(connection, two[0], "2001", 1, VOUCHER, "it ends", clock())


def test_what_went_back_is_used_by_no_order_while_the_second_person_is_waited_for(
    prepaid: World, two: tuple[Person, Person]
) -> None:
    request_id = ask(prepaid, two[0], 6000)
    assert left(prepaid) == (-6000, 6000)
    assert prepaid.state(prepaid.buy()) == "PENDING_PAYMENT"
    with pytest.raises(NotAllowedError, match="its balance is 0 fen"):
        ask(prepaid, two[0], 1, replace(VOUCHER, number="20260921-0009"))
    confirm(prepaid, two[1], request_id)
    assert left(prepaid) == (0, 0)


def test_what_was_used_before_the_asking_does_not_go_back(prepaid: World, two: tuple[Person, Person]) -> None:
    prepaid.buy()
    with pytest.raises(NotAllowedError, match="its balance is 769 fen"):
        ask(prepaid, two[0], 6000)


@pytest.mark.parametrize("end", ["withdrawn", "void"])
def test_a_pay_back_that_nobody_confirmed_can_be_used_again(
    prepaid: World, clock: Clock, two: tuple[Person, Person], end: str
) -> None:
    request_id = ask(prepaid, two[0], 6000)
    clock.pass_ms(approvals.LIFE_MS - 1)
    assert free_pay_backs(prepaid.centre) == 0
    if end == "void":
        clock.pass_ms(1)
    else:
        take_back(prepaid, two[0], request_id)
    with prepaid.centre.write() as connection:  # notes what is void
        top_ups.ask(connection, two[0], prepaid.distributor, 1, replace(VOUCHER, number="9"), "seen", clock())
    assert (free_pay_backs(prepaid.centre), free_pay_backs(prepaid.centre)) == (1, 0)
    assert left(prepaid) == (-6000, 0)
    kept = ask(prepaid, two[0], 6000)
    assert free_pay_backs(prepaid.centre) == 0  # the first one is done
    confirm(prepaid, two[1], kept)
    assert left(prepaid) == (0, 0)


def test_nobody_stops_paying_in_before_while_something_is_left(
    prepaid: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    def pay_by(funding: str) -> None:
        with prepaid.centre.write() as connection:
            set_funding(connection, prepaid.distributor, funding, False, "contract", "test", clock())

    pay_by("PREPAID")
    with pytest.raises(NotAllowedError, match="3001 has 6000 fen of what it paid in, and 0 are on their way"):
        pay_by("DIRECT_DEBIT")
    confirm(prepaid, two[1], ask(prepaid, two[0], 6000))
    at_the_cashier(prepaid, 700)
    with pytest.raises(NotAllowedError, match="3001 has 0 fen of what it paid in, and 700 are on their way"):
        pay_by("DIRECT_DEBIT")
    clock.pass_ms(top_ups.CASHIER_OPEN_MS)
    for _ in range(2):
        prepaid.turn()
        clock.pass_ms(3_600_000)
    pay_by("DIRECT_DEBIT")


def test_what_a_distributor_owes_does_not_go_back_to_it(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    late_entry(world, clock, two[0], "PREPAID")
    paid_in(world, two, 6000, "1")
    with pytest.raises(NotAllowedError, match=r"its balance is 6000 fen and it owes 5000 \(`debt list`"):
        ask(world, two[0], 1001)
    request_id = ask(world, two[0], 1000)
    assert (charge_back_late(world.centre), owed(world)) == (1, [])
    confirm(world, two[1], request_id)
    assert left(world) == (0, 0)
    assert_books_agree(world)


@pytest.mark.parametrize("way_out", ["withdrawn", "top-up", "write-off", "paid"])
def test_who_confirms_is_told_what_a_distributor_came_to_owe_since_the_asking(
    world: World, clock: Clock, two: tuple[Person, Person], way_out: str
) -> None:
    borne_by(world, "DISTRIBUTOR")
    late = refunded_then_late(world, clock)
    set_prepaid(world)
    paid_in(world, two, 6000, "1")
    request_id = ask(world, two[0], 5500)
    with world.centre.write() as connection:
        decisions.honour(connection, two[0], late, "cut off", clock.now_ms)
    for _ in range(2):
        world.turn()
    with world.centre.read() as connection:
        does = paying_back.in_words(connection, approvals.find(connection, request_id), clock.now_ms)
    assert re.search(r"has come to owe 5000 fen .* ask anew for 1000 fen at most", does)
    if way_out == "withdrawn":
        take_back(world, two[0], request_id)
        world.turn()
        request_id = ask(world, two[0], 1000)
    elif way_out == "top-up":
        paid_in(world, two, 4500, "2")
    elif way_out == "write-off":
        confirm_debt(world, two[1], write_off(world, two[0], "3001"))
    confirm(world, two[1], request_id)
    world.turn()
    left_fen, debts = {"write-off": (-500, 0), "paid": (-500, 1)}.get(way_out, (0, 0))
    assert (len(owed(world)), left(world)) == (debts, (left_fen, 0))
    assert_books_agree(world)


def test_what_is_owed_is_taken_of_a_top_up_before_what_is_held(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    late_entry(world, clock, two[0], "PREPAID")
    set_prepaid(world, goes_on=True)
    held = world.buy()
    paid_in(world, two, 5231, "1")
    for step in worker.STEPS:
        if step in (charge_back_late, go_on_after_top_up):
            step(world.centre)
    assert (owed(world), left(world), world.state(held)) == ([], (-231, 0), "PENDING_PAYMENT")


def test_an_order_that_comes_before_the_worker_leaves_what_is_owed(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    late_entry(world, clock, two[0], "PREPAID")
    set_prepaid(world, goes_on=True)
    paid_in(world, two, 5231, "1")
    early = world.buy()
    assert (world.state(early), left(world)) == ("PENDING_PAYMENT", (-5231, 0))
    with world.centre.read() as connection:
        row = connection.execute(sa.select(order).where(order.c.id == early)).one()
        assert (row.hold, paying.lacking_fen(connection, row)) == ("INSUFFICIENT", 5000)
    assert go_on_after_top_up(world.centre) == 0  # nor does the balance cover it
    paid_in(world, two, 5000, "2")
    assert go_on_after_top_up(world.centre) == 1
    assert (world.state(early), left(world)) == ("PAID", (-5000, 0))
    assert (charge_back_late(world.centre), owed(world), left(world)) == (1, [], (0, 0))


@pytest.mark.postgres
def test_an_order_that_waits_for_the_charge_of_what_is_owed_does_not_count_it_twice(
    postgres_world: World, clock: Clock
) -> None:
    two = two_of_finance(postgres_world.centre)
    late_entry(postgres_world, clock, two[0], "PREPAID")
    paid_in(postgres_world, two, 5000 + 5231, "1")
    bought: list[UUID] = []
    with postgres_world.centre.write() as connection:
        owes = connection.execute(sa.select(charge_back)).one()
        whose = (Account("2010", owes.distributor_id), 5000), (Account("5020"), -5000)
        charged = book.Txn(f"chargeback:{owes.redemption_id.hex()}", book.legs(*whose), clock(), "test")
        book.post(connection, [charged], clock())
        connection.execute(charge_back.update().values(charged_at_ms=clock()))
        later = Beside(postgres_world.centre, lambda: bought.append(postgres_world.buy()))
    later.finish()
    assert (postgres_world.state(bought[0]), left(postgres_world)) == ("PAID", (0, 0))


def test_what_its_provider_does_not_charge_is_owed_too(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    late_entry(world, clock, two[0], "DIRECT_DEBIT")
    paid_in(world, two, 769, "1")
    with pytest.raises(NotAllowedError, match="its balance is 769 fen and it owes 5000 "):
        ask(world, two[0], 769)
    world.sandbox.faults.clear()
    clock.pass_ms(3_600_000)
    world.turn()
    assert confirm(world, two[1], ask(world, two[0], 769)) == 769
    assert left(world) == (0, 0)


def refunded_after_it_stopped(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    """The distributor stops paying in before; then a ticket that was paid from its balance is given back."""
    order_id = world.buy()
    world.turn()
    confirm(world, two[1], ask(world, two[0], 769))
    set_prepaid(world, "DIRECT_DEBIT")
    with world.centre.write() as connection:
        refunding.ask(connection, number_of(world, order_id), "ill", clock(), "test")
    clock.pass_ms(HOLD_MS)
    world.turn()


def test_what_comes_back_to_a_balance_that_nothing_uses_any_more_is_told_once(
    prepaid: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    refunded_after_it_stopped(prepaid, clock, two)
    since_ms = clock()
    assert left(prepaid) == (-5200, 0)
    clock.pass_ms(BALANCE_AFTER_MS - 1)
    assert tell_overdue(prepaid.centre) == 0
    clock.pass_ms(1)
    with prepaid.centre.read() as connection:
        assert overdue(connection, clock(), 24) == [
            Overdue("BALANCE", prepaid.distributor, 5200, since_ms, "LEFT", "旅行社")
        ]
    assert (tell_overdue(prepaid.centre), tell_overdue(prepaid.centre)) == (1, 0)
    with prepaid.centre.read() as connection:
        (said,) = connection.scalars(sa.select(notice.c.variables).where(notice.c.kind == "transfer_late"))
    assert '"purpose": "预存款退还", "amount": "52.00", "hours": "24", "reason": "旅行社"' in said
    ask(prepaid, two[0], 5200, replace(VOUCHER, number="8"))
    with prepaid.centre.read() as connection:
        assert overdue(connection, clock(), 24) == []


def test_a_balance_that_orders_use_is_nobodys_to_look_at(prepaid: World, clock: Clock) -> None:
    clock.pass_ms(BALANCE_AFTER_MS)
    with prepaid.centre.read() as connection:
        assert overdue(connection, clock(), 24) == []


def test_what_comes_back_to_a_balance_pays_what_is_owed_first(
    prepaid: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    refunded_after_it_stopped(prepaid, clock, two)
    late_entry(prepaid, clock, two[0], "DIRECT_DEBIT")
    assert left(prepaid) == (-200, 0)
    assert_books_agree(prepaid)


def freed(connection: Connection) -> None:
    (subject,) = connection.scalars(sa.select(approval.c.subject).where(approval.c.state == "REQUESTED"))
    book.resolve(connection, subject, False, 0, "test", 0)


def kept_back(connection: Connection) -> None:
    (whose,) = connection.scalars(sa.select(bank_top_up.c.distributor_id).distinct())
    sides = book.legs((Account("2010", whose), 1), (Account("1030"), -1))
    book.post(connection, [book.Txn("paidback:another", sides, 0, "test", pending=True)], 0)


def asked_otherwise(connection: Connection) -> None:
    connection.execute(bank_top_up.update().where(bank_top_up.c.amount_fen < 0).values(amount_fen=-5499))


@pytest.mark.parametrize(
    "planted",
    [freed, kept_back, asked_otherwise],
    ids=["freed too early", "kept for nobody", "another amount"],
)
def test_a_planted_flaw_is_named(
    prepaid: World, two: tuple[Person, Person], planted: Callable[[Connection], object]
) -> None:
    ask(prepaid, two[0], 5500)
    with prepaid.centre.write() as connection:
        assert money_flaws(connection) == []
        planted(connection)
        assert [flaw for flaw in money_flaws(connection) if flaw.startswith("I12 (a balance keeps back")]
