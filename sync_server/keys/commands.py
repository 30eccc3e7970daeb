"""`sync-server keys`: make, start, list, revoke and export the centre's signing keys, and change its root key."""

from __future__ import annotations

import json

import click

from sync_server.centre import Opener
from sync_server.keys import key_set
from sync_server.keys.tables import PURPOSES
from wire.keyset import keys_file
from wire.signing import Purpose

ACTOR = "command-line"


@click.group()
def keys() -> None:
    """Keys that sign passes, lists and receipts."""


@keys.command()
@click.argument("purpose", type=click.Choice([str(purpose) for purpose in PURPOSES]))
@click.pass_obj
def create(opener: Opener, purpose: str) -> None:
    """Announce a new key to the gates; start it when they have all fetched it."""
    key_id = key_set.create_key(opener(), Purpose(purpose), ACTOR)
    click.echo(json.dumps({"id": key_id, "purpose": purpose, "state": "announced"}))


@keys.command()
@click.argument("key_id", type=int)
@click.pass_obj
def start(opener: Opener, key_id: int) -> None:
    """Let an announced key sign from now on."""
    key_set.start_key(opener(), key_id, ACTOR)
    click.echo(json.dumps({"id": key_id, "state": "signing"}))


@keys.command()
@click.argument("key_id", type=int)
@click.option("--reason", required=True, help="for the log of what operators did")
@click.pass_obj
def revoke(opener: Opener, key_id: int, reason: str) -> None:
    """Make a key worthless: nothing it signed is believed any more."""
    key_set.revoke_key(opener(), key_id, reason, ACTOR)
    click.echo(json.dumps({"id": key_id, "state": "revoked"}))


@keys.command(name="rotate-root")
@click.pass_obj
def rotate_root(opener: Opener) -> None:
    """Put a new root key in the place of the old one, which must be in its file; gates follow by themselves."""
    public = key_set.rotate_root(opener(), ACTOR)
    click.echo(json.dumps({"root": public.hex()}))


@keys.command(name="list")
@click.pass_obj
def list_keys(opener: Opener) -> None:
    """Every key with its state."""
    with opener().read() as connection:
        click.echo(keys_file(key_set.public_keys(connection)), nl=False)


@keys.command()
@click.pass_obj
def export(opener: Opener) -> None:
    """The public pass keys, as `gate-agent verify-token --keys` reads them."""
    with opener().read() as connection:
        passes = [key for key in key_set.public_keys(connection) if key.purpose is Purpose.PASS]
    click.echo(keys_file(passes), nl=False)


COMMANDS = (keys,)
