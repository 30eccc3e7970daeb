"""`sync-server keys`: make, start, list, revoke and export signing keys, change the root key, pin the TLS keys."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sync_server.arguments import U16
from sync_server.audit.log import COMMAND_LINE
from sync_server.centre import Opener
from sync_server.keys import key_set, tls_pins
from sync_server.keys.outlook import warnings
from sync_server.keys.tables import PURPOSES
from wire.keyset import keys_file
from wire.signing import Purpose


@click.group()
def keys() -> None:
    """Keys that sign passes, lists and receipts."""


@keys.command()
@click.argument("purpose", type=click.Choice([str(purpose) for purpose in PURPOSES]))
@click.pass_obj
def create(opener: Opener, purpose: str) -> None:
    """Announce a new key to the gates; start it when they have all fetched it."""
    key_id = key_set.create_key(opener(), Purpose(purpose), COMMAND_LINE)
    click.echo(json.dumps({"id": key_id, "purpose": purpose, "state": "announced"}))


@keys.command()
@click.argument("key_id", type=U16)
@click.pass_obj
def start(opener: Opener, key_id: int) -> None:
    """Let an announced key sign from now on."""
    key_set.start_key(opener(), key_id, COMMAND_LINE)
    click.echo(json.dumps({"id": key_id, "state": "signing"}))


@keys.command()
@click.argument("key_id", type=U16)
@click.option("--reason", required=True, help="for the log of what operators did")
@click.pass_obj
def revoke(opener: Opener, key_id: int, reason: str) -> None:
    """Make a key worthless: nothing it signed is believed any more."""
    key_set.revoke_key(opener(), key_id, reason, COMMAND_LINE)
    click.echo(json.dumps({"id": key_id, "state": "revoked"}))


@keys.command(name="rotate-root")
@click.pass_obj
def rotate_root(opener: Opener) -> None:
    """Put a new root key in the place of the old one, which must be in its file; gates follow by themselves."""
    public = key_set.rotate_root(opener(), COMMAND_LINE)
    click.echo(json.dumps({"root": public.hex()}))


@keys.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--none", is_flag=True, help="pin nothing any more: gates believe the CAs they were enrolled with")
@click.pass_obj
def pin(opener: Opener, files: tuple[Path, ...], none: bool) -> None:
    """Let gates know the centre's TLS certificate by the keys and CAs in FILES (PEM), and by no others.

    While a key is changed, name the old one and the new one; use the new one when every gate of `sync-server gate
    list` has this key set. Without FILES: what is pinned.
    """
    if files and none:
        raise click.UsageError("give FILES, or --none")
    centre = opener()
    if files or none:
        key_set.pin_tls(centre, [tls_pins.read_pin(file) for file in files], COMMAND_LINE)
    with centre.read() as connection:
        version = key_set.newest(connection).version
        pins = [
            {"kind": "key" if one.ca is None else "ca", "sha256": one.key_hash.hex(), "file": one.said_in}
            for one in tls_pins.held_pins(connection)
        ]
    click.echo(json.dumps({"key_set": version, "pins": pins}, ensure_ascii=False))


@keys.command(name="list")
@click.pass_obj
def list_keys(opener: Opener) -> None:
    """Every key with its state; on standard error what has to be done soon."""
    centre = opener()
    with centre.read() as connection:
        click.echo(keys_file(key_set.public_keys(connection)), nl=False)
        for warning in warnings(connection, centre.now_ms()):
            click.echo(f"warning: {warning}", err=True)


@keys.command()
@click.pass_obj
def export(opener: Opener) -> None:
    """The public pass keys, as `gate-agent verify-token --keys` reads them."""
    with opener().read() as connection:
        passes = [key for key in key_set.public_keys(connection) if key.purpose is Purpose.PASS]
    click.echo(keys_file(passes), nl=False)


COMMANDS = (keys,)
