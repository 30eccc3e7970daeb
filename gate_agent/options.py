"""What several commands of the command line take, and how they end when it cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click

from gate_agent import settings

EXIT_FAILED = 1
EXIT_CONFIGURATION = 78

DATA = click.option(
    "--data",
    "data_dir",
    required=True,
    envvar="GATE_AGENT_DATA",
    type=click.Path(file_okay=False, path_type=Path),
    help="The data directory: journal, list, keys.",
)
SETTINGS = click.option(
    "--settings",
    "settings_path",
    type=click.Path(path_type=Path),
    help=f"The settings file; {settings.NAME} in the data directory unless named.",
)
LANES = click.option(
    "--lane",
    "lanes",
    multiple=True,
    metavar="N:reader=…,turnstile=…",
    help="A lane and its devices (docs/settings.md); replaces those of the settings. Repeatable.",
)


def chosen_lanes(
    data_dir: Path, path: Path | None, lanes: tuple[str, ...]
) -> tuple[list[settings.LaneChoice], settings.Settings]:
    """The lanes to run and all settings; ends with EXIT_CONFIGURATION when they cannot be used."""
    try:
        held = settings.load(path or data_dir / settings.NAME, required=path is not None)
        return settings.lanes(held, lanes), held
    except settings.SettingsError as error:
        misconfigured(str(error))


def fail(sentence: str) -> NoReturn:
    """End: something that was checked is not so."""
    click.echo(f"gate-agent: {sentence}", err=True)
    sys.exit(EXIT_FAILED)


def misconfigured(sentence: str) -> NoReturn:
    """End: somebody has to change a setting first, and no supervisor should start this again."""
    click.echo(f"gate-agent: {sentence}", err=True)
    sys.exit(EXIT_CONFIGURATION)


def must_exist(data_dir: Path) -> None:
    """Ends the command where there is no such data directory."""
    if not data_dir.is_dir():
        fail(f"{data_dir}: there is no such directory")
