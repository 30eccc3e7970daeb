"""Who bears an entry that comes to light after its refund; what is late is told once; which gates are still to hear."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
import requests
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server import setbacks
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.money import yuan
from sync_server.notices.tables import notice
from sync_server.orders.progress import GIVE_UP_ISSUING_MS, issuing_failed
from sync_server.orders.tables import ticket
from sync_server.parties.tables import party
from sync_server.payments import abandoning
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import Succeeded
from sync_server.payments.tables import external_transfer
from sync_server.payments.telling import tell_late
from sync_server.payments.transfers import number_of as number_of_attempt
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.matching import news
from sync_server.reconciliation.movements import by_number
from sync_server.redemptions import decisions
from sync_server.settlement import overdue, refunding, unconfirmed
from sync_server.settlement.charging_back import charge_back_late, late_rates, set_late_liability
from sync_server.settlement.overdue import tell_overdue
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ, two_of_finance
from tests.sync_server.orders.test_closing import a_pass, cashier
from tests.sync_server.paying_in import top_up
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.test_expiring import HOUR_MS, a_gate, assert_books_agree, posted
from tests.sync_server.settlement.test_honouring import lost

HOLD_MS = 72 * 3_600_000

DAY_MS = 24 * HOUR_MS


def number_of(world: World, order_id: UUID) -> str:
    with world.centre.read() as connection:
        return str(connection.scalars(sa.select(ticket.c.number).where(ticket.c.order_id == order_id)).first())


def refunded_then_late(world: World, clock: Clock) -> bytes:
    """A ticket that was asked back and given back at the deadline, and an entry of before that arrives after it."""
    order_id = world.buy()
    others = world.buy(3)  # so that there is a gate, and money to pay with
    world.turn()
    world.enter(world.items(others)[0])
    with world.centre.write() as connection:
        refunding.ask(connection, number_of(world, order_id), "moved", clock.now_ms, "test")
    clock.pass_ms(HOLD_MS)
    for _ in range(2):
        world.turn()
    return lost(world, world.items(order_id)[0], "LATE")


def borne_by(world: World, who: str) -> None:
    with world.centre.write() as connection:
        connection.execute(party.update().where(party.c.id == world.distributor).values(late_liability=who))


@pytest.mark.parametrize("who", ["PLATFORM", "DISTRIBUTOR", "VENUE"])
def test_the_platform_the_distributor_or_the_venue_bears_it(world: World, clock: Clock, who: str) -> None:
    finance, _ = two_of_finance(world.centre)
    borne_by(world, who)
    late = refunded_then_late(world, clock)
    before, charged = posted(world), world.sandbox.book.balances()["distributor"]
    if who == "VENUE":
        with pytest.raises(NotAllowedError, match="venue bears"), world.centre.write() as connection:
            decisions.honour(connection, finance, late, "cut off", clock.now_ms)
        return
    with world.centre.write() as connection:
        decisions.honour(connection, finance, late, "cut off", clock.now_ms)
    for _ in range(3):
        world.turn()
    cost = {"5020": 5000} if who == "PLATFORM" else {}
    back_fen = 0 if who == "PLATFORM" else 5000
    cash = before["1010"] - 4970 + back_fen
    assert posted(world) == {**before, "1010": cash, "4020": before.get("4020", 0) - 30, **cost}
    assert world.sandbox.book.balances()["distributor"] == charged - back_fen
    assert_books_agree(world)


@pytest.mark.parametrize("who", ["DISTRIBUTOR", "VENUE"])
def test_a_double_entry_is_borne_by_the_platform_whoever_bears_late_ones(world: World, clock: Clock, who: str) -> None:
    finance, _ = two_of_finance(world.centre)
    borne_by(world, who)
    world.buy()  # so that there is money to pay with
    item = world.items(order_id := world.buy())[0]
    world.turn()
    world.enter(item)
    world.turn()
    before, charged = posted(world), world.sandbox.book.balances()["distributor"]
    second = lost(world, item, "CONFLICT")
    with world.centre.write() as connection:
        decisions.honour(connection, finance, second, "two gates", clock.now_ms)
    for _ in range(3):
        world.turn()
    assert posted(world) == {**before, "1010": before["1010"] - 4970, "4020": before["4020"] - 30, "5020": 5000}
    assert world.sandbox.book.balances()["distributor"] == charged
    assert world.state(order_id) == "COMPLETED"
    assert_books_agree(world)


def test_what_a_distributor_does_not_pay_is_told_and_two_persons_may_give_it_up(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    borne_by(world, "DISTRIBUTOR")
    late = refunded_then_late(world, clock)
    before = posted(world)
    world.sandbox.play(FaultKind.REFUSED, "charge", times=999)
    with world.centre.write() as connection:
        decisions.honour(connection, two[0], late, "cut off", clock.now_ms)
    for _ in range(2):
        world.turn()
    assert tell_late(world.centre) == 0
    clock.pass_ms(DAY_MS)
    with world.centre.read() as connection:
        (waits,) = overdue.overdue(connection, clock.now_ms, 24)
    assert (waits.what, waits.amount_fen, waits.reason) == ("CHARGE", 5000, "played: failed")
    assert (tell_late(world.centre), told(world)) == (1, ["charge"])
    with world.centre.write() as connection:
        request_id = abandoning.ask(connection, two[0], waits.id, "it never pays", clock.now_ms)
        abandoning.confirm(connection, two[1], request_id, clock.now_ms)
    with world.centre.read() as connection:
        assert overdue.overdue(connection, clock.now_ms, 24) == []
    after = {**before, "1010": before["1010"] - 4970, "4020": before.get("4020", 0) - 30, "5020": 5000}
    assert posted(world) == after  # the platform bears it
    with world.centre.write() as connection:
        apply_notice(connection, "ALIPAY", number_of_attempt(waits.id, 1), Succeeded("LATE", 5000), clock.now_ms)
    assert posted(world) == {**after, "1010": after["1010"] + 5000, "1310": -5000}
    with world.centre.read() as connection:
        (ours,) = by_number(connection, "ALIPAY", [number_of_attempt(waits.id, 1)]).values()
    assert news(ours.movement) is Difference.PAID_AFTER_VOID  # nobody gives it back


def test_a_prepaid_distributor_is_charged_once_its_balance_covers_it(world: World, clock: Clock) -> None:
    finance, _ = two_of_finance(world.centre)
    borne_by(world, "DISTRIBUTOR")
    late = refunded_then_late(world, clock)
    with world.centre.write() as connection:
        connection.execute(party.update().where(party.c.id == world.distributor).values(funding="PREPAID"))
        decisions.honour(connection, finance, late, "cut off", clock.now_ms)
    for _ in range(2):
        world.turn()
    assert posted(world)["5020"] == 5000
    with world.centre.read() as connection:
        (waits,) = setbacks.listed(connection)
    assert (waits.step, waits.subject) == ("settlement.charge_back_late", late.hex())
    top_up(world.centre, world.distributor, 6000)
    clock.pass_ms(HOUR_MS)
    assert charge_back_late(world.centre) == 1
    assert charge_back_late(world.centre) == 0
    after = posted(world)
    assert ("5020" in after, after["2010"]) == (False, -1000)
    with world.centre.read() as connection:
        assert setbacks.listed(connection) == []


def test_the_rate_by_distributor_and_who_may_set_who_bears_it(world: World, clock: Clock) -> None:
    finance, _ = two_of_finance(world.centre)
    outsider = employ(world.centre, "zhao", "operations")
    refunded_then_late(world, clock)
    for who, number, liability, match in (
        (outsider, "3001", "VENUE", "permission"),
        (finance, "2001", "VENUE", "distributor's"),
        (finance, "3001", "NOBODY", "distributor's"),
    ):
        with pytest.raises(NotAllowedError, match=match), world.centre.write() as connection:
            set_late_liability(connection, who, number, liability, "agreed", clock.now_ms)
    with world.centre.write() as connection:
        set_late_liability(connection, finance, "3001", "VENUE", "agreed", clock.now_ms)
    with world.centre.read() as connection:
        (rate,) = late_rates(connection)
    assert (rate.distributor, rate.late_liability, rate.refunds, rate.late) == ("3001", "VENUE", 1, 1)
    assert rate.late_per_thousand == 1000


def test_a_distributor_that_cannot_pay_what_it_bears_is_told(world: World, clock: Clock) -> None:
    finance, _ = two_of_finance(world.centre)
    borne_by(world, "DISTRIBUTOR")
    late = refunded_then_late(world, clock)
    with world.centre.write() as connection:
        decisions.honour(connection, finance, late, "cut off", clock.now_ms)
    world.sandbox.play(FaultKind.INSUFFICIENT, "charge")
    for _ in range(3):
        world.turn()
    with world.centre.read() as connection:
        lacking = sa.select(external_transfer.c.amount_fen).where(external_transfer.c.state == "INSUFFICIENT")
        amount_fen = connection.scalars(lacking).one()
        (said,) = connection.execute(sa.select(notice).where(notice.c.kind == "charge_lacks")).all()
    assert said.about_id == world.distributor
    assert msgspec.json.decode(said.variables)["amount"] == yuan(amount_fen)


def told(world: World) -> list[str]:
    with world.centre.read() as connection:
        query = sa.select(notice.c.key).where(notice.c.kind == "transfer_late").order_by(notice.c.key)
        return [key.partition(":")[0] for key in connection.scalars(query)]


def test_a_payout_that_is_not_through_after_a_day_is_listed_until_it_is(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.REFUSED, "payout", times=999)
    world.enter(world.items(order_id)[0])
    world.turn()

    def listed() -> list[overdue.Overdue]:
        with world.centre.read() as connection:
            return overdue.overdue(connection, clock.now_ms, 24)

    clock.pass_ms(DAY_MS - 1)
    assert listed() == []
    clock.pass_ms(1)
    (late,) = listed()
    assert (late.what, late.amount_fen, late.hours(clock.now_ms)) == ("PAYOUT", 4970, 24)
    assert late.reason == "played: failed"
    world.sandbox.faults.clear()
    world.turn()
    assert listed() == []


def test_a_visitor_whose_pass_could_not_be_issued_is_looked_after_at_twenty_hours(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = a_pass(world)
    world.turn()
    requests.post(cashier(world), timeout=5)
    clock.pass_ms(60_000)
    monkeypatch.setattr(world, "issue", lambda: None)
    world.turn()
    clock.pass_ms(GIVE_UP_ISSUING_MS)
    with world.centre.write() as connection:
        assert issuing_failed(connection, order_id, "no key", clock.now_ms, "test")
    world.sandbox.play(FaultKind.REFUSED, "refund", times=999)
    world.turn()
    clock.pass_ms(overdue.NOT_ISSUED_AFTER_MS - 1)
    assert tell_overdue(world.centre) == 0
    clock.pass_ms(1)
    assert tell_overdue(world.centre) == 1
    assert told(world) == ["not_issued"]


def test_gates_that_have_not_heard_of_a_refund_are_named(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    a_gate(world, None)
    with world.centre.write() as connection:
        refunding.ask(connection, number_of(world, order_id), "moved", clock.now_ms, "test")
    with world.centre.read() as connection:
        (hold,) = unconfirmed.open_holds(connection, clock.now_ms)
        with pytest.raises(NotFoundError):
            unconfirmed.told_of(connection, "T0", clock.now_ms)
    assert (hold.ticket, hold.venue, hold.gates) == (number_of(world, order_id), 1, ["G9"])
    assert hold.deadline_ms == clock.now_ms + HOLD_MS
    clock.pass_ms(HOLD_MS)
    world.turn()
    with world.centre.read() as connection:
        assert unconfirmed.open_holds(connection, clock.now_ms) == []
        assert connection.scalar(sa.select(sa.func.count()).select_from(external_transfer)) == 2
