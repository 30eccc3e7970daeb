"""Numbered statements: what they say is the ledger to the fen, in every format, and stays what it was."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from pypdf import PdfReader
from sqlalchemy.exc import DatabaseError

from sync_server.checks import flaws_of
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.money import yuan
from sync_server.parties.parties import NewParty, add_party
from sync_server.parties.tables import party
from sync_server.people.identifying import Person
from sync_server.settlement import refunding
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.months import SHUT_AFTER_MS
from sync_server.sheets.csv_file import harmless
from sync_server.statements import commands, numbered
from sync_server.statements.sheet import sheet_of, writers
from sync_server.statements.tables import statement, statement_row
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import employ
from tests.sync_server.reconciliation.telling import DAY_MS, Opened, flaws, sell_and_pay
from tests.sync_server.sandbox import World
from tests.sync_server.test_checks import without_triggers

ZONE = ZoneInfo("Asia/Shanghai")
TODAY = date(2026, 9, 21)
FONT = Path("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc")
HOSTILE = "=cmd|' /C calc'!A0"


@pytest.fixture
def finance(world: World) -> Person:
    with world.centre.write() as connection:
        platform = NewParty("PLATFORM", "1000", "平台", "Platform", "platform")
        add_party(connection, platform, "Asia/Shanghai", world.centre.now_ms())
    return employ(world.centre, "qian", "finance")


def make(world: World, who: Person, whose: str, first: date = TODAY, last: date = TODAY) -> str:
    """The number of the statement of the world's venue or distributor."""
    with world.centre.write() as connection:
        made = numbered.make(connection, who, getattr(world, whose), first, last, ZONE, world.centre.now_ms())
    return str(made.number)


def rows(world: World, number: str) -> list[sa.Row[Any]]:
    with world.centre.read() as connection:
        return numbered.rows_of(connection, numbered.find(connection, number).id)


def amounts(line: Any) -> tuple[int | None, int | None, int, int]:
    return line.price_fen, line.fee_fen, line.owed_fen, line.moved_fen


def owed(world: World, whose: str, *codes: str) -> int:
    with world.centre.read() as connection:
        return -sum(balance(connection, Account(code, getattr(world, whose))).posted_fen for code in codes)


def busy_day(world: World, clock: Clock) -> None:
    """Three tickets used and paid, one more used and not paid yet, one given back."""
    sell_and_pay(world, 3)
    used, given_back = world.buy(), world.buy()
    world.turn()
    with world.centre.write() as connection:
        number = connection.scalars(sa.text(TICKET), {"order_id": given_back.hex}).one()
        refunding.ask(connection, number, "ill", clock.now_ms, "test")
    clock.pass_ms(3_600_000)
    world.turn()
    clock.now_ms = START_MS + 4 * DAY_MS
    world.turn()
    world.enter(world.items(used)[0])
    clear_redemptions(world.centre)


TICKET = "SELECT number FROM ticket WHERE REPLACE(CAST(order_id AS VARCHAR(36)), '-', '') = :order_id"


def test_a_venues_statement_has_each_redemption_with_price_fee_net_payout_and_reference(
    world: World, clock: Clock, finance: Person
) -> None:
    sell_and_pay(world, 2)
    clock.pass_ms(DAY_MS)
    number = make(world, finance, "venue")
    lines = rows(world, number)
    redeemed = [line for line in lines if line.txn_key.startswith("redeem:")]
    paid = [line for line in lines if line.txn_key.startswith("payout:")]
    assert [amounts(line) for line in redeemed] == [(5000, 30, 4970, 0)] * 2
    assert [(line.price_fen, line.owed_fen, line.moved_fen) for line in paid] == [(None, -4970, 4970)] * 2
    assert {line.payout_number for line in redeemed} == {line.payout_number for line in paid}
    assert all(line.order_number and line.ticket_number and line.provider_ref for line in redeemed)
    assert {line.provider_ref for line in redeemed} == {line.provider_ref for line in paid}
    with world.centre.read() as connection:
        head = numbered.find(connection, number)
    assert (head.number, head.opening_fen, head.closing_fen, head.lines) == ("B2026000001", 0, 0, 4)


