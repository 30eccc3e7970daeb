"""The journal on a removable medium: the database as it is and its entries as lines of JSON, whole or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from pathlib import Path

from gate_agent import seams
from gate_agent.disk import free_bytes, fsync, read_only
from gate_agent.entries_view import EntriesView
from gate_agent.journal_files import NAME

EXPORT_LIMIT_S = 120.0
"""How long staff wait for an export; then it is broken off."""
SPACE_FACTOR = 3
"""Room wanted on the medium, in sizes of the database: its copy, and the lines of JSON."""
LOWER_PRIORITY = 10
"""So that an export takes no processor from the lanes."""
DATABASE, LINES = NAME, "entries.jsonl"
PART = ".part"


class NotExported(StrEnum):
    """Why there is nothing on the medium."""

    NO_MEDIUM = "no_medium"
    MEDIUM_FULL = "medium_full"
    FAILED = "failed"


def write(data_dir: Path, folder: Path) -> None:
    """The journal of a data directory in a new folder. The copy of a damaged database is kept without its lines.

    Raises OSError, sqlite3.Error or ValueError; then only a copy may be there, under the folder's name with `.part`.
    """
    building = folder.with_name(folder.name + PART)
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    with closing(read_only(data_dir / NAME)) as held, closing(sqlite3.connect(building / DATABASE)) as copy:
        held.execute("BEGIN")  # one moment of the journal, however much is written meanwhile
        held.execute("SELECT seq FROM entry LIMIT 1").fetchone()
        held.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # so that the one file is all of it
    with EntriesView(building / DATABASE) as journal, (building / LINES).open("w", encoding="utf-8") as lines:
        for entry, chained in journal.entries():
            lines.write(seams.line(seams.exported(entry, chained)) + "\n")
    for path in (building / DATABASE, building / LINES):
        fsync(path)
    building.rename(folder)
    fsync(folder.parent)


def write_to_medium(
    data_dir: Path, pattern: str, name: str, is_medium: Callable[[Path], bool] = os.path.ismount
) -> Path | NotExported:
    """The new folder `name` on the first mounted medium that `pattern` leads to, or one level below it.

    Written by a process of its own, so that no lane waits for a slow stick.
    """
    medium = next((path for path in _candidates(pattern) if is_medium(path)), None)
    if medium is None:
        return NotExported.NO_MEDIUM
    try:
        size = sum(path.stat().st_size for path in data_dir.glob(NAME + "*"))
        if free_bytes(medium) < SPACE_FACTOR * size:
            return NotExported.MEDIUM_FULL
        command = [sys.executable, "-m", "gate_agent", "export", "--data", str(data_dir), "--to", str(medium / name)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=EXPORT_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return NotExported.FAILED
    return medium / name if done.returncode == 0 else NotExported.FAILED


def _candidates(pattern: str) -> list[Path]:
    """What the pattern names, then what lies in that: a medium is mounted at /media/NAME or /media/USER/NAME."""
    named = sorted(Path("/").glob(pattern.strip("/")))
    return [*named, *(path for folder in named if folder.is_dir() for path in sorted(folder.glob("*")))]
