"""Times as the screens write them: on the venue's clock, short, with the day only where it is not today."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo


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


def _local(at_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
