"""Times on the clock of a venue in Beijing's zone, for the tests of the screens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from wire import moments

ZONE = "Asia/Shanghai"
AHEAD = timedelta(hours=8)


def at(day: int, hour: int, minute: int = 0, second: int = 0, *, month: int = 11, year: int = 2026) -> int:
    """UTC ms of a time there."""
    return int((datetime(year, month, day, hour, minute, second, tzinfo=UTC) - AHEAD).timestamp() * 1000)


def day(day: int, month: int = 11, year: int = 2026) -> int:
    """The number of a day there."""
    return moments.day_number(at(day, 0, month=month, year=year), ZoneInfo(ZONE))


NOW_MS = at(21, 10, 42, 18)
