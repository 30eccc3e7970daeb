"""Hours, days and closures on the venue's clock, whatever zone the box is set to."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import msgspec
import pytest

from wire import calendar, entitlement, moments
from wire.calendar import EVERY_DAY, LAST_DAY, Calendar, Closure, DayRange, Hours
from wire.moments import WallTime

BEIJING, AZORES = ZoneInfo("Asia/Shanghai"), ZoneInfo("Atlantic/Azores")
MONDAY, SATURDAY = 0b1, 0b10_0000
MORNING, AFTERNOON = Hours(9 * 60, 11 * 60), Hours(13 * 60, 17 * 60)


def wall(hour: int, minute: int = 0, weekday: int = 0) -> WallTime:
    return WallTime(2513, weekday, hour * 60 + minute)


def test_a_moment_is_read_on_the_venues_wall() -> None:
    at_ms = moments.EPOCH_MS + 20 * 3_600_000  # Wednesday 2020-01-01, 20:00 UTC
    assert moments.wall_time(at_ms, BEIJING) == WallTime(1, 3, 4 * 60)
    assert moments.wall_time(at_ms, AZORES) == WallTime(0, 2, 19 * 60)
    assert moments.wall_time(at_ms, BEIJING).day == moments.day_number(at_ms, BEIJING)
    assert moments.date_of(moments.wall_time(at_ms, BEIJING).day) == date(2020, 1, 2)


@pytest.mark.parametrize(
    ("part", "moment", "inside"),
    [
        (MORNING, wall(8, 59), False),
        (MORNING, wall(9), True),
        (MORNING, wall(10, 59), True),
        (MORNING, wall(11), False),
        (Hours(0, 1440, MONDAY), wall(12, weekday=0), True),
        (Hours(0, 1440, MONDAY), wall(12, weekday=1), False),
        (Hours(0, 1440, MONDAY | SATURDAY), wall(23, 59, weekday=5), True),
        (Hours(0, 1440, EVERY_DAY), wall(23, 59, weekday=6), True),
    ],
)
def test_hours_are_half_open_and_of_their_weekdays(part: Hours, moment: WallTime, inside: bool) -> None:
    assert part.covers(moment) is inside
    assert calendar.is_within((part,), moment) is inside


def test_without_hours_it_is_always_open() -> None:
    assert calendar.is_within((), wall(3))
    assert calendar.is_within((MORNING, AFTERNOON), wall(14))
    assert not calendar.is_within((MORNING, AFTERNOON), wall(12))


@pytest.mark.parametrize(
    ("moment", "told"),
    [(wall(8), MORNING), (wall(11), AFTERNOON), (wall(17), AFTERNOON), (wall(8, weekday=5), None)],
)
def test_who_stands_outside_is_told_the_part_to_come(moment: WallTime, told: Hours | None) -> None:
    hours = (Hours(13 * 60, 17 * 60, MONDAY), Hours(9 * 60, 11 * 60, MONDAY))
    found = calendar.next_hours(hours, moment)
    assert (found and (found.begins, found.ends)) == (told and (told.begins, told.ends))


def test_both_ends_of_a_range_of_days_belong_to_it() -> None:
    ranges = (DayRange(10, 12), DayRange(20, 20))
    assert [day for day in range(30) if calendar.range_on(ranges, day)] == [10, 11, 12, 20]


def test_on_the_days_of_a_season_its_hours_hold_and_no_others() -> None:
    winter = Hours(10 * 60, 12 * 60, EVERY_DAY & ~MONDAY, 100, 130)
    hours = (Hours(8 * 60, 18 * 60), winter)
    assert calendar.in_force(hours, 99) == calendar.in_force(hours, 131) == hours[:1]
    assert calendar.in_force(hours, 100) == calendar.in_force(hours, 130) == (winter,)
    assert calendar.is_within(hours, WallTime(99, 1, 9 * 60))
    assert not calendar.is_within(hours, WallTime(100, 1, 9 * 60))
    assert calendar.is_within(hours, WallTime(100, 1, 10 * 60))
    assert not calendar.is_within(hours, WallTime(102, 0, 10 * 60))
    assert calendar.next_hours(hours, WallTime(100, 1, 9 * 60)) == winter
    assert calendar.next_hours(hours, WallTime(102, 0, 9 * 60)) is None


def test_a_range_may_hold_some_of_its_weekdays_alone() -> None:
    assert [moments.date_of(day).weekday() for day in range(2510, 2520)] == [
        moments.weekday_of(day) for day in range(2510, 2520)
    ]
    assert moments.day_of(date(2026, 11, 21)) == 2516  # a Saturday
    weekends = DayRange(2500, 2530, "", 0b110_0000)
    assert [day for day in range(2514, 2526) if weekends.holds(day)] == [2516, 2517, 2523, 2524]
    assert calendar.range_on((weekends,), 2515) is None
    assert weekends.meets(2510, 2516)
    assert not weekends.meets(2511, 2515)
    assert not weekends.meets(2531, 2600)
    assert DayRange(0, LAST_DAY, "", MONDAY).meets(2518, 2518)
    assert moments.date_of(LAST_DAY) == date(2051, 11, 24)


def test_a_gate_that_does_not_know_the_time_leaves_alone_what_the_week_cannot_hold() -> None:
    mondays = entitlement.Rule(blackout=(DayRange(0, LAST_DAY, "", MONDAY),))
    assert entitlement.turns_on_time(mondays, entitlement.Uses(), 2517, 2518)
    assert not entitlement.turns_on_time(mondays, entitlement.Uses(), 2516, 2517)


@pytest.mark.parametrize("write", [lambda: Hours(1, 2, EVERY_DAY, 5), lambda: Hours(1, 2, EVERY_DAY, None, 5)])
def test_a_season_has_two_ends(write: object) -> None:
    with pytest.raises(ValueError, match="first and its last"):
        write()  # type: ignore[operator]


@pytest.mark.parametrize(
    "write",
    [
        *(lambda: Hours(600, 600), lambda: Hours(600, 500), lambda: Hours(1, 2, EVERY_DAY, 5, 4)),
        *(lambda: DayRange(5, 4), lambda: Closure(7, 7)),
    ],
)
def test_what_ends_before_it_begins_is_refused(write: object) -> None:
    with pytest.raises(ValueError, match=r"ends? before"):
        write()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("packed", "where"),
    [
        ({"hours": [[0, 1441]]}, "hours"),
        ({"hours": [[-1, 60]]}, "hours"),
        ({"hours": [[0, 60, 0]]}, "hours"),
        ({"hours": [[0, 60, 128]]}, "hours"),
        ({"hours": [[0, 60]] * (calendar.MAX_HOURS + 1)}, "hours"),
        ({"hours": [[0, 60, 1, 5]]}, "hours"),
        ({"closed_days": [[1, 1, "", 0]]}, "closed_days"),
        ({"closed_days": [[2, 1]]}, "closed_days"),
        ({"closed_days": [[1, 1]] * (calendar.MAX_RANGES + 1)}, "closed_days"),
        ({"closed_days": [[1, 1, "因" * 41]]}, "closed_days"),
        ({"closures": [[2, 2]]}, "closures"),
        ({"closures": [[1, None]] * (calendar.MAX_CLOSURES + 1)}, "closures"),
    ],
)
def test_what_comes_from_outside_keeps_its_limits(packed: object, where: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=where):
        msgspec.msgpack.decode(msgspec.msgpack.encode(packed), type=Calendar)
