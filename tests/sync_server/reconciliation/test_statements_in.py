"""A day's statement comes in whole: whatever numbers its lines have, again, and where it cannot be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.errors import NotAllowedError
from sync_server.payments.provider import StatementLine
from sync_server.reconciliation.line_numbers import MAX_PLACES
from sync_server.reconciliation.statements_in import LATE_MS, bounds, fetch_statements, take_in
from sync_server.reconciliation.tables import recon_case, statement_day, statement_line
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.reconciliation.telling import (
    DAY_MS,
    TODAY,
    TOMORROW,
    cases,
    flaws,
    judge,
    posted,
    said,
    sell_and_pay,
    tell,
    told_of,
)
from tests.sync_server.sandbox import World


def kept(world: World) -> dict[str, int]:
    """The lines that are kept, by the number that they have here."""
    with world.centre.read() as connection:
        rows = connection.execute(sa.select(statement_line.c.line_no, statement_line.c.amount_fen))
        return {row.line_no: row.amount_fen for row in rows}


def told(world: World, clock: Clock, lines: Sequence[StatementLine]) -> tuple[int, int]:
    """How many lines of today's statement are new, and how many say something else than before."""
    clock.now_ms = max(clock.now_ms, START_MS + DAY_MS)
    with world.centre.write() as connection:
        found = take_in(connection, "ALIPAY", TODAY, lines, clock.now_ms)
    judge(world)
    return found.new, found.changed


def test_a_number_twice_in_a_statement_loses_no_line_and_is_a_case(world: World, clock: Clock) -> None:
    sell_and_pay(world)
    before_fen = posted(world, "1010")
    first, second = (replace(line, line_no="7") for line in said(world, TODAY))
    foreign = StatementLine("7", "theirs", "PAYOUT", -700, 0, START_MS)
    lines = [first, second, foreign, replace(foreign, line_no="8"), replace(foreign, line_no="8")]
    assert told(world, clock, lines) == (4, 0)
    assert kept(world) == {
        "7": first.amount_fen, f"7@{TODAY}": second.amount_fen, f"7@{TODAY}-2": -700, "8": -700,
    }  # fmt: skip
    assert (posted(world, "1010"), posted(world, "1310"), flaws(world)) == (before_fen - 1400, 1400, [])
    with world.centre.read() as connection:
        query = sa.select(recon_case.c.subject, recon_case.c.note, recon_case.c.amount_fen)
        [twice] = connection.execute(query.where(recon_case.c.difference == "NUMBER_TWICE"))
    note = "2 numbers stand for more than one line, as 7: told alike it counts once, else by itself"
    assert tuple(twice) == (f"ALIPAY:{TODAY}", note, 0)
    for again in (lines, lines[::-1]):  # in whichever order they come
        assert told(world, clock, again) == (0, 0)
    changed = [first, replace(second, amount_fen=second.amount_fen - 1), *lines[2:]]
    assert told(world, clock, changed) == (0, 1)
    assert len(kept(world)) == 4


def test_a_number_that_too_many_lines_share_is_no_number(world: World, clock: Clock) -> None:
    lines = [StatementLine("7", f"theirs-{n}", "PAYOUT", -700 - n, 0, START_MS) for n in range(MAX_PLACES + 1)]
    with pytest.raises(NotAllowedError, match="the line '7' more than 10 times"):
        told(world, clock, lines)
    assert kept(world) == {}
    assert told(world, clock, lines[1:]) == (MAX_PLACES, 0)
    assert max(kept(world)) == f"7@{TODAY}-9"


def test_a_number_that_another_day_used_is_another_line(world: World, clock: Clock) -> None:
    """Some providers count their lines anew each day: no money of theirs may be lost for that."""
    sell_and_pay(world)
    charged, paid = sorted(said(world, TODAY), key=lambda line: -line.amount_fen)
    tell(world, clock, [replace(charged, line_no="1"), replace(paid, line_no="2")])
    clock.now_ms += DAY_MS
    later_ms = bounds(TOMORROW)[0]
    more = [
        StatementLine("1", "theirs", "PAYOUT", -700, 0, later_ms),
        StatementLine("2", None, "FEE", 0, 9, later_ms),
        replace(charged, line_no="3"),
    ]
    for new in (3, 0):
        with world.centre.write() as connection:
            assert take_in(connection, "ALIPAY", TOMORROW, more, clock.now_ms) == (new, 0)
        judge(world)
    with world.centre.read() as connection:
        rows = connection.execute(
            sa.select(statement_line.c.line_no, recon_case.c.difference).outerjoin_from(
                statement_line, recon_case, recon_case.c.line_no == statement_line.c.line_no
            )
        )
        found = {row.line_no: row.difference for row in rows}
    assert found == {
        "1": None,
        "2": None,
        "3": "DOUBLE_LINE",
        f"1@{TOMORROW}": "FOREIGN",
        f"2@{TOMORROW}": "FEE_UNEXPECTED",
    }
    assert posted(world, "1010") == 2 * 5231 - 4970 - 700 - 9
    assert flaws(world) == []
    with world.centre.write() as connection:
        changed = [replace(more[0], amount_fen=-701), *more[1:]]
        assert take_in(connection, "ALIPAY", TOMORROW, changed, clock.now_ms) == (0, 1)


