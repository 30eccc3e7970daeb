"""The provider's statement comes in, a day at a time: what it said stays as it was said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.payments.applying import cut_word
from sync_server.payments.provider import CALENDAR, Provider, StatementLine, Unclear, day_of
from sync_server.payments.providers import clients_of
from sync_server.payments.tables import MAX_REFERENCE_CHARACTERS, external_transfer
from sync_server.reconciliation.case_states import OPEN
from sync_server.reconciliation.changed_lines import SAID, tell_changes
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.line_numbers import placed
from sync_server.reconciliation.recon_cases import MAX_NOTE_CHARACTERS, NewCase, explained, open_cases
from sync_server.reconciliation.tables import recon_case, statement_day, statement_line

MAX_LINES_PER_DAY = 1_000_000
MAX_DAYS_BACK = 31

LATE_MS = 12 * 3_600_000
"""So long after its day a statement is there everywhere: at noon, in the provider's calendar."""

_log = structlog.get_logger("statements")


class Taken(NamedTuple):
    """How many lines of a statement are new, and how many say something that they did not say before."""

    new: int
    changed: int


def fetch_statements(centre: Centre) -> int:
    """Job: take in the statements of days that are over and were not had yet; of how many days.

    What a provider cannot give now is asked for with the next slot, and holds up no other day. What is refused, or not
    had `LATE_MS` after its day, is told.
    """
    done = 0
    with clients_of(centre) as clients:
        for provider, client in clients.items():
            for day in _lacking(centre, provider):
                flaw = _fetch(centre, provider, client, day)
                if flaw is None:
                    done += 1
                    continue
                _log.warning("no statement", provider=provider, day=str(day), reason=flaw.reason)
                if flaw.for_good or centre.now_ms() >= bounds(day)[1] + LATE_MS:
                    _tell_lacking(centre, provider, day, flaw.reason)
    return done


def take_in(connection: Connection, provider: str, day: date, lines: Sequence[StatementLine], now_ms: int) -> Taken:
    """Keep a day's statement. Taken in again it changes nothing: what differs is a case.

    A number that stands for another line already is kept with this day behind it (`line_numbers`); twice in this
    statement, that is a case too.

    NotAllowedError: the day is not over, has more lines than anybody could mean, or so many of one number.
    """
    if day >= day_of(now_ms):
        raise NotAllowedError(f"the statement of {day} is complete only when the day is over")
    if len(lines) > MAX_LINES_PER_DAY:
        raise NotAllowedError(f"a statement of {len(lines)} lines is more than the {MAX_LINES_PER_DAY} of a day")
    from_ms, to_ms = bounds(day)
    this = {"provider": provider, "day": str(day), "from_ms": from_ms, "to_ms": to_ms, "taken_at_ms": now_ms}
    insert_missing(connection, statement_day, [this])
    twice = _number_twice(provider, day, lines)
    rows = [_row(provider, day, line) for line in (lines if twice is None else dict.fromkeys(lines))]
    first_of_number = {row["line_no"]: row for row in reversed(rows)}
    new, changed = insert_missing(connection, statement_line, list(first_of_number.values())), 0
    if new < len(rows):
        kept, known = placed(connection, provider, rows)
        new += insert_missing(connection, statement_line, [row for row in kept if row["line_no"] not in known])
        there = [row for row in kept if row["line_no"] in known]
        changed = tell_changes(connection, provider, there, known, now_ms)
    if twice is not None:
        open_cases(connection, [twice], now_ms)
    _end_lacking(connection, provider, day, now_ms)
    if new:
        mine = sa.and_(statement_day.c.provider == provider, statement_day.c.day == str(day))
        connection.execute(statement_day.update().where(mine).values(ended_at_ms=None))
    return Taken(new, changed)


class _Flaw(NamedTuple):
    """Why a statement was not taken in, and whether asking again would change that."""

    reason: str
    for_good: bool


def _fetch(centre: Centre, provider: str, client: Provider, day: date) -> _Flaw | None:
    """Take a day's statement in."""
    lines = client.statement(day)
    if isinstance(lines, Unclear):
        return _Flaw(lines.reason, for_good=False)
    try:
        with centre.write() as connection:
            take_in(connection, provider, day, lines, centre.now_ms())
    except NotAllowedError as error:
        return _Flaw(str(error), for_good=True)
    return None


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


def _number_twice(provider: str, day: date, lines: Iterable[StatementLine]) -> NewCase | None:
    """That numbers stand for more than one line; None where each has its own."""
    twice = [number for number, times in Counter(line.line_no for line in lines).items() if times > 1]
    if not twice:
        return None
    note = (
        f"{len(twice)} numbers stand for more than one line, as {twice[0]}: told alike it counts once, else by itself"
    )
    return NewCase(Difference.NUMBER_TWICE, provider, f"{provider}:{day}", note=note)


def _tell_lacking(centre: Centre, provider: str, day: date, reason: str) -> None:
    """Open a case of a day's statement that is not to be had, once; it ends when the statement is taken in."""
    case = NewCase(Difference.NO_STATEMENT, provider, f"{provider}:{day}", note=reason[:MAX_NOTE_CHARACTERS])
    with centre.write() as connection:
        open_cases(connection, [case], centre.now_ms())


def _end_lacking(connection: Connection, provider: str, day: date, now_ms: int) -> None:
    mine = sa.and_(recon_case.c.difference == Difference.NO_STATEMENT, recon_case.c.subject == f"{provider}:{day}")
    for case in connection.execute(sa.select(recon_case).where(mine, recon_case.c.state.in_(OPEN))).all():
        explained(connection, case, 0, now_ms)


def _row(provider: str, day: date, line: StatementLine) -> dict[str, Any]:
    said = {name: getattr(line, name) for name in SAID}
    for name in ("provider_ref", "account_ref"):  # told to people alone: a longer one is no number of ours
        said[name] = said[name] and cut_word(said[name], MAX_REFERENCE_CHARACTERS)
    return {**said, "provider": provider, "line_no": line.line_no, "day": str(day)}
