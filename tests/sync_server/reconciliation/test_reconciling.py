"""The provider's statement against our book on real databases: what it books, what it tells, what is a case."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sandbox_provider.faults import FaultKind
from sync_server.errors import NotAllowedError
from sync_server.payments import applying
from sync_server.payments.provider import StatementLine, Succeeded
from sync_server.payments.tables import transfer_attempt
from sync_server.reconciliation import commands as recon_commands
from sync_server.reconciliation import reconciling
from sync_server.reconciliation.matching import match
from sync_server.reconciliation.statements_in import bounds, fetch_statements, take_in
from sync_server.reconciliation.tables import (
    provider_fee,
    recon_case,
    statement_day,
    statement_line,
    statement_match,
)
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.payments.test_remitting import failing
from tests.sync_server.reconciliation.telling import (
    DAY_MS,
    TODAY,
    TOMORROW,
    Opened,
    cases,
    flaws,
    judge,
    payout_line,
    payout_state,
    posted,
    said,
    sell_and_pay,
    tell,
    told_of,
)
from tests.sync_server.sandbox import World


def test_good_books_leave_nothing_and_the_day_ends(world: World, clock: Clock) -> None:
    sell_and_pay(world, 2)
    lines = said(world, TODAY)
    assert sorted(line.amount_fen for line in lines) == [-4970, -4970, 5231, 5231]
    before_fen = posted(world, "1010")
    tell(world, clock, lines)
    assert cases(world) == {}
    assert (posted(world, "1010"), posted(world, "1310")) == (before_fen, 0)
    with world.centre.read() as connection:
        roles = connection.scalars(sa.select(statement_match.c.role)).all()
        days = connection.execute(sa.select(statement_day.c.day, statement_day.c.ended_at_ms))
        ended = {row.day: row.ended_at_ms for row in days}
    assert roles == ["MOVEMENT"] * 4
    assert ended == {str(TODAY): clock.now_ms, str(TOMORROW): None}
    assert flaws(world) == []
    tell(world, clock, lines)  # the same again is nothing new
    assert (cases(world), posted(world, "1010"), flaws(world)) == ({}, before_fen, [])


def test_a_day_is_taken_in_when_it_is_over(world: World, clock: Clock) -> None:
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="over"):
        take_in(connection, "ALIPAY", TODAY, [], clock.now_ms)


def test_the_providers_fees_are_costs_and_other_than_agreed_ones_are_told(world: World, clock: Clock) -> None:
    sell_and_pay(world)
    with world.centre.write() as connection:
        rule = {"provider": "ALIPAY", "min_fen": 0, "valid_from_ms": 0}
        connection.execute(provider_fee.insert().values(**rule, kind="CHARGE", bps=60))
        connection.execute(provider_fee.insert().values(**rule, kind="PAYOUT", bps=0))
    charged, paid = sorted(said(world, TODAY), key=lambda line: -line.amount_fen)
    before_fen = posted(world, "1010")
    tell(world, clock, [replace(charged, fee_fen=31), replace(paid, fee_fen=10)])
    assert cases(world) == {"FEE_UNEXPECTED": ("OPEN", 0, False)}
    assert posted(world, "5010") == 41
    assert posted(world, "1010") == before_fen - 41
    assert flaws(world) == []


def test_the_statement_is_an_ok_of_a_transfer_whose_outcome_is_unknown(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.LOST_ANSWER, "payout")
    world.sandbox.play(FaultKind.SYSTEM_ERROR, "query", times=50)
    world.enter(world.items(order_id)[0])
    world.turn()
    assert payout_state(world) == "UNKNOWN"
    tell(world, clock, said(world, TODAY))
    assert payout_state(world) == "SUCCEEDED"
    assert cases(world) == {}
    assert (posted(world, "1310"), flaws(world)) == (0, [])


def test_what_was_said_to_have_failed_and_moved_is_taken_over_and_told(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.REFUSED, "payout", times=50)
    world.enter(world.items(order_id)[0])
    world.turn()
    assert payout_state(world) == "DEFINITE_FAIL"
    tell(world, clock, [*said(world, TODAY), payout_line(world)])
    assert payout_state(world) == "SUCCEEDED"
    assert cases(world) == {"PAID_AFTER_FAILURE": ("OPEN", 0, False)}
    assert (posted(world, "1310"), flaws(world)) == (0, [])


def test_an_attempt_that_moved_beside_another_is_in_suspense_once(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.REFUSED, "payout")
    world.enter(world.items(order_id)[0])
    world.turn()
    first = payout_line(world)
    clock.pass_ms(3_600_000)
    world.turn()
    assert payout_state(world) == "SUCCEEDED"
    with world.centre.write() as connection:
        applying.apply_notice(connection, "ALIPAY", str(first.out_no), Succeeded("SP-late", 4970), clock.now_ms)
    tell(world, clock, [*said(world, TODAY), *said(world, TOMORROW), first])
    assert cases(world) == {"DOUBLE_PAID": ("OPEN", -4970, True)}
    assert posted(world, "1310") == 4970
    assert flaws(world) == []
    told = {"difference": "重复付款", "provider": "支付宝", "amount": "-49.70"}
    assert told_of(world, "recon_case") == [told]


def test_what_the_provider_does_not_have_is_missing_after_the_next_day_and_found_again_later(
    world: World, clock: Clock
) -> None:
    sell_and_pay(world)
    charged, paid = sorted(said(world, TODAY), key=lambda line: -line.amount_fen)
    tell(world, clock, [charged], next_day=False)
    assert cases(world) == {}  # it may stand in the next day's
    tell(world, clock, [charged])
    assert cases(world) == {"MISSING_THERE": ("OPEN", 4970, False)}
    assert flaws(world) == []
    tell(world, clock, [charged, paid])
    assert cases(world) == {"MISSING_THERE": ("RESOLVED", 0, False)}
    assert flaws(world) == []


def test_a_movement_of_midnight_stands_in_the_next_days_statement(world: World, clock: Clock) -> None:
    sell_and_pay(world)
    charged, paid = sorted(said(world, TODAY), key=lambda line: -line.amount_fen)
    clock.now_ms += 3 * DAY_MS
    with world.centre.write() as connection:
        take_in(connection, "ALIPAY", TODAY, [charged], clock.now_ms)
        take_in(connection, "ALIPAY", TOMORROW, [replace(paid, at_ms=bounds(TOMORROW)[0])], clock.now_ms)
    judge(world)
    assert (cases(world), flaws(world)) == ({}, [])


def test_another_amount_of_an_unknown_transfer_is_suspense_until_it_is_known(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.LOST_ANSWER, "payout")
    world.sandbox.play(FaultKind.SYSTEM_ERROR, "query", times=50)
    world.enter(world.items(order_id)[0])
    world.turn()
    charged, paid = sorted(said(world, TODAY), key=lambda line: -line.amount_fen)
    tell(world, clock, [charged, replace(paid, amount_fen=-5000)])
    assert payout_state(world) == "UNKNOWN"
    assert cases(world) == {"AMOUNT_OFF": ("OPEN", -5000, True)}
    assert flaws(world) == []
    with world.centre.write() as connection:
        applying.apply_notice(connection, "ALIPAY", str(paid.out_no), Succeeded("SP1", 4970), clock.now_ms)
    judge(world)
    assert cases(world) == {"AMOUNT_OFF": ("OPEN", -30, True)}
    assert (posted(world, "1310"), flaws(world)) == (30, [])


def test_of_two_lines_of_another_amount_one_is_the_movement_once_it_is_known(world: World, clock: Clock) -> None:
    failing(world, clock, "PAYOUT", FaultKind.LOST_ANSWER)
    first = replace(payout_line(world), line_no="a", amount_fen=-2000)
    second = replace(first, line_no="b", amount_fen=-2970)
    tell(world, clock, [*(line for line in said(world, TODAY) if line.kind != "PAYOUT"), second, first])
    assert cases(world) == {"AMOUNT_OFF": ("OPEN", -2000, True), "DOUBLE_LINE": ("OPEN", -2970, True)}
    with world.centre.write() as connection:
        applying.apply_notice(connection, "ALIPAY", str(first.out_no), Succeeded("SP1", 4970), clock.now_ms)
    judge(world)
    assert cases(world) == {"AMOUNT_OFF": ("OPEN", 2970, True), "DOUBLE_LINE": ("OPEN", -2970, True)}
    assert (posted(world, "1010"), posted(world, "1310"), flaws(world)) == (5231 - 4970, 0, [])


def test_an_outcome_that_stays_unknown_is_a_case_until_it_is_known(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.LOST_REQUEST, "payout", times=50)
    world.sandbox.play(FaultKind.SYSTEM_ERROR, "query", times=50)
    world.enter(world.items(order_id)[0])
    world.turn()
    tell(world, clock, said(world, TODAY))
    assert cases(world) == {"STILL_OPEN": ("OPEN", 0, False)}
    with world.centre.write() as connection:
        number = connection.scalars(
            sa.select(transfer_attempt.c.out_no).where(transfer_attempt.c.state.in_(["SENT", "UNKNOWN"]))
        ).one()
        applying.apply_notice(connection, "ALIPAY", number, Succeeded("SP1", 4970), clock.now_ms)
    judge(world)
    assert cases(world) == {"STILL_OPEN": ("RESOLVED", 0, False)}


def test_a_line_that_says_something_else_later_stands_as_it_was(world: World, clock: Clock) -> None:
    sell_and_pay(world)
    lines = said(world, TODAY)
    tell(world, clock, lines)
    tell(world, clock, [replace(lines[0], amount_fen=lines[0].amount_fen + 3, fee_fen=1), *lines[1:]])
    assert cases(world) == {"LINE_CHANGED": ("OPEN", 2, False)}
    assert flaws(world) == []
    with world.centre.read() as connection:
        case = connection.execute(sa.select(recon_case)).one()
    assert case.note == "amount_fen: 5231 -> 5234; fee_fen: 0 -> 1"


def test_only_what_a_line_says_last_is_open(world: World, clock: Clock) -> None:
    clock.now_ms += DAY_MS
    first = StatementLine("X1", "theirs", "PAYOUT", -700, 0, START_MS)
    for amount_fen in (-700, -701, -701, -702, -701):
        with world.centre.write() as connection:
            take_in(connection, "ALIPAY", TODAY, [replace(first, amount_fen=amount_fen)], clock.now_ms)
    with world.centre.read() as connection:
        found = connection.execute(sa.select(recon_case).order_by(recon_case.c.subject.desc()))
        said_and_open = sorted((row.state, row.amount_fen) for row in found)
    assert said_and_open == [("OPEN", -1), ("RESOLVED", 0), ("RESOLVED", 0)]  # beyond what it said first


def test_a_bad_line_holds_up_no_other(world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    sell_and_pay(world)
    lines = said(world, TODAY)

    def broken(some: Sequence[StatementLine], *others: Any) -> Any:
        if any(line.line_no == lines[0].line_no for line in some):
            raise RuntimeError("a line that cannot be")
        return match(some, *others)

    monkeypatch.setattr(reconciling, "match", broken)
    tell(world, clock, lines)
    with world.centre.read() as connection:
        waiting = connection.scalars(
            sa.select(statement_line.c.line_no).where(statement_line.c.settled_at_ms.is_(None))
        )
        assert waiting.all() == [lines[0].line_no]
        assert connection.scalar(sa.select(sa.func.count(statement_day.c.ended_at_ms))) == 0


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_provider_says_book_statement_and_cases_agree(world: World, clock: Clock, seed: int) -> None:
    chance = random.Random(seed)
    sell_and_pay(world, 3)
    lines = []
    for line in said(world, TODAY):
        lot = chance.randrange(7)
        if lot == 0:
            continue
        if lot == 1:
            lines.append(replace(line, line_no=f"{line.line_no}-again"))
        changed = {
            2: replace(line, amount_fen=line.amount_fen + chance.randint(-50, 50)),
            3: replace(line, amount_fen=-line.amount_fen),
            4: replace(line, out_no=None),
            5: replace(line, fee_fen=chance.randint(1, 9), kind="SOMETHING"),
        }
        lines.append(changed.get(lot, line))
    chance.shuffle(lines)
    tell(world, clock, lines)
    assert flaws(world) == []
    with world.centre.read() as connection:
        lines_in = connection.execute(sa.select(statement_line.c.amount_fen, statement_line.c.fee_fen)).all()
        missing = connection.scalars(sa.select(recon_case.c.amount_fen).where(~recon_case.c.in_suspense)).all()
    assert posted(world, "1010") + sum(missing) == sum(row.amount_fen - row.fee_fen for row in lines_in)


def test_the_job_fetches_each_day_once_and_waits_where_the_provider_cannot(world: World, clock: Clock) -> None:
    sell_and_pay(world)
    assert fetch_statements(world.centre) == 0  # today is not over
    clock.now_ms += 3 * DAY_MS
    world.sandbox.play(FaultKind.SYSTEM_ERROR, "statement", times=3)
    assert fetch_statements(world.centre) == 0
    world.sandbox.play(FaultKind.SYSTEM_ERROR, "statement")
    assert fetch_statements(world.centre) == 2  # the first day holds up no other
    assert fetch_statements(world.centre) == 1
    assert fetch_statements(world.centre) == 0
    judge(world)
    with world.centre.read() as connection:
        ended = connection.execute(sa.select(statement_day.c.day).where(statement_day.c.ended_at_ms.is_not(None)))
        assert sorted(row.day for row in ended) == [str(TODAY), str(TOMORROW)]
        found = connection.execute(sa.select(recon_case.c.difference, recon_case.c.state))
        assert {tuple(row) for row in found} == {("NO_STATEMENT", "RESOLVED")}
    assert flaws(world) == []


def test_the_command_takes_a_file_in_and_says_how_the_day_stands(world: World, clock: Clock, tmp_path: Path) -> None:
    sell_and_pay(world)
    file = tmp_path / "day.jsonl"
    lines = [*said(world, TODAY), StatementLine("X1", "theirs", "PAYOUT", -700, 0, START_MS)]
    file.write_bytes(b"\n".join(msgspec.json.encode(line) for line in lines))
    clock.now_ms += DAY_MS
    asked = ["--provider", "ALIPAY", "--day", str(TODAY), "--file", str(file)]
    opener = Opened(world.centre)
    for new in (3, 0):
        done = CliRunner().invoke(recon_commands.reconcile, asked, obj=opener, catch_exceptions=False)
        told = json.loads(done.stdout)
        day = {"judged": 3, "waiting": 0, "ended": False, "cases": {"FOREIGN": 1}}
        assert told == {"lines": 3, "new": new, "changed": 0, **day}
    [case] = CliRunner().invoke(recon_commands.case, ["list"], obj=opener).stdout.splitlines()
    assert json.loads(case)["difference_zh"] == "非我方流水"
    line = {"day": str(TODAY), "at_ms": START_MS, "kind": "PAYOUT", "amount_fen": -700, "fee_fen": 0}
    assert json.loads(case)["line"] == {**line, "out_no": "theirs", "provider_ref": None}
    assert json.loads(case)["opened_at_ms"] == clock.now_ms
