"""A centre of a test's own: SQLite always, PostgreSQL where a test asks for both, and a clock the test moves."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from argon2 import PasswordHasher
from sqlalchemy.engine import Dialect, Engine

from sync_server import crypto, db
from sync_server.catalog.channels import seed_channels
from sync_server.centre import Centre
from sync_server.people import passwords
from sync_server.schema import metadata
from sync_server.settings import Settings
from tests.postgres import Cluster
from tests.sync_server.postgres_copies import Copies
from tests.sync_server.sandbox import Sandbox, World, running

START_MS = 1_790_000_000_000  # 2026-09-21, a Monday
_COMPILED: dict[str, tuple[Dialect, dict[Any, Any]]] = {}

# Where rich is installed (for the tests alone), structlog draws every local variable of an error, for seconds.
_plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _plain])

# What guards a password costs a core some tenths of a second each time: most tests are about something else.
passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Clock:
    """Stands still until the test moves it."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def pass_ms(self, ms: int) -> None:
        self.now_ms += ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def secrets() -> crypto.Secrets:
    return crypto.make_secrets()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables and guards: made once, copied for each test."""
    file = tmp_path_factory.mktemp("template") / "centre.db"
    lay_tables(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_copies(postgres_cluster: Cluster) -> Iterator[Copies]:
    """The same on PostgreSQL, where a copy is used again."""
    url = postgres_cluster.create_database()
    lay_tables(url)
    copies = Copies(url, seed_channels)
    yield copies
    copies.close()


def lay_tables(url: str) -> None:
    """All tables and guards into an empty database."""
    engine = db.open_engine(url)
    with db.write(engine) as connection:
        metadata.create_all(connection)
        db.install_guards(connection)
        seed_channels(connection)
    engine.dispose()


@pytest.fixture
def postgres_copy(postgres_copies: Copies) -> Iterator[str]:
    """A PostgreSQL database of a test's own, with all tables."""
    with postgres_copies.one() as url:
        yield url.render_as_string(hide_password=False)


def centre_at(url: str, folder: Path, secrets: crypto.Secrets, clock: Clock) -> Centre:
    """A centre on a database that has its tables."""
    engine = sharing(db.open_engine(url))
    if db.is_sqlite(engine):
        sa.event.listen(engine, "connect", _leave_to_the_system)
    return Centre(Settings(database_url=url, secret_file=folder / "secrets"), engine, secrets, clock)


def _leave_to_the_system(connection: sqlite3.Connection, _record: object) -> None:
    """No test's centre lives through a power cut: thousands of commits that wait for the disk would take a minute."""
    connection.execute("PRAGMA synchronous=OFF").close()


def sharing(engine: Engine) -> Engine:
    """It takes statements as engines of its kind before it compiled them: to compile costs more than to run."""
    if engine.name not in _COMPILED:
        engine.connect().close()  # from then on the dialect knows its database
        _COMPILED[engine.name] = engine.dialect, {}
    engine.dialect, compiled = _COMPILED[engine.name]
    engine.update_execution_options(compiled_cache=compiled)
    return engine


@pytest.fixture
def centre(tmp_path: Path, sqlite_template: Path, secrets: crypto.Secrets, clock: Clock) -> Iterator[Centre]:
    """An empty one on SQLite."""
    shutil.copy(sqlite_template, tmp_path / "centre.db")
    made = centre_at(f"sqlite:///{tmp_path / 'centre.db'}", tmp_path, secrets, clock)
    yield made
    made.engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_centre(
    request: pytest.FixtureRequest, tmp_path: Path, secrets: crypto.Secrets, clock: Clock
) -> Iterator[Centre]:
    """On SQLite, then the same test on PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("centre")
        return
    made = centre_at(request.getfixturevalue("postgres_copy"), tmp_path, secrets, clock)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="session")
def provider_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the provider's RSA key: made once, it costs half a second."""
    return tmp_path_factory.mktemp("provider-key")


@pytest.fixture
def sandbox(tmp_path: Path, provider_key: Path, clock: Clock) -> Iterator[Sandbox]:
    """A payment provider over HTTP, on the test's clock."""
    with running(tmp_path / "provider", provider_key, clock) as sandbox:
        yield sandbox


@pytest.fixture
def postgres_world(
    postgres_copy: str, tmp_path: Path, secrets: crypto.Secrets, clock: Clock, sandbox: Sandbox
) -> Iterator[World]:
    """The same on PostgreSQL alone, where transactions really run beside one another."""
    centre = centre_at(postgres_copy, tmp_path, secrets, clock)
    made = World(centre, sandbox)
    yield made
    made.close()
    centre.engine.dispose()


@pytest.fixture
def sorted_world(
    postgres_cluster: Cluster, tmp_path: Path, secrets: crypto.Secrets, clock: Clock, sandbox: Sandbox
) -> Iterator[World]:
    """The same on a PostgreSQL that sorts text as people do, not by its bytes."""
    url = postgres_cluster.create_database("en-US")
    lay_tables(url)
    centre = centre_at(url, tmp_path, secrets, clock)
    made = World(centre, sandbox)
    yield made
    made.close()
    centre.engine.dispose()
    postgres_cluster.drop_database(url)


@pytest.fixture
def world(any_centre: Centre, sandbox: Sandbox) -> Iterator[World]:
    """Something to sell and somebody who pays, on SQLite and PostgreSQL."""
    made = World(any_centre, sandbox)
    yield made
    made.close()


THROUGH_A_PROVIDER = ("settlement", "reconciliation", "statements", "profit")


@pytest.hookimpl(tryfirst=True)  # before -m looks at marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Money's ways through a provider take longest: --fast plays the first of each of these folders' files."""
    begun: set[Path] = set()
    for item in items:
        if item.path.parent.name in THROUGH_A_PROVIDER and "sandbox" in getattr(item, "fixturenames", ()):
            if item.path in begun:
                item.add_marker("slow")
            begun.add(item.path)
