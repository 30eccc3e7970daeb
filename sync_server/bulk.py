"""Many rows or values by few statements, fast: the only place where the two dialects take them in differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from sync_server.db import MAX_BIND_VALUES, batches, is_sqlite

Value = bytes | int | str | UUID | None
Key = UUID | str
"""A row's id as the driver has it: SQLite's keeps a UUID as its 32 hexadecimal digits."""
Part = tuple[sa.Table, Sequence[Mapping[str, Value]]]


def insert_missing(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows that all name the same columns, but for those whose key is there, any of its keys; how many were new.

    Each value is a `Value`.
    """
    if not rows:
        return 0
    names = tuple(rows[0])
    if is_sqlite(connection):
        parts = batches(rows, MAX_BIND_VALUES // len(names))
        return sum(_insert_sqlite(connection, table, names, part) for part in parts)
    return _insert_postgres(connection, table, names, rows)


def append(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Value]]) -> None:
    """Insert rows that all name the same columns and whose keys are not there: PostgreSQL copies them in a stream.

    A key that is there all the same is an IntegrityError, and fails the transaction.
    """
    if is_sqlite(connection):
        inserted = insert_missing(connection, table, rows)
        assert inserted == len(rows), f"table {table.name} has rows of these keys already"
    elif rows:
        _copy_postgres(connection, table, tuple(rows[0]), rows)


def insert_few(connection: Connection, parts: Sequence[Part]) -> list[int]:
    """A few rows into several tables, as `insert_missing`: on PostgreSQL by one statement.

    Columns of which no row has a value are left out there.
    """
    if is_sqlite(connection):
        return [insert_missing(connection, table, rows) for table, rows in parts]
    named = [[name for name in rows[0] if any(row[name] is not None for row in rows)] for _, rows in parts]
    shapes = tuple((table, tuple(names), len(rows)) for (table, rows), names in zip(parts, named, strict=True))
    values = [row[name] for (_, rows), names in zip(parts, named, strict=True) for row in rows for name in names]
    return list(connection.exec_driver_sql(_postgres_few(shapes), tuple(values)).one())


def among(connection: Connection, column: sa.ColumnElement[Any], values: Sequence[Value]) -> sa.ColumnElement[bool]:
    """Whether a column is one of many values: given as one parameter, where `in_` makes one of each of them."""
    if not is_sqlite(connection):
        kind = sa.String() if isinstance(column.type, sa.String) else column.type  # one with a length would cut
        return column == sa.any_(sa.literal(list(values), postgresql.ARRAY(kind)))
    if any(isinstance(value, bytes) for value in values):  # JSON has none
        return column.in_(values)
    listed = msgspec.json.encode([value.hex if isinstance(value, UUID) else value for value in values]).decode()
    return column.in_(sa.select(sa.func.json_each(listed).table_valued("value").c.value))


def as_key(column: sa.ColumnElement[UUID]) -> sa.ColumnElement[Any]:
    """To be selected as the driver has it: of many rows, making UUIDs costs more than finding them."""
    return sa.type_coerce(column, sa.types.NULLTYPE)


def change(
    connection: Connection, table: sa.Table, changes: Mapping[str, Value], ids: Sequence[UUID] | Sequence[bytes]
) -> None:
    """The same new values for many rows."""
    if not ids:
        return
    names, values = tuple(changes), tuple(changes.values())
    if is_sqlite(connection):
        kept = [row_id.hex if isinstance(row_id, UUID) else row_id for row_id in ids]
        connection.exec_driver_sql(_sqlite_change(table, names), [(*values, row_id) for row_id in kept])
    else:
        connection.exec_driver_sql(_postgres_change(table, names), (*values, list(ids)))


def add_to(
    connection: Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Key | int, ...]]
) -> None:
    """Add numbers to columns of rows: each is an id and what to add to each column. PostgreSQL: hold the rows before,
    it takes them in any order.
    """
    if is_sqlite(connection):
        connection.exec_driver_sql(_sqlite_addition(table, names), [(*adds, row_id) for row_id, *adds in rows])
    elif rows:
        connection.exec_driver_sql(_postgres_addition(table, names), tuple(map(list, zip(*rows, strict=True))))


def _insert_sqlite(
    connection: Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[Mapping[str, Value]]
) -> int:
    """All values in one VALUES list; SQLAlchemy keeps a UUID there as its 32 hexadecimal digits."""
    values = list(chain.from_iterable(row.values() for row in rows))
    for place in _uuid_places(table, names):
        for at in range(place, len(values), len(names)):
            value = values[at]
            values[at] = value.hex if isinstance(value, UUID) else value
    return connection.exec_driver_sql(_sqlite_statement(table, names, len(rows)), tuple(values)).rowcount


