"""The migrations make the very tables that the code declares, with everything the database refuses by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations.ops import DowngradeOps, DropConstraintOp, MigrationScript, ModifyTableOps, UpgradeOps

from sync_server import db, schema
from sync_server.errors import ConfigurationError
from sync_server.migrations.regenerate import in_one_order


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty database."""
    sqlite = request.param == "sqlite"
    made = db.open_engine(f"sqlite:///{tmp_path / 'centre.db'}" if sqlite else request.getfixturevalue("postgres_url"))
    yield made
    made.dispose()


@pytest.mark.slow
def test_the_migrated_database_has_the_declared_tables_and_guards(engine: sa.Engine) -> None:
    assert schema.migrate(engine) == (None, schema.HEAD)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
        assert db.guard_flaws(connection) == []


@pytest.mark.slow
def test_sqlite_keeps_the_tables_by_their_key_that_are_declared_so(tmp_path: Path) -> None:
    engine = db.open_engine(f"sqlite:///{tmp_path / 'centre.db'}")
    schema.migrate(engine)
    declared = {name: table.dialect_options["sqlite"]["with_rowid"] for name, table in schema.metadata.tables.items()}
    with engine.connect() as connection:
        made = sa.inspect(connection).get_multi_table_options()
    assert {name for (_, name), options in made.items() if not options.get("sqlite_with_rowid", True)} == {
        name for name, with_rowid in declared.items() if not with_rowid
    }
    assert not declared["posting"]
    engine.dispose()


@pytest.mark.slow
def test_migrating_again_changes_nothing(engine: sa.Engine) -> None:
    schema.migrate(engine)
    assert schema.migrate(engine) == (schema.HEAD, schema.HEAD)
    schema.check_version(engine)


def test_nothing_runs_on_an_unmigrated_database(engine: sa.Engine) -> None:
    with pytest.raises(ConfigurationError, match="run sync-server init"):
        schema.check_version(engine)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_check_and_a_table_that_are_gone_are_named(engine: sa.Engine) -> None:
    schema.migrate(engine)
    with db.write(engine) as connection:
        connection.exec_driver_sql("DROP TABLE provider_fee")
        if db.is_sqlite(engine):
            connection.exec_driver_sql("PRAGMA writable_schema = ON")
            connection.exec_driver_sql("UPDATE sqlite_schema SET sql = replace(sql, 'ck_product_times', 'other')")
        else:
            connection.exec_driver_sql("ALTER TABLE product DROP CONSTRAINT ck_product_times")
        assert set(db.guard_flaws(connection)) == {
            "CHECK ck_product_times of product is missing",
            "table provider_fee is missing",
        }


@pytest.mark.parametrize(
    "found", [("fk_entry_device_id", "fk_entry_venue_id"), ("fk_entry_venue_id", "fk_entry_device_id")]
)
def test_a_migration_that_is_written_again_drops_foreign_keys_in_the_same_order(found: tuple[str, str]) -> None:
    changed = ModifyTableOps("entry", [DropConstraintOp(name, "entry", "foreignkey") for name in found])
    in_one_order(None, None, [MigrationScript(None, UpgradeOps([changed]), DowngradeOps())])
    assert [op.constraint_name for op in changed.ops if isinstance(op, DropConstraintOp)] == [
        "fk_entry_device_id",
        "fk_entry_venue_id",
    ]


@pytest.mark.postgres
@pytest.mark.parametrize(("pause_ms", "seen"), [(0, False), (10**9, True)])
def test_a_connection_that_was_lost_while_nobody_used_it_is_made_anew(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, pause_ms: int, seen: bool
) -> None:
    """After a pause it is asked; before, what the server said as it ended is on the line already."""
    monkeypatch.setattr(db, "PAUSE_MS", pause_ms)
    if not seen:
        monkeypatch.setattr(db, "_has_spoken", lambda _connection: False)
    one, other = db.open_engine(postgres_url), db.open_engine(postgres_url)
    backend = sa.text("SELECT pg_backend_pid()")
    with db.read(one) as connection:
        lost = connection.scalar(backend)
    with db.write(other) as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:lost, 5000)"), {"lost": lost})
    with db.read(one) as connection:
        assert connection.scalar(backend) != lost
    one.dispose()
    other.dispose()
