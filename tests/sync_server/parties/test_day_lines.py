"""Hours and days as people paste them: read, written back the same, and each wrong line named."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_server.parties.day_lines import (
    MAX_LINE_CHARACTERS,
    LineFlaw,
    WrongLine,
    read_days,
    read_hours,
    write_days,
    write_hours,
)
from wire.calendar import DAY_MIN, EVERY_DAY, FIRST_DAY, LAST_DAY, MAX_HOURS, MAX_RANGES, DayRange, Hours
from wire.moments import day_of

WEEKEND = 0b110_0000
# As a city pastes them from the notice of the State Council.
HOLIDAYS = """
元旦：2026年1月1日（周四）至3日（周六）
春节：2026年2月15日（农历腊月二十八、周日）至23日（农历正月初七、周一）
清明节：2026年4月4日（周六）至6日（周一）
劳动节：2026年5月1日（周五）至5日（周二）
端午节：2026年6月19日（周五）至21日（周日）
中秋节：2026年9月25日（周五）至27日（周日）
国庆节：2026年10月1日（周四）至7日（周三）
"""


def days(year: int, month: int, day: int, until: int | None = None, cause: str = "") -> DayRange:
    return DayRange(day_of(date(year, month, day)), day_of(date(year, month, until or day)), cause)


def test_a_years_holidays_are_pasted_as_they_were_announced() -> None:
    assert read_days(HOLIDAYS) == (
        days(2026, 1, 1, 3, "元旦"),
        days(2026, 2, 15, 23, "春节"),
        days(2026, 4, 4, 6, "清明节"),
        days(2026, 5, 1, 5, "劳动节"),
        days(2026, 6, 19, 21, "端午节"),
        days(2026, 9, 25, 27, "中秋节"),
        days(2026, 10, 1, 7, "国庆节"),
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-10-01", days(2026, 10, 1)),
        ("2026/10/1－2026/10/7", days(2026, 10, 1, 7)),
        ("２０２６-10-01 到 07 国庆节", days(2026, 10, 1, 7, "国庆节")),
        ("2026-12-30 至 2027-01-02", DayRange(day_of(date(2026, 12, 30)), day_of(date(2027, 1, 2)))),
        ("2026-10-01 to 2026-10-07 National Day", days(2026, 10, 1, 7, "National Day")),
        ("周一 日常检修", DayRange(FIRST_DAY, LAST_DAY, "日常检修", 1)),
        (
            "Sat, Sun 2026-07-01 to 2026-07-31",
            DayRange(day_of(date(2026, 7, 1)), day_of(date(2026, 7, 31)), "", WEEKEND),
        ),
        ("2026-05-01（周五）", days(2026, 5, 1)),
        ("周五 2026-05-01", days(2026, 5, 1)),
    ],
)
def test_days_are_read_as_people_write_them(line: str, expected: DayRange) -> None:
    assert read_days(line) == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("08:00-17:00", (Hours(480, 1020),)),
        ("周二至周日 ８：００～17:30", (Hours(480, 1050, 0b111_1110),)),
        ("星期六、日 00:00-24:00", (Hours(0, DAY_MIN, WEEKEND),)),
        ("Mon-Fri 9:00-12:00 13:00-16:30", (Hours(540, 720, 0b1_1111), Hours(780, 990, 0b1_1111))),
        ("周五至周一 10:00-12:00", (Hours(600, 720, 0b111_0001),)),
        (
            "每天 08:00-18:00\n\n09:00-16:00 2026-11-01 至 2026-11-30",
            (Hours(480, 1080), Hours(540, 960, EVERY_DAY, day_of(date(2026, 11, 1)), day_of(date(2026, 11, 30)))),
        ),
        ("08:00-17:00\n08:00-17:00", (Hours(480, 1020),)),
    ],
)
def test_hours_are_read_as_people_write_them(text: str, expected: tuple[Hours, ...]) -> None:
    assert read_hours(text) == expected


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        ("周一", LineFlaw.NO_HOURS),
        ("08:00-17:00 国庆", LineFlaw.NOT_UNDERSTOOD),
        ("工作日 08:00-17:00", LineFlaw.NOT_UNDERSTOOD),
        ("08:00-17:61", LineFlaw.WRONG_TIME),
        ("24:00-25:00", LineFlaw.WRONG_TIME),
        ("18:00-02:00", LineFlaw.HOURS_END_FIRST),
        ("08:00-17:00 2026-02-30", LineFlaw.WRONG_DATE),
        ("09:00-16:00 2026-11-01 至 2027-03-31", LineFlaw.SEASON_ALONE),
        ("08:00-17:00" + " 08:00-17:00" * 20, LineFlaw.LINE_TOO_LONG),
        ("08:00-17:00 \x07", LineFlaw.NOT_UNDERSTOOD),
    ],
)
def test_a_wrong_line_of_hours_is_named(line: str, flaw: LineFlaw) -> None:
    found = read_hours(f"\n{line}\n")
    assert found == WrongLine(2, line[:MAX_LINE_CHARACTERS].rstrip(), flaw)


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        ("国庆节", LineFlaw.NO_DAY),
        ("2026-13-01", LineFlaw.WRONG_DATE),
        ("2019-12-31", LineFlaw.WRONG_DATE),
        ("2052-01-01", LineFlaw.WRONG_DATE),
        ("2026-10-07 至 2026-10-01", LineFlaw.DAYS_END_FIRST),
        ("2026-05-01 周六", LineFlaw.NO_SUCH_WEEKDAY),
        ("2026-10-01 " + "因" * 41, LineFlaw.CAUSE_TOO_LONG),
    ],
)
def test_a_wrong_line_of_days_is_named(line: str, flaw: LineFlaw) -> None:
    assert read_days(f"2026-01-01 元旦\n{line}\n周一") == WrongLine(2, line, flaw)


def test_more_than_gates_take_is_refused_with_the_line_that_is_too_much() -> None:
    many = "\n".join(f"2026-{month:02}-{day:02}" for month in range(1, 4) for day in range(1, 28))
    found = read_days(many)
    assert isinstance(found, WrongLine)
    assert (found.number, found.flaw) == (MAX_RANGES + 1, LineFlaw.TOO_MANY_DAYS)
    found_hours = read_hours("\n".join(f"{hour:02}:{minute:02}-24:00" for hour in range(20) for minute in (0, 30)))
    assert isinstance(found_hours, WrongLine)
    assert (found_hours.number, found_hours.flaw) == (MAX_HOURS + 1, LineFlaw.TOO_MANY_HOURS)


weekdays = st.integers(1, EVERY_DAY)
some_days = st.tuples(st.integers(FIRST_DAY, LAST_DAY), st.integers(6, 400)).filter(lambda pair: sum(pair) <= LAST_DAY)
closed = st.builds(
    lambda pair, cause, on: DayRange(pair[0], sum(pair), cause, on),
    some_days,
    st.sampled_from(["", "检修", "灯会专场", "Spring Festival"]),
    weekdays,
)
minutes = st.tuples(st.integers(0, DAY_MIN - 1), st.integers(1, DAY_MIN)).filter(lambda pair: pair[0] < pair[1])
opened = st.builds(lambda pair, on: Hours(pair[0], pair[1], on), minutes, weekdays)
seasonal = st.builds(lambda pair, on, of: Hours(pair[0], pair[1], on, of[0], sum(of)), minutes, weekdays, some_days)


@given(st.lists(closed, max_size=5, unique=True), st.sampled_from(["zh", "en"]))
def test_days_written_are_read_back_the_same(ranges: list[DayRange], lang: str) -> None:
    found = read_days(write_days(ranges, lang))
    assert not isinstance(found, WrongLine)
    assert set(found) == set(ranges)
    assert [one.first for one in found] == sorted(one.first for one in ranges)


@given(opened, st.lists(opened | seasonal, max_size=5), st.sampled_from(["zh", "en"]))
def test_hours_written_are_read_back_the_same(usual: Hours, more: list[Hours], lang: str) -> None:
    hours = tuple(dict.fromkeys((usual, *more)))
    assert read_hours(write_hours(hours, lang)) == hours


@given(st.text(max_size=300))
def test_no_text_is_an_error(text: str) -> None:
    read_days(text)
    read_hours(text)
