"""`sync-server user add | phone | list`: the operators' accounts from the command line."""

from __future__ import annotations

import json
import secrets
import sys

import click

from sync_server.audit.log import COMMAND_LINE
from sync_server.centre import Opener
from sync_server.errors import EXIT_CHECK_FAILED, NotAllowedError, NotFoundError
from sync_server.people import operators, reaching
from sync_server.people.passwords import MAX_CHARACTERS
from sync_server.people.permissions import SEEDED_ROLES


@click.group()
def user() -> None:
    """Operators who sign in to the web pages."""


@user.command()
@click.option("--organisation", required=True, help="organisation number (机构号)")
@click.option("--account", required=True, help="account (帐号)")
@click.option("--name", required=True, help="the person's name")
@click.option("--role", "role_code", required=True, help=", ".join(role.code for role in SEEDED_ROLES))
@click.option("--password-stdin", is_flag=True, help="read the password from the first line of standard input")
@click.pass_obj
def add(opener: Opener, organisation: str, account: str, name: str, role_code: str, password_stdin: bool) -> None:
    """Add an operator; without --password-stdin a password is made and printed once."""
    password = sys.stdin.readline(MAX_CHARACTERS + 2).rstrip("\r\n") if password_stdin else secrets.token_urlsafe(12)
    try:
        operators.add_operator(opener(), organisation, account, name, role_code, password, COMMAND_LINE)
    except (ValueError, NotFoundError, NotAllowedError) as error:
        click.echo(f"sync-server: {error}", err=True)
        sys.exit(EXIT_CHECK_FAILED)
    made = {} if password_stdin else {"password": password}
    click.echo(json.dumps({"organisation": organisation, "account": account, "role": role_code, **made}))


@user.command()
@click.option("--organisation", required=True, help="organisation number (机构号)")
@click.option("--account", required=True, help="account (帐号)")
@click.option("--forget", is_flag=True, help="keep no number of this person")
@click.option("--phone", help="where short messages reach this person")
@click.pass_obj
def phone(opener: Opener, organisation: str, account: str, *, forget: bool, phone: str | None) -> None:
    """Set where short messages reach an operator."""
    if forget == (phone is not None):
        raise click.UsageError("give either --phone or --forget")
    centre = opener()
    with centre.write() as connection:
        operator_id = reaching.operator_by_account(connection, organisation, account)
        try:
            reaching.set_phone(connection, centre.secrets, operator_id, phone, COMMAND_LINE, centre.now_ms())
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    click.echo(json.dumps({"organisation": organisation, "account": account, "reached": phone is not None}))


@user.command(name="list")
@click.pass_obj
def list_(opener: Opener) -> None:
    """One JSON line per operator."""
    with opener().read() as connection:
        for row in operators.list_operators(connection):
            shown = {"organisation": row.organisation, "account": row.account, "name": row.name}
            click.echo(json.dumps({**shown, "role": row.role_code, "state": row.state}, ensure_ascii=False))


COMMANDS = (user,)
