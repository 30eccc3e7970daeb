"""What somebody types at the command line, held within what the tables and the calendar can take."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from sync_server.money import MAX_FEN

FEN = click.IntRange(1, MAX_FEN)
FEN_OR_ZERO = click.IntRange(0, MAX_FEN)
U16 = click.IntRange(1, 65_535)
"""The number of a product or a venue, which is two bytes on the wire; a row of stock, of which there are few."""
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
YEARS = range(2020, 2100)


class Day(click.DateTime):
    """A day of the years in which the product works: moments of others have no number in the tables."""

    name = "day"

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Its midnight."""
        day: datetime = super().convert(value, param, ctx)
        if day.year not in YEARS:
            self.fail(f"{day.date()} is not in the years {YEARS[0]} to {YEARS[-1]}", param, ctx)
        return day


class Month(click.ParamType[str]):
    """A month of those years, as 2026-11."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it was typed."""
        typed = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", str(value))
        if typed is None or int(typed[1]) not in YEARS:
            self.fail(f"{value!r} is no month of {YEARS[0]} to {YEARS[-1]}: write 2026-11", param, ctx)
        return typed[0]


DAY = Day()
MONTH = Month()
