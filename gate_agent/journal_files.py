"""The journals' files in a data directory: made whole or not at all, and kept under other names when they ended."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from gate_agent import disk, entries_schema
from gate_agent.entries_schema import Before
from wire.messages import INCARNATION_BYTES

NAME = "entries.db"
LOG_SUFFIX, NEW_SUFFIX = "-wal", ".new"
SUPERSEDED, CLOSED = "entries-superseded-", "entries-closed-"
"""How the files of journals that could not go on, or were closed, are named before their incarnation."""
LOST_NOTE = "entries-lost-"
"""How the note that a journal was gone is named before its incarnation."""
LAST_NAME = "journal.name"
"""Which journal was written in last: by it a deleted one is missed, whether or not the centre ever heard of it."""


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


def lost_journals(data_dir: Path) -> list[Path]:
    """The notes of journals that were gone at a start and that nobody has taken away yet."""
    return sorted(data_dir.glob(f"{LOST_NOTE}*.txt"))


def note_lost(data_dir: Path, incarnation: bytes, at_the_centre: int) -> None:
    """Say in a file that stays until service takes it away that a journal was gone."""
    name = incarnation.hex() or "unknown"
    told = f"journal {name} was gone when gate-agent started; the centre has its entries up to {at_the_centre}\n"
    disk.write_whole(data_dir / f"{LOST_NOTE}{name}.txt", told.encode())


def last_journal(data_dir: Path) -> bytes | None:
    """Which journal was written in last; None when nothing says so."""
    try:
        name = bytes.fromhex((data_dir / LAST_NAME).read_text(encoding="ascii"))
    except (OSError, ValueError):  # there was none, or the file is damaged
        return None
    return name if len(name) == INCARNATION_BYTES else None


def remember_journal(data_dir: Path, incarnation: bytes) -> None:
    """From now on this is the one."""
    if last_journal(data_dir) != incarnation:
        disk.write_whole(data_dir / LAST_NAME, incarnation.hex().encode("ascii"))


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
