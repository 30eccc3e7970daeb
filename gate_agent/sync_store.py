"""sync.db as sync and enrolment write it: what was learnt from the centre, verified before it is kept."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from gate_agent import enrolment_copy
from gate_agent.disk import BUSY_TIMEOUT_S, is_damage, write_whole
from gate_agent.pass_list import PassList
from gate_agent.sync_state import (
    DEVICE_KEY,
    SCHEMA,
    SYNC_DAMAGED,
    SYNC_DB,
    SYNC_LOST_NOTE,
    Enrolment,
    LinkTrouble,
    Parting,
    Reader,
    RequestAnswer,
    SyncState,
    Task,
)
from gate_agent.time_trust import SignedTime
from wire.messages import GateConfig

MAX_DETAIL_CHARACTERS = 300
ANSWERS_KEPT = 8

log = logging.getLogger(__name__)

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
CREATE TABLE IF NOT EXISTS parting (
    incarnation BLOB PRIMARY KEY, from_seq INTEGER NOT NULL, through_seq INTEGER NOT NULL) WITHOUT ROWID;
"""
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


class SyncStore:
    """The writing side: one per process that writes (sync, enrolment, a test's set-up); any of its threads."""

    def __init__(self, data_dir: Path) -> None:
        """Opens sync.db, made if there is none. A damaged one makes way; what the box needs comes from its copy."""
        self._data_dir = data_dir
        self._path = path = data_dir / SYNC_DB
        self._lock = threading.Lock()
        self._damaged = False
        set_aside = False
        try:
            self._db = _opened(path)
        except (sqlite3.DatabaseError, ValueError) as error:  # ValueError: what stands in it is not what sync wrote
            if isinstance(error, sqlite3.DatabaseError) and not is_damage(error):
                raise
            log.exception("sync.db is damaged: it is set aside, and a new one made")
            _set_aside(path)
            set_aside = True
            self._db = _opened(path)
        self._inode = path.stat().st_ino
        self._reader = Reader(self._db)
        self._in_step_with_copy(set_aside)

    def close(self) -> None:
        """Nothing can be written afterwards."""
        self._db.close()

    def is_displaced(self) -> bool:
        """Whether the file was deleted, replaced or damaged: what is written from then on is nobody's."""
        try:
            return self._damaged or self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def read(self) -> SyncState:
        """The state now."""
        with self._lock, self._noticing_damage():
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
            db.execute("DELETE FROM parting")
            db.execute("DELETE FROM link")
            columns = (enrolment.url, enrolment.device, enrolment.root, enrolment.key_set)
            db.execute("INSERT OR REPLACE INTO enrolment VALUES (1, ?, ?, ?, ?, NULL)", columns)
        self._keep_copy()

    def keep_config(self, config: GateConfig, root: bytes) -> None:
        """The centre's answer to an approved gate; its key set was verified and names `root`."""
        with self._transaction() as db:
            packed = msgspec.msgpack.encode(config)
            db.execute("UPDATE enrolment SET config = ?, key_set = ?, root = ?", (packed, config.key_set, root))
        self._keep_copy()

    def keep_receipt(self, incarnation: bytes, through_seq: int, receipt: bytes) -> None:
        """A receipt that was verified: this moves the cursor, and nothing else does."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO receipt VALUES (?, ?, ?)", (incarnation, through_seq, receipt))

    def parting(self, incarnation: bytes) -> Parting | None:
        """As `SyncView.parting`."""
        with self._lock:
            return self._reader.parting(incarnation)

    def keep_parting(self, incarnation: bytes, parting: Parting) -> None:
        """`gate-agent run` begins another journal when it finds this; the first word about a journal stays."""
        with self._transaction() as db:
            columns = (incarnation, parting.from_seq, parting.through_seq)
            db.execute("INSERT OR IGNORE INTO parting VALUES (?, ?, ?)", columns)

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

    def note(self, task: Task, trouble: LinkTrouble | None, now_ms: int) -> None:
        """How the last attempt at `task` ended; `since_ms` stays while it goes on being well, or being in trouble."""
        kind, detail = (None, None) if trouble is None else (trouble.kind, trouble.detail[:MAX_DETAIL_CHARACTERS])
        with self._transaction() as db:
            db.execute(_NOTE, {"task": task, "kind": kind, "detail": detail, "now_ms": now_ms})

    def _in_step_with_copy(self, set_aside: bool) -> None:
        """What the box is enrolled as stands in sync.db and in its copy; a new sync.db has it from there."""
        if self._reader.enrolment() is not None:
            return self._keep_copy()
        copy = enrolment_copy.load(self._data_dir)
        if copy is None:
            return None
        log.error("sync.db was %s: the enrolment comes from its copy", "damaged" if set_aside else "gone")
        if not set_aside:
            self._write(SYNC_LOST_NOTE, b"sync.db was gone; a new one was made from its copy\n")
        self.keep_enrolment(Enrolment(copy.url, copy.device, copy.root, copy.key_set))
        if copy.config is not None:
            self.keep_config(copy.config, copy.root)
        held = PassList.open(self._data_dir)
        return None if held is None else self.raise_floor(held.head.signed_at_ms)

    def _keep_copy(self) -> None:
        with self._lock:
            held = self._reader.enrolment()
        if held is not None:
            self._write(enrolment_copy.NAME, enrolment_copy.packed(held))

    def _write(self, name: str, data: bytes) -> None:
        """A small file, if it is not there yet as it should be; a disk that takes nothing keeps nobody from working."""
        path = self._data_dir / name
        try:
            if not path.exists() or path.read_bytes() != data:
                write_whole(path, data)
        except OSError:
            log.exception("%s could not be written", name)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._noticing_damage(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db

    @contextmanager
    def _noticing_damage(self) -> Iterator[None]:
        """A file that breaks meanwhile is given up (`is_displaced`), so that the next start makes another."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            self._damaged = self._damaged or is_damage(error)
            raise


def _opened(path: Path) -> sqlite3.Connection:
    """The file with its tables, looked through. Raises what is wrong with it: sqlite3.DatabaseError or ValueError."""
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is fetched or sent again
        db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise ValueError(f"{path.name}: {verdict}")
        held = Reader(db).enrolment()
        if held is not None and held.keys() is None:
            raise ValueError(f"{path.name}: the root key did not sign the key set")
    except BaseException:  # whatever it was, the file is let go of
        db.close()
        raise
    return db


def _set_aside(path: Path) -> None:
    """Only the newest is kept: nothing in it is precious, but service may want to see what the card did."""
    for suffix in ("", "-wal", "-shm"):
        aside = path.with_name(SYNC_DAMAGED + suffix)
        aside.unlink(missing_ok=True)
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside)


def store_enrolment(data_dir: Path, enrolment: Enrolment, private_key: bytes, config: GateConfig | None = None) -> None:
    """Make a data directory that of an enrolled box; with `config` also an approved one. The key file is 0600."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(data_dir / DEVICE_KEY, private_key)
    with closing(SyncStore(data_dir)) as store:
        store.keep_enrolment(enrolment)
        if config is not None:
            store.keep_config(config, enrolment.root)
