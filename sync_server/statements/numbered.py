"""Making statements 财务报表: numbered, frozen, one for a party and a period; made again it is the same one."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals.approvals import Person
from sync_server.audit.log import record
from sync_server.bulk import append
from sync_server.db import exclusive, new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.parties.parties import allot_number, find_party
from sync_server.parties.tables import party
from sync_server.people.permissions import Permission, need
from sync_server.settlement.months import SHUT_AFTER_MS
from sync_server.sheets.sheet import MAX_ROWS
from sync_server.statements.rows import StatementLine, balance_before, lines_between
from sync_server.statements.tables import STATEMENT_KINDS, statement, statement_row

STEP = "settlement.make_statement"
MAX_PER_YEAR = 10**6 - 1
FIRST_DAY = date(2020, 1, 1)
"""No centre has lines of before."""


def make(
    connection: Connection, who: Person, party_id: UUID, from_day: date, to_day: date, zone: ZoneInfo, now_ms: int
) -> sa.Row[Any]:
    """The statement of a party for a period of whole days, both in it; made now if there is none yet.

    NotAllowedError: no permission, the period is not over for SHUT_AFTER_MS or lies across another statement's, the
    party has none, or it has more lines than a file holds.
    """
    need(who, Permission.STATEMENTS_MAKE)
    exclusive(connection, STEP)
    whose = find_party(connection, party_id)
    if whose.kind not in STATEMENT_KINDS:
        raise NotAllowedError(f"{whose.org_number} is a {whose.kind}: statements are of venues and distributors")
    same = sa.and_(
        statement.c.party_id == party_id, statement.c.from_day == str(from_day), statement.c.to_day == str(to_day)
    )
    if (made := connection.execute(sa.select(statement).where(same)).one_or_none()) is not None:
        return made
    if not FIRST_DAY <= from_day <= to_day:
        raise NotAllowedError(f"the period {from_day} to {to_day} is empty, or begins before {FIRST_DAY}")
    _refuse_overlap(connection, party_id, from_day, to_day)
    if to_day > datetime.fromtimestamp(now_ms / 1000, zone).date():
        raise NotAllowedError(f"the period {from_day} to {to_day} is not over")
    from_ms, to_ms = _start_ms(from_day, zone), _start_ms(to_day + timedelta(days=1), zone)
    if to_ms > now_ms - SHUT_AFTER_MS:
        raise NotAllowedError(f"the period {from_day} to {to_day} is not over for 10 minutes yet")
    opening_fen = balance_before(connection, whose.kind, party_id, from_ms)
    lines = list(lines_between(connection, whose.kind, party_id, from_ms, to_ms))
    if len(lines) > MAX_ROWS:
        raise NotAllowedError(f"{len(lines)} lines are more than one statement holds: take a shorter period")
    closing_fen = balance_before(connection, whose.kind, party_id, to_ms)
    if opening_fen + sum(line.owed_fen for line in lines) != closing_fen:
        raise AssertionError(f"the lines of {from_day} to {to_day} do not lead from {opening_fen} to {closing_fen} fen")
    row = {
        "id": new_id(now_ms),
        "number": _number(connection, to_day.year),
        "kind": whose.kind,
        "party_id": party_id,
        "from_day": str(from_day),
        "to_day": str(to_day),
        "opening_fen": opening_fen,
        "closing_fen": closing_fen,
        "lines": len(lines),
        "made_at_ms": now_ms,
        "made_by": who.actor,
    }
    connection.execute(statement.insert().values(row))
    _write(connection, row["id"], lines)
    detail = {"party": whose.org_number, "from": str(from_day), "to": str(to_day)}
    record(connection, now_ms, who.actor, "statement.make", f"statement:{row['number']}", detail)
    return connection.execute(sa.select(statement).where(same)).one()


def find(connection: Connection, number: str) -> sa.Row[Any]:
    """A statement, with its party's names."""
    query = sa.select(statement, party.c.name_zh, party.c.name_en, party.c.org_number).join(
        party, party.c.id == statement.c.party_id
    )
    found = connection.execute(query.where(statement.c.number == number)).one_or_none()
    if found is None:
        raise NotFoundError(f"no statement has the number {number!r}")
    return found


def rows_of(connection: Connection, statement_id: UUID) -> list[sa.Row[Any]]:
    """Its lines, in order."""
    query = sa.select(statement_row).where(statement_row.c.statement_id == statement_id)
    return list(connection.execute(query.order_by(statement_row.c.n)))


def _refuse_overlap(connection: Connection, party_id: UUID, from_day: date, to_day: date) -> None:
    """A day stands in one statement of a party: else its lines would be owed or paid twice."""
    mine = sa.select(statement.c.number, statement.c.from_day, statement.c.to_day).where(
        statement.c.party_id == party_id, statement.c.from_day <= str(to_day), statement.c.to_day >= str(from_day)
    )
    other = connection.execute(mine.order_by(statement.c.from_day).limit(1)).one_or_none()
    if other is not None:
        raise NotAllowedError(
            f"statement {other.number} has {other.from_day} to {other.to_day} already: take days that are in none"
        )


def _write(connection: Connection, statement_id: UUID, lines: list[StatementLine]) -> None:
    if lines:
        rows = [{"statement_id": statement_id, "n": n, **line._asdict()} for n, line in enumerate(lines, start=1)]
        append(connection, statement_row, rows)


def _number(connection: Connection, year: int) -> str:
    """报表编号: the year of the period and a number that goes up by one."""
    return f"B{year}{allot_number(connection, f'statement {year}', MAX_PER_YEAR):06d}"


def _start_ms(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp()) * 1000
