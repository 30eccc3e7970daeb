"""A provider's statement: every movement of a day once, signed as our account saw it, with its fee."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from sandbox_provider import gateway
from sandbox_provider.faults import FaultKind
from sync_server.payments.provider import StatementLine, Unclear, day_of
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import World

DAY_MS = 24 * 3_600_000


def statement(world: World, day: date) -> list[StatementLine]:
    told = world.clients["ALIPAY"].statement(day)
    assert not isinstance(told, Unclear), told
    return list(told)


def test_a_day_begins_at_midnight_in_beijing() -> None:
    midnight_ms = int(datetime(2026, 9, 21, 16, tzinfo=UTC).timestamp() * 1000)
    assert (day_of(midnight_ms - 1), day_of(midnight_ms)) == (date(2026, 9, 21), date(2026, 9, 22))


def test_every_movement_of_the_day_is_a_line_with_its_fee(world: World, clock: Clock) -> None:
    world.sandbox.book.set_fee("charge", 31)
    world.buy()
    world.turn()
    world.enter(world.items(world.buy())[0])
    world.turn()
    world.turn()
    today = day_of(clock.now_ms)
    lines = statement(world, today)
    assert [(line.kind, line.amount_fen, line.fee_fen) for line in lines] == [
        ("CHARGE", 5231, 31),
        ("CHARGE", 5231, 31),
        ("PAYOUT", -4970, 0),
    ]
    assert [line.line_no for line in lines] == ["1", "2", "3"]
    assert all(line.at_ms == clock.now_ms and line.out_no and line.provider_ref for line in lines)
    held_fen = sum(line.amount_fen - line.fee_fen for line in lines)
    assert world.sandbox.book.balances()["platform"] == held_fen
    clock.pass_ms(DAY_MS)
    world.buy()
    world.turn()
    assert statement(world, today) == lines
    assert len(statement(world, day_of(clock.now_ms))) == 1
    assert world.clients["HUIJINBAO"].statement(today) == ()


def test_a_long_statement_comes_in_pages(world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "MAX_LINES", 2)
    for _ in range(5):
        world.buy()
    world.turn()
    assert [line.line_no for line in statement(world, day_of(clock.now_ms))] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("kind", [FaultKind.LOST_ANSWER, FaultKind.SYSTEM_ERROR, FaultKind.NONSENSE])
def test_a_statement_that_is_not_to_be_had_is_unclear_not_empty(world: World, clock: Clock, kind: FaultKind) -> None:
    world.sandbox.play(kind, "statement")
    assert isinstance(world.clients["ALIPAY"].statement(day_of(clock.now_ms)), Unclear)
