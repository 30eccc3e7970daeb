"""`sync-server backup | restore | new-epoch`: the database kept safe, and taken into use again.

What the gates sent since a backup they send again by themselves, for thirty days; what was sold since is gone with the
database. The secret file and the root key file are no part of a backup: keep them apart from it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import db, schema
from sync_server.audit.log import COMMAND_LINE, record
from sync_server.centre import Opener
from sync_server.errors import ConfigurationError, NotAllowedError, NotFoundError
from sync_server.feed.heads import begin_epoch

PART = ".part"
SQLITE_BEGINS = b"SQLite format 3\0"
SQLITE_BESIDE = ("-wal", "-shm", "-journal")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def backup(opener: Opener, file: Path) -> None:
    """Write the whole database into FILE, at one moment, while everything runs."""
    copy_database(_database_file(opener.load().database_url), file)
    click.echo(json.dumps({"backup": str(file), "bytes": file.stat().st_size}))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def restore(opener: Opener, file: Path) -> None:
    """Make the database from a backup, with `run` and `worker` stopped, and begin a new epoch of every list."""
    settings = opener.load()
    copy_database(file, _database_file(settings.database_url))
    engine = db.open_engine(settings.database_url)
    before, after = schema.migrate(engine)
    engine.dispose()
    centre = opener()
    with centre.write() as connection:
        epoch = _new_epoch(connection, centre.now_ms(), f"restored from {file.name}")
    click.echo(json.dumps({"restored": str(file), "database": {"from": before, "to": after}, "epoch": epoch}))


@click.command("new-epoch")
@click.option("--reason", required=True, help="for the log of what operators did")
@click.pass_obj
def new_epoch(opener: Opener, reason: str) -> None:
    """Begin a new epoch of every list: after the database was restored by other means, such as pg_restore."""
    centre = opener()
    with centre.write() as connection:
        epoch = _new_epoch(connection, centre.now_ms(), reason)
    click.echo(json.dumps({"epoch": epoch}))


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database, whole and checked, or not at all; on disk under `target` when this returns.

    NotFoundError: there is no such database; NotAllowedError: `target` exists, or the copy is not sound. What SQLite
    left beside a database that was lost would be played into the new one.
    """
    if not _is_database(source):
        raise NotFoundError(f"{source} is no database of the centre: name a backup, or the database's file")
    for file in (target, *(target.with_name(target.name + end) for end in SQLITE_BESIDE)):
        if file.exists():
            raise NotAllowedError(f"{file} exists: move it away first, nothing is written over")
    building = target.with_name(target.name + PART)
    building.unlink(missing_ok=True)
    descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(descriptor)
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as held,
        closing(sqlite3.connect(building)) as copy,
    ):
        held.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # so that the one file is all of it
        (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise NotAllowedError(f"{source} is damaged ({verdict}): take another backup")
    _fsync(building)
    building.rename(target)
    _fsync(target.absolute().parent)


def _new_epoch(connection: Connection, now_ms: int, reason: str) -> int:
    epoch = begin_epoch(connection, now_ms)
    record(connection, now_ms, COMMAND_LINE, "lists.new_epoch", "lists", {"epoch": epoch, "reason": reason})
    return epoch


def _database_file(database_url: str) -> Path:
    url = sa.make_url(database_url)
    if url.get_backend_name() != "sqlite":
        raise ConfigurationError(
            "PostgreSQL has its own: pg_dump --format=custom --file FILE, and pg_restore into an empty database, then "
            "sync-server new-epoch"
        )
    return Path(url.database or "")


def _is_database(file: Path) -> bool:
    try:
        with file.open("rb") as begin:
            return begin.read(len(SQLITE_BEGINS)) == SQLITE_BEGINS
    except OSError:
        return False


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


COMMANDS = (backup, restore, new_epoch)
