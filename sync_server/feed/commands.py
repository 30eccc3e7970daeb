"""`sync-server list export`: a venue's list as files, for a stick or any web server (wire.md §5)."""

from __future__ import annotations

import json
from pathlib import Path

import click
import sqlalchemy as sa

from sync_server.arguments import U16
from sync_server.centre import Opener
from sync_server.errors import NotFoundError
from sync_server.feed.reading import named_segments
from sync_server.feed.tables import feed
from sync_server.parties.parties import venue_by_number


@click.group(name="list")
def list_() -> None:
    """The lists of the venues."""


@list_.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--venue", "number", type=U16, required=True, help="the venue's number")
@click.pass_obj
def export(opener: Opener, folder: Path, number: int) -> None:
    """Write a venue's list to DIR: `gate-agent import DIR` reads it, any web server can serve it.

    It is encrypted for the gates of the venue and signed: whoever carries it learns nothing and changes nothing.
    """
    with opener().read() as connection:
        venue_id = venue_by_number(connection, number)
        held = connection.execute(sa.select(feed).where(feed.c.venue_id == venue_id)).one_or_none()
        if held is None or held.head is None:
            raise NotFoundError(f"venue {number} has no list yet: is the worker running?")
        segments = folder / "feed" / "segments"
        segments.mkdir(parents=True, exist_ok=True)
        written = 0
        for name, data in named_segments(connection, venue_id):
            (segments / name.hex()).write_bytes(data)
            written += 1
    head = folder / "feed" / held.feed_id.hex() / "head"
    head.parent.mkdir(exist_ok=True)
    head.write_bytes(held.head)  # last: a stick pulled too early has no head, or an older one that is whole
    click.echo(json.dumps({"venue": number, "list": [held.epoch, held.version], "segments": written}))


COMMANDS = (list_,)
