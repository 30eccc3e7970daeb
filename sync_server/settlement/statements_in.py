"""The provider's statement comes in, a day at a time: what it said stays as it was said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from sync_server.bulk import among, insert_missing
from sync_server.centre import Centre
from sync_server.db import MAX_BIND_VALUES, batches, insert_new
from sync_server.errors import NotAllowedError
from sync_server.payments.provider import CALENDAR, StatementLine, Unclear, day_of
from sync_server.payments.providers import clients_of
from sync_server.payments.tables import external_transfer
from sync_server.settlement.changed_lines import SAID, differs, tell_changes
from sync_server.settlement.recon_tables import statement_day, statement_line

MAX_LINES_PER_DAY = 1_000_000
MAX_DAYS_BACK = 31

_log = structlog.get_logger("statements")
_MOVEMENT = ("out_no", "kind", "amount_fen", "at_ms")
"""A line of the same number with these is the same one, whatever else it says."""


class Taken(NamedTuple):
    """How many lines of a statement are new, and how many say something that they did not say before."""

    new: int
    changed: int


def fetch_statements(centre: Centre) -> int:
    """Job: take in the statements of days that are over and were not had yet; of how many days.

    What a provider cannot give now is asked for with the next slot.
    """
    done = 0
    with clients_of(centre) as clients:
        for provider, client in clients.items():
            for day in _lacking(centre, provider):
                lines = client.statement(day)
                if isinstance(lines, Unclear):
                    _log.warning("no statement", provider=provider, day=str(day), reason=lines.reason)
                    break
                try:
                    with centre.write() as connection:
                        take_in(connection, provider, day, lines, centre.now_ms())
                except NotAllowedError as error:
                    _log.warning("no statement", provider=provider, day=str(day), reason=str(error))
                    break
                done += 1
    return done


def take_in(connection: Connection, provider: str, day: date, lines: Sequence[StatementLine], now_ms: int) -> Taken:
    """Keep a day's statement. Taken in again it changes nothing: what differs is a case.

    A number that another day's statement used for another movement is kept with this day behind it.

    NotAllowedError: the day is not over, has more lines than anybody could mean, or a number twice.
    """
    if day >= day_of(now_ms):
        raise NotAllowedError(f"the statement of {day} is complete only when the day is over")
    if len(lines) > MAX_LINES_PER_DAY:
        raise NotAllowedError(f"a statement of {len(lines)} lines is more than the {MAX_LINES_PER_DAY} of a day")
    _refuse_twice(day, lines)
    from_ms, to_ms = bounds(day)
    this = {"provider": provider, "day": str(day), "from_ms": from_ms, "to_ms": to_ms, "taken_at_ms": now_ms}
    insert_new(statement_day, ["provider", "day"], [this], connection)
    rows = [_row(provider, day, line) for line in lines]
    new, changed = insert_missing(connection, statement_line, rows), 0
    if new < len(rows):
        known = _known(connection, provider, rows)
        others = [row for row in rows if _is_of_another_day(row, known[row["line_no"]])]
        again = [_with_its_day(row) for row in others]
        new += insert_missing(connection, statement_line, again)
        known |= _known(connection, provider, again)
        moved = {row["line_no"] for row in others}
        stay = [row for row in rows if row["line_no"] not in moved]
        changed = tell_changes(connection, provider, [*stay, *again], known, now_ms)
    if new:
        mine = sa.and_(statement_day.c.provider == provider, statement_day.c.day == str(day))
        connection.execute(statement_day.update().where(mine).values(ended_at_ms=None))
    return Taken(new, changed)


def bounds(day: date) -> tuple[int, int]:
    """The day in the provider's calendar, half-open, in UTC ms."""
    begins = datetime(day.year, day.month, day.day, tzinfo=CALENDAR)
    return int(begins.timestamp()) * 1000, int((begins + timedelta(days=1)).timestamp()) * 1000


def _lacking(centre: Centre, provider: str) -> list[date]:
    """Days that are over, from our first transfer there on, without their statement; the oldest first."""
    today = day_of(centre.now_ms())
    with centre.read() as connection:
        first_ms = connection.scalar(
            sa.select(sa.func.min(external_transfer.c.created_at_ms)).where(external_transfer.c.provider == provider)
        )
        had = set(connection.scalars(sa.select(statement_day.c.day).where(statement_day.c.provider == provider)))
    if first_ms is None:
        return []
    days = [today - timedelta(days=back) for back in range(MAX_DAYS_BACK, 0, -1)]
    return [day for day in days if day >= day_of(first_ms) and str(day) not in had]


def _refuse_twice(day: date, lines: Iterable[StatementLine]) -> None:
    twice = [number for number, times in Counter(line.line_no for line in lines).items() if times > 1]
    if twice:
        raise NotAllowedError(
            f"the statement of {day} has the line {twice[0]!r} twice: each line has a number of its own"
        )


def _row(provider: str, day: date, line: StatementLine) -> dict[str, Any]:
    said = {name: getattr(line, name) for name in SAID}
    return {**said, "provider": provider, "line_no": line.line_no, "day": str(day)}


def _with_its_day(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "line_no": f"{row['line_no']}@{row['day']}"}


def _known(connection: Connection, provider: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, sa.Row[Any]]:
    """The lines that stand under the numbers of these rows."""
    columns = [statement_line.c[name] for name in ("line_no", "day", *SAID)]
    query = sa.select(*columns).where(statement_line.c.provider == provider)
    known = {}
    for numbers in batches([row["line_no"] for row in rows], MAX_BIND_VALUES):
        for line in connection.execute(query.where(among(connection, statement_line.c.line_no, numbers))):
            known[line.line_no] = line
    return known


def _is_of_another_day(row: Mapping[str, Any], line: sa.Row[Any]) -> bool:
    """Whether the number stands for another movement in another day's statement."""
    return bool(line.day != row["day"]) and differs(row, line, _MOVEMENT)
