"""The centre's database: one schema, two dialects (SQLite, PostgreSQL), explicit transactions, ids and guards.

Every table of the centre hangs on `metadata` and is declared with Core in its folder's `tables.py`. Every write goes
through `with write(engine) as connection`, every look through `with read(engine) as connection`; nothing else begins a
transaction, and no call to the outside world is made inside one.

Guards are what the database itself refuses: CHECKs, partial unique indexes and append-only triggers. They are declared
once (`append_only` for the triggers, the tables for the rest); `install_guards` writes the triggers again after each
migration, because Alembic's batch mode rebuilds SQLite tables and drops them silently; `guard_flaws` compares.
"""

from __future__ import annotations

import re
import secrets
import select
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import ConnectionPoolEntry

from sync_server.clock import now_ms as wall_clock_ms
from sync_server.errors import ConfigurationError

SQLITE_BUSY_TIMEOUT_MS = 10_000
SQLITE_CACHE_KB = 16_000
"""Of each connection, as far as it is needed: what a large step changes must not be written to disk twice."""
POOL_SIZE = 20  # 16 web threads and some room
PAUSE_MS = 1_000
"""A connection to PostgreSQL that was in use so recently is believed; after a pause it is asked, which takes time.

One on which the server has said something unasked is asked at any time: that is how it ends connections.
"""
MAX_BIND_VALUES = 30_000  # SQLite takes 32,766 in one statement, PostgreSQL 65,535

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

Row = TypeVar("Row")

_append_only_tables: list[str] = []


# --- opening and transactions ---------------------------------------------------------------------------------------


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///PATH` (WAL, synchronous=FULL) or `postgresql+psycopg://…`; others are refused."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(f"the database address {url!r} is not a URL: use sqlite:///PATH") from error
    if parsed.get_backend_name() == "sqlite":
        if parsed.database in {None, "", ":memory:"}:
            raise ConfigurationError("the centre needs a database file: use sqlite:///PATH")
        if not (folder := Path(str(parsed.database)).parent).is_dir():
            raise ConfigurationError(f"the folder {folder} of the database is not there: make it first")
        engine = sa.create_engine(parsed, pool_size=POOL_SIZE, max_overflow=POOL_SIZE)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    if parsed.drivername == "postgresql+psycopg":
        engine = sa.create_engine(parsed, pool_size=POOL_SIZE, max_overflow=POOL_SIZE)
        sa.event.listen(engine, "connect", _prepare_postgres)
        sa.event.listen(engine, "checkin", _note_pause)
        sa.event.listen(engine, "checkout", _ask_after_pause)
        return engine
    raise ConfigurationError(
        f"the database {parsed.drivername!r} is not supported: use sqlite:///PATH or postgresql+psycopg://…"
    )


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """One writing transaction: committed at the end, rolled back on an exception. On SQLite it is BEGIN IMMEDIATE."""
    with engine.connect() as connection:
        if is_sqlite(engine):
            connection = connection.execution_options(sync_server_immediate=True)
        with connection.begin():
            yield connection


@contextmanager
def rebuild(engine: Engine) -> Iterator[Connection]:
    """One writing transaction in which tables may be made anew: SQLite looks at what refers to them at its end."""
    with engine.connect() as connection:
        if not is_sqlite(engine):
            with connection.begin():
                yield connection
            return
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("PRAGMA foreign_keys=OFF").close()  # nothing to be said inside a transaction
        try:
            with connection.execution_options(sync_server_immediate=True).begin():
                yield connection
                lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                assert not lost, f"rows refer to rows that are not there: {lost[:5]}"
        finally:
            driver.execute("PRAGMA foreign_keys=ON").close()


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """One consistent look at the database (a snapshot on both dialects) that is never committed."""
    with engine.connect() as connection:
        if not is_sqlite(engine):
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin() as transaction:
            yield connection
            transaction.rollback()


def exclusive(connection: Connection, name: str) -> None:
    """From here to its end this transaction is the only one inside `name` (a worker step that finds its own work).

    On PostgreSQL an advisory lock; on SQLite every writing transaction is alone already. What the transaction reads
    next is what the one before it committed.
    """
    if not is_sqlite(connection):
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})