def _insert_postgres(
    connection: Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[Mapping[str, Value]]
) -> int:
    return connection.exec_driver_sql(_postgres_statement(table, names), tuple(_columns(rows))).rowcount


def _columns(rows: Sequence[Mapping[str, Value]]) -> list[list[Value]]:
    """One array per column, so the statement is the same for any number of rows."""
    return [list(column) for column in zip(*(row.values() for row in rows), strict=True)]


def _copy_postgres(
    connection: Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[Mapping[str, Value]]
) -> None:
    statement, types = _postgres_copy(table, names)
    driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # what it is
    with driver.cursor() as cursor, cursor.copy(statement) as stream:
        stream.set_types(types)
        for row in rows:
            stream.write_row(tuple(row.values()))


@lru_cache
def _uuid_places(table: sa.Table, names: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(place for place, name in enumerate(names) if isinstance(table.c[name].type, sa.Uuid))


@lru_cache(maxsize=256)
def _sqlite_statement(table: sa.Table, names: tuple[str, ...], count: int) -> str:
    row = "(" + ", ".join("?" * len(names)) + ")"
    return " ".join([_into(table, names), "VALUES", ", ".join([row] * count), "ON CONFLICT DO NOTHING"])


@lru_cache
def _sqlite_change(table: sa.Table, names: tuple[str, ...]) -> str:
    return f'UPDATE "{table.name}" SET {", ".join(f"{name} = ?" for name in names)} WHERE id = ?'  # noqa: S608  ours


@lru_cache
def _postgres_change(table: sa.Table, names: tuple[str, ...]) -> str:
    changes = ", ".join(f"{name} = %s" for name in names)
    return f'UPDATE "{table.name}" SET {changes} WHERE id = ANY(%b)'  # noqa: S608  names of ours


@lru_cache
def _sqlite_addition(table: sa.Table, names: tuple[str, ...]) -> str:
    changes = ", ".join(f"{name} = {name} + ?" for name in names)
    return f'UPDATE "{table.name}" SET {changes} WHERE id = ?'  # noqa: S608  names of ours


@lru_cache
def _postgres_addition(table: sa.Table, names: tuple[str, ...]) -> str:
    changes = ", ".join(f"{name} = old.{name} + new.{name}" for name in names)
    arrays = ", ".join(["%b::uuid[]", *["%b::bigint[]"] * len(names)])
    listed = f"unnest({arrays}) AS new(id, {', '.join(names)})"
    return f'UPDATE "{table.name}" old SET {changes} FROM {listed} WHERE old.id = new.id'  # noqa: S608  names of ours


@lru_cache
def _postgres_statement(table: sa.Table, names: tuple[str, ...]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    types = (table.c[name].type.compile(dialect).partition("(")[0] for name in names)  # one with a length would cut
    arrays = ", ".join(f"%b::{each}[]" for each in types)
    return " ".join([_into(table, names), "SELECT * FROM", f"unnest({arrays})", "ON CONFLICT DO NOTHING"])


@lru_cache
def _postgres_copy(table: sa.Table, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The statement, and the types that tell the stream how to write each column."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    types = tuple(str(table.c[name].type.compile(dialect)).partition("(")[0].lower() for name in names)
    return f'COPY "{table.name}" ({", ".join(names)}) FROM STDIN (FORMAT BINARY)', types


@lru_cache(maxsize=64)
def _postgres_few(shapes: tuple[tuple[sa.Table, tuple[str, ...], int], ...]) -> str:
    """One common table expression per table, with its columns and number of rows, and how many rows each took.

    psycopg reads a statement of more than 50 parameters anew each time, which costs more than all the rest.
    """
    inserts, counts = [], []
    for number, (table, names, count) in enumerate(shapes):
        row = "(" + ", ".join(["%s"] * len(names)) + ")"
        into = " ".join([_into(table, names), "VALUES", ", ".join([row] * count), "ON CONFLICT DO NOTHING"])
        inserts.append(f"part_{number} AS ({into} RETURNING 1)")
        counts.append(f"(SELECT count(*) FROM part_{number})")  # noqa: S608  a number of ours
    return " ".join(["WITH", ", ".join(inserts), "SELECT", ", ".join(counts)])


def _into(table: sa.Table, names: tuple[str, ...]) -> str:
    return f'INSERT INTO "{table.name}" ({", ".join(names)})'
