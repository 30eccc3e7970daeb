"""A sheet in each format, read again by other programs: the same words, the same amounts to the fen, no formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from sync_server.errors import ConfigurationError, NotAllowedError
from sync_server.money import yuan
from sync_server.settings import Settings
from sync_server.sheets import pdf_file
from sync_server.sheets.csv_file import csv_bytes
from sync_server.sheets.pdf_file import pdf_bytes
from sync_server.sheets.sheet import Column, Kind, Sheet, plain, totals
from sync_server.sheets.xlsx_file import xlsx_bytes

AT_MS = 1_790_000_000_000  # 2026-09-21 22:13:20 in Shanghai
FONT = Settings(database_url="", secret_file=Path()).pdf_font_file
COLUMNS = [Column("时间", Kind.MOMENT, 20), Column("名称", Kind.TEXT, 30), Column("金额", Kind.FEN, 12)]

HOSTILE = [
    "=1+2",
    "+1+2",
    "-1+2",
    "@SUM(A1)",
    "\t=1+2",
    "\r=1+2",
    "  =1+2",
    "＝1+2",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://example.org","x")',
    "http://example.org/",
    "<script>alert(1)</script>",
    "a\nb;c,d\"e'f",
    "\u202egnp.exe",
    "\x00\x1b[31m",
    "'; DROP TABLE statement;--",
    "{{7*7}}",
    "虹桥",
]


def sheet(rows: Sequence[tuple[int, str, int]]) -> Sheet:
    return Sheet("结算/报表", [("景区", "=虹桥"), ("期间", "2026-09")], COLUMNS, rows, AT_MS, ZoneInfo("Asia/Shanghai"))


def read_xlsx(data: bytes) -> list[list[object]]:
    """Head, rows and totals."""
    page = openpyxl.load_workbook(io.BytesIO(data)).active
    assert page is not None
    lines: list[list[object]] = [[cell.value for cell in line] for line in page.iter_rows()]
    assert all(cell.data_type != "f" and cell.hyperlink is None for line in page.iter_rows() for cell in line)
    return lines[lines.index(["时间", "名称", "金额"]) :]


def read_csv(data: bytes) -> list[list[str]]:
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def read_pdf(data: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


ROWS = [(AT_MS, name, -100 - number) for number, name in enumerate(HOSTILE)]


def test_xlsx_says_the_same() -> None:
    head, first, *others = read_xlsx(xlsx_bytes(sheet(ROWS)))
    assert head == ["时间", "名称", "金额"]
    assert first == ["2026-09-21 22:13:20", "=1+2", -1.0]
    read = [(line[1], Decimal(str(line[2]))) for line in [first, *others[:-1]]]
    assert read == [(plain(name), Decimal(fen).scaleb(-2)) for _, name, fen in ROWS]
    assert others[-1] == ["合计", None, pytest.approx(float(Decimal(sum(fen for *_, fen in ROWS)).scaleb(-2)))]


def test_csv_says_the_same_and_begins_no_formula() -> None:
    *facts, empty, head = (written := read_csv(csv_bytes(sheet(ROWS))))[:4]
    assert (facts, empty, head) == ([["景区", "'=虹桥"], ["期间", "2026-09"]], [], ["时间", "名称", "金额"])
    *lines, last = written[4:]
    assert [line[2] for line in lines] == [yuan(fen) for *_, fen in ROWS]
    assert [line[1].removeprefix("'") for line in lines] == [plain(name).removeprefix("'") for name in HOSTILE]
    assert [line[1] for line in lines if re.match(r"\s*[=+\-@\t\r＝＋－＠]", line[1])] == []
    assert lines[-1][1] == "虹桥"
    assert last == ["合计", "", yuan(sum(fen for *_, fen in ROWS))]


def test_pdf_says_the_same_on_every_page_with_its_font_inside() -> None:
    rows = [(AT_MS, f"虹桥 {number}", 100 + number) for number in range(200)]
    data = pdf_bytes(sheet(rows), FONT)
    text = read_pdf(data)
    for _, name, fen in rows:
        assert f"{name}\n{yuan(fen)}" in text
    assert f"合计\n{yuan(sum(fen for *_, fen in rows))}" in text
    pages = PdfReader(io.BytesIO(data)).pages
    assert len(pages) > 3
    assert all("名称" in page.extract_text() for page in pages)
    assert b"/FontFile2" in data
    assert data == pdf_bytes(sheet(rows), FONT)  # made again it is the same file


@pytest.mark.parametrize("fen", [100, -1_234_567_890, 12_345_678_900, -(10**13), 10**15])
def test_pdf_breaks_no_amount(fen: int) -> None:
    narrow = sheet([(AT_MS, "虹桥", fen)])._replace(columns=[*COLUMNS[:2], COLUMNS[2]._replace(width=4)])
    assert read_pdf(pdf_bytes(narrow, FONT)).splitlines().count(yuan(fen)) == 2, "its row's, and the total's"


def test_pdf_takes_hostile_and_long_names() -> None:
    text = read_pdf(pdf_bytes(sheet([*ROWS, (AT_MS, "很" * 300, 1)]), FONT))
    assert "=cmd|' /C calc'!A0" in text
    assert "<script>alert(1)</script>" in text.replace("\n", "")
    assert text.count("很") == 300


@pytest.mark.parametrize("write", [csv_bytes, xlsx_bytes, lambda one: pdf_bytes(one, FONT)])
def test_an_empty_sheet_has_a_head_and_totals_of_nothing(write: Callable[[Sheet], bytes]) -> None:
    assert write(sheet([]))


def test_a_font_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="fonts-wqy-zenhei"):
        pdf_bytes(sheet([]), Path("/nowhere.ttf"))


def test_a_format_says_what_it_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_file, "MAX_PDF_ROWS", 1)
    with pytest.raises(NotAllowedError, match="2 lines are too many"):
        pdf_bytes(sheet([(AT_MS, "a", 1), (AT_MS, "b", 1)]), FONT)


@given(st.lists(st.tuples(st.just(AT_MS), st.text(max_size=40), st.integers(-(10**11), 10**11)), max_size=8))
def test_whatever_stands_in_the_cells_the_totals_are_to_the_fen(rows: list[tuple[int, str, int]]) -> None:
    whole = sum(fen for *_, fen in rows)
    one = sheet(rows)
    assert totals(one) == ["合计", None, whole]
    lines = read_csv(csv_bytes(one))
    assert lines[-1][2] == yuan(whole)
    assert [line[1] for line in lines if line and line[1].lstrip().startswith(("=", "+", "-", "@"))] == []
    if rows:
        assert round(Decimal(str(read_xlsx(xlsx_bytes(one))[-1][2])) * 100) == whole
