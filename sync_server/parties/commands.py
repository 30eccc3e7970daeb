"""`sync-server venue`: the venues, and what the gates of each do beyond their lists."""

from __future__ import annotations

import json

import click
import sqlalchemy as sa

from sync_server.audit.log import record
from sync_server.centre import Opener
from sync_server.parties.parties import venue_by_number
from sync_server.parties.tables import party
from sync_server.parties.tables import venue as table

ACTOR = "command-line"


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
@click.argument("number", type=int)
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
        record(connection, centre.now_ms(), ACTOR, "venue.set", f"venue:{venue_id}", changes)
    click.echo(json.dumps({"number": number, **changes}))


COMMANDS = (venue,)
