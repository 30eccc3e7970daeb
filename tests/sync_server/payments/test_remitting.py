"""手动汇款: paid by bank by the word of two persons, never where the provider may have moved it, and booked there."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.approvals import approvals
from sync_server.approvals.tables import approval
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import Balance, balance
from sync_server.parties.parties import NewParty, add_party
from sync_server.payments import abandoning, remitting, transfers
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import Succeeded
from sync_server.payments.tables import bank_voucher, external_transfer, transfer_attempt
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.reconciliation.reconciling import reconcile
from sync_server.reconciliation.tables import recon_case
from sync_server.second_person import deeds
from sync_server.settlement.item_status import statuses_of
from tests.sync_server.beside import Beside
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ, two_of_finance
from tests.sync_server.sandbox import World, money_flaws

HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS
VOUCHER = Voucher("工商银行开封支行", date(2026, 9, 21), "20260921-0007", "a" * 64)


@pytest.fixture
def two(world: World, clock: Clock) -> tuple[Person, Person]:
    with world.centre.write() as connection:
        add_party(connection, NewParty("PLATFORM", "1000", "平台", "Platform", "platform"), "Asia/Shanghai", clock())
    return employ(world.centre, "qian", "finance"), employ(world.centre, "sun", "finance")


def failing(world: World, clock: Clock, kind: str, fault: FaultKind) -> tuple[UUID, UUID]:
    """An order, and its payout or refund that the provider does not make; their ids."""
    order_id = world.buy()
    world.turn()
    world.sandbox.play(fault, kind.lower())
    if kind == "PAYOUT":
        world.enter(world.items(order_id)[0])
    else:
        clock.pass_ms(WEEK_MS + 120_000)
    world.turn()
    with world.centre.read() as connection:
        query = sa.select(external_transfer.c.id).where(external_transfer.c.kind == kind)
        return order_id, connection.scalars(query).one()


def ask(world: World, who: Person, transfer_id: UUID, voucher: Voucher = VOUCHER, *, beside: bool = False) -> UUID:
    with world.centre.write() as connection:
        now_ms = world.centre.now_ms()
        return remitting.ask(connection, who, transfer_id, voucher, "the venue waits", now_ms, beside=beside)


def confirm(world: World, who: Person, request_id: UUID) -> None:
    with world.centre.write() as connection:
        remitting.confirm(connection, who, request_id, world.centre.now_ms())


def balances(world: World) -> dict[str, Balance]:
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
        return {code: balance(connection, Account(code)) for code in ("1010", "1030", "1310")}


@pytest.mark.parametrize("fault", [FaultKind.INSUFFICIENT, FaultKind.REFUSED])
@pytest.mark.parametrize(("kind", "amount_fen", "shown"), [("PAYOUT", 4970, "SETTLED"), ("REFUND", 5200, "REFUNDED")])
def test_two_persons_record_what_a_bank_paid(
    world: World, clock: Clock, two: tuple[Person, Person], fault: FaultKind, kind: str, amount_fen: int, shown: str
) -> None:
    order_id, transfer_id = failing(world, clock, kind, fault)
    request_id = ask(world, two[0], transfer_id)
    assert balances(world)["1030"] == Balance(0, 0)
    with pytest.raises(NotAllowedError, match="two persons"):
        confirm(world, two[0], request_id)
    confirm(world, two[1], request_id)
    for _ in range(3):
        clock.pass_ms(HOUR_MS)
        world.turn()
    assert balances(world) == {
        "1010": Balance(5231, 0), "1030": Balance(-amount_fen, 0), "1310": Balance(0, 0),
    }  # fmt: skip
    assert world.sandbox.book.balances()["platform"] == 5231  # the provider moved none of it
    with world.centre.read() as connection:
        row = connection.execute(sa.select(external_transfer).where(external_transfer.c.id == transfer_id)).one()
        made = connection.execute(sa.select(transfer_attempt).where(transfer_attempt.c.provider == "OFFLINE")).one()
        (status,) = statuses_of(connection, order_id)
    assert (row.state, row.provider_ref, made.state, made.provider_ref) == ("SUCCEEDED", VOUCHER.number) * 2
    assert status.money == shown


def test_nothing_whose_outcome_is_open_or_that_was_paid_is_paid_by_bank(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    order_id, transfer_id = failing(world, clock, "PAYOUT", FaultKind.SYSTEM_ERROR)
    with pytest.raises(NotAllowedError, match="UNKNOWN: only one that the provider has certainly not made"):
        ask(world, two[0], transfer_id)
    clock.pass_ms(HOUR_MS)
    world.turn()
    with pytest.raises(NotAllowedError, match="SUCCEEDED"):
        ask(world, two[0], transfer_id)
    with world.centre.read() as connection:
        charge = connection.scalars(
            sa.select(external_transfer.c.id).where(external_transfer.c.subject_id == order_id)
        ).one()
    with pytest.raises(NotAllowedError, match="only payouts, refunds and charges for late"):
        ask(world, two[0], charge)


@pytest.mark.parametrize(("kind", "amount_fen"), [("PAYOUT", 4970), ("REFUND", 5200)])
def test_what_a_bank_may_have_paid_is_not_sent_before_the_second_person_spoke(
    world: World, clock: Clock, two: tuple[Person, Person], kind: str, amount_fen: int
) -> None:
    _, transfer_id = failing(world, clock, kind, FaultKind.REFUSED)
    request_id = ask(world, two[0], transfer_id)
    for _ in range(3):
        clock.pass_ms(HOUR_MS)
        world.turn()
    confirm(world, two[1], request_id)
    clock.pass_ms(HOUR_MS)
    world.turn()
    assert balances(world)["1030"] == Balance(-amount_fen, 0)
    assert world.sandbox.book.balances()["platform"] == 5231  # the provider moved none of it


@pytest.mark.parametrize("withdrawn", [True, False], ids=["withdrawn", "too old"])
def test_once_nobody_says_so_any_more_it_is_sent(
    world: World, clock: Clock, two: tuple[Person, Person], withdrawn: bool
) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    request_id = ask(world, two[0], transfer_id)
    clock.pass_ms(approvals.LIFE_MS - 1)
    world.turn()
    assert world.sandbox.book.balances()["venue"] == 0
    if withdrawn:
        with world.centre.write() as connection:
            approvals.withdraw(connection, two[1], remitting.REMIT, request_id, clock())
    clock.pass_ms(HOUR_MS)
    world.turn()
    assert world.sandbox.book.balances()["venue"] == 4970
    assert balances(world)["1030"] == Balance(0, 0)


@pytest.mark.postgres
def test_a_worker_sees_who_asks_beside_it(postgres_world: World, clock: Clock) -> None:
    world, (first, _) = postgres_world, two_of_finance(postgres_world.centre)
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    clock.pass_ms(HOUR_MS)
    with world.centre.write() as connection:
        remitting.ask(connection, first, transfer_id, VOUCHER, "the venue waits", clock())
        worker = Beside(world.centre, lambda: transfers.move_due(world.centre, world.clients))
    worker.finish()
    assert world.sandbox.book.balances()["venue"] == 0


@pytest.mark.postgres
def test_who_asks_sees_a_worker_beside_them(
    postgres_world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, (first, _) = postgres_world, two_of_finance(postgres_world.centre)
    failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    clock.pass_ms(HOUR_MS)
    number_of, asking = transfers.number_of, []

    def number_while_somebody_asks(transfer_id: UUID, n: int) -> str:
        """Named in the transaction that commits the attempt."""
        asking.append(Beside(world.centre, lambda: ask(world, first, transfer_id)))
        return number_of(transfer_id, n)

    monkeypatch.setattr(transfers, "number_of", number_while_somebody_asks)
    assert transfers.move_due(world.centre, world.clients) == 1
    with pytest.raises(NotAllowedError, match="only one that the provider has certainly not made"):
        asking.pop().finish()
    assert world.sandbox.book.balances()["venue"] == 4970


def test_nobody_sends_or_gives_up_what_a_bank_may_have_paid(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.INSUFFICIENT)
    with world.centre.write() as connection:
        giving_up = abandoning.ask(connection, two[0], transfer_id, "account closed", clock())
    request_id = ask(world, two[0], transfer_id)
    for act in (
        lambda connection: transfers.resume(connection, two[0], transfer_id, "topped up", clock()),
        lambda connection: abandoning.confirm(connection, two[1], giving_up, clock()),
    ):
        with pytest.raises(NotAllowedError, match="said to have paid"), world.centre.write() as connection:
            act(connection)
    with world.centre.write() as connection:
        approvals.withdraw(connection, two[0], remitting.REMIT, request_id, clock())
        transfers.resume(connection, two[0], transfer_id, "topped up", clock())
    world.turn()
    assert world.sandbox.book.balances()["venue"] == 4970


@pytest.mark.parametrize(("kind", "left_fen"), [("PAYOUT", 261), ("REFUND", 31)])
@pytest.mark.parametrize("too_old", [False, True])
def test_what_a_bank_paid_beside_the_provider_is_booked_as_paid_twice(
    world: World, clock: Clock, two: tuple[Person, Person], kind: str, left_fen: int, *, too_old: bool
) -> None:
    _, transfer_id = failing(world, clock, kind, FaultKind.INSUFFICIENT)
    paid_fen = 5231 - left_fen
    with pytest.raises(NotAllowedError, match="that was made otherwise"):
        ask(world, two[0], transfer_id, beside=True)
    request_id = ask(world, two[0], transfer_id)
    if too_old:
        clock.pass_ms(approvals.LIFE_MS)
    with world.centre.write() as connection:
        assert apply_notice(connection, "ALIPAY", f"{transfer_id.hex}-1", Succeeded("A1", paid_fen), clock())
    if too_old:
        with pytest.raises(NotAllowedError, match="recorded --beside"):
            ask(world, two[0], transfer_id)
        request_id = ask(world, two[0], transfer_id, beside=True)
    with world.centre.write() as connection:
        [told] = deeds.waiting(connection, clock())
        assert told.does.startswith("is booked as paid by bank a second time (工商银行开封支行, voucher")
        deeds.confirm(connection, two[1], request_id, clock())
    for _ in range(2):
        world.turn()
        reconcile(world.centre)
    assert balances(world) == {
        "1010": Balance(left_fen, 0), "1030": Balance(-paid_fen, 0), "1310": Balance(paid_fen, 0),
    }  # fmt: skip
    with world.centre.read() as connection:
        row = connection.execute(sa.select(external_transfer).where(external_transfer.c.id == transfer_id)).one()
        case = connection.execute(sa.select(recon_case)).one()
    assert (row.state, row.provider_ref) == ("SUCCEEDED", "A1")
    assert (case.difference, case.subject, case.amount_fen) == ("DOUBLE_PAID", f"{transfer_id.hex}-2", -paid_fen)
    with pytest.raises(NotAllowedError, match="is booked already"):
        ask(world, two[0], transfer_id, beside=True)


def test_a_late_success_of_the_given_up_attempt_is_suspense(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    confirm(world, two[1], ask(world, two[0], transfer_id))
    with world.centre.write() as connection:
        assert apply_notice(connection, "ALIPAY", f"{transfer_id.hex}-1", Succeeded("A1", 4970), clock())
    assert balances(world) == {
        "1010": Balance(5231 - 4970, 0), "1030": Balance(-4970, 0), "1310": Balance(4970, 0),
    }  # fmt: skip


def test_money_that_moved_beside_it_is_not_paid_by_bank_too(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.REFUSED)
    world.sandbox.play(FaultKind.SYSTEM_ERROR, "payout")
    world.sandbox.play(FaultKind.SYSTEM_ERROR, "query", times=9)
    clock.pass_ms(HOUR_MS)
    world.turn()
    with world.centre.write() as connection:
        apply_notice(connection, "ALIPAY", f"{transfer_id.hex}-1", Succeeded("A1", 4970), clock())
        connection.execute(external_transfer.update().values(state="DEFINITE_FAIL", provider_ref=None))
    with pytest.raises(NotAllowedError, match="moved the money"):
        ask(world, two[0], transfer_id)


def test_a_voucher_is_whole_and_stands_for_one_payment(world: World, clock: Clock, two: tuple[Person, Person]) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.INSUFFICIENT)
    outsider = employ(world.centre, "zhao", "operations")
    for who, voucher, says in (
        (outsider, VOUCHER, "permission"),
        (two[0], replace(VOUCHER, bank=" "), "the bank needs"),
        (two[0], replace(VOUCHER, number="1\n2"), "the voucher number needs"),
        (two[0], replace(VOUCHER, file_sha256="xyz"), "SHA-256"),
    ):
        with pytest.raises(NotAllowedError, match=says):
            ask(world, who, transfer_id, voucher)
    confirm(world, two[1], ask(world, two[0], transfer_id))
    _, other = failing_again(world)
    with pytest.raises(NotAllowedError, match="is booked already, as payout:"):
        ask(world, two[0], other)


def failing_again(world: World) -> tuple[UUID, UUID]:
    """Another payout that lacks money."""
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.INSUFFICIENT, "payout")
    world.enter(world.items(order_id)[0])
    world.turn()
    with world.centre.read() as connection:
        query = sa.select(external_transfer.c.id).where(external_transfer.c.state == "INSUFFICIENT")
        return order_id, connection.scalars(query).one()


@pytest.mark.parametrize(
    "planted",
    [
        bank_voucher.update().values(number="another"),
        approval.update().values(state="REQUESTED"),
        transfer_attempt.update().where(transfer_attempt.c.provider == "OFFLINE").values(provider="HUIJINBAO"),
    ],
    ids=["voucher", "one person", "provider"],
)
def test_a_planted_flaw_is_named(
    world: World, clock: Clock, two: tuple[Person, Person], planted: sa.sql.dml.UpdateBase
) -> None:
    _, transfer_id = failing(world, clock, "PAYOUT", FaultKind.INSUFFICIENT)
    confirm(world, two[1], ask(world, two[0], transfer_id))
    with world.centre.write() as connection:
        connection.execute(planted)
        assert [flaw for flaw in money_flaws(connection) if flaw.startswith("I12 (what was paid by bank")]
