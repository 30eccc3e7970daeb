"""Times as the screens write them: on the venue's clock, short, with the day only where it is not today."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from wire import moments
from wire.calendar import DAY_MIN, EVERY_DAY, DayRange, Hours

WEEKDAYS = {"zh": "一二三四五六日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
RUN = 3
"""So many weekdays in a row are told by the first and the last."""


def clock(at_ms: int | None, zone: str) -> str:
    """10:42:18, or nothing when the gate does not know the time."""
    return "" if at_ms is None else _local(at_ms, zone).strftime("%H:%M:%S")


def short(at_ms: int, now_ms: int | None, zone: str) -> str:
    """09:12 today, else 11-15 15:31, with the year when it is another one."""
    at = _local(at_ms, zone)
    now = _local(at_ms if now_ms is None else now_ms, zone)
    if at.date() == now.date():
        return at.strftime("%H:%M")
    return at.strftime("%m-%d %H:%M" if at.year == now.year else "%Y-%m-%d %H:%M")


def minute_of_day(at_ms: int, zone: str) -> int:
    """On the venue's clock."""
    at = _local(at_ms, zone)
    return at.hour * 60 + at.minute


def is_today(at_ms: int, now_ms: int | None, zone: str) -> bool:
    """Whether both lie on one day of the venue's calendar. A gate without a time takes it for today."""
    return now_ms is None or _local(at_ms, zone).date() == _local(now_ms, zone).date()


def spoken(at_ms: int, now_ms: int | None, zone: str, lang: str) -> str:
    """11月23日 10:20 or 23 Nov, 10:20; with the year when it is another one."""
    at = _local(at_ms, zone)
    year = now_ms is not None and at.year != _local(now_ms, zone).year
    if lang == "en":
        return f"{at.day} {at:%b}{f' {at.year}' if year else ''}, {at:%H:%M}"
    return f"{f'{at.year}年' if year else ''}{at.month}月{at.day}日 {at:%H:%M}"


def last_day(until_ms: int, zone: str) -> str:
    """2027-03-14: the last day of something that is valid until just before `until_ms`."""
    return _local(until_ms - 1, zone).date().isoformat()


def days_left(until_ms: int, now_ms: int, zone: str) -> int:
    """Whole days from today to the last valid day."""
    return (_local(until_ms - 1, zone).date() - _local(now_ms, zone).date()).days


def hours(part: Hours | None, lang: str) -> str:
    """08:00–17:30, with the weekdays where it is not of every day: 周一至五 08:00–17:30; nothing for None."""
    if part is None:
        return ""
    told = [] if part.weekdays == EVERY_DAY else [_weekdays(part.weekdays, lang)]
    if (part.begins, part.ends) != (0, DAY_MIN):
        told.append(f"{part.begins // 60:02}:{part.begins % 60:02}–{part.ends // 60:02}:{part.ends % 60:02}")
    return " ".join(told)


def days(range_: DayRange | None, now_ms: int | None, zone: str, lang: str) -> str:
    """10月1日–10月7日 or 1 Oct–7 Oct, with the year when it is another one, and of some weekdays only these: 周六日.

    Nothing for None.
    """
    if range_ is None:
        return ""
    if range_.weekdays != EVERY_DAY:
        return _weekdays(range_.weekdays, lang)
    first, last = (moments.date_of(day) for day in (range_.first, range_.last))
    this_year = first.year if now_ms is None else _local(now_ms, zone).year
    ends = (first,) if first == last else (first, last)
    return "–".join(_date(day, day.year != this_year, lang) for day in ends)


def _date(day: date, with_year: bool, lang: str) -> str:
    if lang == "en":
        return f"{day.day} {day:%b}{f' {day.year}' if with_year else ''}"
    return f"{f'{day.year}年' if with_year else ''}{day.month}月{day.day}日"


def _weekdays(of_week: int, lang: str) -> str:
    """周一至五, 周二四 or Mon–Fri, Tue Thu."""
    on = [weekday for weekday in range(7) if of_week >> weekday & 1]
    names = [WEEKDAYS[lang][weekday] for weekday in on]
    in_a_row = len(on) >= RUN and on[-1] - on[0] == len(on) - 1
    if lang == "en":
        return f"{names[0]}–{names[-1]}" if in_a_row else " ".join(names)
    return "周" + (f"{names[0]}至{names[-1]}" if in_a_row else "".join(names))


def _local(at_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
