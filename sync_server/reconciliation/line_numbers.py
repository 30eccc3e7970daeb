"""Under which number each line of a statement is kept: the provider's own, which it may have used for another line.

A number that stands for another movement is kept with its day behind it, and a count where that day has it more often:
17, 17@2026-10-02, 17@2026-10-02-2. The same line finds its place again, in whichever order it comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import among
from sync_server.db import MAX_BIND_VALUES, batches
from sync_server.errors import NotAllowedError
from sync_server.reconciliation.changed_lines import SAID, differs
from sync_server.reconciliation.tables import statement_line

MAX_PLACES = 10  # so many lines of one number, at most
_MOVEMENT = ("out_no", "kind", "amount_fen", "at_ms")
"""A line of the same number with these is the same one, whatever else it says."""

Row = Mapping[str, Any]
Known = dict[str, sa.Row[Any]]


def placed(connection: Connection, provider: str, rows: Sequence[Row]) -> tuple[list[dict[str, Any]], Known]:
    """The rows of a day's statement under the numbers where they are kept, and what stands there already.

    NotAllowedError: the day has a number more often than anybody could mean.
    """
    places: dict[int, str] = {}
    known: Known = {}
    taken: set[str] = set()
    waiting = list(enumerate(rows))
    for level in range(MAX_PLACES):  # what is there as it was comes first, so that nothing else takes its place
        numbers = {_place(row, level) for _, row in waiting}
        known |= _known(connection, provider, sorted(numbers - known.keys()))
        there = [(at, row, known.get(_place(row, level))) for at, row in waiting]
        for at, row, line in there:
            if line is not None and line.line_no not in taken and not differs(row, line, _MOVEMENT):
                places[at] = line.line_no
                taken.add(line.line_no)
        waiting = [(at, row) for at, row, line in there if line is not None and at not in places]
    for at, row in enumerate(rows):
        if at not in places:
            places[at] = _free_place(row, known, taken)
            taken.add(places[at])
    return [{**row, "line_no": places[at]} for at, row in enumerate(rows)], known


def _place(row: Row, level: int) -> str:
    number, day = row["line_no"], row["day"]
    return (number, f"{number}@{day}", f"{number}@{day}-{level}")[min(level, 2)]


def _free_place(row: Row, known: Known, taken: set[str]) -> str:
    """Where nothing stands, or what this day's statement said before and says no more."""
    for level in range(MAX_PLACES):
        place = _place(row, level)
        line = known.get(place)
        if place not in taken and (line is None or line.day == row["day"]):
            return place
    raise NotAllowedError(
        f"the statement of {row['day']} has the line {row['line_no']!r} more than {MAX_PLACES} times: "
        "each line has a number of its own"
    )


def _known(connection: Connection, provider: str, numbers: Sequence[str]) -> Known:
    columns = [statement_line.c[name] for name in ("line_no", "day", *SAID)]
    query = sa.select(*columns).where(statement_line.c.provider == provider)
    known = {}
    for some in batches(numbers, MAX_BIND_VALUES):
        for line in connection.execute(query.where(among(connection, statement_line.c.line_no, some))):
            known[line.line_no] = line
    return known
