"""The commands of `sync-server` by their names: the module of one is imported when it is asked for."""

from __future__ import annotations

import click

from sync_server.cli import cli


def command(name: str) -> click.Command:
    """As the command line finds it."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None, name
    return found
