"""A bank's voucher is money once, whichever command names it and however it was typed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.approvals import approvals
from sync_server.errors import NotAllowedError
from sync_server.payments import remitting, top_ups
from sync_server.payments.tables import bank_voucher, external_transfer
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from tests.sync_server.beside import Beside
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.sandbox import World, money_flaws

VOUCHER = Voucher("工商银行ICBC", date(2026, 9, 21), "A 20260921-0007")


@pytest.fixture
def two(world: World) -> tuple[Person, Person]:
    return two_of_finance(world.centre)


def paid_in(world: World, two: tuple[Person, Person], voucher: Voucher) -> None:
    """A distributor's top-up by bank, by the word of two."""
    confirm_top_up(world, two[1], ask_top_up(world, two[0], voucher))


def ask_top_up(world: World, who: Person, voucher: Voucher) -> UUID:
    with world.centre.write() as connection:
        now_ms = world.centre.now_ms()
        return top_ups.ask(connection, who, world.distributor, 5_000, voucher, "seen on the list", now_ms)


def confirm_top_up(world: World, who: Person, request_id: UUID) -> None:
    with world.centre.write() as connection:
        top_ups.confirm(connection, who, request_id, world.centre.now_ms())


def remitted(world: World, two: tuple[Person, Person]) -> None:
    """A payout that the bank paid with `VOUCHER`."""
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.INSUFFICIENT, "payout")
    world.enter(world.items(order_id)[0])
    world.turn()
    with world.centre.write() as connection:
        payout = connection.scalars(sa.select(external_transfer.c.id).where(external_transfer.c.kind == "PAYOUT")).one()
        now_ms = world.centre.now_ms()
        request_id = remitting.ask(connection, two[0], payout, VOUCHER, "the venue waits", now_ms)
        remitting.confirm(connection, two[1], request_id, now_ms)


@pytest.mark.parametrize(
    "again",
    [
        VOUCHER,
        replace(VOUCHER, number=" A 20260921-0007 "),
        replace(VOUCHER, number="a20260921-0007"),
        replace(VOUCHER, bank="工商银行ＩＣＢＣ", number="Ａ ２０２６０９２１－０００７"),
        replace(VOUCHER, paid_on=date(2026, 9, 20), file_sha256="a" * 64),
    ],
    ids=["same", "blanks", "small letters", "wide letters", "another day"],
)
def test_a_voucher_of_a_payout_is_no_top_up(world: World, two: tuple[Person, Person], again: Voucher) -> None:
    remitted(world, two)
    with pytest.raises(NotAllowedError, match="is booked already, as payout:"):
        ask_top_up(world, two[0], again)
    with world.centre.read() as connection:
        assert money_flaws(connection) == []


@pytest.mark.parametrize("end", ["withdrawn", "void", "confirmed"])
def test_a_voucher_is_asked_with_once_at_a_time(
    world: World, clock: Clock, two: tuple[Person, Person], end: str
) -> None:
    first = ask_top_up(world, two[0], VOUCHER)
    clock.pass_ms(approvals.LIFE_MS - 1)
    with pytest.raises(NotAllowedError, match=rf"is named by the request {first} \(top_up.record\)"):
        ask_top_up(world, two[1], replace(VOUCHER, number="a20260921-0007"))
    if end == "confirmed":
        confirm_top_up(world, two[1], first)
        with pytest.raises(NotAllowedError, match="is booked already, as topup:"):
            ask_top_up(world, two[0], VOUCHER)
        return
    if end == "void":
        clock.pass_ms(1)
    else:
        with world.centre.write() as connection:
            approvals.withdraw(connection, two[0], top_ups.RECORD, first, clock())
    confirm_top_up(world, two[1], ask_top_up(world, two[0], VOUCHER))
    with world.centre.read() as connection:
        assert money_flaws(connection) == []


@pytest.mark.postgres
def test_of_two_who_ask_with_a_voucher_at_once_the_second_sees_the_first(postgres_world: World) -> None:
    world, two = postgres_world, two_of_finance(postgres_world.centre)
    with world.centre.write() as connection:
        now_ms = world.centre.now_ms()
        top_ups.ask(connection, two[0], world.distributor, 5_000, VOUCHER, "seen on the list", now_ms)
        second = Beside(world.centre, lambda: ask_top_up(world, two[1], VOUCHER))
    with pytest.raises(NotAllowedError, match="is named by the request"):
        second.finish()


def test_another_number_or_bank_is_another_voucher(world: World, two: tuple[Person, Person]) -> None:
    for voucher in (VOUCHER, replace(VOUCHER, number="A 20260921-0008"), replace(VOUCHER, bank="建设银行")):
        paid_in(world, two, voucher)
    with world.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(bank_voucher)) == 3


@pytest.mark.parametrize(
    "planted",
    [bank_voucher.delete(), bank_voucher.update().values(txn_key="topup:another")],
    ids=["forgotten", "another's"],
)
@pytest.mark.parametrize(
    "booked", [remitted, lambda world, two: paid_in(world, two, VOUCHER)], ids=["payout", "top-up"]
)
def test_a_planted_flaw_is_named(
    world: World, two: tuple[Person, Person], booked: object, planted: sa.sql.dml.UpdateBase
) -> None:
    assert callable(booked)
    booked(world, two)
    with world.centre.write() as connection:
        connection.execute(planted)
        assert [flaw for flaw in money_flaws(connection) if flaw.startswith("I12 (a voucher of a bank")]
