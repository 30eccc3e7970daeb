"""A venue's calendar and its closures: in versions, within limits, told in the list to its gates and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.feed.publishing import publish_feeds
from sync_server.parties import calendars
from tests.sync_server.feed.fetching import fetch
from tests.sync_server.town import Town, build_town
from wire import moments
from wire.calendar import MAX_CLOSURES, MAX_RANGES, Calendar, Closure, DayRange, Hours
from wire.moments import MINUTE_MS

HOUR_MS = 60 * MINUTE_MS
DAYTIME = (Hours(8 * 60, 17 * 60),)
MONDAYS = (DayRange(0, 10_000, "检修", 1),)


@pytest.fixture
def town(any_centre: Centre) -> Town:
    made = build_town(any_centre)
    made.clock.pass_ms(-(made.clock.now_ms % MINUTE_MS))
    return made


def set_calendar(town: Town, **said: object) -> int:
    with town.centre.write() as connection:
        return calendars.set_calendar(connection, town.venues["bridge"], town.clock.now_ms, "test", **said)  # type: ignore[arg-type]  # as asked


def close(town: Town, cause: str = "大风", **said: int) -> UUID:
    with town.centre.write() as connection:
        return calendars.close(connection, town.venues["bridge"], cause, town.clock.now_ms, "test", **said)


def reopen(town: Town, closure_id: UUID) -> None:
    with town.centre.write() as connection:
        calendars.reopen(connection, closure_id, town.clock.now_ms, "test")


def opening(town: Town, venue: str = "bridge") -> Calendar:
    with town.centre.read() as connection:
        return calendars.opening_of(connection, town.venues[venue])


def standing(town: Town) -> list[str]:
    with town.centre.read() as connection:
        return [row.cause for row in calendars.closures(connection, town.venues["bridge"], town.clock.now_ms)]


def logged(town: Town) -> list[str]:
    with town.centre.read() as connection:
        return list(connection.scalars(sa.select(event_log.c.action).where(event_log.c.actor == "test")))


def test_of_whom_nothing_was_said_is_always_open(town: Town) -> None:
    assert opening(town) == Calendar()


def test_what_is_set_is_in_force_for_that_venue_and_its_versions_stay(town: Town) -> None:
    assert set_calendar(town, hours=DAYTIME) == 1
    assert set_calendar(town, closed_days=MONDAYS) == 2
    assert opening(town) == Calendar(DAYTIME, MONDAYS)
    assert opening(town, "park") == Calendar()
    assert set_calendar(town, hours=DAYTIME, closed_days=MONDAYS) == 2
    assert set_calendar(town, hours=(), closed_days=()) == 3
    with town.centre.read() as connection:
        kept = calendars.versions(connection, town.venues["bridge"], 10)
    assert [msgspec.json.decode(row.calendar, type=Calendar) for row in kept] == [
        Calendar(),
        Calendar(DAYTIME, MONDAYS),
        Calendar(DAYTIME),
    ]
    assert logged(town) == ["venue.calendar"] * 3
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), town.centre.write() as connection:
        connection.exec_driver_sql("DELETE FROM venue_calendar")


def test_who_looked_at_an_older_version_changes_nothing(town: Town) -> None:
    set_calendar(town, hours=DAYTIME, after_version=0)
    with pytest.raises(NotAllowedError, match="at version 1, not 0"):
        set_calendar(town, closed_days=MONDAYS, after_version=0)
    assert opening(town) == Calendar(DAYTIME)


def test_two_who_change_at_once_make_two_versions(any_centre: Centre) -> None:
    town = build_town(any_centre)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda end: set_calendar(town, hours=(Hours(0, end),)), range(60, 72)))
    assert sorted(made) == list(range(1, 13))


def test_what_no_gate_takes_is_refused(town: Town) -> None:
    with pytest.raises(msgspec.ValidationError, match="closed_days"):
        set_calendar(town, closed_days=tuple(DayRange(day, day) for day in range(MAX_RANGES + 1)))
    assert logged(town) == []


def test_a_closure_holds_from_now_until_it_is_lifted(town: Town) -> None:
    closure_id = close(town)
    now = moments.minute_floor(town.clock.now_ms)
    assert opening(town).closures == (Closure(now, None, "大风"),)
    town.clock.pass_ms(HOUR_MS)
    assert standing(town) == ["大风"]
    reopen(town, closure_id)
    assert (opening(town).closures, standing(town)) == ((), [])
    assert logged(town) == ["venue.close", "venue.reopen"]
    with pytest.raises(NotAllowedError, match="lifted already"):
        reopen(town, closure_id)
    with pytest.raises(NotFoundError):
        reopen(town, town.venues["park"])


def test_an_announced_closure_has_its_span(town: Town) -> None:
    at_ms = town.clock.now_ms
    closure_id = close(town, since_ms=at_ms + HOUR_MS, until_ms=at_ms + 3 * HOUR_MS + 1)
    minute = moments.minute_floor(at_ms)
    assert opening(town).closures == (Closure(minute + 60, moments.minute_ceil(at_ms + 3 * HOUR_MS + 1), "大风"),)
    town.clock.pass_ms(3 * HOUR_MS + MINUTE_MS)
    assert standing(town) == []
    with pytest.raises(NotAllowedError, match="over already"):
        reopen(town, closure_id)


WRONG: list[tuple[Callable[[Town], object], str]] = [
    (lambda town: close(town, ""), "cause"),
    (lambda town: close(town, "因" * 41), "cause"),
    (lambda town: close(town, "two\nlines"), "cause"),
    (lambda town: close(town, since_ms=town.clock.now_ms - MINUTE_MS), "now or later"),
    (lambda town: close(town, until_ms=town.clock.now_ms - 1), "after that"),
    (lambda town: close(town, since_ms=town.clock.now_ms + HOUR_MS, until_ms=town.clock.now_ms + HOUR_MS), "after"),
    (lambda town: close(town, until_ms=town.clock.now_ms + 400 * 24 * HOUR_MS), "within a year"),
]


@pytest.mark.parametrize(("act", "words"), WRONG)
def test_a_closure_that_makes_no_sense_is_refused(town: Town, act: Callable[[Town], object], words: str) -> None:
    with pytest.raises(NotAllowedError, match=words):
        act(town)
    assert logged(town) == []


def test_no_more_closures_than_gates_take(town: Town) -> None:
    hour = [town.clock.now_ms + number * HOUR_MS for number in range(MAX_CLOSURES + 2)]
    for number in range(MAX_CLOSURES):
        close(town, f"{number}", since_ms=hour[number], until_ms=hour[number + 1])
    with pytest.raises(NotAllowedError, match="reopen one first"):
        close(town)
    town.clock.pass_ms(2 * HOUR_MS)  # two are over: there is room, and what is told are the others
    close(town, "大风", until_ms=hour[3])
    close(town, "大雪")
    assert sorted(one.cause for one in opening(town).closures) == sorted([*map(str, range(2, 16)), "大风", "大雪"])
    publish_feeds(town.centre)
    assert len(fetch(town).documents[-1].calendar.closures) == MAX_CLOSURES


def test_the_list_tells_the_venues_gates_and_no_others(town: Town) -> None:
    publish_feeds(town.centre)
    bridge, park = fetch(town), fetch(town, "park")
    set_calendar(town, hours=DAYTIME, closed_days=MONDAYS)
    closure_id = close(town)
    assert publish_feeds(town.centre) == 1
    told = fetch(town, after=bridge)
    assert told.documents[-1].calendar == opening(town) != Calendar()
    assert fetch(town, "park").head == park.head
    reopen(town, closure_id)
    assert publish_feeds(town.centre) == 1
    assert fetch(town, after=told).documents[-1].calendar == Calendar(DAYTIME, MONDAYS)
    assert publish_feeds(town.centre) == 0
