"""A sheet as CSV for Excel: UTF-8 with a byte order mark, and no cell that Excel would take for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from sync_server.sheets.sheet import Cell, Sheet, check_size, plain, totals, words_of

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a spreadsheet begins to calculate with; the wide ones too where Chinese is typed."""


def csv_bytes(sheet: Sheet) -> bytes:
    """The facts, a pair a line, and an empty line; then the head, the rows and the totals."""
    check_size(sheet)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([harmless(plain(name)), harmless(plain(fact))] for name, fact in sheet.facts)
    writer.writerows([[]] if sheet.facts else [])
    writer.writerow([harmless(column.title) for column in sheet.columns])
    writer.writerows(_lines(sheet, sheet.rows))
    writer.writerows(_lines(sheet, [totals(sheet)]))
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8")


def harmless(text: str) -> str:
    """Text that a spreadsheet shows and does not calculate: an apostrophe stands before what begins like a formula."""
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text


def _lines(sheet: Sheet, rows: Sequence[Sequence[Cell]]) -> Iterator[list[str]]:
    for row in rows:
        cells = zip(row, sheet.columns, strict=True)
        yield [_cell(cell, words_of(cell, column.kind, sheet.zone)) for cell, column in cells]


def _cell(cell: Cell, words: str) -> str:
    """An amount below 0 is a number of ours and stays one."""
    return harmless(words) if isinstance(cell, str) else words
