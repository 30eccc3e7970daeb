"""The disk as this box needs it: files that outlive a power cut, databases that are only read."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

BUSY_TIMEOUT_S = 5.0
"""How long a reader waits for a database that its writer is just changing the log of."""
PRIMARY_CODE = 0xFF
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Only a broken file is set aside: a full, locked or read-only disk heals, or is for people to mend."""


def write_whole(path: Path, data: bytes) -> None:
    """A file for this user alone in place of the one before. On disk when this returns; a power cut leaves either."""
    building = path.with_name(f"{path.name}.new")
    building.unlink(missing_ok=True)
    with os.fdopen(os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    building.replace(path)
    fsync(path.parent)


def fsync(path: Path) -> None:
    """A file or folder, on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is broken."""
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE in DAMAGE  # a closed connection has no code


def free_bytes(path: Path) -> int:
    """How much this user may still write where `path` is."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def read_only(path: Path, *, any_thread: bool = False) -> sqlite3.Connection:
    """A database that somebody else writes; each statement sees what was committed before it."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(
        uri, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=not any_thread, uri=True
    )
