"""The migrations make the very tables that the code declares, with everything the database refuses by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sync_server import db, schema
from sync_server.errors import ConfigurationError


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty database."""
    sqlite = request.param == "sqlite"
    made = db.open_engine(f"sqlite:///{tmp_path / 'centre.db'}" if sqlite else request.getfixturevalue("postgres_url"))
    yield made
    made.dispose()


def test_the_migrated_database_has_the_declared_tables_and_guards(engine: sa.Engine) -> None:
    assert schema.migrate(engine) == (None, schema.HEAD)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
        assert db.guard_flaws(connection) == []


def test_migrating_again_changes_nothing(engine: sa.Engine) -> None:
    schema.migrate(engine)
    assert schema.migrate(engine) == (schema.HEAD, schema.HEAD)
    schema.check_version(engine)


def test_nothing_runs_on_an_unmigrated_database(engine: sa.Engine) -> None:
    with pytest.raises(ConfigurationError, match="run sync-server init"):
        schema.check_version(engine)


def test_guards_that_a_rebuilt_table_lost_are_named_and_written_again(engine: sa.Engine) -> None:
    schema.migrate(engine)
    on = "" if db.is_sqlite(engine) else " ON posting"
    with db.write(engine) as connection:
        connection.exec_driver_sql(f"DROP TRIGGER posting__append_only_update{on}")
        connection.exec_driver_sql("DROP INDEX uq_transfer_attempt_open")
        assert db.guard_flaws(connection) == [
            "trigger posting__append_only_update is missing",
            "index uq_transfer_attempt_open of transfer_attempt is missing",
        ]
    schema.migrate(engine)
    with db.read(engine) as connection:
        assert db.guard_flaws(connection) == ["index uq_transfer_attempt_open of transfer_attempt is missing"]
