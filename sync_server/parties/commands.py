"""`sync-server venue`: the venues, when each is open, and what its gates do beyond their lists."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, TextIO, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import click
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.arguments import U16
from sync_server.audit.log import COMMAND_LINE, record
from sync_server.centre import Opener
from sync_server.errors import NotAllowedError
from sync_server.parties import calendars
from sync_server.parties.day_lines import WrongLine, days_text, read_days, read_hours, write_hours
from sync_server.parties.parties import venue_by_number
from sync_server.parties.tables import party
from sync_server.parties.tables import venue as table
from wire import moments
from wire.entitlement import judge_opening

Read = TypeVar("Read")


@click.group()
def venue() -> None:
    """Venues, by their numbers."""


@venue.command(name="list")
@click.pass_obj
def list_(opener: Opener) -> None:
    """One JSON line per venue."""
    rows = sa.select(table, party.c.name_zh).join(party, party.c.id == table.c.id).order_by(table.c.number)
    with opener().read() as connection:
        for row in connection.execute(rows):
            told = {"number": row.number, "name_zh": row.name_zh}
            told |= {"electronic_cards": row.electronic_cards, "photos": row.photos}
            click.echo(json.dumps(told, ensure_ascii=False))


@venue.command(name="set")
@click.argument("number", type=U16)
@click.option("--electronic-cards/--no-electronic-cards", default=None, help="take electronic social-security cards")
@click.option("--photos/--no-photos", default=None, help="show holders' photos to the staff at its gates")
@click.pass_obj
def set_(opener: Opener, number: int, *, electronic_cards: bool | None, photos: bool | None) -> None:
    """Change what is named; its gates follow with their next list."""
    named = {"electronic_cards": electronic_cards, "photos": photos}
    changes = {name: value for name, value in named.items() if value is not None}
    if not changes:
        raise click.UsageError("nothing to set: name what is to change, as --electronic-cards")
    centre = opener()
    with centre.write() as connection:
        venue_id = venue_by_number(connection, number)
        connection.execute(table.update().where(table.c.id == venue_id).values(**changes))
        record(connection, centre.now_ms(), COMMAND_LINE, "venue.set", f"venue:{venue_id}", changes)
    click.echo(json.dumps({"number": number, **changes}))


@venue.command()
@click.argument("number", type=U16)
@click.option("--hours", type=click.File(encoding="utf-8"), help="the hours, a line each; - reads standard input")
@click.option("--closed-days", type=click.File(encoding="utf-8"), help="the closed days 闭园, a range a line")
@click.pass_obj
def calendar(opener: Opener, number: int, hours: TextIO | None, closed_days: TextIO | None) -> None:
    """Print when a venue is open; with a file, put its lines in the place of those there were.

    A line of hours: 周二至周日 08:00-17:00, or with dates: 09:00-16:00 2026-11-01 至 2027-03-31. A line of days:
    2026-10-01 至 2026-10-07 国庆节, or 周一 检修. An empty file leaves none.
    """
    centre = opener()
    new_hours = None if hours is None else parsed(read_hours(hours.read()), "--hours")
    new_days = None if closed_days is None else parsed(read_days(closed_days.read()), "--closed-days")
    with centre.write() as connection:
        venue_id = venue_by_number(connection, number)
        if new_hours is not None or new_days is not None:
            now_ms = centre.now_ms()
            calendars.set_calendar(connection, venue_id, now_ms, COMMAND_LINE, hours=new_hours, closed_days=new_days)
        told = _opening(connection, venue_id, centre.now_ms())
    click.echo(json.dumps({"number": number, **told}, ensure_ascii=False))


@venue.command()
@click.argument("number", type=U16)
@click.option("--cause", required=True, help="for staff at the gates; visitors do not read it")
@click.option("--since", metavar="TIME", help="2026-11-22T09:00 on the venue's clock; now unless given")
@click.option("--until", metavar="TIME", help="until it is reopened unless given")
@click.pass_obj
def close(opener: Opener, number: int, cause: str, since: str | None, until: str | None) -> None:
    """Close a venue suddenly. Gates on line follow within seconds; prints the closure's id."""
    centre = opener()
    with centre.write() as connection:
        venue_id = venue_by_number(connection, number)
        zone = connection.scalars(sa.select(table.c.zone).where(table.c.id == venue_id)).one()
        span = {
            "since_ms": None if since is None else _moment_ms(since, zone, "--since"),
            "until_ms": None if until is None else _moment_ms(until, zone, "--until"),
        }
        closure_id = calendars.close(connection, venue_id, cause.strip(), centre.now_ms(), COMMAND_LINE, **span)
    click.echo(json.dumps({"number": number, "closure": str(closure_id)}))


@venue.command()
@click.argument("number", type=U16)
@click.argument("closure", required=False)
@click.pass_obj
def reopen(opener: Opener, number: int, closure: str | None) -> None:
    """Lift a closure of a venue, or the only one it has."""
    centre = opener()
    with centre.write() as connection:
        venue_id = venue_by_number(connection, number)
        standing = calendars.closures(connection, venue_id, centre.now_ms())
        chosen = [row for row in standing if closure is None or str(row.id) == closure]
        if len(chosen) != 1:
            raise NotAllowedError(
                f"{len(chosen)} of the venue's {len(standing)} closures are meant: name one by its id"
            )
        calendars.reopen(connection, chosen[0].id, centre.now_ms(), COMMAND_LINE)
    click.echo(json.dumps({"number": number, "reopened": str(chosen[0].id)}))


def parsed(read: Read | WrongLine, option: str) -> Read:
    """What was read of an option's text; a wrong line is a usage error that names it."""
    if isinstance(read, WrongLine):
        raise click.UsageError(f"{option}: line {read.number} {read.flaw.value}: {read.text}")
    return read


def _opening(connection: Connection, venue_id: UUID, now_ms: int) -> dict[str, Any]:
    opening = calendars.opening_of(connection, venue_id)
    zone = ZoneInfo(connection.scalars(sa.select(table.c.zone).where(table.c.id == venue_id)).one())

    def local(minute: int | None) -> str | None:
        return None if minute is None else datetime.fromtimestamp(moments.minute_ms(minute) / 1000, zone).isoformat()

    return {
        "open": judge_opening(opening, now_ms, moments.wall_time(now_ms, zone)) is None,
        "version": calendars.version_of(connection, venue_id),
        "hours": write_hours(opening.hours).splitlines(),
        "closed_days": [{"days": days_text(days, "zh"), "cause": days.cause} for days in opening.closed_days],
        "closures": [
            {"id": str(row.id), "since": local(row.since_minute), "until": local(row.until_minute), "cause": row.cause}
            for row in calendars.closures(connection, venue_id, now_ms)
        ],
    }


def _moment_ms(text: str, zone: str, option: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {text!r} is no time: write it as 2026-11-22T09:00") from error
    return round((at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).timestamp() * 1000)


COMMANDS = (venue,)
