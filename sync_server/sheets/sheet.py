"""A sheet: what it is called, the facts above it, columns, rows, and the totals of what is money."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sync_server.errors import NotAllowedError
from sync_server.money import yuan

MAX_ROWS = 1_000_000  # a page of Excel holds 1,048,576
MAX_CELL_CHARACTERS = 2_000
TOTAL = "合计"

Cell = str | int | None


class Kind(StrEnum):
    """How a column's cells are written: text as it is, fen as yuan, a moment (UTC ms) as local time."""

    TEXT = "text"
    FEN = "fen"
    MOMENT = "moment"


class Column(NamedTuple):
    """`width` in characters of the Latin alphabet; a Chinese one is as wide as two."""

    title: str
    kind: Kind
    width: int


class Sheet(NamedTuple):
    """`facts` are pairs of words above the table; moments are told in `zone`; `made_at_ms` is when it was frozen."""

    title: str
    facts: Sequence[tuple[str, str]]
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    made_at_ms: int
    zone: ZoneInfo


def totals(sheet: Sheet) -> list[Cell]:
    """The last line: the sum of every column of money; the first column says what it is."""
    line: list[Cell] = [None] * len(sheet.columns)
    for place, column in enumerate(sheet.columns):
        if column.kind is Kind.FEN:
            cells = (row[place] for row in sheet.rows)
            line[place] = sum(cell for cell in cells if isinstance(cell, int))
    line[0] = TOTAL
    return line


def check_size(sheet: Sheet, max_rows: int = MAX_ROWS) -> None:
    """NotAllowedError for a sheet that a format cannot hold."""
    if len(sheet.rows) > max_rows:
        raise NotAllowedError(f"{len(sheet.rows)} lines are too many for this format, which takes {max_rows}")


def write_file(file: Path, content: bytes) -> None:
    """Put a sheet that was made where somebody wants it; NotAllowedError where that cannot be written."""
    try:
        file.write_bytes(content)
    except OSError as error:
        raise NotAllowedError(f"{file} cannot be written: {error.strerror}") from error


def plain(text: str) -> str:
    """Text on one line without what is not seen (control characters, marks that turn the writing round), cut to size.

    >>> plain("虹桥\\n\\u202e公园")
    '虹桥 \ufffd公园'
    """
    shown = (" " if char in "\n\r\t" else "\ufffd" if unicodedata.category(char) in UNSEEN else char for char in text)
    return "".join(shown)[:MAX_CELL_CHARACTERS]


UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def local_time(at_ms: int, zone: ZoneInfo) -> str:
    """To the second, where the platform is."""
    return f"{datetime.fromtimestamp(at_ms // 1000, zone):%Y-%m-%d %H:%M:%S}"


def words_of(cell: Cell, kind: Kind, zone: ZoneInfo) -> str:
    """A cell as people read it."""
    if cell is None:
        return ""
    if isinstance(cell, int):
        return yuan(cell) if kind is Kind.FEN else local_time(cell, zone) if kind is Kind.MOMENT else str(cell)
    return plain(cell)
