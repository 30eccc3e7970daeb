"""`sync-server sweep suggest | ask`: the platform's own money from one provider to another."""

from __future__ import annotations

import json
from typing import Any

import click

from sync_server.arguments import FEN
from sync_server.centre import Opener
from sync_server.parties.tables import PROVIDERS
from sync_server.payments import sweeps
from sync_server.payments.lacking import suggestions
from sync_server.payments.providers import need_sweeps
from sync_server.people.asking import by_operator, person_of


@click.group()
def sweep() -> None:
    """Money between the platform's own accounts at the payment providers."""


@sweep.command()
@click.pass_obj
def suggest(opener: Opener) -> None:
    """Print what to sweep so that whatever lacks money can be resumed, one JSON object per provider that lacks it."""
    with opener().read() as connection:
        for one in suggestions(connection):
            line = {
                "from": one.source,
                "to": one.target,
                "lacking_fen": one.lacking_fen,
                "amount_fen": one.amount_fen,
            }
            click.echo(json.dumps(line))


@sweep.command()
@click.argument("source", metavar="FROM", type=click.Choice(PROVIDERS))
@click.argument("target", metavar="TO", type=click.Choice(PROVIDERS))
@click.argument("amount_fen", metavar="FEN", type=FEN)
@click.option("--reason", required=True, help="for the log of what operators did")
@by_operator
@click.pass_obj
def ask(opener: Opener, /, source: str, target: str, amount_fen: int, reason: str, **who: Any) -> None:
    """Send FEN from the platform's account at FROM to that at TO. `transfer list` shows both steps."""
    centre = opener()
    need_sweeps(centre.settings, source)
    person = person_of(centre, who)
    with centre.write() as connection:
        sweep_id = sweeps.ask(connection, person, source, target, amount_fen, reason, centre.now_ms())
    click.echo(json.dumps({"sweep": str(sweep_id), "from": source, "to": target, "amount_fen": amount_fen}))
