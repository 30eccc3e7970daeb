"""Many rows into one table by one statement: the only place where the two dialects take entries in differently."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from sync_server.db import MAX_BIND_VALUES, batches, is_sqlite

Value = bytes | int | str | UUID | None


def insert_missing(connection: Connection, table: sa.Table, rows: Sequence[Sequence[Value]]) -> int:
    """Insert rows, values in the order of the table's columns, but for those whose key is there; how many were new."""
    if not rows:
        return 0
    if is_sqlite(connection):
        size = MAX_BIND_VALUES // len(table.columns)
        return sum(_insert_sqlite(connection, table, part) for part in batches(rows, size))
    return _insert_postgres(connection, table, rows)


def _insert_sqlite(connection: Connection, table: sa.Table, rows: Sequence[Sequence[Value]]) -> int:
    """All values in one VALUES list; SQLAlchemy keeps a UUID there as its 32 hexadecimal digits."""
    values = tuple(value.hex if isinstance(value, UUID) else value for row in rows for value in row)
    return connection.exec_driver_sql(_sqlite_statement(table, len(rows)), values).rowcount


def _insert_postgres(connection: Connection, table: sa.Table, rows: Sequence[Sequence[Value]]) -> int:
    """One array per column, so the statement is the same for any number of rows."""
    columns = tuple(list(column) for column in zip(*rows, strict=True))
    return connection.exec_driver_sql(_postgres_statement(table), columns).rowcount


@lru_cache(maxsize=1024)
def _sqlite_statement(table: sa.Table, count: int) -> str:
    row = "(" + ", ".join("?" * len(table.columns)) + ")"
    return " ".join([_into(table), "VALUES", ", ".join([row] * count), "ON CONFLICT DO NOTHING"])


@lru_cache
def _postgres_statement(table: sa.Table) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    arrays = ", ".join(f"%s::{column.type.compile(dialect)}[]" for column in table.columns)
    return " ".join([_into(table), "SELECT * FROM", f"unnest({arrays})", "ON CONFLICT DO NOTHING"])


def _into(table: sa.Table) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    return f'INSERT INTO "{table.name}" ({names})'
