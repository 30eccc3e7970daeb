"""`sync-server pass` and `sync-server card`: show codes, suspend, resume or revoke a pass; let a card find its pass."""

from __future__ import annotations

import json

import click

from sync_server.audit.log import record
from sync_server.centre import Opener
from sync_server.issuance import credentials, passes

ACTOR = "command-line"


@click.group(name="pass")
def pass_() -> None:
    """Issued passes, by their number 票号."""


@pass_.command()
@click.argument("order")
@click.pass_obj
def codes(opener: Opener, order: str) -> None:
    """The passes of the order with this number and the codes they show now, one JSON line each; it is logged."""
    centre = opener()
    with centre.write() as connection:
        issued = passes.passes_of_order(connection, order)
        record(connection, centre.now_ms(), ACTOR, "pass.codes", f"order:{order}", {"passes": len(issued)})
    for row in issued:
        click.echo(json.dumps({"number": row.number, "pass": row.id.hex(), "status": row.status, "code": row.token}))


def _change(event: str, words: str) -> click.Command:
    @pass_.command(name=event, help=words)
    @click.argument("number")
    @click.option("--reason", required=True, help="for the log of what operators did")
    @click.pass_obj
    def change(opener: Opener, number: str, reason: str) -> None:
        centre = opener()
        with centre.write() as connection:
            status = passes.change_status(connection, number, event, reason, centre.now_ms(), ACTOR)
        click.echo(json.dumps({"number": number, "status": status}))

    return change


_change("suspend", "Let no gate admit the pass until it is resumed.")
_change("resume", "Let a suspended pass be admitted again.")
_change("revoke", "Make the pass worthless for good.")


@click.group()
def card() -> None:
    """Social-security cards."""


@card.command()
@click.argument("number")
@click.option("--area", required=True, help="area code: the first six digits of the card identification code")
@click.option("--card-number", required=True, help="the number printed on the card")
@click.pass_obj
def bind(opener: Opener, number: str, area: str, card_number: str) -> None:
    """Let a card open the gates for the pass with this NUMBER."""
    centre = opener()
    with centre.write() as connection:
        new = credentials.bind_card(connection, centre.secrets, number, area, card_number, centre.now_ms(), ACTOR)
    click.echo(json.dumps({"number": number, "bound": True, "new": new}))


COMMANDS = (pass_, card)