def is_sqlite(bind: Engine | Connection) -> bool:
    return bind.dialect.name == "sqlite"


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    limits = f"busy_timeout={SQLITE_BUSY_TIMEOUT_MS}", f"cache_size=-{SQLITE_CACHE_KB}"
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", *limits):
        connection.execute(f"PRAGMA {pragma}").close()
    connection.create_function("encode", 2, _hex, deterministic=True)


def _hex(value: bytes | None, _how: str) -> str | None:
    """PostgreSQL's `ENCODE(value, 'hex')`, so that one SELECT finds the ledger keys of redemptions on both."""
    return None if value is None else value.hex()


def _prepare_postgres(connection: psycopg.Connection, _record: object) -> None:
    """Plans for what we do, thousands of rows by their keys: else a step of 5,000 reads whole tables, as on a turning
    disk, and compiles for longer than it then runs.
    """
    connection.execute("SET random_page_cost = 1.1").close()
    connection.execute("SET jit = off").close()
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("sync_server_immediate")
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # what it is
    driver.execute("BEGIN IMMEDIATE" if immediate else "BEGIN").close()


def _note_pause(_connection: psycopg.Connection, record: ConnectionPoolEntry) -> None:
    record.info["used_at_ms"] = wall_clock_ms()


def _ask_after_pause(connection: psycopg.Connection, record: ConnectionPoolEntry, _proxy: object) -> None:
    now_ms = wall_clock_ms()
    if 0 <= now_ms - record.info.get("used_at_ms", now_ms) < PAUSE_MS and not _has_spoken(connection):
        return
    try:
        connection.execute("SELECT 1").close()
        connection.rollback()
    except psycopg.Error as error:
        raise sa.exc.DisconnectionError from error  # the pool opens another


def _has_spoken(connection: psycopg.Connection) -> bool:
    """Costs a few microseconds, and no way to the server and back."""
    if connection.closed:
        return True
    asked = select.poll()
    asked.register(connection.fileno(), select.POLLIN)
    return bool(asked.poll(0))


# --- ids and columns ------------------------------------------------------------------------------------------------


