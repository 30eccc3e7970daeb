"""归还欠款: what a venue paid by bank is booked whole, once; what is beyond its debts goes back to it."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.approvals import approvals
from sync_server.errors import NotAllowedError
from sync_server.parties.tables import party
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.second_person import deeds
from sync_server.settlement import repaying
from sync_server.settlement.tables import clawback, payout_adjustment
from sync_server.settlement.venue_debts import REPAY
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ, two_of_finance
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_debts import VOUCHER, owed, two_visits_refunded, write_off
from tests.sync_server.settlement.test_expiring import assert_books_agree, posted
from tests.sync_server.settlement.test_payouts import paid, used

DAY_MS = 86_400_000


@pytest.fixture
def two(world: World) -> tuple[Person, Person]:
    return two_of_finance(world.centre)


def repaid(world: World, who: Person, amount_fen: int, voucher: Voucher = VOUCHER) -> UUID:
    with world.centre.write() as connection:
        return repaying.ask(connection, who, "2001", amount_fen, voucher, "closed down", world.centre.now_ms())


def confirm(world: World, who: Person, request_id: UUID) -> int:
    with world.centre.write() as connection:
        return repaying.confirm(connection, who, request_id, world.centre.now_ms())


def test_what_a_venue_paid_by_bank_ends_its_oldest_debts_and_the_rest_is_kept_back(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    two_visits_refunded(world, clock, two)
    before = posted(world)
    assert owed(world) == [("2001", 9940)]
    request_id = repaid(world, two[0], 6000)
    with world.centre.read() as connection:
        (told,) = deeds.waiting(connection, clock.now_ms)
    paid_by = "工商银行开封支行, voucher 20260921-0007 of 2026-09-21"
    assert told.does == f"60.00 yuan that 汴河 (2001) owes count as paid by bank ({paid_by})"
    with pytest.raises(NotAllowedError, match="two persons"):
        confirm(world, two[0], request_id)
    assert posted(world) == before
    assert confirm(world, two[1], request_id) == 6000
    assert posted(world) == {**before, "1030": 6000, "1220": 3940}
    with world.centre.read() as connection:
        ended = sa.select(clawback.c.ended_fen).order_by(clawback.c.agreed_at_ms)
        assert connection.scalars(ended).all() == [4970, 1030]
    assert_books_agree(world)
    with pytest.raises(NotAllowedError, match="is CONFIRMED"):
        confirm(world, two[1], request_id)
    with pytest.raises(NotAllowedError, match="booked already"):
        repaid(world, two[0], 100)
    before_fen = paid(world)
    used(world)
    world.turn()
    assert paid(world) == before_fen + 4970 - 3940  # no more is kept back than is still owed
    assert (owed(world), "1220" in posted(world)) == ([], False)
    assert_books_agree(world)


def test_what_a_venue_is_said_to_have_paid_is_kept_back_of_no_payout(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    two_visits_refunded(world, clock, two)
    before, before_fen = posted(world), paid(world)
    request_id = repaid(world, two[0], 9940)
    used(world)
    world.turn()
    assert paid(world) == before_fen + 4970
    with pytest.raises(NotAllowedError, match="asked for already"):
        repaid(world, two[0], 1, replace(VOUCHER, number="2"))
    with pytest.raises(NotAllowedError, match="owes 0 fen"):
        write_off(world, two[0], "2001")
    assert confirm(world, two[1], request_id) == 9940
    assert (posted(world)["1030"], "1220" in posted(world), owed(world)) == (before.get("1030", 0) + 9940, False, [])
    assert_books_agree(world)


@pytest.mark.parametrize("end", ["withdrawn", "void"])
def test_what_nobody_confirmed_is_kept_back_again(
    world: World, clock: Clock, two: tuple[Person, Person], end: str
) -> None:
    two_visits_refunded(world, clock, two)
    before_fen, request_id = paid(world), repaid(world, two[0], 6000)
    used(world)
    world.turn()
    assert (paid(world), owed(world)) == (before_fen + 4970 - 3940, [("2001", 6000)])
    if end == "void":
        clock.pass_ms(approvals.LIFE_MS)
    else:
        with world.centre.write() as connection:
            approvals.withdraw(connection, two[0], REPAY, request_id, clock.now_ms)
    used(world)
    world.turn()
    assert (paid(world), owed(world)) == (before_fen + 4970 - 3940, [("2001", 1030)])
    assert_books_agree(world)


@pytest.mark.parametrize("mode", ["PER_REDEMPTION", "DAILY"])
def test_what_is_beyond_its_debts_goes_back_with_its_next_payout(
    world: World, clock: Clock, two: tuple[Person, Person], mode: str
) -> None:
    two_visits_refunded(world, clock, two)
    before, before_fen = posted(world), paid(world)
    request_id = repaid(world, two[0], 10_000)
    with world.centre.write() as connection:
        (told,) = deeds.waiting(connection, clock())
        connection.execute(party.update().where(party.c.id == world.venue).values(payout_mode=mode))
    assert told.does.startswith("99.40 yuan that 汴河 (2001) owes count as paid by bank")
    assert told.does.endswith("; 0.60 yuan more go back to it with its next payout")
    confirm(world, two[1], request_id)
    assert_books_agree(world)
    clock.pass_ms(DAY_MS)
    for _ in range(2):
        world.turn()
    del before["1220"]
    assert (posted(world), owed(world)) == ({**before, "1030": 10_000, "1010": before["1010"] - 60}, [])
    assert paid(world) == before_fen + 60
    assert_books_agree(world)


def test_what_was_kept_back_before_the_asking_goes_back_too(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    two_visits_refunded(world, clock, two)
    before_fen = paid(world)
    used(world, 2)
    world.turn()
    assert (owed(world), paid(world)) == ([], before_fen)
    confirm(world, two[1], repaid(world, two[0], 9940))
    world.turn()
    assert paid(world) == before_fen + 9940
    assert_books_agree(world)


def test_what_is_not_allowed_is_refused_when_it_is_asked(
    world: World, clock: Clock, two: tuple[Person, Person]
) -> None:
    for who, amount_fen, voucher, match in (
        (two[0], 0, VOUCHER, "1 to 10000000000 fen"),
        (two[0], repaying.MAX_REPAID_FEN + 1, VOUCHER, "1 to 10000000000 fen"),
        (two[0], 100, replace(VOUCHER, number=" "), "voucher number"),
        (employ(world.centre, "zhao", "operations"), 100, VOUCHER, "permission"),
    ):
        with pytest.raises(NotAllowedError, match=match):
            repaid(world, who, amount_fen, voucher)
    with pytest.raises(NotAllowedError, match="top-up record"), world.centre.write() as connection:
        repaying.ask(connection, two[0], "3001", 100, VOUCHER, "closed down", clock())


@pytest.mark.parametrize(
    "planted",
    [
        payout_adjustment.update().values(gross_fen=59, net_fen=59),
        payout_adjustment.update().values(id=UUID(int=1)),
    ],
    ids=["amount", "nobody's"],
)
def test_a_planted_flaw_is_named(world: World, two: tuple[Person, Person], planted: sa.sql.dml.UpdateBase) -> None:
    confirm(world, two[1], repaid(world, two[0], 60))
    with world.centre.write() as connection:
        assert money_flaws(connection) == []
        connection.execute(planted)
        assert [flaw for flaw in money_flaws(connection) if flaw.startswith("I10 (what a party owed ended")]
