"""A database that an earlier release filled is carried to today's tables: no row lost, every rule in place."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sync_server import db, schema
from sync_server.checks import flaws_of
from sync_server.people.permissions import ADDED_AFTER_0_2_0, SEEDED_ROLES
from sync_server.people.roles import Seeded, seed_roles
from sync_server.people.sessions import permissions_of

RELEASES = Path(__file__).parent / "releases"
"""What `./dev demo --once` of each release left in its database, a row a line: table and columns, bytes as hex."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty database."""
    sqlite = request.param == "sqlite"
    made = db.open_engine(f"sqlite:///{tmp_path / 'centre.db'}" if sqlite else request.getfixturevalue("postgres_url"))
    yield made
    made.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("release", sorted(path.stem for path in RELEASES.glob("*.jsonl")))
def test_a_filled_database_of_an_earlier_release_is_carried_over(engine: sa.Engine, release: str) -> None:
    before = fill(engine, release)
    assert schema.migrate(engine) == (release, schema.HEAD)
    with db.read(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
        assert flaws_of(connection) == []
        kept = {**before, "outbox": before["outbox"] - done_work(release)}  # which this release forgets
        assert {name: count(connection, name) for name in before} == kept
    with db.write(engine) as connection:
        given = seed_roles(connection, 0, "test")
        had = [role for role in SEEDED_ROLES if role.permissions - ADDED_AFTER_0_2_0]
        added = {role.code: sorted(map(str, role.permissions & ADDED_AFTER_0_2_0)) for role in had}
        assert given == Seeded({code: held for code, held in added.items() if held}, [])
        for role in SEEDED_ROLES:
            assert permissions_of(connection, role.code) == role.permissions


def fill(engine: sa.Engine, release: str) -> Counter[str]:
    """Lay the tables of a release and its rows; how many rows each table has."""
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in (RELEASES / f"{release}.jsonl").read_text(encoding="utf-8").splitlines():
        name, row = json.loads(line)
        rows[name].append(row)
    with db.write(engine) as connection:
        command.upgrade(schema.alembic_config(connection), release)
        laid = sa.MetaData()
        laid.reflect(connection)
        for table in laid.sorted_tables:
            if held := rows.get(table.name):
                connection.execute(table.insert(), [of_column_types(table, row) for row in held])
    return Counter({name: len(held) for name, held in rows.items()})


def done_work(release: str) -> int:
    """Rows of the outbox that a release kept for work that was done."""
    rows = map(json.loads, (RELEASES / f"{release}.jsonl").read_text(encoding="utf-8").splitlines())
    return sum(name == "outbox" and row["state"] == "DONE" for name, row in rows)


def of_column_types(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(table.c[name].type, value) for name, value in row.items()}


def _value(kind: sa.types.TypeEngine[Any], value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return bool(value) if isinstance(kind, sa.Boolean) and value is not None else value


def count(connection: sa.Connection, name: str) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar_one()
