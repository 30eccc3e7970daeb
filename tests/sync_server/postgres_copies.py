"""PostgreSQL databases with all tables, handed from test to test: emptying one costs a tenth of making one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.schema import metadata

END_WAIT_MS = 10_000  # for sessions that a test left open
CATALOGUES = ("pg_class", "pg_attribute", "pg_trigger", "pg_constraint", "pg_index", "pg_proc")
Mark = tuple[tuple[int, int], ...]


class Copies:
    """Databases like the template that nobody uses now."""

    def __init__(self, template: str, fill: Callable[[Connection], None]) -> None:
        """`fill` writes the rows that the template has from the beginning."""
        self._template = sa.make_url(template)
        self._fill = fill
        self._desk = sa.create_engine(self._template.set(database="postgres"), isolation_level="AUTOCOMMIT")
        self._free: list[tuple[sa.URL, Mark]] = []

    @contextmanager
    def one(self) -> Iterator[sa.URL]:
        """A copy of a test's own. Afterwards it is emptied for the next, or dropped where its tables were changed."""
        url, mark = self._free.pop() if self._free else self._new()
        yield url
        self._end_sessions(url)
        with _writing(url) as connection:
            untouched = _mark_of(connection) == mark
            if untouched:
                _empty(connection)
                self._fill(connection)
        if untouched:
            self._free.append((url, mark))
        else:
            self._drop(url)

    def close(self) -> None:
        """Drops those that are left."""
        while self._free:
            self._drop(self._free.pop()[0])
        self._desk.dispose()

    def _new(self) -> tuple[sa.URL, Mark]:
        url = self._template.set(database=f"copy_{uuid4().hex}")
        with self._desk.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{url.database}" TEMPLATE "{self._template.database}"')
        with _writing(url) as connection:
            return url, _mark_of(connection)

    def _end_sessions(self, url: sa.URL) -> None:
        ask = sa.text("SELECT pg_terminate_backend(pid, :wait_ms) FROM pg_stat_activity WHERE datname = :name")
        with self._desk.connect() as connection:
            connection.execute(ask, {"wait_ms": END_WAIT_MS, "name": url.database})

    def _drop(self, url: sa.URL) -> None:
        with self._desk.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{url.database}" WITH (FORCE)')


@contextmanager
def _writing(url: sa.URL) -> Iterator[Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection


def _mark_of(connection: Connection) -> Mark:
    """Another one after every CREATE, ALTER and DROP."""
    each = (f"SELECT count(*), max(xmin::text::bigint) FROM {catalogue}" for catalogue in CATALOGUES)
    return tuple((row[0], row[1]) for row in connection.exec_driver_sql(" UNION ALL ".join(each)))


def _empty(connection: Connection) -> None:
    """Every row of ours gone, the append-only ones too."""
    connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no triggers, no foreign keys
    each = (f"SELECT '{table.name}' WHERE EXISTS (SELECT FROM \"{table.name}\")" for table in metadata.sorted_tables)
    for name in connection.exec_driver_sql(" UNION ALL ".join(each)).scalars().all():
        connection.exec_driver_sql(f'DELETE FROM "{name}"')
    connection.exec_driver_sql("SELECT setval(c.oid, 1, FALSE) FROM pg_class c WHERE c.relkind = 'S'")
