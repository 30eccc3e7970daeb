"""A centre of a test's own: SQLite always, PostgreSQL where a test asks for both, and a clock the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sync_server import crypto, db
from sync_server.centre import Centre
from sync_server.schema import metadata
from sync_server.settings import Settings
from tests.sync_server.sandbox import Sandbox, World, running

START_MS = 1_790_000_000_000  # 2026-09-21, a Monday


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


def make_centre(url: str, folder: Path, secrets: crypto.Secrets, clock: Clock, **settings: object) -> Centre:
    """An empty centre with all tables and guards."""
    values = Settings(database_url=url, secret_file=folder / "secrets", **settings)  # type: ignore[arg-type]  # as TOML
    centre = Centre(values, db.open_engine(url), secrets, clock)
    with centre.write() as connection:
        metadata.create_all(connection)
        db.install_guards(connection)
    return centre


@pytest.fixture
def centre(tmp_path: Path, secrets: crypto.Secrets, clock: Clock) -> Iterator[Centre]:
    """On SQLite."""
    made = make_centre(f"sqlite:///{tmp_path / 'centre.db'}", tmp_path, secrets, clock)
    yield made
    made.engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_centre(
    request: pytest.FixtureRequest, tmp_path: Path, secrets: crypto.Secrets, clock: Clock
) -> Iterator[Centre]:
    """On SQLite, then the same test on PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'centre.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    made = make_centre(url, tmp_path, secrets, clock)
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
def world(any_centre: Centre, sandbox: Sandbox) -> Iterator[World]:
    """Something to sell and somebody who pays, on SQLite and PostgreSQL."""
    made = World(any_centre, sandbox)
    yield made
    made.client.close()