def new_id(now_ms: int, token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> UUID:
    """A UUIDv7: rows made one after another lie one after another (money.md §0.6)."""
    chance = int.from_bytes(token_bytes(10), "big")
    high, low = chance >> 68, chance & ((1 << 62) - 1)
    return UUID(int=(now_ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def derived_id(cause: UUID, key: str) -> UUID:
    """The one id that `key` has, lying where `cause` (a UUIDv7) does: the same again from a restored backup."""
    return new_id(cause.int >> 80, lambda count: sha256(key.encode()).digest()[:count])


def id_column(name: str = "id") -> sa.Column[UUID]:
    """A UUIDv7 primary key."""
    return sa.Column(name, sa.Uuid(), primary_key=True)


def link(name: str, target: str, **options: Any) -> sa.Column[UUID]:
    """A column that names a row of another table (`target` as "table.column"); not null unless said otherwise."""
    return sa.Column(name, sa.Uuid(), sa.ForeignKey(target), **{"nullable": False, **options})


def fen_column(name: str, **options: Any) -> sa.Column[int]:
    """An amount in integer fen."""
    return sa.Column(name, sa.BigInteger(), **{"nullable": False, **options})


def ms_column(name: str, **options: Any) -> sa.Column[int]:
    """A moment in UTC milliseconds since 1970."""
    return sa.Column(name, sa.BigInteger(), **{"nullable": False, **options})


def word_column(name: str, words: Iterable[str], **options: Any) -> sa.Column[str]:
    """A text column that holds one of these words, which the database checks.

    The CHECK is the table's, and its name follows from the words: migrations find CHECKs by name, and there alone.
    """
    listed = ", ".join(f"'{word}'" for word in words)
    label = f"{name}_word_{sha256(listed.encode()).hexdigest()[:6]}"
    column: sa.Column[str] = sa.Column(name, sa.String(32), **{"nullable": False, **options})

    @sa.event.listens_for(column, "after_parent_attach")
    def _check(_column: object, table: sa.Table) -> None:
        table.append_constraint(sa.CheckConstraint(f"{name} IN ({listed})", name=label))

    return column


def can_be_kept(text: str) -> bool:
    """Whether a text column takes it on either dialect: no NUL, and nothing that is no character of its own."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


# --- statements that the dialects write differently -----------------------------------------------------------------


def batches(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """The rows in slices of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def partial_unique(name: str, *columns: str, where: str) -> sa.Index:
    """A unique index over the rows that satisfy a condition, alike on both dialects."""
    return partial_index(name, *columns, where=where, unique=True)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    """An index over the rows that satisfy a condition: work that is still to be found, among many rows done."""
    condition = sa.text(where)
    return sa.Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


# --- guards ---------------------------------------------------------------------------------------------------------


def append_only(table: sa.Table) -> sa.Table:
    """Declare that the rows of a table are never changed or deleted: a trigger refuses it (money.md I18)."""
    _append_only_tables.append(table.name)
    return table


def install_guards(connection: Connection) -> None:
    """Write every trigger again; run after each migration, inside its transaction."""
    if not is_sqlite(connection):
        connection.exec_driver_sql(_POSTGRES_REFUSE)
    for name, statement in _triggers(connection).items():
        table = name.split("__")[0]
        drop = f'DROP TRIGGER IF EXISTS "{name}"' + ("" if is_sqlite(connection) else f' ON "{table}"')
        connection.exec_driver_sql(drop)
        connection.exec_driver_sql(statement)


def guard_flaws(connection: Connection) -> list[str]:
    """What the database should refuse by itself and does not: names of missing triggers, CHECKs and indexes."""
    there = _guards_there(connection)
    named = {name: name.split("__")[0] for name in _triggers(connection)}
    flaws = [f"trigger {name} is missing" for name, table in named.items() if ("trigger", table, name) not in there]
    for table in metadata.sorted_tables:
        if ("table", table.name, table.name) not in there:
            flaws.append(f"table {table.name} is missing")
            continue
        checks = {str(c.name) for c in table.constraints if isinstance(c, sa.CheckConstraint)}
        for kind, wanted in (("CHECK", checks), ("index", {str(index.name) for index in table.indexes})):
            missing = (name for name in sorted(wanted) if (kind, table.name, name) not in there)
            flaws += [f"{kind} {name} of {table.name} is missing" for name in missing]
    return flaws


def _guards_there(connection: Connection) -> set[tuple[str, str, str]]:
    """Kind, table and name of each, by one question: SQLAlchemy asks several for each table."""
    if not is_sqlite(connection):
        return {(kind, table, name) for kind, table, name in connection.exec_driver_sql(_POSTGRES_GUARDS)}
    there = set()
    for kind, table, name, sql in connection.exec_driver_sql("SELECT type, tbl_name, name, sql FROM sqlite_master"):
        there.add((kind, table, name))
        if kind == "table":
            there |= {("CHECK", table, check) for check in _SQLITE_CHECK.findall(sql)}
    return there


def _triggers(bind: Connection) -> dict[str, str]:
    """Name and statement of each trigger; a name is `<table>__append_only_<what>`."""
    triggers = {}
    for table in sorted(_append_only_tables):
        for what in ("update", "delete") if is_sqlite(bind) else ("update", "delete", "truncate"):
            name = f"{table}__append_only_{what}"
            if is_sqlite(bind):
                triggers[name] = (
                    f'CREATE TRIGGER "{name}" BEFORE {what.upper()} ON "{table}" '
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: reverse by a new row'); END"
                )
            else:
                each = "STATEMENT" if what == "truncate" else "ROW"
                triggers[name] = (
                    f'CREATE TRIGGER "{name}" BEFORE {what.upper()} ON "{table}" '
                    f"FOR EACH {each} EXECUTE FUNCTION refuse_change()"
                )
    return triggers


_SQLITE_CHECK = re.compile(r'CONSTRAINT "?(\w+)"? CHECK')
_POSTGRES_GUARDS = """
WITH ours AS (SELECT oid, relname FROM pg_class WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid))
SELECT 'table', relname, relname FROM ours
UNION ALL
SELECT 'trigger', relname, tgname FROM pg_trigger JOIN ours ON ours.oid = tgrelid
WHERE NOT tgisinternal AND tgenabled <> 'D'
UNION ALL
SELECT 'CHECK', relname, conname FROM pg_constraint JOIN ours ON ours.oid = conrelid WHERE contype = 'c'
UNION ALL
SELECT 'index', ours.relname, i.relname FROM pg_index JOIN ours ON ours.oid = indrelid
JOIN pg_class i ON i.oid = indexrelid
"""
_POSTGRES_REFUSE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%% is append-only: reverse by a new row', TG_TABLE_NAME; END $$
"""
