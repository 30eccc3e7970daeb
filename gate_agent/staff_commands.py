"""`gate-agent staff add | list | remove | browsers | forget`: who may act at this box, and from which tablets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click

from gate_agent.options import DATA, fail

MAX_PIN_LINE = 64


@click.group("staff")
def staff_commands() -> None:
    """Who may act at this box: members, each with a PIN of 4 to 8 digits; and the paired browsers of tablets."""


@staff_commands.command("add")
@DATA
@click.argument("name")
@click.option("--role", type=click.Choice(["steward", "supervisor"]), default="steward", show_default=True)
@click.option("--pin-file", type=click.File("r"), help="Its first line is the PIN; - reads it from standard input.")
def add_member(data_dir: Path, name: str, role: str, pin_file: IO[str] | None) -> None:
    """Let NAME act from now on. Asks for the PIN twice unless --pin-file is given."""
    from gate_agent import staff

    if pin_file is not None:
        pin = pin_file.readline(MAX_PIN_LINE).strip()
    else:
        pin = click.prompt("PIN", hide_input=True, confirmation_prompt="The same PIN again")
    try:
        staff.add(data_dir, name, staff.Role(role), pin)
    except (staff.StaffError, OSError) as error:
        fail(str(error))
    click.echo(f"{name} may act here as {role}")


@staff_commands.command("list")
@DATA
def list_members(data_dir: Path) -> None:
    """Print everybody's role and name, one a line."""
    from gate_agent import staff

    try:
        for member in staff.load(data_dir).members:
            click.echo(f"{member.role}\t{member.name}")
    except staff.StaffError as error:
        fail(str(error))


@staff_commands.command("remove")
@DATA
@click.argument("name")
def remove_member(data_dir: Path, name: str) -> None:
    """Let NAME do nothing any more, from this moment on."""
    from gate_agent import staff

    try:
        staff.remove(data_dir, name)
    except (staff.StaffError, OSError) as error:
        fail(str(error))
    click.echo(f"{name} may do nothing here any more")


@staff_commands.command("browsers")
@DATA
def list_browsers(data_dir: Path) -> None:
    """Print every paired browser: when it was paired, by whom, its name; one a line."""
    from gate_agent import browsers

    try:
        for browser in browsers.every(data_dir):
            at = datetime.fromtimestamp(browser.paired_at_ms / 1000, UTC)
            click.echo(f"{at:%Y-%m-%d %H:%M} UTC\t{browser.by}\t{browser.name}")
    except OSError as error:
        fail(str(error))


@staff_commands.command("forget")
@DATA
@click.argument("name")
def forget_browser(data_dir: Path, name: str) -> None:
    """Let the paired browser NAME do nothing any more, from this moment on."""
    from gate_agent import browsers

    try:
        browsers.forget(data_dir, name)
    except (browsers.BrowsersError, OSError) as error:
        fail(str(error))
    click.echo(f"{name} may do nothing here any more until it is paired again")
