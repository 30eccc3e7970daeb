"""sync.db: what this box has learnt from the centre. Written by sync and enrolment, read by everybody; replaceable."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from gate_agent.pruning import Acknowledged
from gate_agent.trusted_time import NO_EVIDENCE, Evidence, SignedTime
from wire import keyset, signing
from wire.keyset import KeySet
from wire.messages import GateConfig

SYNC_DB, DEVICE_KEY = "sync.db", "device.key"
LOCK = "sync.lock"
"""Held by the one sync that writes here."""
SCHEMA = 1
BUSY_TIMEOUT_S = 10
MAX_DETAIL_CHARACTERS = 300

_TABLES = """
CREATE TABLE IF NOT EXISTS enrolment (
    id INTEGER PRIMARY KEY CHECK (id = 1), url TEXT NOT NULL, device BLOB NOT NULL, root BLOB NOT NULL,
    key_set BLOB NOT NULL, config BLOB);
CREATE TABLE IF NOT EXISTS receipt (
    incarnation BLOB PRIMARY KEY, through_seq INTEGER NOT NULL, receipt BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS signed_time (
    id INTEGER PRIMARY KEY CHECK (id = 1), at_ms INTEGER NOT NULL, boot_ms INTEGER NOT NULL, boot_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS floor (id INTEGER PRIMARY KEY CHECK (id = 1), at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS link (
    task TEXT PRIMARY KEY, since_ms INTEGER NOT NULL, contact_ms INTEGER, trouble TEXT, detail TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answer (
    number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, ok INTEGER NOT NULL, word TEXT NOT NULL, detail TEXT NOT NULL);
"""
ANSWERS_KEPT = 8


_RAISE_FLOOR = """
INSERT INTO floor VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at_ms = max(at_ms, excluded.at_ms)
"""
_NOTE = """
INSERT INTO link VALUES (:task, :now_ms, iif(:kind IS NULL, :now_ms, NULL), :kind, :detail)
ON CONFLICT (task) DO UPDATE SET
    since_ms = iif((trouble IS NULL) = (:kind IS NULL), since_ms, :now_ms),
    contact_ms = iif(:kind IS NULL, :now_ms, contact_ms),
    trouble = :kind, detail = :detail
"""


class Task(StrEnum):
    """The two things sync does with the centre; each can fail alone."""

    LIST = "list"
    ENTRIES = "entries"


class TroubleKind(StrEnum):
    """Why a visit to the centre brought nothing; the screens have words for each."""

    NOT_ENROLLED = "not_enrolled"
    PENDING = "pending"
    UNREACHABLE = "unreachable"
    NOT_THE_CENTRE = "not_the_centre"
    REFUSED = "refused"
    BAD_LIST = "bad_list"
    BAD_RECEIPT = "bad_receipt"
    JOURNAL = "journal"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong, for the screen (kind) and for whoever repairs it (detail, a sentence)."""

    kind: TroubleKind
    detail: str


@dataclass(frozen=True, slots=True)
class Link:
    """How a task stands: in `trouble`, or well, since `since_ms`; `contact_ms` is when the centre last answered it."""

    since_ms: int
    contact_ms: int | None
    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class RequestAnswer:
    """What became of a request of staff: a TroubleKind or another word for the screen, and what it says beside."""

    ok: bool
    word: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What binds a box to its centre: where it is, who the box is there, the pinned root key, the signed key set."""

    url: str
    device: bytes
    root: bytes
    key_set: bytes


@dataclass(frozen=True, slots=True)
class SyncState:
    """One consistent look at sync.db. Nothing enrolled: `device` None. Enrolled but not yet approved: `config` None."""

    url: str | None = None
    device: bytes | None = None
    key_set: KeySet | None = None
    config: GateConfig | None = None
    evidence: Evidence = NO_EVIDENCE
    list_link: Link | None = None
    entries_link: Link | None = None

    @property
    def venue(self) -> int | None:
        """The venue's number, from the registry; its groups come with the list."""
        return None if self.config is None else self.config.venue

    @property
    def online(self) -> bool:
        """Whether list and entries both got through at the last attempt."""
        return all(link is not None and link.trouble is None for link in (self.list_link, self.entries_link))

    @property
    def offline_since_ms(self) -> int | None:
        """Since when not, or None."""
        links = (self.list_link, self.entries_link)
        return min((link.since_ms for link in links if link is not None and link.trouble is not None), default=None)

    @property
    def last_contact_ms(self) -> int | None:
        """When the centre last gave an answer that could be believed."""
        links = (self.list_link, self.entries_link)
        return max((link.contact_ms for link in links if link is not None and link.contact_ms), default=None)


class _Reader:
    """The SELECTs both sides share, on one connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._key_set: tuple[bytes, KeySet | None] = (b"", None)

    def is_ready(self) -> bool:
        """Whether the tables are there: the file exists a moment earlier."""
        return bool(self.db.execute("PRAGMA user_version").fetchone() == (SCHEMA,))

    def state(self) -> SyncState:
        self.db.execute("BEGIN")
        try:
            enrolment = self.db.execute("SELECT url, device, root, key_set, config FROM enrolment").fetchone()
            signed = self.db.execute("SELECT at_ms, boot_ms, boot_id FROM signed_time").fetchone()
            floor = self.db.execute("SELECT at_ms FROM floor").fetchone()
            rows = self.db.execute("SELECT task, since_ms, contact_ms, trouble, detail FROM link").fetchall()
        finally:
            self.db.execute("COMMIT")
        links = {
            Task(task): Link(since_ms, contact_ms, Trouble(TroubleKind(trouble), detail) if trouble else None)
            for task, since_ms, contact_ms, trouble, detail in rows
        }
        url, device, root, key_set, config = enrolment or (None, None, None, None, None)
        return SyncState(
            url=url,
            device=device,
            key_set=self._read_key_set(key_set, root),
            config=msgspec.msgpack.decode(config, type=GateConfig) if config else None,
            evidence=Evidence(SignedTime(*signed) if signed else None, floor[0] if floor else None),
            list_link=links.get(Task.LIST),
            entries_link=links.get(Task.ENTRIES),
        )

    def acknowledged(self, incarnation: bytes) -> Acknowledged | None:
        sql = "SELECT through_seq, receipt FROM receipt WHERE incarnation = ?"
        row = self.db.execute(sql, (incarnation,)).fetchone()
        return None if row is None else Acknowledged(*row)

    def cursor(self, incarnation: bytes) -> int:
        row = self.db.execute("SELECT through_seq FROM receipt WHERE incarnation = ?", (incarnation,)).fetchone()
        return int(row[0]) if row else 0

    def answer(self, request_id: bytes) -> RequestAnswer | None:
        row = self.db.execute("SELECT ok, word, detail FROM answer WHERE id = ?", (request_id,)).fetchone()
        return None if row is None else RequestAnswer(bool(row[0]), row[1], row[2])

    def _read_key_set(self, data: bytes | None, root: bytes | None) -> KeySet | None:
        """Parsed once per document, so that its index of keys is built once."""
        if data is None or root is None:
            return None
        if self._key_set[0] != data:
            read = keyset.read_key_set(data, root)
            self._key_set = (data, None if isinstance(read, signing.SealFlaw) else read)
        return self._key_set[1]


class SyncView:
    """Read-only for the lanes and the screen; any thread may ask. Works before anything is enrolled."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / SYNC_DB
        self._lock = threading.Lock()
        self._reader: _Reader | None = None
        self._inode: int | None = None
        self._changes: int | None = None
        self._state = SyncState()

    @classmethod
    def open(cls, data_dir: Path) -> SyncView:
        """The view on this data directory."""
        return cls(data_dir)

    def read(self) -> SyncState:
        """The state now: read again only when the file changed, else a stat and one look at SQLite's counter."""
        with self._lock:
            reader = self._open_reader()
            if reader is not None:
                (changes,) = reader.db.execute("PRAGMA data_version").fetchone()
                if changes != self._changes and reader.is_ready():
                    self._state = reader.state()
                    self._changes = changes
            return self._state

    def cursor(self, incarnation: bytes) -> int:
        """The last seq of this journal that the centre holds for good; 0 for none."""
        with self._lock:
            reader = self._open_reader()
            return 0 if reader is None or not reader.is_ready() else reader.cursor(incarnation)

    def answer(self, request_id: bytes) -> RequestAnswer | None:
        """What sync did of a request; None: nothing yet."""
        with self._lock, suppress(sqlite3.OperationalError):  # written by a release that answered nothing
            reader = self._open_reader()
            return None if reader is None or not reader.is_ready() else reader.answer(request_id)
        return None

    def acknowledged(self, incarnation: bytes) -> Acknowledged | None:
        """How far the centre holds this journal for good, with its receipt; None while it holds nothing."""
        with self._lock:
            reader = self._open_reader()
            return None if reader is None or not reader.is_ready() else reader.acknowledged(incarnation)

    def evidence(self) -> Evidence:
        """What `TrustedTime` asks for."""
        return self.read().evidence

    def _open_reader(self) -> _Reader | None:
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return None
        if self._reader is None or inode != self._inode:
            db = _connect(self._path, "ro")
            weakref.finalize(self, db.close)
            self._reader, self._inode, self._changes = _Reader(db), inode, None
        return self._reader


class SyncStore:
    """The writing side: one per process that writes (sync, enrolment, a test's set-up); any of its threads."""

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / SYNC_DB
        path.touch(mode=0o600)
        self._path, self._inode = path, path.stat().st_ino
        self._lock = threading.Lock()
        self._db = _connect(path, "rw")
        self._reader = _Reader(self._db)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is fetched or sent again
        self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")

    def close(self) -> None:
        """Nothing can be written afterwards."""
        self._db.close()

    def is_displaced(self) -> bool:
        """Whether the file was deleted or replaced: what is written from then on is nobody's."""
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def read(self) -> SyncState:
        """The state now."""
        with self._lock:
            return self._reader.state()

    def cursor(self, incarnation: bytes) -> int:
        """As `SyncView.cursor`."""
        with self._lock:
            return self._reader.cursor(incarnation)

    def answer(self, request_id: bytes) -> RequestAnswer | None:
        """As `SyncView.answer`."""
        with self._lock:
            return self._reader.answer(request_id)

    def keep_answer(self, request_id: bytes, answer: RequestAnswer) -> None:
        """What became of a request; the oldest answers beyond ANSWERS_KEPT go."""
        columns = (request_id, answer.ok, answer.word, answer.detail[:MAX_DETAIL_CHARACTERS])
        with self._transaction() as db:
            insert = "INSERT OR REPLACE INTO answer (id, ok, word, detail) VALUES (?, ?, ?, ?)"
            number = db.execute(insert, columns).lastrowid or 0
            db.execute("DELETE FROM answer WHERE number <= ?", (number - ANSWERS_KEPT,))

    def keep_enrolment(self, enrolment: Enrolment) -> None:
        """A new enrolment: what was learnt under another one goes."""
        with self._transaction() as db:
            db.execute("DELETE FROM receipt")
            db.execute("DELETE FROM link")
            columns = (enrolment.url, enrolment.device, enrolment.root, enrolment.key_set)
            db.execute("INSERT OR REPLACE INTO enrolment VALUES (1, ?, ?, ?, ?, NULL)", columns)

    def keep_config(self, config: GateConfig, root: bytes) -> None:
        """The centre's answer to an approved gate; its key set was verified and names `root`."""
        with self._transaction() as db:
            packed = msgspec.msgpack.encode(config)
            db.execute("UPDATE enrolment SET config = ?, key_set = ?, root = ?", (packed, config.key_set, root))

    def keep_receipt(self, incarnation: bytes, through_seq: int, receipt: bytes) -> None:
        """A receipt that was verified: this moves the cursor, and nothing else does."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO receipt VALUES (?, ?, ?)", (incarnation, through_seq, receipt))

    def keep_signed_time(self, signed: SignedTime) -> None:
        """A time the centre signed over our own nonce."""
        with self._transaction() as db:
            columns = (signed.at_ms, signed.boot_ms, signed.boot_id)
            db.execute("INSERT OR REPLACE INTO signed_time VALUES (1, ?, ?, ?)", columns)
            db.execute(_RAISE_FLOOR, (signed.at_ms,))

    def raise_floor(self, at_ms: int) -> None:
        """The centre signed a head at `at_ms`: it is not earlier now."""
        with self._transaction() as db:
            db.execute(_RAISE_FLOOR, (at_ms,))

    def note(self, task: Task, trouble: Trouble | None, now_ms: int) -> None:
        """How the last attempt at `task` ended; `since_ms` stays while it goes on being well, or being in trouble."""
        kind, detail = (None, None) if trouble is None else (trouble.kind, trouble.detail[:MAX_DETAIL_CHARACTERS])
        with self._transaction() as db:
            db.execute(_NOTE, {"task": task, "kind": kind, "detail": detail, "now_ms": now_ms})

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db


def sync_is_running(data_dir: Path) -> bool:
    """Whether a sync process holds its lock, be it on line or cut off."""
    try:
        with (data_dir / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def store_enrolment(data_dir: Path, enrolment: Enrolment, private_key: bytes, config: GateConfig | None = None) -> None:
    """Make a data directory that of an enrolled box; with `config` also an approved one. The key file is 0600."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file = data_dir / DEVICE_KEY
    key_file.unlink(missing_ok=True)
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private_key)
        file.flush()
        os.fsync(file.fileno())
    with closing(SyncStore(data_dir)) as store:
        store.keep_enrolment(enrolment)
        if config is not None:
            store.keep_config(config, enrolment.root)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, uri=True)
