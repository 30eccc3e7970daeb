"""When a venue is open and a product may be used: times of the day, weekdays and days, on the venue's clock (pure).

Who judges by them is `wire.entitlement`. A part of the day never runs over midnight: 18:00–02:00 is two of them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from wire import moments
from wire.moments import WallTime

DAY_MIN = 24 * 60
FIRST_DAY, LAST_DAY = 0, moments.MAX_MINUTE // DAY_MIN
"""A range from one to the other has no end that anybody meant."""
EVERY_DAY = 0b111_1111
MAX_HOURS = 32
MAX_RANGES = 64
"""Of days: a year's holidays, pasted as a list."""
MAX_CLOSURES = 16
MAX_CAUSE_CHARACTERS = 40

Weekdays = Annotated[int, Meta(ge=1, le=EVERY_DAY)]
"""Bit 0 is Monday."""
Cause = Annotated[str, Meta(max_length=MAX_CAUSE_CHARACTERS)]
"""For staff, as the operator wrote it; visitors do not read it."""


class Hours(msgspec.Struct, frozen=True, array_like=True):
    """A part of some weekdays: minutes after midnight, half-open.

    With dates (days since 2020, the last one included) it is of a season: on its days the hours without dates rest.
    """

    begins: Annotated[int, Meta(ge=0, lt=DAY_MIN)]
    ends: Annotated[int, Meta(gt=0, le=DAY_MIN)]
    weekdays: Weekdays = EVERY_DAY
    first: int | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a part or a season that ends before it begins, and for one with one end."""
        if self.begins >= self.ends:
            raise ValueError(f"hours from minute {self.begins} to {self.ends} of a day end before they begin")
        if (self.first is None) != (self.last is None):
            raise ValueError("hours of a season need its first and its last day")
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError(f"hours of the days {self.first} to {self.last} since 2020 end before they begin")

    def is_on(self, weekday: int) -> bool:
        """Whether it belongs to that day of the week, 0 being Monday."""
        return bool(self.weekdays >> weekday & 1)

    def covers(self, wall: WallTime) -> bool:
        """Whether that time of that weekday lies in it; `in_force` knows the seasons."""
        return self.is_on(wall.weekday) and self.begins <= wall.minute < self.ends


class DayRange(msgspec.Struct, frozen=True, array_like=True):
    """Days since 2020 on the venue's calendar, the last one included; of them those of some weekdays."""

    first: int
    last: int
    cause: Cause = ""
    weekdays: Weekdays = EVERY_DAY

    def __post_init__(self) -> None:
        """Raises ValueError for a range that ends before it begins."""
        if self.first > self.last:
            raise ValueError(f"days {self.first} to {self.last} since 2020 end before they begin")

    def holds(self, day: int) -> bool:
        """Whether that day is one of them."""
        return self.first <= day <= self.last and bool(self.weekdays >> moments.weekday_of(day) & 1)

    def meets(self, first_day: int, last_day: int) -> bool:
        """Whether one of them lies between these two days, both included."""
        first, last = max(self.first, first_day), min(self.last, last_day)
        return any(self.holds(day) for day in range(first, min(last, first + 6) + 1))


class Closure(msgspec.Struct, frozen=True, array_like=True):
    """A sudden closure: minutes since 2020 (UTC), half-open. `until` None: nobody knows yet."""

    since: int
    until: int | None
    cause: Cause = ""

    def __post_init__(self) -> None:
        """Raises ValueError for a closure that ends before it begins."""
        if self.until is not None and self.since >= self.until:
            raise ValueError(f"the closure from minute {self.since} to {self.until} ends before it begins")


class Calendar(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a venue is open. Without `hours` always, but for the days and closures named."""

    hours: Annotated[tuple[Hours, ...], Meta(max_length=MAX_HOURS)] = ()
    closed_days: Annotated[tuple[DayRange, ...], Meta(max_length=MAX_RANGES)] = ()
    closures: Annotated[tuple[Closure, ...], Meta(max_length=MAX_CLOSURES)] = ()


def in_force(hours: tuple[Hours, ...], day: int) -> tuple[Hours, ...]:
    """Those of the season that the day lies in; in none: those without dates."""
    of_season = tuple(
        part for part in hours if part.first is not None and part.last is not None and part.first <= day <= part.last
    )
    return of_season or tuple(part for part in hours if part.first is None)


def is_within(hours: tuple[Hours, ...], wall: WallTime) -> bool:
    """Whether one of them covers that moment; none at all covers every moment."""
    return not hours or any(part.covers(wall) for part in in_force(hours, wall.day))


def range_on(ranges: tuple[DayRange, ...], day: int) -> DayRange | None:
    """The first range with that day in it."""
    return next((days for days in ranges if days.holds(day)), None)


def next_hours(hours: tuple[Hours, ...], wall: WallTime) -> Hours | None:
    """What to tell somebody who stands outside of `hours`: the part of today still to come, or else its last one.

    None when nothing of them is today.
    """
    today = sorted(
        (part for part in in_force(hours, wall.day) if part.is_on(wall.weekday)), key=lambda part: part.begins
    )
    return next((part for part in today if wall.minute < part.ends), today[-1] if today else None)
