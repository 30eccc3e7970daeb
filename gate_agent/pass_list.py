"""The venue's list on this box: looked up by the lanes, read-only; built beside the live one and swapped in by sync."""

from __future__ import annotations

import os
import sqlite3
import struct
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec

from gate_agent.venue import Venue
from wire import feed
from wire.credential import HASH_BYTES
from wire.entitlement import PassStatus, Right
from wire.feed import (
    HOLDER_KEY_BYTES,
    Head,
    HolderKey,
    NameRow,
    Part,
    PassRow,
    Row,
    SegmentFlaw,
    SegmentRef,
    UseRow,
    VenueDocument,
)
from wire.keyset import KeySet
from wire.messages import GateConfig
from wire.signing import SealFlaw

SCHEMA = 2
"""A file of another schema is no list to this release: sync fetches it again."""
MAX_PASSES_PER_CARD = 8
MAX_FOUND_BY_DIGITS = 20
SEARCH_STEPS = 200_000_000
"""Virtual-machine steps of SQLite that a search may take: enough for 10 million names."""
LAST_DIGITS = 6
BUILD_CACHE_KB = 32_768
PAGE_BYTES = 16_384
"""Four times the usual: a tree of ten million passes is then no higher than one of a million, and is built in half
the time."""
RENEW_AFTER_MS = 60_000
"""How much younger a head of the same version must be to be written down: a card wears out by writing."""
FOLDER, CURRENT, BUILDING = "lists", "current", "building"

_TABLES = """
CREATE TABLE pass (
    pass_id BLOB PRIMARY KEY, product INTEGER, status INTEGER, not_before INTEGER, not_after INTEGER,
    lowest_issue INTEGER, static_again INTEGER, credentials BLOB, holder_keys BLOB) WITHOUT ROWID;
CREATE TABLE name (pass_id BLOB PRIMARY KEY, ticket_number TEXT, masked_name TEXT) WITHOUT ROWID;
CREATE TABLE uses (pass_id BLOB PRIMARY KEY, row BLOB) WITHOUT ROWID;
CREATE TABLE credential (hash BLOB, pass_id BLOB, PRIMARY KEY (hash, pass_id)) WITHOUT ROWID;
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), head BLOB NOT NULL, document BLOB NOT NULL);
"""
_FIND = """
SELECT pass.product, status, not_before, not_after, lowest_issue, static_again, ticket_number, masked_name,
       uses.row, holder_keys
FROM pass LEFT JOIN name USING (pass_id) LEFT JOIN uses USING (pass_id) WHERE pass.pass_id = ?
"""
_FIND_BY_CREDENTIAL = """
SELECT pass_id FROM credential JOIN pass USING (pass_id) WHERE hash = ? ORDER BY not_after DESC LIMIT ?
"""
_HOLDER_KEY = struct.Struct(f">H{HOLDER_KEY_BYTES}s")
_FIND_BY_DIGITS = "SELECT pass_id FROM name WHERE substr(ticket_number, -?) = ? LIMIT ?"


