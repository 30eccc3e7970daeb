"""The journals' files in a data directory: made whole or not at all, and kept under other names when they ended."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from gate_agent import disk, entries_schema
from gate_agent.entries_schema import Before

NAME = "entries.db"
LOG_SUFFIX, NEW_SUFFIX = "-wal", ".new"
SUPERSEDED, CLOSED = "entries-superseded-", "entries-closed-"
"""How the files of journals that could not go on, or were closed, are named before their incarnation."""


def create_journal(path: Path, incarnation: bytes, before: Before) -> None:
    """A new journal, whole or not at all."""
    building = path.with_name(NAME + NEW_SUFFIX)
    building.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(building, isolation_level=None)) as db:
        entries_schema.create(db, incarnation, before)
    building.chmod(0o600)
    building.rename(path)
    disk.fsync(path.parent)


def damaged_journals(data_dir: Path) -> list[Path]:
    """Those that were set aside and that nobody has taken away yet."""
    return sorted(data_dir.glob("entries-damaged-*.db"))


def superseded_journals(data_dir: Path) -> list[Path]:
    """Those that could not go on and that nobody has taken away yet."""
    return sorted(data_dir.glob(f"{SUPERSEDED}*.db"))


def set_journal_aside(path: Path) -> Path | None:
    """Rename a journal and what SQLite keeps beside it, for whoever can mend it; None when there is nothing."""
    parts = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
    number = 1
    while list(path.parent.glob(f"entries-damaged-{number}.db*")):
        number += 1
    aside = path.with_name(f"entries-damaged-{number}.db")
    there = [part for part in parts if part.exists()]
    for part in there:
        part.rename(aside.with_name(part.name.replace(path.name, aside.name)))
    return aside if there else None
