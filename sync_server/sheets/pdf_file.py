"""A sheet as PDF on A4 across, with the letters it uses embedded, so that it looks the same everywhere and for long."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

from sync_server.errors import ConfigurationError
from sync_server.sheets.sheet import Cell, Kind, Sheet, check_size, plain, totals, words_of

MAX_PDF_ROWS = 20_000
SIZE, TITLE_SIZE = 8, 13
LINE = SIZE * 1.35
MARGIN = 12 * mm
GAP = 4.0  # points between two columns
MAX_LINES_IN_CELL = 6


def pdf_bytes(sheet: Sheet, font_file: Path) -> bytes:
    """Every page has the head of the table and its number; ConfigurationError: no such font."""
    check_size(sheet, MAX_PDF_ROWS)
    page = _Page(sheet, _font(font_file))
    for row in sheet.rows:
        page.row(row)
    page.line()
    page.row(totals(sheet))
    return page.end()


@lru_cache(maxsize=4)
def _font(file: Path) -> str:
    """The name under which a TrueType font of this file can be used; of a collection (.ttc) the first one."""
    name = f"sheet-{file.name}"
    try:
        pdfmetrics.registerFont(TTFont(name, str(file), subfontIndex=0))
    except TTFError as error:
        raise ConfigurationError(
            f"pdf_font_file {file} is no TrueType font that can be read (Debian: fonts-wqy-zenhei): {error}"
        ) from error
    return name


class _Page:
    """The pages so far, and where the next line goes."""

    def __init__(self, sheet: Sheet, font: str) -> None:
        self._sheet, self._font = sheet, font
        self._file = io.BytesIO()
        self._width, self._height = landscape(A4)
        self._canvas = Canvas(self._file, pagesize=(self._width, self._height), invariant=1)
        self._canvas.setTitle(plain(sheet.title))
        whole = sum(column.width for column in sheet.columns)
        room = self._width - 2 * MARGIN
        self._widths = [column.width * room / whole for column in sheet.columns]
        self._number = 0
        self._begin_page()

    def row(self, row: Sequence[Cell]) -> None:
        """One line of the table, as high as its longest cell."""
        kinds = [column.kind for column in self._sheet.columns]
        words = [words_of(cell, kind, self._sheet.zone) for cell, kind in zip(row, kinds, strict=True)]
        self._words(words, kinds)

    def line(self) -> None:
        """A rule over what comes next."""
        self._canvas.setStrokeColor(colors.black)
        self._canvas.line(MARGIN, self._y + LINE * 0.8, self._width - MARGIN, self._y + LINE * 0.8)

    def end(self) -> bytes:
        """The whole file."""
        self._canvas.showPage()
        self._canvas.save()
        return self._file.getvalue()

    def _words(self, words: Sequence[str], kinds: Sequence[Kind]) -> None:
        cells = [
            [text] if kind is Kind.FEN else list(self._wrapped(text, width - GAP))
            for text, width, kind in zip(words, self._widths, kinds, strict=True)
        ]
        height = LINE * max(len(lines) for lines in cells)
        if self._y - height < MARGIN:
            self._canvas.showPage()
            self._begin_page()
        left = MARGIN
        for lines, width, kind in zip(cells, self._widths, kinds, strict=True):
            for number, text in enumerate(lines):
                y = self._y - number * LINE
                if kind is Kind.FEN:
                    self._amount(text, left, y, width - GAP)
                else:
                    self._canvas.drawString(left, y, text)
            left += width
        self._y -= height

    def _amount(self, text: str, left: float, y: float, room: float) -> None:
        """To the right of its column, and smaller where it does not fit: broken in two it reads as another amount."""
        wide = self._canvas.stringWidth(text, self._font, SIZE)
        self._canvas.setFont(self._font, SIZE * room / max(wide, room))
        self._canvas.drawRightString(left + room, y, text)
        self._canvas.setFont(self._font, SIZE)

    def _begin_page(self) -> None:
        self._number += 1
        canvas: Any = self._canvas
        self._y = self._height - MARGIN - TITLE_SIZE
        canvas.setFont(self._font, TITLE_SIZE)
        canvas.drawString(MARGIN, self._y, plain(self._sheet.title))
        canvas.setFont(self._font, SIZE)
        canvas.drawRightString(self._width - MARGIN, self._y, f"第 {self._number} 页")
        self._y -= 2 * LINE
        if self._number == 1:
            for name, value in self._sheet.facts:
                canvas.drawString(MARGIN, self._y, f"{plain(name)}：{plain(value)}")
                self._y -= LINE
            self._y -= LINE
        self._words([column.title for column in self._sheet.columns], [column.kind for column in self._sheet.columns])
        self.line()

    def _wrapped(self, text: str, room: float) -> Iterator[str]:
        """The text in lines that fit; anywhere between two characters, as Chinese is broken."""
        lines = 1
        while self._canvas.stringWidth(text, self._font, SIZE) > room and lines < MAX_LINES_IN_CELL:
            fits = len(text) - 1
            while fits > 1 and self._canvas.stringWidth(text[:fits], self._font, SIZE) > room:
                fits -= 1
            yield text[:fits]
            text, lines = text[fits:], lines + 1
        yield text
