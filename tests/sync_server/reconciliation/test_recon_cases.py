"""Cases of reconciliation: given to somebody, explained, offset, written off by two persons; and what check finds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from sqlalchemy.engine import Connection

from sandbox_provider.faults import FaultKind
from sync_server.approvals.tables import approval
from sync_server.checks import flaws_of
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger.tables import posting
from sync_server.parties.parties import NewParty, add_party
from sync_server.payments import abandoning, top_ups
from sync_server.payments.provider import Refused, StatementLine, Waiting
from sync_server.payments.tables import external_transfer
from sync_server.people.identifying import Person
from sync_server.reconciliation import commands as recon_commands
from sync_server.reconciliation import recon_cases
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.tables import (
    recon_case,
    statement_line,
    statement_match,
)
from sync_server.second_person import deeds as second_person
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import PASSWORD, employ
from tests.sync_server.payments.test_transfers import drive
from tests.sync_server.reconciliation.telling import (
    TODAY,
    case_id,
    cases,
    flaws,
    judge,
    posted,
    said,
    sell_and_pay,
    tell,
)
from tests.sync_server.sandbox import World
from tests.sync_server.test_checks import without_triggers


@pytest.fixture
def people(world: World) -> tuple[Person, Person]:
    with world.centre.write() as connection:
        platform = NewParty("PLATFORM", "1000", "平台", "Platform", "platform")
        add_party(connection, platform, "Asia/Shanghai", world.centre.now_ms())
    return employ(world.centre, "qian", "finance"), employ(world.centre, "wen", "finance")


def test_a_provider_fee_is_agreed_and_listed(world: World, people: tuple[Person, Person]) -> None:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(
            recon_commands.provider_fees, arguments, obj=lambda: world.centre, input=f"{PASSWORD}\n"
        )

    rate = ("add", "--provider", "ALIPAY", "--kind", "CHARGE", "--bps", "60", "--min-fen", "10")
    who = ("--organisation", "1000", "--account", "qian", "--password-stdin")
    assert "at least 10 fen" in str(run(*rate, "--max-fen", "9", *who).exception)
    assert run("list").stdout == ""
    agreed = json.loads(run(*rate, "--max-fen", "10", *who).stdout)
    assert (agreed["bps"], agreed["max_fen"]) == (60, 10)
    assert json.loads(run("list").stdout) == agreed


def test_a_line_that_nobody_knows_waits_in_suspense_until_two_persons_write_it_off(
    world: World, clock: Clock, people: tuple[Person, Person]
) -> None:
    foreign = StatementLine("X1", "theirs", "PAYOUT", -700, 0, START_MS)
    tell(world, clock, [foreign])
    assert cases(world) == {"FOREIGN": ("OPEN", -700, True)}
    assert (posted(world, "1010"), posted(world, "1310"), flaws(world)) == (-700, 700, [])
    asks, confirms = people
    mine = case_id(world, Difference.FOREIGN)
    with world.centre.write() as connection:
        with pytest.raises(NotFoundError):
            recon_cases.assign(connection, asks, mine, "nobody", clock.now_ms)
        recon_cases.assign(connection, asks, mine, "wen", clock.now_ms)
        with pytest.raises(NotAllowedError, match="-700 fen"):
            recon_cases.explain(connection, asks, mine, "no idea", clock.now_ms)
        with pytest.raises(NotAllowedError, match="not one of"):
            recon_cases.ask_write_off(connection, asks, mine, "2210", "lost", clock.now_ms)
        request = recon_cases.ask_write_off(connection, asks, mine, "5090", "lost", clock.now_ms)
    assert cases(world)["FOREIGN"][0] == "ASSIGNED"
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="two persons"):
        recon_cases.confirm_write_off(connection, asks, request, clock.now_ms)
    with world.centre.write() as connection:
        recon_cases.confirm_write_off(connection, confirms, request, clock.now_ms)
        assert connection.scalar(sa.select(approval.c.state)) == "CONFIRMED"
    assert cases(world)["FOREIGN"][0] == "RESOLVED"
    assert (posted(world, "1310"), posted(world, "5090"), flaws(world)) == (0, 700, [])
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="RESOLVED"):
        recon_cases.assign(connection, asks, mine, "wen", clock.now_ms)


def test_two_lines_that_even_out_are_offset(world: World, clock: Clock, people: tuple[Person, Person]) -> None:
    tell(
        world,
        clock,
        [StatementLine("X1", "a", "PAYOUT", -700, 0, START_MS), StatementLine("X2", "b", "TOP_UP", 700, 0, START_MS)],
    )
    with world.centre.write() as connection:
        first, second = connection.scalars(sa.select(recon_case.c.id)).all()
        with pytest.raises(NotAllowedError, match="two cases"):
            recon_cases.offset(connection, people[0], first, first, "same", clock.now_ms)
        recon_cases.offset(connection, people[0], first, second, "it came back", clock.now_ms)
        states = connection.execute(sa.select(recon_case.c.state, recon_case.c.settled_as)).all()
    assert [tuple(row) for row in states] == [("RESOLVED", "OFFSET")] * 2
    assert (posted(world, "1310"), flaws(world)) == (0, [])


def test_a_written_off_movement_that_comes_after_all_is_told_anew(
    world: World, clock: Clock, people: tuple[Person, Person]
) -> None:
    sell_and_pay(world)
    charged, paid = sorted(said(world, TODAY), key=lambda line: -line.amount_fen)
    tell(world, clock, [charged])
    with world.centre.write() as connection:
        mine = connection.scalars(sa.select(recon_case.c.id)).one()
        request = recon_cases.ask_write_off(connection, people[0], mine, "5090", "gone", clock.now_ms)
        recon_cases.confirm_write_off(connection, people[1], request, clock.now_ms)
    assert posted(world, "5090") == -4970
    tell(world, clock, [charged, paid])
    assert cases(world)["MISSING_HERE"] == ("OPEN", -4970, True)
    assert flaws(world) == []


def test_a_transfer_given_up_is_a_case_that_a_note_ends(
    world: World, clock: Clock, people: tuple[Person, Person]
) -> None:
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.INSUFFICIENT, "payout")
    world.enter(world.items(order_id)[0])
    world.turn()
    with world.centre.write() as connection:
        query = sa.select(external_transfer.c.id).where(external_transfer.c.kind == "PAYOUT")
        request = abandoning.ask(connection, people[0], connection.scalars(query).one(), "closed", clock.now_ms)
        abandoning.confirm(connection, people[1], request, clock.now_ms)
    judge(world)
    assert cases(world) == {"VOIDED": ("OPEN", 0, False)}
    with world.centre.write() as connection:
        mine = connection.scalars(sa.select(recon_case.c.id)).one()
        with pytest.raises(NotAllowedError, match="no money"):
            recon_cases.ask_write_off(connection, people[0], mine, "5090", "x", clock.now_ms)
        recon_cases.explain(connection, people[0], mine, "paid by hand", clock.now_ms)
    assert cases(world) == {"VOIDED": ("RESOLVED", 0, False)}
    judge(world)
    assert len(cases(world)) == 1


def test_a_top_up_that_nobody_paid_is_no_case(world: World, clock: Clock) -> None:
    with world.centre.write() as connection:
        transfer_id = top_ups.begin(connection, world.distributor, 7000, "travel", clock.now_ms)
    drive(world, clock, Waiting("http://cashier"), Refused("its time is over"))
    world.turn()
    with world.centre.read() as connection:
        query = sa.select(external_transfer.c.state).where(external_transfer.c.id == transfer_id)
        assert connection.scalar(query) == "VOID"
    judge(world)
    assert cases(world) == {}


def test_of_a_changed_line_either_word_can_be_the_true_one(
    world: World, clock: Clock, people: tuple[Person, Person]
) -> None:
    sell_and_pay(world)
    lines = said(world, TODAY)
    before_fen = posted(world, "1010")
    for beyond_fen in (0, 1):
        say_of_the_first(world, clock, lines, beyond_fen)
    with world.centre.write() as connection:
        recon_cases.explain(connection, people[0], open_case(connection).id, "they took it back", clock.now_ms)
    say_of_the_first(world, clock, lines, 1)  # nothing new
    say_of_the_first(world, clock, lines, 2)
    write_off(world, clock, people)
    assert (posted(world, "1010") - before_fen, posted(world, "5090"), flaws(world)) == (2, -2, [])


def test_what_a_line_says_is_booked_once_however_often_it_changes(
    world: World, clock: Clock, people: tuple[Person, Person]
) -> None:
    sell_and_pay(world)
    lines = said(world, TODAY)
    before_fen = posted(world, "1010")
    say_of_the_first(world, clock, lines, 0)
    for beyond_fen, told_fen in ((50, 50), (60, 10), (50, -10), (60, 10), (0, -60), (50, 50)):
        for _ in range(2):
            say_of_the_first(world, clock, lines, beyond_fen)
        with world.centre.read() as connection:
            assert open_case(connection).amount_fen == told_fen
        write_off(world, clock, people)
        say_of_the_first(world, clock, lines, beyond_fen)
        with world.centre.read() as connection:
            assert connection.scalars(sa.select(recon_case.c.id).where(recon_case.c.state == "OPEN")).all() == []
        assert (posted(world, "1010") - before_fen, posted(world, "5090")) == (beyond_fen, -beyond_fen)
    assert flaws(world) == []


def test_a_changed_line_that_says_its_first_word_again_needs_nobody(world: World, clock: Clock) -> None:
    sell_and_pay(world)
    lines = said(world, TODAY)
    for beyond_fen in (0, 50, 0):
        say_of_the_first(world, clock, lines, beyond_fen)
    assert cases(world) == {"LINE_CHANGED": ("RESOLVED", 0, False)}
    with world.centre.read() as connection:
        note = connection.scalar(sa.select(recon_case.c.note))
    assert note == "amount_fen: 5231 -> 5281; later the provider said something else"


def test_a_line_told_twice_of_one_movement_is_taken_back_by_two_persons(
    world: World, clock: Clock, people: tuple[Person, Person]
) -> None:
    sell_and_pay(world)
    lines, before_fen = said(world, TODAY), posted(world, "1010")
    foreign = StatementLine("X1", "theirs", "PAYOUT", -700, 0, START_MS)
    tell(world, clock, [*lines, replace(lines[0], line_no="again"), foreign])
    other = case_id(world, Difference.FOREIGN)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="told twice"):
        recon_cases.ask_write_off(connection, people[0], other, recon_cases.NO_MOVEMENT, "same", clock.now_ms)
    mine = case_id(world, Difference.DOUBLE_LINE)
    with world.centre.write() as connection:
        to = recon_cases.NO_MOVEMENT
        request = recon_cases.ask_write_off(connection, people[0], mine, to, "one movement", clock.now_ms)
    with world.centre.write() as connection:
        [told] = second_person.waiting(connection, clock.now_ms)
        second_person.confirm(connection, people[1], request, clock.now_ms)
    assert told.does.startswith("52.31 yuan are booked, debit 1310 suspense, credit 1010")
    assert (posted(world, "1010"), posted(world, "1310"), posted(world, "5090")) == (before_fen - 700, 700, 0)
    assert flaws(world) == []


def say_of_the_first(world: World, clock: Clock, lines: list[StatementLine], beyond_fen: int) -> None:
    tell(world, clock, [replace(lines[0], amount_fen=lines[0].amount_fen + beyond_fen), *lines[1:]])


def open_case(connection: Connection) -> sa.Row[Any]:
    return connection.execute(sa.select(recon_case).where(recon_case.c.state == "OPEN")).one()


def write_off(world: World, clock: Clock, people: tuple[Person, Person]) -> None:
    """The open case, by two persons."""
    with world.centre.write() as connection:
        case = open_case(connection).id
        request = recon_cases.ask_write_off(connection, people[0], case, "5090", "they are right", clock.now_ms)
        recon_cases.confirm_write_off(connection, people[1], request, clock.now_ms)


PLANTED = {
    "moves its amount": statement_line.update().values(amount_fen=statement_line.c.amount_fen + 1),
    "statements cover": statement_match.delete(),
    "every line is judged": statement_line.update().values(settled_at_ms=None),
    "has its case": statement_match.update().values(role="FEE"),
    "open cases say": recon_case.update().values(amount_fen=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", PLANTED)
def test_a_planted_violation_of_i17_is_named(world: World, clock: Clock, rule: str) -> None:
    sell_and_pay(world)
    tell(world, clock, [*said(world, TODAY), StatementLine("X1", "theirs", "PAYOUT", -700, 0, START_MS)])
    assert flaws(world) == []
    with world.centre.write() as connection:
        without_triggers(connection, posting)
        connection.execute(PLANTED[rule])
        found = [flaw for flaw in flaws_of(connection) if flaw.startswith("I17") and rule in flaw.split("):")[0]]
    assert found
    assert found[0].split("): ")[1]
