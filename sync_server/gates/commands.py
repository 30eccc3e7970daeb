"""`sync-server enrolment-code` and `sync-server gate`: let gates in, list them, put them out."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sync_server.arguments import U16
from sync_server.audit.log import COMMAND_LINE
from sync_server.centre import Opener
from sync_server.gates import enrolment, fleet, journal_commands, registry
from sync_server.gates.enrolment_qr import enrolment_svg
from sync_server.keys import key_set
from sync_server.parties.parties import venue_by_number


@click.command(name="enrolment-code")
@click.option("--venue", "number", type=U16, required=True, help="the venue's number")
@click.option("--qr", "picture", type=click.Path(dir_okay=False, path_type=Path), help="write it as a QR code (SVG)")
@click.pass_obj
def enrolment_code(opener: Opener, number: int, picture: Path | None) -> None:
    """A code that enrols one gate at a venue, once, within 15 minutes: typed, or the QR code read by its scanner."""
    centre = opener()
    with centre.write() as connection:
        venue_id = venue_by_number(connection, number)
        root_public = key_set.newest(connection).root_public
        code = enrolment.make_code(connection, venue_id, root_public, centre.now_ms(), COMMAND_LINE)
        if picture is not None:
            picture.write_text(enrolment_svg(centre.settings, code, root_public), encoding="utf-8")
    click.echo(json.dumps({"code": code.text(), "url": centre.settings.base_url}))


@click.group()
def gate() -> None:
    """Gates that have enrolled. ID is the gate's id in hex, or enough of its beginning."""


@gate.command(name="list")
@click.pass_obj
def list_(opener: Opener) -> None:
    """One JSON line per gate; `check` is what its own screen must show before you approve it."""
    with opener().read() as connection:
        for told in fleet.list_gates(connection):
            click.echo(json.dumps(told, ensure_ascii=False))


@gate.command()
@click.argument("gate_id", metavar="ID")
@click.pass_obj
def show(opener: Opener, gate_id: str) -> None:
    """One gate with everything it last told, its devices one by one, for people to read."""
    with opener().read() as connection:
        told = fleet.show_gate(connection, registry.device_named(connection, gate_id))
    click.echo(json.dumps(told, ensure_ascii=False, indent=2))


@gate.command()
@click.argument("gate_id", metavar="ID")
@click.option(
    "--reads-id-numbers", is_flag=True, help="its card reader reads ID numbers: its list carries their hashes"
)
@click.pass_obj
def approve(opener: Opener, gate_id: str, *, reads_id_numbers: bool) -> None:
    """Let a pending gate act, after comparing the six characters on both screens."""
    centre = opener()
    with centre.write() as connection:
        device_id = registry.device_named(connection, gate_id)
        registry.approve(connection, device_id, centre.now_ms(), COMMAND_LINE, reads_id_numbers=reads_id_numbers)
    click.echo(json.dumps({"id": device_id.hex(), "state": "active"}))


@gate.command()
@click.argument("gate_id", metavar="ID")
@click.option("--reason", required=True, help="for the log of what operators did")
@click.pass_obj
def revoke(opener: Opener, gate_id: str, reason: str) -> None:
    """Believe nothing of a gate any more."""
    centre = opener()
    with centre.write() as connection:
        device_id = registry.device_named(connection, gate_id)
        registry.revoke(connection, device_id, reason, centre.now_ms(), COMMAND_LINE)
    click.echo(json.dumps({"id": device_id.hex(), "state": "revoked"}))


for journal_command in journal_commands.COMMANDS:
    gate.add_command(journal_command)

COMMANDS = (enrolment_code, gate)
