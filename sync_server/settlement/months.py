"""Calendar months of the platform: "2026-10", when they begin and end, and when their books are shut."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sync_server.errors import NotAllowedError

SHUT_AFTER_MS = 10 * 60_000
"""A transaction notes its moment before it is committed: so long after a period's end all of the period is."""


class Month(NamedTuple):
    """Half-open, UTC ms; `name` as "2026-10"."""

    name: str
    begins_ms: int
    ends_ms: int


def month_of(at_ms: int, zone: str) -> Month:
    """The month that a moment lies in."""
    local = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
    return _month(local.year, local.month, zone)


def month_named(name: str, zone: str) -> Month:
    """NotAllowedError: it is no month."""
    try:
        begins = datetime.strptime(name, "%Y-%m").replace(tzinfo=ZoneInfo(zone))
    except ValueError as error:
        raise NotAllowedError(f"{name!r} is no month: write it as 2026-10") from error
    return _month(begins.year, begins.month, zone)


def _month(year: int, month: int, zone: str) -> Month:
    begins = datetime(year, month, 1, tzinfo=ZoneInfo(zone))
    ends = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=ZoneInfo(zone))
    return Month(begins.strftime("%Y-%m"), int(begins.timestamp()) * 1000, int(ends.timestamp()) * 1000)
