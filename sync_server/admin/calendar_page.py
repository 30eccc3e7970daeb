"""日历: when each venue is open; one venue's hours, closed days and closures; changing them, closing, reopening."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response

from sync_server.admin import line_words
from sync_server.admin.access import page, who
from sync_server.admin.actors import names_of
from sync_server.admin.gates_page import gates_now
from sync_server.admin.language import language
from sync_server.admin.shown import centre
from sync_server.errors import NotAllowedError
from sync_server.parties import calendars
from sync_server.parties.day_lines import (
    WrongLine,
    days_text,
    hours_text,
    read_days,
    read_hours,
    weekdays_text,
    write_days,
    write_hours,
)
from sync_server.parties.tables import party, venue
from sync_server.people.permissions import Permission
from wire import moments
from wire.calendar import MAX_CAUSE_CHARACTERS, Calendar, Closure, DayRange, in_force, range_on
from wire.entitlement import closed_by, judge_opening

HERE = "admin.venue_calendars"
DAYS_AHEAD = 7
MAX_VERSIONS = 20  # shown; all are kept


class Today(NamedTuple):
    """How a venue stands now: a chip of the family "opening", today's hours, what closes it beside them."""

    state: str
    hours: str
    by: Closure | DayRange | None


class Day(NamedTuple):
    """One of the days to come; `state` as above, `told` its hours or why it is closed."""

    weekday: str
    number: int
    state: str
    told: str


@page("/calendars", needs=Permission.CALENDARS_VIEW)
def venue_calendars() -> str:
    now_ms = centre().now_ms()
    with centre().read() as connection:
        opened = calendars.openings(connection)
        places = connection.execute(_places().order_by(venue.c.number)).all()
    rows = [(place, _today(opened[place.id], ZoneInfo(place.zone), now_ms), opened[place.id]) for place in places]
    ahead = {place.id: _next_closed(opened[place.id], ZoneInfo(place.zone), now_ms) for place in places}
    return render_template("admin/calendars.html", here=HERE, rows=rows, ahead=ahead)


@page("/calendars/<int:number>", needs=Permission.CALENDARS_VIEW)
def venue_calendar(number: int) -> str:
    with centre().read() as connection:
        shown = _shown(connection, number)
    return render_template("admin/calendar.html", **shown)


@page("/calendars/<int:number>/edit", needs=Permission.CALENDARS_EDIT, methods=("GET", "POST"))
def edit_calendar(number: int) -> str | tuple[str, int] | Response:
    """Hours and closed days as lines; what is wrong with them is told at the line, and nothing is changed."""
    with centre().read() as connection:
        shown = _shown(connection, number)
    opening: Calendar = shown["opening"]
    lines = {
        "hours": write_hours(opening.hours, language()),
        "closed_days": write_days(opening.closed_days, language()),
    }
    if request.method == "GET":
        return render_template("admin/calendar_edit.html", **shown, lines=lines, wrong={}, seen=shown["version"])
    lines = {name: request.form.get(name, "") for name in lines}
    hours, days = read_hours(lines["hours"]), read_days(lines["closed_days"])
    wrong = {
        name: line_words.sentence(read)
        for name, read in (("hours", hours), ("closed_days", days))
        if isinstance(read, WrongLine)
    }
    if isinstance(hours, WrongLine) or isinstance(days, WrongLine):
        version = request.form.get("version", "")
        return render_template("admin/calendar_edit.html", **shown, lines=lines, wrong=wrong, seen=version), 400
    try:
        with centre().write() as connection:
            calendars.set_calendar(
                connection, shown["place"].id, centre().now_ms(), who().actor,
                hours=hours, closed_days=days, after_version=int(request.form.get("version", "")),
            )  # fmt: skip
    except ValueError:
        abort(400)
    except NotAllowedError:  # somebody else was quicker; what was typed is kept, and saves onto theirs
        stale = {"all": _("日历刚被别人改过。请看清下面现行的内容，再保存一次。")}
        return render_template(
            "admin/calendar_edit.html", **shown, lines=lines, wrong=stale, seen=shown["version"]
        ), 409
    flash(_("日历已保存，在线闸机几秒内收到"))
    return redirect(url_for("admin.venue_calendar", number=number))


@page("/calendars/<int:number>/close", needs=Permission.CALENDARS_EDIT, methods=("GET", "POST"))
def close_venue(number: int) -> str | tuple[str, int] | Response:
    """GET asks and says what will happen; POST does it."""
    with centre().read() as connection:
        shown = _shown(connection, number)
    form = {name: request.form.get(name, "").strip() for name in ("cause", "since", "until")}
    if request.method == "GET":
        return render_template("admin/calendar_close.html", **shown, form=form, problem=None)
    problem = _close(shown["place"], form) if request.form.get("sure") == "yes" else _("请勾选确认")
    if problem is not None:
        return render_template("admin/calendar_close.html", **shown, form=form, problem=problem), 400
    flash(_("%(venue)s 已公布临时闭园，在线闸机几秒内收到", venue=shown["name"]))
    return redirect(url_for("admin.venue_calendar", number=number))


