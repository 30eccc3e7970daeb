"""The provider's statement comes in, a day at a time: what it said stays as it was said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.centre import Centre
from sync_server.db import MAX_BIND_VALUES, batches, insert_new
from sync_server.errors import NotAllowedError
from sync_server.payments.provider import CALENDAR, StatementLine, Unclear, day_of
from sync_server.payments.providers import clients_of
from sync_server.payments.tables import external_transfer
from sync_server.settlement.differences import Difference
from sync_server.settlement.recon_cases import NewCase, open_cases
from sync_server.settlement.recon_tables import statement_day, statement_line

MAX_LINES_PER_DAY = 1_000_000
MAX_DAYS_BACK = 31

_log = structlog.get_logger("statements")
_SAID = ("out_no", "provider_ref", "kind", "amount_fen", "fee_fen", "account_ref", "original_out_no", "at_ms")


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
                with centre.write() as connection:
                    take_in(connection, provider, day, lines, centre.now_ms())
                done += 1
    return done


def take_in(connection: Connection, provider: str, day: date, lines: Sequence[StatementLine], now_ms: int) -> int:
    """Keep a day's statement; how many of its lines are new. Taken in again it changes nothing: what differs is a case.

    NotAllowedError: the day is not over, or has more lines than anybody could mean.
    """
    if day >= day_of(now_ms):
        raise NotAllowedError(f"the statement of {day} is complete only when the day is over")
    if len(lines) > MAX_LINES_PER_DAY:
        raise NotAllowedError(f"a statement of {len(lines)} lines is more than the {MAX_LINES_PER_DAY} of a day")
    from_ms, to_ms = bounds(day)
    this = {"provider": provider, "day": str(day), "from_ms": from_ms, "to_ms": to_ms, "taken_at_ms": now_ms}
    insert_new(statement_day, ["provider", "day"], [this], connection)
    rows = [_row(provider, day, line) for line in lines]
    new = insert_missing(connection, statement_line, rows)
    if new < len(rows):
        _tell_changes(connection, provider, rows, now_ms)
    if new:
        mine = sa.and_(statement_day.c.provider == provider, statement_day.c.day == str(day))
        connection.execute(statement_day.update().where(mine).values(ended_at_ms=None))
    return new


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


def _row(provider: str, day: date, line: StatementLine) -> dict[str, Any]:
    said = {name: getattr(line, name) for name in _SAID}
    return {**said, "provider": provider, "line_no": line.line_no, "day": str(day)}


def _tell_changes(connection: Connection, provider: str, rows: Sequence[dict[str, Any]], now_ms: int) -> None:
    """Lines that came before and said something else: what was said first stands, and somebody has to ask."""
    told = {row["line_no"]: tuple(row[name] for name in _SAID) for row in rows}
    columns = [statement_line.c[name] for name in _SAID]
    changed = []
    for numbers in batches(list(told), MAX_BIND_VALUES):
        query = sa.select(statement_line.c.line_no, *columns).where(
            statement_line.c.provider == provider, statement_line.c.line_no.in_(numbers)
        )
        changed += [row.line_no for row in connection.execute(query) if tuple(row[1:]) != told[row.line_no]]
    cases = [NewCase(Difference.LINE_CHANGED, provider, f"{provider}:{number}", line_no=number) for number in changed]
    open_cases(connection, cases, now_ms)