class ListFlaw(StrEnum):
    """Why a list is refused although its head and segments are genuine."""

    ROLLED_BACK = "rolled_back"
    GAP = "gap"
    WRONG_VENUE = "wrong_venue"
    NO_DOCUMENT = "no_document"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the list held stays in force."""

    part: Literal["head", "segment", "list"]
    flaw: SealFlaw | SegmentFlaw | ListFlaw

    def __str__(self) -> str:
        return f"{self.part}_{self.flaw}"


@dataclass(frozen=True, slots=True)
class ListedPass:
    """What the list says of one pass. The name is masked; empty where the list carries none."""

    pass_id: bytes
    product: int
    right: Right
    ticket_number: str
    masked_name: str
    centre_uses: UseRow | None
    holder_keys: tuple[HolderKey, ...] = ()
    """The phones that may draw codes for it, the newest first."""


class PassList:
    """One version of the list, read-only; any thread may ask. Closed when nobody holds it any more."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.DatabaseError or msgspec.DecodeError for a file that is no list of this release."""
        self.path = path
        self._db = _open_read_only(path)
        weakref.finalize(self, self._db.close)
        self._lock = threading.Lock()
        if self._db.execute("PRAGMA user_version").fetchone() != (SCHEMA,):
            raise sqlite3.DatabaseError(f"{path.name} is a list of another schema")
        head, document = self._db.execute("SELECT head, document FROM meta").fetchone()
        self.head = msgspec.msgpack.decode(head, type=Head)
        self.document = msgspec.msgpack.decode(document, type=VenueDocument)
        self.venue = Venue(self.document, self.head)

    @classmethod
    def open(cls, data_dir: Path) -> PassList | None:
        """The list in force; one before it if that file is damaged; None before the first list came."""
        folder = data_dir / FOLDER
        if not (folder / CURRENT).exists():
            return None
        for path in _newest_first(folder):
            try:
                return cls(path)
            except (sqlite3.DatabaseError, msgspec.DecodeError, TypeError):
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
        ticket_number, masked_name = told
        return ListedPass(
            pass_id,
            product,
            Right(PassStatus(status), not_before, not_after, lowest_issue, bool(static_again)),
            ticket_number or "",
            masked_name or "",
            None if uses is None else msgspec.msgpack.decode(uses, type=UseRow),
            tuple(HolderKey(*fields) for fields in _HOLDER_KEY.iter_unpack(holder_keys)),
        )

    def passes_of_credential(self, credential_hash: bytes) -> tuple[bytes, ...]:
        """The passes a card stands for, the longest-lasting first: a person may hold last year's and this year's."""
        with self._lock:
            rows = self._db.execute(_FIND_BY_CREDENTIAL, (credential_hash, MAX_PASSES_PER_CARD)).fetchall()
        return tuple(pass_id for (pass_id,) in rows)

    def search_digits(self, last_digits: str) -> list[ListedPass]:
        """Passes whose ticket number ends so. Reads all names, on a connection of its own: for staff, never a lane.

        Raises sqlite3.OperationalError when that takes more than SEARCH_STEPS."""
        with closing(_open_read_only(self.path)) as db:
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
                if opened is not None and opened.path.name == _name_in_force(self._data_dir / FOLDER):
                    self._seen = seen  # else the disk failed, or the file is damaged: it is tried again each time
            return self._held


def install(
    data_dir: Path, head: bytes, segments: Callable[[bytes], bytes], keys: KeySet, config: GateConfig
) -> Head | Refused:
    """Verify a list and put it in force; `segments` gives the bytes that bear a name. Refused changes nothing.

    A head of the version held only brings its newer time. Whatever `segments` raises leaves the old list in force too.
    """
    read = feed.read_head(head, keys, config.feed_id)
    if isinstance(read, SealFlaw):
        return Refused("head", read)
    if read.venue != config.venue:
        return Refused("list", ListFlaw.WRONG_VENUE)
    held = PassList.open(data_dir)
    if held is not None and held.head.feed_id == read.feed_id:
        if (read.epoch, read.version) < (held.epoch, held.version):
            return Refused("list", ListFlaw.ROLLED_BACK)
        if (read.epoch, read.version) == (held.epoch, held.version):
            if read.signed_at_ms - held.head.signed_at_ms >= RENEW_AFTER_MS:
                _renew_head(held.path, read)
            return read
    if not _is_whole(read):
        return Refused("list", ListFlaw.GAP)
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    refused = _build(folder / BUILDING, read, segments, dict(config.list_keys))
    if refused is not None:
        _remove(folder / BUILDING)
        return refused
    _put_in_force(folder, f"{read.epoch}-{read.version}.db")
    return read


def _is_whole(head: Head) -> bool:
    """Whether snapshot and deltas lead to the version the head claims, each delta after the one before it."""
    versions = [head.snapshot_version, *(delta.version for delta in head.deltas)]
    rising = all(earlier <= later for earlier, later in pairwise(versions))
    return bool(head.snapshot) and rising and versions[-1] == head.version