@page("/calendars/<int:number>/reopen/<closure_hex>", needs=Permission.CALENDARS_EDIT, methods=("POST",))
def reopen_venue(number: int, closure_hex: str) -> Response:
    with centre().write() as connection:
        place = _place(connection, number)
        standing = {row.id.hex: row.id for row in calendars.closures(connection, place.id, centre().now_ms())}
        if closure_hex in standing:  # else it is over or lifted already: the page shows it
            calendars.reopen(connection, standing[closure_hex], centre().now_ms(), who().actor)
            flash(_("已恢复开放，在线闸机几秒内收到"))
    return redirect(url_for("admin.venue_calendar", number=number))


def _close(place: sa.Row[Any], form: dict[str, str]) -> str | None:
    """Close the venue; what is wrong with the form, or None."""
    if not form["cause"] or len(form["cause"]) > MAX_CAUSE_CHARACTERS or not form["cause"].isprintable():
        return str(_("请写原因，不超过 %(max)d 个字", max=MAX_CAUSE_CHARACTERS))
    try:
        span = {f"{name}_ms": _moment_ms(form[name], ZoneInfo(place.zone)) for name in ("since", "until") if form[name]}
    except (ValueError, OverflowError):
        return str(_("时间写成 2026-11-22 17:00 的样子"))
    try:
        with centre().write() as connection:
            calendars.close(connection, place.id, form["cause"], centre().now_ms(), who().actor, **span)
    except NotAllowedError:
        return str(_("没有公布：开始不能早于现在，结束要在开始之后、一年之内；还没结束的最多 16 个"))
    return None


def _moment_ms(text: str, zone: ZoneInfo) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def _shown(connection: Connection, number: int) -> dict[str, Any]:
    """What page and dialogs show of a venue."""
    place, now_ms = _place(connection, number), centre().now_ms()
    opening, zone = calendars.opening_of(connection, place.id), ZoneInfo(place.zone)
    closures = calendars.closures(connection, place.id, now_ms)
    versions = calendars.versions(connection, place.id, MAX_VERSIONS)
    active = [pair for pair in gates_now(connection) if pair[0].state == "active"]
    gates = [(row, state) for row, state in active if row.venue_id == place.id]
    kept = [(row, msgspec.json.decode(row.calendar, type=Calendar)) for row in versions]
    return {
        "here": HERE,
        "place": place,
        "name": place.name_en if language() == "en" else place.name_zh,
        "opening": opening,
        "version": versions[0].version if versions else 0,
        "today": _today(opening, zone, now_ms),
        "week": _week(opening, zone, now_ms),
        "hours": write_hours(opening.hours, language()).splitlines(),
        "closed_days": [(days_text(days, language()), days.cause) for days in opening.closed_days],
        "closures": closures,
        "versions": [(row, write_hours(one.hours, language()).splitlines(), one) for row, one in kept],
        "actors": names_of(connection, [row.announced_by for row in closures] + [row.actor for row in versions]),
        "gates": gates,
        "unheard": [row.name for row, state in gates if state != "online"],
    }


def _place(connection: Connection, number: int) -> sa.Row[Any]:
    found = next((row for row in connection.execute(_places()) if row.number == number), None)
    if found is None:
        abort(404)
    return found


def _places() -> sa.Select[Any]:
    return sa.select(venue.c.id, venue.c.number, venue.c.zone, party.c.name_zh, party.c.name_en).join(
        party, party.c.id == venue.c.id
    )


def _today(opening: Calendar, zone: ZoneInfo, now_ms: int) -> Today:
    wall = moments.wall_time(now_ms, zone)
    by = closed_by(opening, now_ms, wall)
    state = "open" if judge_opening(opening, now_ms, wall) is None else "closed" if isinstance(by, Closure) else "shut"
    return Today(state, _hours_on(opening, wall.day), by)


def _hours_on(opening: Calendar, day: int) -> str:
    """Its hours by the calendar; nothing on a day without any."""
    if not opening.hours:
        return str(_("全天"))
    return hours_text(part for part in in_force(opening.hours, day) if part.is_on(moments.weekday_of(day)))


def _week(opening: Calendar, zone: ZoneInfo, now_ms: int) -> list[Day]:
    """Today and the days after it."""
    today = moments.day_number(now_ms, zone)
    return [_day(opening, zone, day) for day in range(today, today + DAYS_AHEAD)]


def _day(opening: Calendar, zone: ZoneInfo, day: int) -> Day:
    begins, ends = (_midnight_minute(one, zone) for one in (day, day + 1))
    weekday, number = weekdays_text(1 << moments.weekday_of(day), language()), moments.date_of(day).day
    if (shut := range_on(opening.closed_days, day)) is not None:
        return Day(weekday, number, "shut", shut.cause)
    for closure in opening.closures:
        if closure.since < ends and (closure.until is None or closure.until > begins):
            return Day(weekday, number, "closed", closure.cause)
    hours = _hours_on(opening, day)
    return Day(weekday, number, "open" if hours else "shut", hours)


def _midnight_minute(day: int, zone: ZoneInfo) -> int:
    midnight = datetime.combine(moments.date_of(day), time(), zone)
    return moments.minute_floor(round(midnight.timestamp() * 1000))


def _next_closed(opening: Calendar, zone: ZoneInfo, now_ms: int) -> tuple[str, str] | None:
    """The next range of closed days that is not over, and its cause."""
    today = moments.day_number(now_ms, zone)
    days = next((one for one in opening.closed_days if one.last >= today), None)
    return None if days is None else (days_text(days, language()), days.cause)
