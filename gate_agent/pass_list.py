"""The venue's list on this box as the lanes look it up: read-only, whatever sync does to it meanwhile."""

from __future__ import annotations

import sqlite3
import struct
import threading
import weakref
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from gate_agent.disk import read_only
from gate_agent.venue import ListedPass, Venue
from wire.entitlement import PassStatus, Right, Stop
from wire.feed import HOLDER_KEY_BYTES, Head, HolderKey, UseRow, VenueDocument
from wire.unreadable import UNREADABLE

SCHEMA = 4
"""A file of another schema is no list to this release: sync fetches it again."""
MAX_PASSES_PER_CARD = 8
MAX_FOUND_BY_DIGITS = 20
SEARCH_STEPS = 50_000_000
"""Virtual-machine steps of SQLite that a search may take: enough for 10 million names, four to each."""
FOLDER, CURRENT = "lists", "current"

_META = "SELECT head, document, snapshot_version, signed_at_ms, built_rows, brought_rows FROM meta"
_FIND = """
SELECT pass.product, status, not_before, not_after, lowest_issue, static_again, ticket_number, masked_name,
       photo, stop, uses.row, holder_keys
FROM pass LEFT JOIN name USING (pass_id) LEFT JOIN uses USING (pass_id) WHERE pass.pass_id = ?
"""
_FIND_BY_CREDENTIAL = """
SELECT pass_id FROM credential JOIN pass USING (pass_id) WHERE hash = ? ORDER BY not_after DESC LIMIT ?
"""
HOLDER_KEY = struct.Struct(f">H{HOLDER_KEY_BYTES}s")
_FIND_BY_DIGITS = "SELECT pass_id FROM name WHERE substr(ticket_number, -?) = ? LIMIT ?"


class Origin(NamedTuple):
    """The snapshot that a list's file was built from, when its head was signed, and rows: built in, brought since."""

    snapshot_version: int
    signed_at_ms: int
    built_rows: int
    brought_rows: int


class PassList:
    """One version of the list, read-only; any thread may ask. Closed when nobody holds it any more."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.DatabaseError, or what `wire.unreadable` lists, for a file that is no list of this release."""
        self.path = path
        self._db = read_only(path, any_thread=True)
        weakref.finalize(self, self._db.close)
        self._lock = threading.Lock()
        if self._db.execute("PRAGMA user_version").fetchone() != (SCHEMA,):
            raise sqlite3.DatabaseError(f"{path.name} is a list of another schema")
        head, document, *origin = self._db.execute(_META).fetchone()
        self.head = msgspec.msgpack.decode(head, type=Head)
        self.document = msgspec.msgpack.decode(document, type=VenueDocument)
        self.venue = Venue(self.document, self.head)
        self.origin = Origin(*origin)

    @classmethod
    def open(cls, data_dir: Path) -> PassList | None:
        """The list in force; one before it if that file is damaged; None before the first list came."""
        folder = data_dir / FOLDER
        if not (folder / CURRENT).exists():
            return None
        for path in _newest_first(folder):
            try:
                return cls(path)
            except (*UNREADABLE, sqlite3.DatabaseError, TypeError):
                continue
        return None

    @property
    def epoch(self) -> int:
        """The first half of the version; a centre restored from a backup starts a new one."""
        return self.head.epoch

    @property
    def version(self) -> int:
        """The feed version held, inside `epoch`."""
        return self.head.version

    def find(self, pass_id: bytes) -> ListedPass | None:
        """The row of a pass: one indexed SELECT."""
        with self._lock:
            row = self._db.execute(_FIND, (pass_id,)).fetchone()
        if row is None:
            return None
        product, status, not_before, not_after, lowest_issue, static_again, *told, uses, holder_keys = row
        ticket_number, masked_name, photo, stop = told
        return ListedPass(
            pass_id,
            product,
            Right(PassStatus(status), not_before, not_after, lowest_issue, bool(static_again)),
            ticket_number or "",
            masked_name or "",
            None if uses is None else msgspec.msgpack.decode(uses, type=UseRow),
            tuple(HolderKey(*fields) for fields in HOLDER_KEY.iter_unpack(holder_keys)),
            photo or b"",
            None if stop is None else msgspec.msgpack.decode(stop, type=Stop),
        )

    def passes_of_credential(self, credential_hash: bytes) -> tuple[bytes, ...]:
        """The passes a card stands for, the longest-lasting first: a person may hold last year's and this year's."""
        with self._lock:
            rows = self._db.execute(_FIND_BY_CREDENTIAL, (credential_hash, MAX_PASSES_PER_CARD)).fetchall()
        return tuple(pass_id for (pass_id,) in rows)

    def photos(self, limit: int) -> set[bytes]:
        """The names of at most so many holders' photos."""
        with self._lock:
            rows = self._db.execute("SELECT photo FROM name WHERE photo IS NOT NULL LIMIT ?", (limit,)).fetchall()
        return {name for (name,) in rows}

    def search_digits(self, last_digits: str) -> list[ListedPass]:
        """Passes whose ticket number ends so. Reads all names, on a connection of its own: for staff, never a lane.

        Raises sqlite3.OperationalError when that takes more than SEARCH_STEPS."""
        with closing(read_only(self.path)) as db:
            db.set_progress_handler(lambda: 1, SEARCH_STEPS)
            rows = db.execute(_FIND_BY_DIGITS, (len(last_digits), last_digits, MAX_FOUND_BY_DIGITS)).fetchall()
        found = (self.find(pass_id) for (pass_id,) in rows)
        return [listed for listed in found if listed is not None]


class PassListHolder:
    """The list in force, whenever asked: one stat of the file `lists/current`, opened anew only when that changed."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._held: PassList | None = None

    def current(self) -> PassList | None:
        """None before the first list came. A caller keeps what it got for one decision, not longer."""
        try:
            stat = (self._data_dir / FOLDER / CURRENT).stat()
        except FileNotFoundError:
            return self._held
        with self._lock:
            if self._seen != (seen := (stat.st_ino, stat.st_mtime_ns)):
                opened = PassList.open(self._data_dir)
                self._held = opened or self._held
                if opened is not None and opened.path.name == name_in_force(self._data_dir / FOLDER):
                    self._seen = seen  # else the disk failed, or the file is damaged: it is tried again each time
            return self._held


def is_there(data_dir: Path) -> bool:
    """Whether the list in force is on the disk; one that was deleted goes on as long as a lane holds it open."""
    name = name_in_force(data_dir / FOLDER)
    return name is not None and (data_dir / FOLDER / name).exists()


def name_in_force(folder: Path) -> str | None:
    try:
        return (folder / CURRENT).read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _newest_first(folder: Path) -> list[Path]:
    """The list named by `current`, then any other on disk."""
    named = name_in_force(folder)
    return sorted(folder.glob("*.db"), key=lambda path: (path.name == named, path.stat().st_mtime_ns), reverse=True)
