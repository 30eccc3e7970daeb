"""The command `sync-server`: every task of the centre, each on `--database URL`.

A folder brings its own commands: its `commands.py` holds a tuple COMMANDS of click commands or groups, and is added to
FOLDER_COMMANDS below. A command takes `@click.pass_obj` and gets a `centre.Opener`, which opens the Centre when called,
so that `--help` opens nothing. Commands print JSON on stdout, words for people on stderr.
Exit codes: 0, 1 (a check failed), 2 (usage), 78 (configuration).
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import click

import sync_server.backups
import sync_server.catalog.selling_commands
import sync_server.catalog.stock_commands
import sync_server.catalog.ticket_commands
import sync_server.checks
import sync_server.demo_data
import sync_server.exports
import sync_server.feed.commands
import sync_server.gates.commands
import sync_server.issuance.commands
import sync_server.jobs.commands
import sync_server.jobs.message_commands
import sync_server.keys.commands
import sync_server.orders.commands
import sync_server.parties.commands
import sync_server.payments.commands
import sync_server.payments.party_commands
import sync_server.payments.top_up_commands
import sync_server.people.commands
import sync_server.redemptions.commands
import sync_server.second_person.commands
import sync_server.settlement.commands
import sync_server.settlement.item_commands
import sync_server.settlement.profit_commands
import sync_server.settlement.recon_commands
import sync_server.settlement.statement_commands
import sync_server.settlement.sweep_commands
from sync_server import errors
from sync_server.centre import Opener
from sync_server.db import can_be_kept
from sync_server.settings import load_settings

FOLDER_COMMANDS: tuple[tuple[click.Command, ...], ...] = (
    sync_server.jobs.commands.COMMANDS,
    sync_server.demo_data.COMMANDS,
    sync_server.people.commands.COMMANDS,
    sync_server.parties.commands.COMMANDS,
    sync_server.catalog.selling_commands.COMMANDS,
    sync_server.catalog.ticket_commands.COMMANDS,
    sync_server.catalog.stock_commands.COMMANDS,
    sync_server.keys.commands.COMMANDS,
    sync_server.gates.commands.COMMANDS,
    sync_server.feed.commands.COMMANDS,
    sync_server.orders.commands.COMMANDS,
    sync_server.issuance.commands.COMMANDS,
    sync_server.redemptions.commands.COMMANDS,
    sync_server.settlement.commands.COMMANDS,
    sync_server.settlement.item_commands.COMMANDS,
    sync_server.settlement.profit_commands.COMMANDS,
    sync_server.settlement.recon_commands.COMMANDS,
    sync_server.settlement.statement_commands.COMMANDS,
    sync_server.payments.commands.COMMANDS,
    sync_server.payments.party_commands.COMMANDS,
    sync_server.payments.top_up_commands.COMMANDS,
    sync_server.jobs.message_commands.COMMANDS,
    sync_server.settlement.sweep_commands.COMMANDS,
    sync_server.second_person.commands.COMMANDS,
    sync_server.checks.COMMANDS,
    sync_server.backups.COMMANDS,
    sync_server.exports.COMMANDS,
)


TOLD = ("--reason", "--note")
"""Options whose text others read later."""


class _Commands(click.Group):
    """Refuses at the edge, whatever command it is for, what no table takes (NUL, bytes that are no UTF-8), and a reason
    that says nothing.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for argument in args:
            if not can_be_kept(argument):
                raise click.UsageError(f"no text can be kept that is not all characters: {argument!a}", ctx)
        for option, value in pairwise([*args, ""]):
            name, equals, attached = option.partition("=")
            if name in TOLD and not (attached if equals else value).strip():
                raise click.UsageError(f"{name} is empty: the log of what operators did is to say why", ctx)
        return super().parse_args(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--database", metavar="URL", help="sqlite:///PATH or postgresql+psycopg://…")
@click.option("--settings", "settings_file", type=click.Path(path_type=Path), help="settings file (TOML)")
@click.pass_context
def cli(context: click.Context, database: str | None, settings_file: Path | None) -> None:
    """The centre: sells, issues, counts and settles."""
    context.obj = Opener(lambda: load_settings(database, settings_file))


for commands in FOLDER_COMMANDS:
    for command in commands:
        cli.add_command(command)


def main() -> None:
    """Run the command line; what cannot be done is one line on stderr and exit code 1, a wrong configuration 78."""
    try:
        cli.main(prog_name="sync-server")
    except (errors.NotFoundError, errors.NotAllowedError, errors.KeyReusedError) as error:
        click.echo(f"sync-server: {error}", err=True)
        sys.exit(errors.EXIT_CHECK_FAILED)
    except errors.ConfigurationError as error:
        click.echo(f"sync-server: {error}", err=True)
        sys.exit(errors.EXIT_CONFIGURATION)
