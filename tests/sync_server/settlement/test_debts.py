"""What parties owe and nothing brings in: paid by bank or given up, by two persons, to the fen and once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server import setbacks
from sync_server.approvals import approvals
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.notices.tables import notice
from sync_server.orders.tables import charge_back, order_item
from sync_server.parties.tables import party
from sync_server.payments import remitting, top_ups
from sync_server.payments.tables import external_transfer
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.redemptions import decisions
from sync_server.settlement import debts
from sync_server.settlement.charging_back import charge_back_late
from sync_server.settlement.overdue import DEBT_AFTER_MS, overdue, tell_overdue
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ, two_of_finance
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_expiring import HOUR_MS, assert_books_agree, posted
from tests.sync_server.settlement.test_honouring import lost
from tests.sync_server.settlement.test_late_entries import borne_by, refunded_then_late
from tests.sync_server.settlement.test_payouts import clawed_back, paid, used

VOUCHER = Voucher("工商银行开封支行", date(2026, 9, 21), "20260921-0007")


def two_visits_refunded(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    """The venue owes 4970 fen for each of two visits."""
    world.buy(3)  # so that there is money to give back
    order_id = used(world, 2)
    world.turn()
    for nth in range(2):
        clock.pass_ms(1)
        clawed_back(world, clock, order_id, two, nth)
    world.turn()


def write_off(world: World, who: Person, org_number: str) -> UUID:
    with world.centre.write() as connection:
        request_id, _ = debts.ask_write_off(connection, who, org_number, "closed down", world.centre.now_ms())
        return request_id


def confirm(world: World, who: Person, request_id: UUID) -> int:
    with world.centre.write() as connection:
        return debts.confirm(connection, who, request_id, world.centre.now_ms())


def owed(world: World) -> list[tuple[str, int]]:
    with world.centre.read() as connection:
        return [(one.party, one.amount_fen) for one in debts.debts(connection)]


def test_what_a_venue_never_pays_is_written_off_and_no_payout_keeps_it_back(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    two_visits_refunded(world, clock, two)
    before, before_fen = posted(world), paid(world)
    assert confirm(world, two[1], write_off(world, two[0], "2001")) == 9940
    del before["1220"]
    assert (posted(world), owed(world)) == ({**before, "5090": 9940}, [])
    assert_books_agree(world)
    used(world)
    world.turn()
    assert paid(world) == before_fen + 4970
    assert_books_agree(world)


def test_what_was_kept_back_meanwhile_is_not_ended_twice(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    two_visits_refunded(world, clock, two)
    request_id = write_off(world, two[0], "2001")
    used(world)
    world.turn()
    with pytest.raises(NotAllowedError, match="9940 fen were asked for, of which party 2001 owes 4970"):
        confirm(world, two[1], request_id)
    with world.centre.write() as connection:
        approvals.withdraw(connection, two[0], debts.WRITE_OFF, request_id, clock.now_ms)
    assert confirm(world, two[1], write_off(world, two[0], "2001")) == 4970
    assert owed(world) == []
    assert_books_agree(world)


def test_a_debt_that_came_after_the_asking_is_not_given_up(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    world.buy(3)  # so that there is money to give back
    order_id = used(world, 2)
    world.turn()
    clawed_back(world, clock, order_id, two)
    request_id = write_off(world, two[0], "2001")
    used(world)
    world.turn()  # keeps the first one back
    clock.pass_ms(1)
    clawed_back(world, clock, order_id, two, 1)
    assert owed(world) == [("2001", 4970)]  # the sum that was asked for, and another debt
    with pytest.raises(NotAllowedError, match="4970 fen were asked for, of which party 2001 owes 0"):
        confirm(world, two[1], request_id)
    assert owed(world) == [("2001", 4970)]
    assert_books_agree(world)


def test_what_is_not_owed_or_not_allowed_is_not_given_up(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    two_visits_refunded(world, clock, two)
    with pytest.raises(NotAllowedError, match="party 3001 owes 0 fen"):
        write_off(world, two[0], "3001")
    with pytest.raises(NotAllowedError, match="permission"):
        write_off(world, employ(world.centre, "zhao", "operations"), "2001")


def late_entry(world: World, clock: Clock, who: Person, funding: str) -> dict[str, int]:
    """An honoured entry that a distributor bears, which cannot be charged; the books before it."""
    borne_by(world, "DISTRIBUTOR")
    late = refunded_then_late(world, clock)
    before = posted(world)
    world.sandbox.play(FaultKind.REFUSED, "charge", times=999)
    with world.centre.write() as connection:
        connection.execute(party.update().where(party.c.id == world.distributor).values(funding=funding))
        decisions.honour(connection, who, late, "cut off", clock.now_ms)
    for _ in range(2):
        world.turn()
    return {**before, "1010": before["1010"] - 4970, "4020": before.get("4020", 0) - 30, "5020": 5000}


def test_a_late_entry_that_no_balance_covers_is_given_up_and_the_platform_bears_it(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    after = late_entry(world, clock, two[0], "PREPAID")
    assert owed(world) == [("3001", 5000)]
    assert confirm(world, two[1], write_off(world, two[0], "3001")) == 5000
    with world.centre.write() as connection:
        connection.execute(setbacks.setback.delete())  # what is given up is not found again
    clock.pass_ms(2 * HOUR_MS)
    assert (charge_back_late(world.centre), owed(world), posted(world)) == (0, [], after)
    assert_books_agree(world)


def paid_in(world: World, two: tuple[Person, Person], amount_fen: int, number: str) -> None:
    voucher, whose = replace(VOUCHER, number=number), world.distributor
    with world.centre.write() as connection:
        now_ms = world.centre.now_ms()
        request_id = top_ups.ask(connection, two[0], whose, amount_fen, voucher, "on the list", now_ms)
        top_ups.confirm(connection, two[1], request_id, now_ms)


def test_a_top_up_brings_late_entries_in_at_once_and_one_that_is_too_small_brings_none(
    world: World, clock: Clock
) -> None:
    two = two_of_finance(world.centre)
    late_entry(world, clock, two[0], "PREPAID")
    paid_in(world, two, 4999, "1")
    assert (charge_back_late(world.centre), owed(world)) == (0, [("3001", 5000)])
    with world.centre.read() as connection:
        (waits,) = setbacks.listed(connection)
    paid_in(world, two, 1, "2")
    assert clock.now_ms < waits.again_at_ms
    assert (charge_back_late(world.centre), owed(world)) == (1, [])
    with world.centre.read() as connection:
        assert setbacks.listed(connection) == []
    assert_books_agree(world)


def test_a_late_entry_that_came_after_the_asking_is_not_given_up(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    late_entry(world, clock, two[0], "PREPAID")
    request_id = write_off(world, two[0], "3001")
    paid_in(world, two, 5000, "1")
    assert (charge_back_late(world.centre), owed(world)) == (1, [])
    clock.pass_ms(1)
    with world.centre.read() as connection:
        item_id = connection.scalars(sa.select(order_item.c.id)).first()
    other = {"redemption_id": lost(world, item_id, "LATE"), "distributor_id": world.distributor}
    with world.centre.write() as connection:
        connection.execute(charge_back.insert().values(**other, amount_fen=5000, honoured_at_ms=clock.now_ms))
    with pytest.raises(NotAllowedError, match="5000 fen were asked for, of which party 3001 owes 0"):
        confirm(world, two[1], request_id)
    assert owed(world) == [("3001", 5000)]


def test_a_late_entry_that_a_distributor_pays_by_bank_is_booked_there(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    after = late_entry(world, clock, two[0], "DIRECT_DEBIT")
    assert owed(world) == []  # it has a transfer
    with world.centre.write() as connection:
        charge = sa.select(external_transfer.c.id).where(external_transfer.c.subject_key.startswith("chargeback:"))
        transfer_id = connection.scalars(charge).one()
        request_id = remitting.ask(connection, two[0], transfer_id, VOUCHER, "by bank", clock.now_ms)
        remitting.confirm(connection, two[1], request_id, clock.now_ms)
    clock.pass_ms(HOUR_MS)
    world.turn()
    del after["5020"]
    assert posted(world) == {**after, "1030": 5000}
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
        assert balance(connection, Account("5020")).pending_fen == 0


def test_a_debt_that_nothing_brings_in_for_a_month_is_listed_and_told_of_once(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    two_visits_refunded(world, clock, two)
    clock.pass_ms(DEBT_AFTER_MS - 2)
    assert tell_overdue(world.centre) == 0
    clock.pass_ms(2)
    with world.centre.read() as connection:
        (late,) = overdue(connection, clock.now_ms, 24)
    assert (late.what, late.id, late.amount_fen) == ("DEBT", world.venue, 9940)
    assert (tell_overdue(world.centre), tell_overdue(world.centre)) == (1, 0)
    with world.centre.read() as connection:
        (said,) = connection.scalars(sa.select(notice.c.variables).where(notice.c.kind == "transfer_late"))
    assert '"purpose": "欠款", "amount": "99.40", "hours": "720", "reason": "汴河"' in said
    confirm(world, two[1], write_off(world, two[0], "2001"))
    with world.centre.read() as connection:
        assert overdue(connection, clock.now_ms, 24) == []
