"""A list's file: built whole beside the one in force, or brought up by deltas, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec

from gate_agent.disk import fsync
from gate_agent.pass_list import HOLDER_KEY, SCHEMA
from wire import feed
from wire.credential import HASH_BYTES
from wire.feed import Head, NameRow, Part, PassRow, Row, SegmentFlaw, SegmentRef, UseRow, VenueDocument
from wire.signing import SealFlaw

BUSY_TIMEOUT_S = 10.0
COPIED_PAGES = 256
BUILD_CACHE_KB = 32_768
PAGE_BYTES = 16_384
"""Four times the usual: a tree of ten million passes is then no higher than one of a million, and is built in half
the time."""

_TABLES = """
CREATE TABLE pass (
    pass_id BLOB PRIMARY KEY, product INTEGER, status INTEGER, not_before INTEGER, not_after INTEGER,
    lowest_issue INTEGER, static_again INTEGER, credentials BLOB, holder_keys BLOB) WITHOUT ROWID;
CREATE TABLE name (
    pass_id BLOB PRIMARY KEY, ticket_number TEXT, masked_name TEXT, photo BLOB, stop BLOB) WITHOUT ROWID;
CREATE INDEX photo ON name (photo) WHERE photo IS NOT NULL;
CREATE TABLE uses (pass_id BLOB PRIMARY KEY, row BLOB) WITHOUT ROWID;
CREATE TABLE credential (hash BLOB, pass_id BLOB, PRIMARY KEY (hash, pass_id)) WITHOUT ROWID;
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1), head BLOB NOT NULL, document BLOB NOT NULL,
    snapshot_version INTEGER NOT NULL, signed_at_ms INTEGER NOT NULL,
    built_rows INTEGER NOT NULL, brought_rows INTEGER NOT NULL);
"""
_BROUGHT = "UPDATE meta SET head = ?, brought_rows = brought_rows + ?"


class ListFlaw(StrEnum):
    """Why a list is refused although its head and segments are genuine."""

    ROLLED_BACK = "rolled_back"
    GAP = "gap"
    WRONG_VENUE = "wrong_venue"
    NO_DOCUMENT = "no_document"


@dataclass(frozen=True, slots=True)
class NotInstalled:
    """Why the list held stays in force."""

    part: Literal["head", "segment", "list"]
    flaw: SealFlaw | SegmentFlaw | ListFlaw

    def __str__(self) -> str:
        return f"{self.part}_{self.flaw}"


def build(
    path: Path, head: Head, segments: Callable[[bytes], bytes], list_keys: dict[int, bytes]
) -> NotInstalled | None:
    """A new file with everything the head names, on disk when this returns. One segment in memory at a time."""
    remove(path)
    with _building(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.executescript(_TABLES)
        document: VenueDocument | None = None
        built_rows = 0
        for ref, fresh in _in_order(head):
            opened = feed.open_segment(segments(ref.name), ref.name, list_keys)
            if isinstance(opened, SegmentFlaw):
                return NotInstalled("segment", opened)
            part, rows = opened
            document = next((row for row in rows if isinstance(row, VenueDocument)), document)
            db.execute("BEGIN")
            _replace(db, part, rows, fresh)
            db.execute("COMMIT")
            built_rows += len(rows)
            fsync(path)  # little by little: a disk that gets it all at once lets an entry wait for a tenth of a second
        if document is None:
            return NotInstalled("list", ListFlaw.NO_DOCUMENT)
        if document.venue != head.venue:
            return NotInstalled("list", ListFlaw.WRONG_VENUE)
        packed = (msgspec.msgpack.encode(head), msgspec.msgpack.encode(document))
        origin = (head.snapshot_version, head.signed_at_ms, built_rows)
        db.execute("INSERT INTO meta VALUES (1, ?, ?, ?, ?, ?, 0)", (*packed, *origin))
    fsync(path)
    return None


def apply(
    path: Path, fresh: list[SegmentRef], head: Head, segments: Callable[[bytes], bytes], list_keys: dict[int, bytes]
) -> NotInstalled | None:
    """A small delta, in one transaction on the live file: lanes see all of it or nothing.

    A power cut may take the newest lists: they are fetched again.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        brought_rows = 0
        for ref in fresh:
            brought = _bring(db, segments(ref.name), ref, head, list_keys)
            if isinstance(brought, NotInstalled):
                return brought  # closing the connection takes everything back
            brought_rows += brought
        db.execute(_BROUGHT, (msgspec.msgpack.encode(head), brought_rows))
        db.execute("COMMIT")
    return None


