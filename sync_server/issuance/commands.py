"""`sync-server pass | card | ticket`: codes, phones, cards and holder of a pass; suspend, resume or revoke it."""

from __future__ import annotations

import json
from typing import BinaryIO

import click

from sync_server.audit.log import COMMAND_LINE, record
from sync_server.centre import Opener
from sync_server.errors import NotFoundError
from sync_server.issuance import binding, credentials, holder_keys, passes, photos
from sync_server.orders.holders import read_holder
from wire.entitlement import StopCause

SUSPENDED_FOR = [cause.value for cause in (StopCause.LOST, StopCause.REQUESTED, StopCause.REVIEW, StopCause.OTHER)]


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
        if not issued:
            raise NotFoundError(f"no order with passes has the number {order!r}")
        record(connection, centre.now_ms(), COMMAND_LINE, "pass.codes", f"order:{order}", {"passes": len(issued)})
    for row in issued:
        click.echo(json.dumps({"number": row.number, "pass": row.id.hex(), "status": row.status, "code": row.token}))


REASON = click.option("--reason", required=True, help="for the log of what operators did")


def _change(opener: Opener, number: str, event: str, reason: str, cause: StopCause = StopCause.OTHER) -> None:
    centre = opener()
    with centre.write() as connection:
        status = passes.change_status(connection, number, event, reason, centre.now_ms(), COMMAND_LINE, cause)
    click.echo(json.dumps({"number": number, "status": status}))


@pass_.command()
@click.argument("number")
@REASON
@click.option(
    "--cause", type=click.Choice(SUSPENDED_FOR), default=StopCause.OTHER.value, help="told to the staff at the gates"
)
@click.pass_obj
def suspend(opener: Opener, number: str, reason: str, cause: str) -> None:
    """Let no gate admit the pass until it is resumed."""
    _change(opener, number, "suspend", reason, StopCause(cause))


@pass_.command()
@click.argument("number")
@REASON
@click.pass_obj
def resume(opener: Opener, number: str, reason: str) -> None:
    """Let a suspended pass be admitted again."""
    _change(opener, number, "resume", reason)


@pass_.command()
@click.argument("number")
@REASON
@click.pass_obj
def revoke(opener: Opener, number: str, reason: str) -> None:
    """Make the pass worthless for good."""
    _change(opener, number, "revoke", reason, StopCause.CANCELLED)


@pass_.command()
@click.argument("number")
@click.option("--public", "public_hex", required=True, help="the phone's P-256 public key, compressed, in hex")
@click.pass_obj
def phone(opener: Opener, number: str, public_hex: str) -> None:
    """Let a phone draw rotating codes for the pass with this NUMBER."""
    try:
        public = bytes.fromhex(public_hex)
    except ValueError as error:
        raise click.BadParameter("the key is not written in hex") from error
    centre = opener()
    with centre.write() as connection:
        generation = holder_keys.register(connection, number, public, centre.now_ms(), COMMAND_LINE)
    click.echo(json.dumps({"number": number, "generation": generation}))


@pass_.command()
@click.argument("number")
@click.pass_obj
def phones(opener: Opener, number: str) -> None:
    """The phones that draw codes for a pass, one JSON line each; `binding` is null until the worker signed it."""
    with opener().read() as connection:
        for one in holder_keys.phones_of(connection, number):
            binding = None if one.binding is None else one.binding.hex()
            click.echo(json.dumps({"generation": one.generation, "public": one.public.hex(), "binding": binding}))


@pass_.command(name="phone-lost")
@click.argument("number")
@click.option("--reason", required=True, help="for the log of what operators did")
@click.pass_obj
def phone_lost(opener: Opener, number: str, reason: str) -> None:
    """No phone registered so far draws codes for the pass any more."""
    centre = opener()
    with centre.write() as connection:
        retired = holder_keys.retire_all(connection, number, reason, centre.now_ms(), COMMAND_LINE)
    click.echo(json.dumps({"number": number, "retired": retired}))


@pass_.command()
@click.argument("number")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--remove", is_flag=True, help="forget the photo, here and at every gate")
@click.pass_obj
def photo(opener: Opener, number: str, file: BinaryIO | None, *, remove: bool) -> None:
    """Keep the holder's photo, a JPEG or PNG, for the pass with this NUMBER; gates show it to their staff alone."""
    if (file is None) is not remove:
        raise click.UsageError("name a FILE, or --remove")
    if file is None:
        click.echo(json.dumps({"number": number, "removed": photos.remove_photo(opener(), number, COMMAND_LINE)}))
        return
    size = photos.put_photo(opener(), number, file.read(photos.MAX_FILE_BYTES + 1), COMMAND_LINE)
    click.echo(json.dumps({"number": number, "bytes": size}))


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
        new = credentials.bind_card(
            connection, centre.secrets, number, area, card_number, centre.now_ms(), COMMAND_LINE
        )
    click.echo(json.dumps({"number": number, "bound": True, "new": new}))


@click.group()
def ticket() -> None:
    """Issued tickets, by their number 票务编号."""


@ticket.command(name="bind")
@click.argument("number")
@click.option("--holder", "text", metavar="NAME[,ID[,PHONE]]", required=True, help="who will use it")
@click.pass_obj
def bind_holder(opener: Opener, number: str, text: str) -> None:
    """Name the holder of a ticket that was sold without one; gates that wait for a name admit it from then on."""
    centre = opener()
    with centre.write() as connection:
        new = binding.bind(connection, centre.secrets, number, read_holder(text), centre.now_ms(), COMMAND_LINE)
    click.echo(json.dumps({"ticket": number, "bound": True, "new": new}))


COMMANDS = (pass_, card, ticket)
