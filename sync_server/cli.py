"""The command `sync-server`: every task of the centre, each on `--database URL`.

A folder brings its own commands: its `commands.py` holds a tuple COMMANDS of click commands or groups, and is named in
COMMANDS_OF below. A command takes `@click.pass_obj` and gets a `centre.Opener`, which opens the Centre when called,
so that `--help` opens nothing. Commands print JSON on stdout, words for people on stderr.
Exit codes: 0, 1 (a check failed), 2 (usage), 78 (configuration).
"""

from __future__ import annotations

import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import click

import sync_server.schema  # noqa: F401  every command knows all tables
from sync_server import errors
from sync_server.centre import Opener
from sync_server.db import can_be_kept
from sync_server.settings import load_settings

COMMANDS_OF = {
    "jobs.commands": ("init", "run", "worker", "jobs", "setbacks"),
    "demo_data": ("demo-data",),
    "people.commands": ("user",),
    "parties.commands": ("venue",),
    "catalog.selling_commands": ("product", "people", "channel", "fee"),
    "catalog.stock_commands": ("stock",),
    "catalog.ticket_commands": ("product",),
    "keys.commands": ("keys",),
    "gates.commands": ("enrolment-code", "gate"),
    "feed.commands": ("list",),
    "orders.commands": ("order",),
    "issuance.commands": ("pass", "card", "ticket"),
    "redemptions.commands": ("inbox",),
    "settlement.commands": ("refund", "payout", "visits", "debt", "overdue"),
    "settlement.item_commands": ("items",),
    "profit.commands": ("profit",),
    "reconciliation.commands": ("reconcile", "provider-fee", "recon-case"),
    "statements.commands": ("statement",),
    "payments.agreement_commands": ("agreement",),
    "payments.commands": ("transfer",),
    "payments.party_commands": ("party",),
    "payments.top_up_commands": ("top-up",),
    "jobs.message_commands": ("message",),
    "reconciliation.sweep_commands": ("sweep",),
    "second_person.commands": ("request",),
    "checks": ("check",),
    "backups": ("backup", "restore", "new-epoch"),
    "exports": ("export",),
}
"""Which module brings which commands: imported when one is asked for, as all imports outlast most commands."""

TOLD = ("--reason", "--note")
"""Options whose text others read later."""


class _Commands(click.Group):
    """Refuses at the edge, whatever command it is for, what no table takes (NUL, bytes that are no UTF-8), and a reason
    that says nothing.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({name for names in COMMANDS_OF.values() for name in names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for module in (module for module, names in COMMANDS_OF.items() if cmd_name in names):
            for command in import_module(f"sync_server.{module}").COMMANDS:
                self.add_command(command)
        return super().get_command(ctx, cmd_name)

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
