"""Time as tokens and lists count it: whole minutes since 2020 and days of a venue's zone (wire.md, head)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

EPOCH = date(2020, 1, 1)
_EPOCH_ORDINAL = EPOCH.toordinal()
_EPOCH_WEEKDAY = EPOCH.weekday()
EPOCH_MS = 1_577_836_800_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
MAX_MINUTE = (1 << 24) - 1
"""The last minute three bytes can name: in November 2051."""


class WallTime(NamedTuple):
    """What the venue's calendar and clock show: days since 2020-01-01, the weekday (0 is Monday), the day's minute."""

    day: int
    weekday: int
    minute: int


class MomentOutOfRange(ValueError):
    """A time that the three bytes of a token cannot hold."""


def minute_ceil(at_ms: int) -> int:
    """The first whole minute not before `at_ms` (UTC ms). Validity is rounded up once, at issuance, and stored so."""
    minute = -((EPOCH_MS - at_ms) // MINUTE_MS)
    if not 0 <= minute <= MAX_MINUTE:
        raise MomentOutOfRange(f"{at_ms} ms is outside 2020-01-01 … 2051-11-23, the times a token can hold")
    return minute


def minute_floor(at_ms: int) -> int:
    """The minute that is running at `at_ms` (UTC ms); what a half-open interval [from, until) is compared with."""
    return (at_ms - EPOCH_MS) // MINUTE_MS


def minute_ms(minute: int) -> int:
    """UTC ms at which `minute` begins."""
    return EPOCH_MS + minute * MINUTE_MS


def day_number(at_ms: int, zone: ZoneInfo) -> int:
    """Days since 2020-01-01 on the venue's calendar: what "once a day" means, whatever zone the box is set to."""
    return (datetime.fromtimestamp(at_ms / 1000, zone).date() - EPOCH).days


def wall_time(at_ms: int, zone: ZoneInfo) -> WallTime:
    """The moment on the venue's calendar and clock."""
    at = datetime.fromtimestamp(at_ms / 1000, zone)
    return WallTime(at.toordinal() - _EPOCH_ORDINAL, at.weekday(), at.hour * 60 + at.minute)


def weekday_of(day: int) -> int:
    """The weekday of a day number, 0 being Monday."""
    return (day + _EPOCH_WEEKDAY) % 7


def day_of(named: date) -> int:
    """The day number of a date."""
    return named.toordinal() - _EPOCH_ORDINAL


def date_of(day: int) -> date:
    """The date of a day number."""
    return EPOCH + timedelta(days=day)
