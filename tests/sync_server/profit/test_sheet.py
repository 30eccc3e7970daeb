"""The profit report of combos in each format: read again its totals are the report's, to the fen."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import openpyxl
from click.testing import CliRunner
from pypdf import PdfReader

from sync_server.centre import Centre
from sync_server.money import yuan
from sync_server.profit import commands
from sync_server.profit.report import OrderProfit, month_of, total_of
from sync_server.profit.sheet import COLUMNS, profit_sheet
from sync_server.statements.sheet import writers
from tests.sync_server.conftest import START_MS
from tests.sync_server.reconciliation.telling import Opened

ZONE = "Asia/Shanghai"
FONT = Path("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc")
ORDERS = [
    OrderProfit(UUID(int=1), 3, "C1", 11_000, charge_fee_fen=66, payout_fee_fen=48, margin_fen=800, yield_fen=87),
    OrderProfit(UUID(int=1), 3, "=C2", 11_000, charge_fee_fen=66, honoured_fen=-5_000, loss_fen=-12),
]


def test_each_format_has_the_reports_totals() -> None:
    sheet = profit_sheet(month_of("2026-11", ZONE), ORDERS, ZoneInfo(ZONE), START_MS)
    made = {name: write(sheet) for name, write in writers(FONT).items()}
    whole = total_of(ORDERS)
    names = [name for name in COLUMNS if name in whole]
    totals = [yuan(whole[name]) for name in names]
    assert whole["profit_fen"] == 1_001 - 4_946
    page = openpyxl.load_workbook(io.BytesIO(made["xlsx"])).active
    assert page is not None
    last = [cell.value for cell in list(page.iter_rows())[-1]][-len(names) :]
    assert [yuan(round(Decimal(str(value)) * 100)) for value in last] == totals
    lines = list(csv.reader(io.StringIO(made["csv"].decode("utf-8-sig"))))
    assert lines[-1][-len(names) :] == totals
    assert lines[6][1] == "'=C2"
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(made["pdf"])).pages)
    assert "\n".join(totals) in text


def test_the_command_writes_a_month_to_a_file(centre: Centre, tmp_path: Path) -> None:
    opener = Opened(centre)
    for ending in ("xlsx", "csv", "pdf"):
        file = tmp_path / f"profit.{ending}"
        done = CliRunner().invoke(commands.profit, ["export", "2026-11", str(file)], obj=opener)
        assert done.exit_code == 0, done.output
        assert file.stat().st_size > 50
    assert CliRunner().invoke(commands.profit, ["export", "2026-11", "x.doc"], obj=opener).exit_code == 2