def test_a_line_that_the_next_days_statement_repeats_stays_one(world: World, clock: Clock) -> None:
    sell_and_pay(world)
    lines = said(world, TODAY)
    tell(world, clock, lines)
    with world.centre.write() as connection:
        assert take_in(connection, "ALIPAY", TOMORROW, lines, clock.now_ms) == (0, 0)
    judge(world)
    assert (cases(world), flaws(world)) == ({}, [])


def test_more_of_a_reference_than_the_tables_keep_is_cut_and_no_change(world: World, clock: Clock) -> None:
    sell_and_pay(world)
    long = [replace(line, provider_ref="r" * 65, account_ref="a\0" * 65) for line in said(world, TODAY)]
    assert told(world, clock, long) == (2, 0)
    assert told(world, clock, long) == (0, 0)
    with world.centre.read() as connection:
        rows = connection.execute(sa.select(statement_line.c.provider_ref, statement_line.c.account_ref))
        assert {tuple(row) for row in rows} == {("r" * 64, "a" * 64)}
    assert flaws(world) == []


def test_a_line_that_the_next_days_statement_repeats_with_another_reference_is_no_second_movement(
    world: World, clock: Clock
) -> None:
    sell_and_pay(world)
    lines = said(world, TODAY)
    tell(world, clock, lines)
    before_fen = posted(world, "1010")
    repeated = [replace(lines[0], provider_ref="another"), *lines[1:]]
    for changed in (1, 0):
        with world.centre.write() as connection:
            assert take_in(connection, "ALIPAY", TOMORROW, repeated, clock.now_ms) == (0, changed)
        judge(world)
    assert cases(world) == {"LINE_CHANGED": ("OPEN", 0, False)}
    assert (posted(world, "1010"), flaws(world)) == (before_fen, [])


def test_a_statement_that_cannot_be_read_is_told_once_and_its_case_ends_when_it_can(world: World, clock: Clock) -> None:
    sell_and_pay(world)
    clock.now_ms = bounds(TODAY)[1] + LATE_MS - 1
    world.sandbox.play(FaultKind.NONSENSE, "statement", times=9)
    for open_cases in (0, 1, 1):
        assert fetch_statements(world.centre) == 0
        assert len(cases(world)) == open_cases
        clock.now_ms += 1
    assert cases(world) == {"NO_STATEMENT": ("OPEN", 0, False)}
    [notice] = told_of(world, "no_statement")
    assert (notice["provider"], notice["day"]) == ("支付宝", str(TODAY))
    assert notice["reason"].startswith("the answer (status 200) is not")
    world.sandbox.faults.clear()
    assert fetch_statements(world.centre) == 1
    assert cases(world) == {"NO_STATEMENT": ("RESOLVED", 0, False)}
    assert (len(told_of(world, "no_statement")), flaws(world)) == (1, [])


def test_a_statement_that_is_refused_is_told_at_once_and_holds_up_no_other(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell_and_pay(world)
    clock.now_ms = bounds(TOMORROW)[1]
    monkeypatch.setattr("sync_server.reconciliation.statements_in.MAX_LINES_PER_DAY", 1)
    assert fetch_statements(world.centre) == 1
    with world.centre.read() as connection:
        assert connection.scalars(sa.select(statement_day.c.day)).all() == [str(TOMORROW)]
        note = connection.scalar(sa.select(recon_case.c.note).where(recon_case.c.difference == "NO_STATEMENT"))
    assert note == "a statement of 2 lines is more than the 1 of a day"
    monkeypatch.undo()
    tell(world, clock, said(world, TODAY))  # by hand
    assert (cases(world), flaws(world)) == ({"NO_STATEMENT": ("RESOLVED", 0, False)}, [])