def test_a_distributors_statement_has_its_charges_and_refunds(world: World, clock: Clock, finance: Person) -> None:
    busy_day(world, clock)
    clock.pass_ms(DAY_MS)
    number = make(world, finance, "distributor", TODAY, date(2026, 9, 25))
    lines = rows(world, number)
    charged = [line for line in lines if line.txn_key.startswith("charge:")]
    assert [amounts(line) for line in charged] == [(5200, 31, 0, -5231)] * 5
    others = [(line.txn_key.split(":")[0], line.owed_fen, line.moved_fen) for line in lines if line not in charged]
    assert others == [("expire", 5200, 0), ("refund", -5200, 5200)]
    assert all(line.provider_ref for line in lines if line.moved_fen)


@pytest.mark.parametrize("whose", ["venue", "distributor"])
def test_statements_one_after_another_are_the_ledger_to_the_fen(
    world: World, clock: Clock, finance: Person, whose: str
) -> None:
    busy_day(world, clock)
    clock.pass_ms(DAY_MS)
    closing_fen = 0
    for first, last in ((TODAY, TODAY), (date(2026, 9, 22), date(2026, 9, 23)), (date(2026, 9, 24), date(2026, 9, 25))):
        number = make(world, finance, whose, first, last)
        with world.centre.read() as connection:
            head = numbered.find(connection, number)
        assert head.opening_fen == closing_fen
        closing_fen = head.opening_fen + sum(line.owed_fen for line in rows(world, number))
        assert head.closing_fen == closing_fen
    codes = {"venue": ("2210", "1220"), "distributor": ("2010", "2310")}[whose]
    assert closing_fen == owed(world, whose, *codes)
    assert flaws(world) == []


def test_each_format_read_again_has_the_ledgers_totals_and_hostile_names_are_text(
    world: World, clock: Clock, finance: Person
) -> None:
    busy_day(world, clock)
    clock.pass_ms(DAY_MS)
    with world.centre.write() as connection:
        connection.execute(party.update().where(party.c.id == world.venue).values(name_zh=HOSTILE))
    number = make(world, finance, "venue", TODAY, date(2026, 9, 25))
    gross_fen, fee_fen, paid_fen = 4 * 5000, 4 * 30, 3 * 4970
    left_fen = owed(world, "venue", "2210")
    assert left_fen == gross_fen - fee_fen - paid_fen
    totals = [yuan(fen) for fen in (gross_fen, fee_fen, left_fen, paid_fen)]
    with world.centre.read() as connection:
        sheet = sheet_of(connection, number, ZONE)
    made = {name: write(sheet) for name, write in writers(FONT).items()}
    page = openpyxl.load_workbook(io.BytesIO(made["xlsx"])).active
    assert page is not None
    cells = [[cell.value for cell in line] for line in page.iter_rows()]
    assert [yuan(round(Decimal(str(value)) * 100)) for value in cells[-1][4:8]] == totals
    assert [f"{HOSTILE}（2001）"] == [line[1] for line in cells if line[0] == "机构"]
    assert all(cell.data_type != "f" for line in page.iter_rows() for cell in line)
    written = list(csv.reader(io.StringIO(made["csv"].decode("utf-8-sig"))))
    assert written[-1][4:8] == totals
    assert written[:3] == [["报表编号", number], ["机构", f"'{HOSTILE}（2001）"], ["期间", "2026-09-21 至 2026-09-25"]]
    assert harmless(HOSTILE) == f"'{HOSTILE}"
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(made["pdf"])).pages)
    assert "\n".join(["合计", *totals]) in text
    assert HOSTILE in text


def test_a_statement_is_made_once_and_stays(world: World, clock: Clock, finance: Person) -> None:
    sell_and_pay(world)
    with pytest.raises(NotAllowedError, match="not over"):
        make(world, finance, "venue")
    clock.pass_ms(DAY_MS)
    number = make(world, finance, "venue")
    before = rows(world, number)
    sell_and_pay(world)
    assert make(world, finance, "venue") == number
    assert rows(world, number) == before
    assert make(world, finance, "distributor") == "B2026000002"
    for table in (statement, statement_row):
        with world.centre.write() as connection, pytest.raises(DatabaseError, match="append-only"):
            connection.execute(table.delete())


def test_a_period_is_frozen_ten_minutes_after_its_end(world: World, clock: Clock, finance: Person) -> None:
    """What notes its moment in the period may be committed after its end."""
    midnight = datetime(2026, 9, 22, tzinfo=ZONE)
    clock.now_ms = int(midnight.timestamp() * 1000) + SHUT_AFTER_MS - 1
    with pytest.raises(NotAllowedError, match="10 minutes"):
        make(world, finance, "venue")
    clock.pass_ms(1)
    assert make(world, finance, "venue")


