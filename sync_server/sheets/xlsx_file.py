"""A sheet as XLSX: text stays text, amounts are numbers to the fen."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import xlsxwriter

from sync_server.sheets.sheet import Cell, Kind, Sheet, check_size, plain, totals, words_of

# A cell that begins like a formula or an address is written as the text that it is.
OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
FORBIDDEN_IN_NAMES = str.maketrans("[]:*?/\\'", "        ")
MAX_NAME_CHARACTERS = 31


def xlsx_bytes(sheet: Sheet) -> bytes:
    """A workbook of one page: title, facts, head, rows, totals."""
    check_size(sheet)
    file = io.BytesIO()
    workbook = xlsxwriter.Workbook(file, OPTIONS)
    workbook.set_properties({"title": sheet.title, "created": datetime.fromtimestamp(sheet.made_at_ms // 1000, UTC)})
    page = workbook.add_worksheet(sheet.title.translate(FORBIDDEN_IN_NAMES).strip()[:MAX_NAME_CHARACTERS])
    strong = workbook.add_format({"bold": True})
    money = workbook.add_format({"num_format": "#,##0.00"})
    strong_money = workbook.add_format({"num_format": "#,##0.00", "bold": True})
    for place, column in enumerate(sheet.columns):
        page.set_column(place, place, column.width)
    page.write_string(0, 0, plain(sheet.title), strong)
    for line, (name, value) in enumerate(sheet.facts, start=1):
        page.write_string(line, 0, plain(name))
        page.write_string(line, 1, plain(value))
    head = len(sheet.facts) + 2
    for place, column in enumerate(sheet.columns):
        page.write_string(head, place, column.title, strong)
    page.freeze_panes(head + 1, 0)
    for line, row in enumerate(sheet.rows, start=head + 1):
        _write(page, line, row, sheet, money, None)
    _write(page, head + 1 + len(sheet.rows), totals(sheet), sheet, strong_money, strong)
    workbook.close()
    return file.getvalue()


def _write(page: Any, line: int, row: Sequence[Cell], sheet: Sheet, money: Any, text: Any) -> None:
    for place, (cell, column) in enumerate(zip(row, sheet.columns, strict=True)):
        if cell is None:
            continue
        if column.kind is Kind.FEN and isinstance(cell, int):
            page.write_number(line, place, Decimal(cell).scaleb(-2), money)
        else:
            page.write_string(line, place, words_of(cell, column.kind, sheet.zone), text)
