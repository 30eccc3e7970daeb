"""`sync-server inbox list | decide | honour | alarms`: admissions that a person has to look at."""

from __future__ import annotations

import json
from typing import Any

import click

from sync_server.arguments import U16
from sync_server.audit.log import COMMAND_LINE
from sync_server.centre import Opener
from sync_server.errors import NotAllowedError
from sync_server.parties.parties import venue_by_number
from sync_server.people.asking import by_operator, person_of
from sync_server.redemptions import decisions, inboxes
from sync_server.redemptions.inboxes import Inbox, Side, Wanted
from sync_server.redemptions.shares import unusual_shares


@click.group()
def inbox() -> None:
    """Conflicts, entries without proof, entries that cannot be true. ID is an entry's id or its beginning."""


@inbox.command(name="list")
@click.option("--inbox", "which", type=click.Choice([each.value for each in Inbox]), help="one of the three")
@click.option("--state", type=click.Choice(["open", "decided", "all"]), default="open", show_default=True)
@click.option("--venue", "venue_number", type=U16, help="the venue's number")
@click.option("--limit", type=click.IntRange(1, inboxes.MAX_ROWS), default=inboxes.MAX_ROWS, show_default=True)
@click.option("--before", metavar="CURSOR", help="`next` of the page before")
@click.pass_obj
def list_(
    opener: Opener, which: str | None, state: str, venue_number: int | None, limit: int, before: str | None
) -> None:
    """One JSON line per entry, newest first; a last line {"next": …} where more follow."""
    decided = {"open": False, "decided": True, "all": None}[state]
    wanted = Wanted(None if which is None else Inbox(which), decided, venue_number, _cursor(before), limit)
    with opener().read() as connection:
        if venue_number is not None:
            venue_by_number(connection, venue_number)
        page = inboxes.look(connection, wanted)
    for row in page.rows:
        click.echo(json.dumps(_told(row), ensure_ascii=False))
    if page.next is not None:
        click.echo(json.dumps({"next": f"{page.next[0]}-{page.next[1].hex()}"}))


@inbox.command()
@click.argument("entry_id", metavar="ID")
@click.argument("word", type=click.Choice(["accept", "reject"]))
@click.option("--reason", required=True, help="for the log of what operators did")
@click.pass_obj
def decide(opener: Opener, entry_id: str, word: str, reason: str) -> None:
    """Accept an entry without proof, which is then counted and paid, or reject an entry, which stays as it is."""
    centre = opener()
    with centre.write() as connection:
        redemption_id = decisions.redemption_named(connection, entry_id)
        if word == "accept":
            outcome = decisions.accept(connection, redemption_id, reason, centre.now_ms(), COMMAND_LINE).name
        else:
            decisions.reject(connection, redemption_id, reason, centre.now_ms(), COMMAND_LINE)
            outcome = None
    click.echo(json.dumps({"id": redemption_id.hex(), "decided": word, "outcome": outcome}))


@inbox.command()
@click.argument("entry_id", metavar="ID")
@click.option("--reason", required=True, help="for the log of what operators did")
@by_operator
@click.pass_obj
def honour(opener: Opener, /, entry_id: str, reason: str, **who: Any) -> None:
    """Let a venue be paid for an entry that another one or a refund came before, out of the platform's own money."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        redemption_id = decisions.redemption_named(connection, entry_id)
        decisions.honour(connection, person, redemption_id, reason, centre.now_ms())
    click.echo(json.dumps({"id": redemption_id.hex(), "decided": "honour"}))


@inbox.command()
@click.pass_obj
def alarms(opener: Opener) -> None:
    """One JSON line per venue whose share of unproven or last-hour entries departs from its median."""
    centre = opener()
    with centre.read() as connection:
        for one in unusual_shares(connection, centre.now_ms()):
            click.echo(json.dumps(one._asdict()))


def _cursor(text: str | None) -> tuple[int, bytes] | None:
    if text is None:
        return None
    at_ms, _, redemption_id = text.partition("-")
    try:
        return int(at_ms), bytes.fromhex(redemption_id)
    except ValueError as error:
        raise NotAllowedError(f"{text!r} is no cursor: give `next` of the page before") from error


def _told(row: inboxes.Row) -> dict[str, Any]:
    told = {**row._asdict(), **_side(row.side), "others": [_side(other) for other in row.others]}
    del told["side"]
    return told


def _side(side: Side) -> dict[str, Any]:
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in side._asdict().items()}
    return {"id": plain.pop("redemption_id"), **plain}


COMMANDS = (inbox,)