def apply_beside(
    path: Path, fresh: list[SegmentRef], head: Head, segments: Callable[[bytes], bytes], list_keys: dict[int, bytes]
) -> NotInstalled | None:
    """A large delta, on a copy that nobody reads yet, brought to the disk piece by piece."""
    with _building(path) as db:
        brought_rows = 0
        for ref in fresh:
            db.execute("BEGIN")
            brought = _bring(db, segments(ref.name), ref, head, list_keys)
            if isinstance(brought, NotInstalled):
                return brought
            db.execute("COMMIT")
            brought_rows += brought
            fsync(path)
        db.execute(_BROUGHT, (msgspec.msgpack.encode(head), brought_rows))
    fsync(path)
    return None


def _bring(
    db: sqlite3.Connection, segment: bytes, ref: SegmentRef, head: Head, list_keys: dict[int, bytes]
) -> NotInstalled | int:
    """The rows of one segment of a delta, each in place of the one with its id; how many."""
    opened = feed.open_segment(segment, ref.name, list_keys)
    if isinstance(opened, SegmentFlaw):
        return NotInstalled("segment", opened)
    part, rows = opened
    _replace(db, part, rows, fresh=False)
    for document in (row for row in rows if isinstance(row, VenueDocument)):
        if document.venue != head.venue:
            return NotInstalled("list", ListFlaw.WRONG_VENUE)
        db.execute("UPDATE meta SET document = ?", (msgspec.msgpack.encode(document),))
    return len(rows)


def copy(live: Path, path: Path) -> None:
    """The list in force as it stands, brought to the disk piece by piece."""
    remove(path)
    with closing(sqlite3.connect(live)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target, pages=COPIED_PAGES, progress=lambda *_: fsync(path))


@contextmanager
def _building(path: Path) -> Iterator[sqlite3.Connection]:
    """A file that nothing reads before it is whole and fsynced: a crash only leaves something to delete."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute(f"PRAGMA cache_size = -{BUILD_CACHE_KB}")
        yield db
        if not db.in_transaction:
            db.execute("PRAGMA locking_mode = NORMAL")
            db.execute("PRAGMA journal_mode = WAL")  # from here on lanes read while sync writes


def renew_head(path: Path, head: Head) -> None:
    """The same list, seen alive later: its head in place of the one held."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET head = ?", (msgspec.msgpack.encode(head),))


def remove(path: Path) -> None:
    """A database and what SQLite keeps beside it: a log left behind would be played into the next file of that name."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


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
        names = [row for row in rows if isinstance(row, NameRow)]
        db.executemany("INSERT OR REPLACE INTO name VALUES (?, ?, ?, ?, ?)", map(_name_columns, names))
    elif part is Part.USES:
        uses = ((row.pass_id, msgspec.msgpack.encode(row)) for row in rows if isinstance(row, UseRow))
        db.executemany("INSERT OR REPLACE INTO uses VALUES (?, ?)", uses)


def _pass_columns(row: PassRow) -> tuple[bytes, int, int, int, int, int, bool, bytes, bytes]:
    hashes = b"".join(item.hash for item in row.credentials)
    newest_first = sorted(row.holder_keys, key=lambda key: key.generation, reverse=True)
    holder_keys = b"".join(HOLDER_KEY.pack(key.generation, key.public) for key in newest_first)
    dates = row.not_before, row.not_after
    return row.pass_id, row.product, row.status, *dates, row.lowest_issue, row.static_again, hashes, holder_keys


def _name_columns(row: NameRow) -> tuple[bytes, str, str, bytes | None, bytes | None]:
    stop = None if row.stop is None else msgspec.msgpack.encode(row.stop)
    return row.pass_id, row.ticket_number, row.masked_name, row.photo or None, stop


def _forget_credentials(db: sqlite3.Connection, passes: Iterable[PassRow]) -> None:
    for row in passes:
        held = db.execute("SELECT credentials FROM pass WHERE pass_id = ?", (row.pass_id,)).fetchone()
        hashes = b"" if held is None else held[0]
        each = (hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
        db.executemany("DELETE FROM credential WHERE hash = ? AND pass_id = ?", ((one, row.pass_id) for one in each))