def test_a_period_is_of_days_that_are_in_no_other_statement(world: World, clock: Clock, finance: Person) -> None:
    clock.pass_ms(10 * DAY_MS)
    second, third = date(2026, 9, 22), date(2026, 9, 23)
    number = make(world, finance, "venue", second, third)
    for first, last in ((TODAY, second), (third, date(2026, 9, 25)), (second, second), (TODAY, date(2026, 9, 25))):
        with pytest.raises(NotAllowedError, match=f"{number} has 2026-09-22 to 2026-09-23 already"):
            make(world, finance, "venue", first, last)
    assert make(world, finance, "venue", second, third) == number
    for first, last in ((TODAY, TODAY), (date(2026, 9, 24), date(2026, 9, 25))):
        assert make(world, finance, "venue", first, last)
    assert make(world, finance, "distributor", TODAY, date(2026, 9, 25))
    with pytest.raises(NotAllowedError, match="begins before 2020-01-01"):
        make(world, finance, "venue", date(1, 1, 1), date(1, 1, 2))
    with pytest.raises(NotAllowedError, match="is empty"):
        make(world, finance, "venue", date(2026, 9, 27), date(2026, 9, 26))
    with pytest.raises(NotAllowedError, match="not over"):
        make(world, finance, "venue", date(2026, 9, 27), date.max)


def test_lines_that_do_not_lead_to_the_closing_balance_are_not_frozen(
    world: World, clock: Clock, finance: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy_day(world, clock)
    clock.pass_ms(DAY_MS)
    monkeypatch.setattr(numbered, "lines_between", lambda *_: iter(()))
    with pytest.raises(AssertionError, match="do not lead from 0"):
        make(world, finance, "venue", TODAY, date(2026, 9, 25))


def test_who_may_not_make_one_and_what_has_none(world: World, clock: Clock, finance: Person) -> None:
    clock.pass_ms(DAY_MS)
    with pytest.raises(NotAllowedError, match="permission"):
        make(world, employ(world.centre, "zhou", "operations"), "venue")
    with world.centre.write() as connection:
        platform = connection.scalars(sa.select(party.c.id).where(party.c.kind == "PLATFORM")).one()
        with pytest.raises(NotAllowedError, match="venues and distributors"):
            numbered.make(connection, finance, platform, TODAY, TODAY, ZONE, clock.now_ms)
        with pytest.raises(NotFoundError):
            numbered.find(connection, "B2026999999")


def test_the_commands_list_show_and_export(world: World, clock: Clock, finance: Person, tmp_path: Path) -> None:
    sell_and_pay(world)
    clock.pass_ms(DAY_MS)
    number = make(world, finance, "venue")
    opener = Opened(world.centre)

    def run(*words: str) -> str:
        done = CliRunner().invoke(commands.group, words, obj=opener, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    assert json.loads(run("list", "--party", "2001"))["number"] == number
    head, first, *_ = [json.loads(line) for line in run("show", number).splitlines()]
    assert (head["lines"], first["n"], first["owed_fen"]) == (2, 1, 4970)
    for ending in ("xlsx", "csv", "pdf"):
        file = tmp_path / f"s.{ending}"
        assert json.loads(run("export", number, str(file)))["lines"] == 2
        assert file.stat().st_size > 100
    refused = CliRunner().invoke(commands.group, ["export", number, "s.doc"], obj=opener)
    assert refused.exit_code == 2
    with pytest.raises(NotAllowedError, match=r"nowhere/s\.csv cannot be written: No such file"):
        run("export", number, str(tmp_path / "nowhere" / "s.csv"))


@pytest.mark.slow
def test_a_statement_that_does_not_add_up_is_named(world: World, clock: Clock, finance: Person) -> None:
    sell_and_pay(world)
    clock.pass_ms(DAY_MS)
    number = make(world, finance, "venue")
    with world.centre.write() as connection:
        without_triggers(connection, statement_row)
        connection.execute(statement_row.update().where(statement_row.c.n == 1).values(owed_fen=1))
        found = [flaw for flaw in flaws_of(connection) if "its opening to its closing" in flaw]
    assert [flaw.endswith(f"statement {number}") for flaw in found] == [True]
