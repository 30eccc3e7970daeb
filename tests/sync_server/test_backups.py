"""Backup and restore: the copy is whole or not there, nothing is written over, and the lists begin anew."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from sync_server import backups, crypto, db, schema
from sync_server.centre import Centre, Opener, open_centre
from sync_server.errors import ConfigurationError, NotAllowedError, NotFoundError
from sync_server.feed.heads import begin_epoch
from sync_server.feed.publishing import publish_feeds
from sync_server.feed.tables import feed
from sync_server.settings import Settings
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.town import build_town


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a centre that has been initialised and published a list: made once, copied for each test."""
    folder = tmp_path_factory.mktemp("published")
    made = settings_in(folder)
    crypto.write_secrets(made.secret_file, crypto.make_secrets())
    engine = db.open_engine(made.database_url)
    schema.migrate(engine)
    centre = Centre(made, engine, crypto.read_secrets(made.secret_file), Clock())
    build_town(centre).gate()
    publish_feeds(centre)
    engine.dispose()
    return folder


@pytest.fixture
def settings(published: Path, tmp_path: Path) -> Settings:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    return settings_in(tmp_path)


def settings_in(folder: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{folder / 'centre.db'}", secret_file=folder / "secrets")


def run(settings: Settings, which: object, *arguments: object) -> Result:
    opener = Opener(lambda: settings)
    done = CliRunner().invoke(which, [*map(str, arguments)], obj=opener)  # type: ignore[arg-type]  # click's own type
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def epochs(settings: Settings) -> set[int]:
    engine = db.open_engine(settings.database_url)
    with db.read(engine) as connection:
        found = set(connection.scalars(sa.select(feed.c.epoch)))
    engine.dispose()
    return found


@pytest.mark.slow
def test_what_was_backed_up_comes_back_and_begins_a_new_epoch(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    run(settings, backups.backup, file)
    assert file.stat().st_mode & 0o777 == 0o600
    before = epochs(settings)
    with pytest.raises(NotAllowedError, match="move it away first"):
        run(settings, backups.restore, file)
    for part in tmp_path.glob("centre.db*"):
        part.unlink()
    told = json.loads(run(settings, backups.restore, file).output)
    assert told["database"] == {"from": schema.HEAD, "to": schema.HEAD}
    assert epochs(settings) == {told["epoch"]} and told["epoch"] > max(before)
    centre = open_centre(settings)
    with centre.read() as connection:
        assert connection.scalar(sa.text("SELECT action FROM event_log ORDER BY day DESC, seq DESC LIMIT 1")) == (
            "lists.new_epoch"
        )
    centre.engine.dispose()


def test_two_restores_from_one_backup_begin_two_epochs(settings: Settings) -> None:
    centre = open_centre(settings)
    with centre.write() as connection:
        first = begin_epoch(connection, START_MS)
        connection.execute(feed.update().values(epoch=1))
        later = begin_epoch(connection, START_MS + 60_000)
        assert later > first
        assert begin_epoch(connection, 0) == later + 1, "a clock that was set back does not matter"
    centre.engine.dispose()


def test_a_restore_by_other_means_is_told(settings: Settings) -> None:
    told = json.loads(run(settings, backups.new_epoch, "--reason", "pg_restore").output)
    assert epochs(settings) == {told["epoch"]}


def test_nothing_is_written_over_and_nothing_damaged_is_taken(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    file.write_bytes(b"something dear")
    with pytest.raises(NotAllowedError, match="nothing is written over"):
        run(settings, backups.backup, file)
    assert file.read_bytes() == b"something dear"
    with pytest.raises(NotFoundError, match="no database of the centre"):
        backups.copy_database(file, tmp_path / "new.db")
    with pytest.raises(NotFoundError):
        backups.copy_database(tmp_path / "nowhere.db", tmp_path / "new.db")
    whole = tmp_path / "whole.db"
    run(settings, backups.backup, whole)
    data = bytearray(whole.read_bytes())
    data[40_000:60_000] = bytes(20_000)
    whole.write_bytes(data)
    with pytest.raises((NotAllowedError, sqlite3.DatabaseError)):
        backups.copy_database(whole, tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()


def test_what_a_killed_centre_left_beside_its_database_is_not_played_into_another(
    settings: Settings, tmp_path: Path
) -> None:
    lost, backup = tmp_path / "centre.db", tmp_path / "backup.db"
    run(settings, backups.backup, backup)
    centre = open_centre(settings)
    with centre.write() as connection:
        connection.execute(feed.update().values(epoch=77))
    left = {file: file.read_bytes() for file in tmp_path.glob("centre.db-*")}
    centre.engine.dispose()
    lost.rename(tmp_path / "lost.db")
    for file, data in left.items():
        file.write_bytes(data)
        with pytest.raises(NotAllowedError, match="move it away first"):
            run(settings, backups.restore, backup)
        assert not lost.exists()
        file.unlink()
    assert {file.name for file in left} == {"centre.db-wal", "centre.db-shm"}
    run(settings, backups.restore, backup)
    assert 77 not in epochs(settings)


def test_a_backup_is_of_one_moment_while_others_write(settings: Settings, tmp_path: Path) -> None:
    centre = open_centre(settings)
    with centre.write() as connection:
        connection.execute(feed.update().values(epoch=77))
        run(settings, backups.backup, tmp_path / "backup.db")
    with closing(sqlite3.connect(tmp_path / "backup.db")) as copy:
        assert copy.execute("SELECT DISTINCT epoch FROM feed").fetchall() == [(1,)]
    centre.engine.dispose()


def test_postgresql_is_told_its_own_way() -> None:
    settings = Settings(database_url="postgresql+psycopg://nowhere/centre", secret_file=Path("none"))
    with pytest.raises(ConfigurationError, match="pg_dump"):
        run(settings, backups.backup, "file")