def _build(path: Path, head: Head, segments: Callable[[bytes], bytes], list_keys: dict[int, bytes]) -> Refused | None:
    """A new file with everything the head names, on disk when this returns. One segment in memory at a time."""
    _remove(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        # Nothing reads this file before it is whole and fsynced: a crash only leaves something to delete.
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute(f"PRAGMA cache_size = -{BUILD_CACHE_KB}")
        db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.executescript(_TABLES)
        db.execute("BEGIN")
        document: VenueDocument | None = None
        for ref, fresh in _in_order(head):
            opened = feed.open_segment(segments(ref.name), ref.name, list_keys)
            if isinstance(opened, SegmentFlaw):
                return Refused("segment", opened)
            part, rows = opened
            document = next((row for row in rows if isinstance(row, VenueDocument)), document)
            _replace(db, part, rows, fresh)
            db.execute("COMMIT")
            _fsync(path)  # little by little: a disk that gets it all at once lets an entry wait for a tenth of a second
            db.execute("BEGIN")
        if document is None:
            return Refused("list", ListFlaw.NO_DOCUMENT)
        if document.venue != head.venue:
            return Refused("list", ListFlaw.WRONG_VENUE)
        packed = (msgspec.msgpack.encode(head), msgspec.msgpack.encode(document))
        db.execute("INSERT INTO meta VALUES (1, ?, ?)", packed)
        db.execute("COMMIT")
        db.execute("PRAGMA locking_mode = NORMAL")
        db.execute("PRAGMA journal_mode = WAL")  # from here on lanes read while sync writes
    _fsync(path)
    return None


def _in_order(head: Head) -> Iterable[tuple[SegmentRef, bool]]:
    """Every segment of the head, and whether it is of the snapshot, in which no pass stands twice."""
    yield from ((ref, True) for ref in head.snapshot)
    yield from ((ref, False) for ref in head.deltas)


def _replace(db: sqlite3.Connection, part: Part, rows: Sequence[Row], fresh: bool) -> None:
    """Each row in place of the one with its id, with everything that one carried."""
    if part is Part.PASSES:
        passes = [row for row in rows if isinstance(row, PassRow)]
        if not fresh:
            _forget_credentials(db, passes)
        db.executemany("INSERT OR REPLACE INTO pass VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_pass_columns, passes))
        credentials = sorted((item.hash, row.pass_id) for row in passes for item in row.credentials)
        db.executemany("INSERT OR REPLACE INTO credential VALUES (?, ?)", credentials)
    elif part is Part.NAMES:
        names = ((row.pass_id, row.ticket_number, row.masked_name) for row in rows if isinstance(row, NameRow))
        db.executemany("INSERT OR REPLACE INTO name VALUES (?, ?, ?)", names)
    elif part is Part.USES:
        uses = ((row.pass_id, msgspec.msgpack.encode(row)) for row in rows if isinstance(row, UseRow))
        db.executemany("INSERT OR REPLACE INTO uses VALUES (?, ?)", uses)


def _pass_columns(row: PassRow) -> tuple[bytes, int, int, int, int, int, bool, bytes, bytes]:
    hashes = b"".join(item.hash for item in row.credentials)
    newest_first = sorted(row.holder_keys, key=lambda key: key.generation, reverse=True)
    holder_keys = b"".join(_HOLDER_KEY.pack(key.generation, key.public) for key in newest_first)
    dates = row.not_before, row.not_after
    return row.pass_id, row.product, row.status, *dates, row.lowest_issue, row.static_again, hashes, holder_keys


def _forget_credentials(db: sqlite3.Connection, passes: Iterable[PassRow]) -> None:
    for row in passes:
        held = db.execute("SELECT credentials FROM pass WHERE pass_id = ?", (row.pass_id,)).fetchone()
        hashes = b"" if held is None else held[0]
        each = (hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
        db.executemany("DELETE FROM credential WHERE hash = ? AND pass_id = ?", ((one, row.pass_id) for one in each))


def _put_in_force(folder: Path, name: str) -> None:
    """Swap: the built file under its name, then the name file, each on disk before the next step; the older ones go."""
    before = _name_in_force(folder)
    _remove(folder / name)
    (folder / BUILDING).rename(folder / name)
    _fsync(folder)
    _point(folder, name)
    for path in folder.glob("*.db"):
        if path.name not in (name, before):
            _remove(path)


def _renew_head(path: Path, head: Head) -> None:
    """The same list, seen alive later: its head in place of the one held; the name file tells readers to look again."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET head = ?", (msgspec.msgpack.encode(head),))
    _point(path.parent, path.name)


def _point(folder: Path, name: str) -> None:
    scratch = folder / f"{CURRENT}.new"
    scratch.write_text(name, encoding="ascii")
    _fsync(scratch)
    scratch.replace(folder / CURRENT)
    _fsync(folder)


def _name_in_force(folder: Path) -> str | None:
    try:
        return (folder / CURRENT).read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _newest_first(folder: Path) -> list[Path]:
    """The list named by `current`, then any other on disk."""
    named = _name_in_force(folder)
    return sorted(folder.glob("*.db"), key=lambda path: (path.name == named, path.stat().st_mtime_ns), reverse=True)


def _open_read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)


def _remove(path: Path) -> None:
    """A database and what SQLite keeps beside it: a log left behind would be played into the next file of that name."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
