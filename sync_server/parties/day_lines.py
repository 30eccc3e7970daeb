"""Hours and days as people write or paste them, a line each, read and written back.

周二至周日 08:00-17:00             Tue-Sun 08:00-17:00
每天 09:00-12:00 13:00-16:30      09:00-16:00 2026-11-01 to 2027-03-31
2026-10-01 至 2026-10-07 国庆节    国庆节：2026年10月1日至7日
周一 检修                          2026-05-01（周五） 劳动节

What stands in no number, date or weekday is the cause of a closed day; a line of hours has none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import date
from enum import StrEnum
from typing import NamedTuple, TypeVar

from wire import moments
from wire.calendar import (
    DAY_MIN,
    EVERY_DAY,
    FIRST_DAY,
    LAST_DAY,
    MAX_CAUSE_CHARACTERS,
    MAX_HOURS,
    MAX_RANGES,
    DayRange,
    Hours,
)

MAX_LINE_CHARACTERS = 200
MAX_LINES = 400
"""Empty ones and repetitions with them."""


class LineFlaw(StrEnum):
    """Why a line was not taken; the value is what the command line says."""

    NOT_UNDERSTOOD = "is not understood"
    NO_HOURS = "names no hours: write them as 08:00-17:00"
    NO_DAY = "names no day: write it as 2026-10-01 or Mon"
    WRONG_TIME = "names a time that no clock shows"
    HOURS_END_FIRST = "names hours that end before they begin: hours over midnight are two, 18:00-24:00 and 00:00-02:00"
    WRONG_DATE = f"names a date that is none between {moments.EPOCH} and {moments.date_of(LAST_DAY)}"
    DAYS_END_FIRST = "names days that end before they begin"
    NO_SUCH_WEEKDAY = "names a weekday that is not among its days"
    CAUSE_TOO_LONG = f"gives a cause of more than {MAX_CAUSE_CHARACTERS} characters"
    LINE_TOO_LONG = f"has more than {MAX_LINE_CHARACTERS} characters"
    TOO_MANY_HOURS = f"is too much: {MAX_HOURS} hours are all that gates take"
    TOO_MANY_DAYS = f"is too much: {MAX_RANGES} ranges of days are all that gates take"
    SEASON_ALONE = "has dates: add hours without dates, for the rest of the year"


class WrongLine(NamedTuple):
    """The first line that was not taken, counted from 1."""

    number: int
    text: str
    flaw: LineFlaw


Part = TypeVar("Part", Hours, DayRange)

_TO = r"\s*(?:至|到|to\b|[-–—~])\s*"
_NOTE = r"(?:\s*\([^()]*\))?"  # a weekday in brackets behind a date says nothing new
_DATE = re.compile(
    rf"(\d{{4}})\s*[-/.年]\s*(\d{{1,2}})\s*[-/.月]\s*(\d{{1,2}})日?{_NOTE}"
    rf"(?:{_TO}(?:(?:(\d{{4}})\s*[-/.年]\s*)?(\d{{1,2}})\s*[-/.月]\s*)?(\d{{1,2}})(?![\d:])日?{_NOTE})?"
)
_TIMES = re.compile(rf"(\d{{1,2}}):(\d{{2}}){_TO}(\d{{1,2}}):(\d{{2}})")
_NAMES_ZH, _NAMES_EN = "一二三四五六日", ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ONE_EN = r"(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?s?\b"
_EVERY_DAY = re.compile(r"每天|每日|\bdaily\b|\bevery day\b", re.IGNORECASE)
_WEEKDAYS = re.compile(
    rf"每?(?:周|星期)[{_NAMES_ZH}天](?:(?:{_TO}|[、,和]\s*)?(?:周|星期)?[{_NAMES_ZH}天])*"
    rf"|\b{_ONE_EN}(?:(?:{_TO}|\s*,\s*|\s+and\s+|\s+){_ONE_EN})*",
    re.IGNORECASE,
)
_STEP = re.compile(rf"({_TO})|([{_NAMES_ZH}天])|({_ONE_EN})", re.IGNORECASE)
_AROUND = " \t:,.、;()-–—~"


def read_hours(text: str) -> tuple[Hours, ...] | WrongLine:
    """The hours of a text, a line or more parts each; nothing for an empty one."""
    found = _read(text, _hours_of, MAX_HOURS, LineFlaw.TOO_MANY_HOURS)
    if isinstance(found, WrongLine):
        return found
    if found and all(part.first is not None for part in found):
        return WrongLine(*next(iter(found.values())), LineFlaw.SEASON_ALONE)
    return tuple(found)


def read_days(text: str) -> tuple[DayRange, ...] | WrongLine:
    """The days of a text, a range a line, in their order; a day that stands there twice is one."""
    found = _read(text, _days_of, MAX_RANGES, LineFlaw.TOO_MANY_DAYS)
    return found if isinstance(found, WrongLine) else tuple(sorted(found, key=lambda days: (days.first, days.last)))


def write_hours(hours: Iterable[Hours], lang: str = "zh") -> str:
    """A line for each part, as `read_hours` takes it."""
    return "\n".join(
        " ".join(
            [
                weekdays_text(part.weekdays, lang) or ("daily" if lang == "en" else "每天"),
                f"{_clock(part.begins)}-{_clock(part.ends)}",
                *([] if part.first is None or part.last is None else [dates_text(part.first, part.last, lang)]),
            ]
        )
        for part in hours
    )


def write_days(ranges: Iterable[DayRange], lang: str = "zh") -> str:
    """A line for each range, as `read_days` takes it."""
    return "\n".join(days_text(days, lang) + (f" {days.cause}" if days.cause else "") for days in ranges)


def days_text(days: DayRange, lang: str) -> str:
    """The days of a range without their cause: 周一, 2026-10-01 至 2026-10-07, 周六、周日 2026-07-01 至 2026-08-31."""
    told = [weekdays_text(days.weekdays, lang)]
    if (days.first, days.last) != (FIRST_DAY, LAST_DAY) or not told[0]:
        told.append(dates_text(days.first, days.last, lang))
    return " ".join(part for part in told if part)


def weekdays_text(weekdays: int, lang: str) -> str:
    """周二至周日, 周一、周三 or Tue-Sun, Mon, Wed; nothing for every day."""
    if weekdays == EVERY_DAY:
        return ""
    on = [weekday for weekday in range(7) if weekdays >> weekday & 1]
    names = [_NAMES_EN[weekday].capitalize() if lang == "en" else f"周{_NAMES_ZH[weekday]}" for weekday in on]
    if len(on) > 2 and on[-1] - on[0] == len(on) - 1:
        return ("-" if lang == "en" else "至").join((names[0], names[-1]))
    return (", " if lang == "en" else "、").join(names)


def dates_text(first: int, last: int, lang: str) -> str:
    """2026-10-01, or both ends of a range."""
    ends = dict.fromkeys(moments.date_of(day).isoformat() for day in (first, last))
    return (" to " if lang == "en" else " 至 ").join(ends)


def hours_text(hours: Iterable[Hours]) -> str:
    """Only the times: 08:00–11:30 14:00–17:00."""
    return " ".join(f"{_clock(part.begins)}–{_clock(part.ends)}" for part in hours)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _read(
    text: str, parts_of: Callable[[str], list[Part] | LineFlaw], most: int, too_many: LineFlaw
) -> dict[Part, tuple[int, str]] | WrongLine:
    """Each part once, with the number and the text of its line."""
    found: dict[Part, tuple[int, str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if number > MAX_LINES:
            return WrongLine(number, line.strip()[:MAX_LINE_CHARACTERS], too_many)
        flat = " ".join(unicodedata.normalize("NFKC", line).split())
        if not flat:
            continue
        if len(flat) > MAX_LINE_CHARACTERS:
            return WrongLine(number, flat[:MAX_LINE_CHARACTERS], LineFlaw.LINE_TOO_LONG)
        parts = parts_of(flat) if flat.isprintable() else LineFlaw.NOT_UNDERSTOOD
        if isinstance(parts, LineFlaw):
            return WrongLine(number, flat, parts)
        found |= {part: (number, flat) for part in parts if part not in found}
        if len(found) > most:
            return WrongLine(number, flat, too_many)
    return found


def _hours_of(line: str) -> list[Hours] | LineFlaw:
    season, rest = _cut_dates(line)
    if isinstance(season, LineFlaw):
        return season
    times = [[int(number) for number in found] for found in _TIMES.findall(rest)]
    weekdays, rest = _cut_weekdays(_TIMES.sub(" ", rest))
    if rest.strip(_AROUND):
        return LineFlaw.NOT_UNDERSTOOD
    if not times:
        return LineFlaw.NO_HOURS
    parts = []
    for hour, minute, end_hour, end_minute in times:
        begins, ends = hour * 60 + minute, end_hour * 60 + end_minute
        if max(minute, end_minute) > 59 or begins >= DAY_MIN or ends > DAY_MIN:
            return LineFlaw.WRONG_TIME
        if begins >= ends:
            return LineFlaw.HOURS_END_FIRST
        parts.append(Hours(begins, ends, weekdays or EVERY_DAY, *(season or (None, None))))
    return parts


def _days_of(line: str) -> list[DayRange] | LineFlaw:
    dates, rest = _cut_dates(line)
    if isinstance(dates, LineFlaw):
        return dates
    weekdays, rest = _cut_weekdays(rest)
    cause = " ".join(rest.split()).strip(_AROUND)
    if dates is None and weekdays is None:
        return LineFlaw.NO_DAY
    if len(cause) > MAX_CAUSE_CHARACTERS:
        return LineFlaw.CAUSE_TOO_LONG
    first, last = dates or (FIRST_DAY, LAST_DAY)
    days = DayRange(first, last, cause, weekdays or EVERY_DAY)
    if not days.meets(first, last):
        return LineFlaw.NO_SUCH_WEEKDAY
    return [DayRange(first, last, cause) if first == last else days]


def _cut_dates(line: str) -> tuple[tuple[int, int] | LineFlaw | None, str]:
    """The dates of a line, if it has any, and what is left of it. The end may leave out what it has from the start."""
    found = _DATE.search(line)
    if found is None:
        return None, line
    year, month, day, *end = found.groups()
    try:
        first = date(int(year), int(month), int(day))
        last = date(int(end[0] or year), int(end[1] or month), int(end[2])) if end[2] else first
    except ValueError:
        return LineFlaw.WRONG_DATE, line
    days = moments.day_of(first), moments.day_of(last)
    if days[0] < FIRST_DAY or days[1] > LAST_DAY:
        return LineFlaw.WRONG_DATE, line
    if days[0] > days[1]:
        return LineFlaw.DAYS_END_FIRST, line
    return days, f"{line[: found.start()]} {line[found.end() :]}"


def _cut_weekdays(line: str) -> tuple[int | None, str]:
    """The weekdays of a line as bits, None when it names none, and what is left of it."""
    if (every := _EVERY_DAY.search(line)) is not None:
        return EVERY_DAY, f"{line[: every.start()]} {line[every.end() :]}"
    found = _WEEKDAYS.search(line)
    if found is None:
        return None, line
    bits, before, run = 0, 0, False
    for between, chinese, english in _STEP.findall(found[0]):
        if between:
            run = True
            continue
        weekday = _NAMES_EN.index(english[:3].lower()) if english else _NAMES_ZH.index(chinese.replace("天", "日"))
        for step in range((weekday - before) % 7 + 1 if run else 1):  # 周五至周一 goes over the end of the week
            bits |= 1 << (weekday - step) % 7
        before, run = weekday, False
    return bits, f"{line[: found.start()]} {line[found.end() :]}"
