"""`sync-server request list | confirm | withdraw`: what waits for a second person, of every kind."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click

from sync_server.centre import Opener
from sync_server.people.asking import by_operator, person_of
from sync_server.second_person import deeds

REQUEST = click.argument("request_id", metavar="REQUEST", type=click.UUID)


@click.group()
def request() -> None:
    """What one person asked for and a second one confirms, for seven days."""


@request.command(name="list")
@click.pass_obj
def list_(opener: Opener) -> None:
    """One JSON line per request: what it does if you confirm it now, who asked, why, the permission it needs."""
    centre = opener()
    with centre.read() as connection:
        for told in deeds.waiting(connection, centre.now_ms()):
            asked = told.request._asdict()
            line = {"request": str(asked.pop("id")), **asked, "does": told.does, "needs": told.needs}
            click.echo(json.dumps(line, ensure_ascii=False))


@request.command()
@REQUEST
@by_operator
@click.pass_obj
def confirm(opener: Opener, /, request_id: UUID, **who: Any) -> None:
    """Confirm what another person asked for: it is done at once."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        done = deeds.confirm(connection, person, request_id, centre.now_ms())
    line = {"request": str(request_id), "state": "confirmed", "act": done.request.act, "done": done.does}
    click.echo(json.dumps({**line, "subject": done.request.subject}, ensure_ascii=False))


@request.command()
@REQUEST
@by_operator
@click.pass_obj
def withdraw(opener: Opener, /, request_id: UUID, **who: Any) -> None:
    """Take a request back: yours, or one that you might have confirmed."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        taken_back = deeds.withdraw(connection, person, request_id, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "withdrawn", "act": taken_back.act}))


COMMANDS = (request,)
