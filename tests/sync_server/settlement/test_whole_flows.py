"""Whole flows of money under everything that can happen, on SQLite and PostgreSQL (quality.md R7)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import count as counting
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from sync_server import crypto
from tests.sync_server.conftest import START_MS, Clock, centre_at
from tests.sync_server.settlement.flow_scene import Scene, books_in, lay_out
from tests.sync_server.settlement.flow_story import Story
from tests.sync_server.settlement.flows import Flows

STEPS = 80  # of one run, at most: a few end earlier
PARTS = {"sqlite": 7, "postgres": 3}
RUNS = 27  # of a part
LEAST_STEPS = 2_000
"""Of a part, with `--slow money`: 20,000 in all. A usual run plays the first run of one part of each."""
BEGIN_MS = START_MS + 8 * 24 * 3_600_000  # the month ends soon after

OpenScene = Callable[[], Scene]


@pytest.fixture
def on_sqlite(tmp_path: Path, sqlite_template: Path, secrets: crypto.Secrets) -> OpenScene:
    """Opens a scene of its own in a copy of a file."""
    laid = tmp_path / "laid.db"
    shutil.copy(sqlite_template, laid)
    first = centre_at(f"sqlite:///{laid}", tmp_path, secrets, Clock())
    layout = lay_out(first)
    with first.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    first.engine.dispose()
    numbers = counting()

    def open_scene() -> Scene:
        folder = tmp_path / f"run{next(numbers)}"
        books = books_in(folder)
        shutil.copy(laid, folder / "centre.db")
        clock = Clock(BEGIN_MS)
        centre = centre_at(f"sqlite:///{folder / 'centre.db'}", tmp_path, secrets, clock)

        def put_away() -> None:
            centre.engine.dispose()
            shutil.rmtree(folder)

        return Scene(centre, clock, books, layout, put_away)

    return open_scene


@pytest.fixture
def on_postgres(tmp_path: Path, postgres_copy: str, secrets: crypto.Secrets) -> Iterator[OpenScene]:
    """The same in a copy of a database."""
    first = centre_at(postgres_copy, tmp_path, secrets, Clock())
    layout = lay_out(first)
    first.engine.dispose()
    template = sa.make_url(postgres_copy)
    desk = sa.create_engine(template.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    numbers = counting()

    def open_scene() -> Scene:
        name, folder, clock = f"flow_{uuid4().hex}", tmp_path / f"run{next(numbers)}", Clock(BEGIN_MS)
        with desk.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{template.database}"')
        url = template.set(database=name).render_as_string(hide_password=False)
        centre = centre_at(url, tmp_path, secrets, clock)

        def put_away() -> None:
            centre.engine.dispose()
            with desk.connect() as connection:
                connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
            shutil.rmtree(folder)

        return Scene(centre, clock, books_in(folder), layout, put_away)

    yield open_scene
    desk.dispose()


def play(open_scene: OpenScene, part: int, *, full: bool) -> None:
    """Some runs, each of its own seed.

    Ids are random within a moment, so a run is never quite played again: Hypothesis, which goes back to the beginnings
    of earlier runs and makes failing ones shorter, gets each for itself.
    """
    steps, happened = Flows.steps, Flows.happened.copy()
    for run in range(RUNS if full else 1):

        @seed(part + 100 * run)
        class FlowsHere(Flows):
            def __init__(self) -> None:
                super().__init__(open_scene)

        run_state_machine_as_test(
            FlowsHere,
            settings=settings(
                max_examples=1,
                stateful_step_count=STEPS,
                suppress_health_check=list(HealthCheck),
                database=None,
                phases=(Phase.generate,),
            ),
        )
    print(f"part {part}: {Flows.steps - steps} steps,", dict(sorted((Flows.happened - happened).items())))
    assert not full or Flows.steps - steps >= LEAST_STEPS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All parts with `--slow money`, else the first."""
    if "part" in metafunc.fixturenames:
        full = metafunc.config.getoption("--slow") is not None
        count = PARTS["postgres" if "on_postgres" in metafunc.fixturenames else "sqlite"]
        metafunc.parametrize("part", range(1, count + 1 if full else 2))


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """All of the runs, with `--slow money`."""
    return request.config.getoption("--slow") is not None


@pytest.mark.slow("money")
def test_each_kind_of_step_really_happens(on_sqlite: OpenScene) -> None:
    """A machine that never gets somewhere proves nothing about it."""
    Story(Flows(on_sqlite)).tell()


@pytest.mark.slow("money")
def test_whatever_happens_the_books_agree(on_sqlite: OpenScene, part: int, full: bool) -> None:
    play(on_sqlite, part, full=full)


@pytest.mark.slow("money")
@pytest.mark.postgres
def test_whatever_happens_the_books_agree_on_postgres(on_postgres: OpenScene, part: int, full: bool) -> None:
    play(on_postgres, part, full=full)
