"""sync.db as everybody reads it: what this box has learnt from the centre. sync_store.py writes it; replaceable."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec

from gate_agent import enrolment_copy
from gate_agent.disk import is_damage, read_only
from gate_agent.enrolment_copy import EnrolmentCopy
from gate_agent.pruning import Acknowledged
from gate_agent.time_trust import NO_EVIDENCE, Evidence, SignedTime
from wire import keyset, signing
from wire.keyset import KeySet
from wire.messages import GateConfig

SYNC_DB, DEVICE_KEY = "sync.db", "device.key"
SYNC_DAMAGED, SYNC_LOST_NOTE = "sync-damaged.db", "sync-lost.txt"
"""What is left of a sync.db that was damaged, and the note of one that was gone, until service takes it away."""
LOCK = "sync.lock"
"""Held by the one sync that writes here."""
SCHEMA = 1

T = TypeVar("T")


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
class LinkTrouble:
    """What went wrong, for the screen (kind) and for whoever repairs it (detail, a sentence)."""

    kind: TroubleKind
    detail: str


@dataclass(frozen=True, slots=True)
class Link:
    """How a task stands: in `trouble`, or well, since `since_ms`; `contact_ms` is when the centre last answered it."""

    since_ms: int
    contact_ms: int | None
    trouble: LinkTrouble | None


@dataclass(frozen=True, slots=True)
class RequestAnswer:
    """What became of a request of staff: a TroubleKind or another word for the screen, and what it says beside."""

    ok: bool
    word: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Parting:
    """The centre holds another history of a journal than this box: from here on, and that one reaches so far."""

    from_seq: int
    through_seq: int


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


class Reader:
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
            Task(task): Link(since_ms, contact_ms, LinkTrouble(_kind(trouble), detail) if trouble else None)
            for task, since_ms, contact_ms, trouble, detail in rows
            if task in set(Task)  # a newer release may have had others
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

    def enrolment(self) -> EnrolmentCopy | None:
        """What its copy is to say; ValueError: the row is not what sync wrote."""
        row = self.db.execute("SELECT url, device, root, key_set, config FROM enrolment").fetchone()
        if row is None:
            return None
        url, device, root, key_set, config = row
        unpacked = msgspec.msgpack.decode(config, type=GateConfig) if config else None
        return EnrolmentCopy(enrolment_copy.FORMAT, url, device, root, key_set, unpacked)

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

    def parting(self, incarnation: bytes) -> Parting | None:
        row = self.db.execute(
            "SELECT from_seq, through_seq FROM parting WHERE incarnation = ?", (incarnation,)
        ).fetchone()
        return None if row is None else Parting(*row)

    def journals(self) -> list[tuple[bytes, int]]:
        return self.db.execute("SELECT incarnation, through_seq FROM receipt").fetchall()

    def _read_key_set(self, data: bytes | None, root: bytes | None) -> KeySet | None:
        """Parsed once per document, so that its index of keys is built once."""
        if data is None or root is None:
            return None
        if self._key_set[0] != data:
            read = keyset.read_key_set(data, root)
            self._key_set = (data, None if isinstance(read, signing.SealFlaw) else read)
        return self._key_set[1]


def _kind(word: str) -> TroubleKind:
    """One that a newer release wrote before a rollback is told by its detail until the task is tried again."""
    return TroubleKind(word) if word in set(TroubleKind) else TroubleKind.REFUSED


class SyncView:
    """Read-only for the lanes and the screen; any thread may ask. Works before anything is enrolled."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / SYNC_DB
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._inode: int | None = None
        self._changes: int | None = None
        self._state = SyncState()
        self._on_copy = False

    @classmethod
    def open(cls, data_dir: Path) -> SyncView:
        """The view on this data directory."""
        return cls(data_dir)

    @property
    def is_on_copy(self) -> bool:
        """Whether the last `read` had to do with the copy of the enrolment, because sync.db is damaged or gone."""
        return self._on_copy

    def read(self) -> SyncState:
        """The state now: read again only when the file changed, else a stat and one look at SQLite's counter.

        Where the file cannot be read or is gone: what its copy says, and what was known before where there is none
        (sqlite3.Error or ValueError while a file is there).
        """
        with self._lock:
            failed: Exception | None = None
            try:
                reader = self._ready()
                if reader is not None:
                    (changes,) = reader.db.execute("PRAGMA data_version").fetchone()
                    if changes != self._changes:
                        self._state = reader.state()
                        self._changes = changes
                    self._on_copy = False
                    return self._state
            except (sqlite3.Error, ValueError) as error:  # ValueError: what stands in it is not what sync wrote
                failed, self._changes = error, None
            copy = enrolment_copy.load(self._path.parent)
            self._on_copy = copy is not None
            if copy is not None:
                return SyncState(copy.url, copy.device, copy.keys(), copy.config)
            if failed is not None:
                raise failed
            return self._state

    def cursor(self, incarnation: bytes) -> int:
        """The last seq of this journal that the centre holds for good; 0 for none."""
        return self._ask(lambda reader: reader.cursor(incarnation), 0)

    def answer(self, request_id: bytes) -> RequestAnswer | None:
        """What sync did of a request; None: nothing yet."""
        return self._ask(lambda reader: reader.answer(request_id), None)

    def acknowledged(self, incarnation: bytes) -> Acknowledged | None:
        """How far the centre holds this journal for good, with its receipt; None while it holds nothing."""
        return self._ask(lambda reader: reader.acknowledged(incarnation), None)

    def parting(self, incarnation: bytes) -> Parting | None:
        """Where the centre's history of this journal leaves the one here; None: as far as is known it does not."""
        return self._ask(lambda reader: reader.parting(incarnation), None)

    def journals(self) -> list[tuple[bytes, int]]:
        """Every journal of this box that the centre ever acknowledged, and how far."""
        return self._ask(lambda reader: reader.journals(), [])

    def evidence(self) -> Evidence:
        """What `TrustedTime` asks for."""
        return self.read().evidence

    def _ask(self, question: Callable[[Reader], T], otherwise: T) -> T:
        """`otherwise` where nobody can be asked: no file yet, a damaged one, one that lacks the table."""
        with self._lock:
            try:
                reader = self._ready()
                return otherwise if reader is None else question(reader)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # which is what a missing table is
                    raise
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
        return otherwise

    def _ready(self) -> Reader | None:
        """None while the file is not there, or its tables are not."""
        reader = self._open_reader()
        return reader if reader is not None and reader.is_ready() else None

    def _open_reader(self) -> Reader | None:
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return None
        if self._reader is None or inode != self._inode:
            db = read_only(self._path, any_thread=True)
            weakref.finalize(self, db.close)
            self._reader, self._inode, self._changes = Reader(db), inode, None
        return self._reader


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


def sync_was_lost(data_dir: Path) -> bool:
    """Whether a sync.db was damaged or gone, and nobody has taken away what tells it."""
    return any((data_dir / name).exists() for name in (SYNC_DAMAGED, SYNC_LOST_NOTE))
