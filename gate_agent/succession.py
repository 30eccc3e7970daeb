"""When a journal cannot go on: the next one names it, and brings along what the centre has not got of it (wire.md §7).

That is so after an old copy of the card was put in (the centre holds another history of this journal, or more of it
than there is here), after a closing statement, and after damage. All but the damaged keep every fact that rules count
by: entries that the centre holds stay in the next journal without their bytes, numbered up to 0; those it has not got
follow as its first entries, chained anew. The file is changed for the other by one rename, so that a crash leaves
either; the old one is kept beside it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from gate_agent import chain, entries_schema
from gate_agent.board import Board
from gate_agent.chain import Broken, ChainWalk
from gate_agent.disk import BUSY_TIMEOUT_S, fsync, read_only
from gate_agent.entries import Entries
from gate_agent.entries_schema import Before
from gate_agent.events import EventName, EventWord, say
from gate_agent.journal_check import JournalDamaged
from gate_agent.journal_files import (
    CLOSED,
    LOG_SUFFIX,
    NAME,
    NEW_SUFFIX,
    SUPERSEDED,
    damaged_journals,
    last_journal,
    note_lost,
    remember_journal,
)
from gate_agent.sync_state import Parting
from wire.far_entry import NAMES_FAR
from wire.messages import (
    FIRST_HASH,
    INCARNATION_BYTES,
    LOST,
    Entry,
    Superseded,
    decode_entry,
    entry_hash,
    entry_with,
)

QUIET_MS = 10_000
PATIENCE_MS = 10 * 60_000
"""A journal that cannot go on is left as soon as nobody has presented for QUIET_MS, and after PATIENCE_MS anyway."""
LOOK_EVERY_S = 2.0
OF_ITS_OWN = frozenset({"meta", "entry", "acknowledged", "anchor", "superseded", "selfcheck", "request"})
"""Tables that a journal does not bring along as they are."""
NUMBERS = frozenset({"seq", "ref_seq"})
"""Columns that name an entry."""

log = logging.getLogger(__name__)


class JournalClosed(Exception):
    """The journal ended with a closing statement that has not reached the centre; the message says what to do."""


@dataclass(frozen=True, slots=True)
class End:
    """Why a journal does not go on. Entries from `from_seq` on are not at the centre, which knows it to `last_seq`."""

    from_seq: int
    last_seq: int
    head: bytes = b""
    kept_as: str = SUPERSEDED


@dataclass(frozen=True, slots=True)
class Opened:
    """The journal to write in. `aside`: where the one before it lies, if it had to make way just now."""

    entries: Entries
    aside: Path | None = None
    event: EventName | None = None
    """What the new journal should say of that."""


def open_journal(data_dir: Path, new_incarnation: Callable[[], bytes], learnt: Learnt) -> Opened:
    """The journal of a data directory, or the one that must follow it now; made if there is none."""
    opened = _opened(data_dir, new_incarnation, learnt)
    try:
        remember_journal(data_dir, opened.entries.incarnation)
    except OSError:  # a full disk keeps no gate from starting
        log.exception("which journal is written in now was not noted")
    return opened


def _opened(data_dir: Path, new_incarnation: Callable[[], bytes], learnt: Learnt) -> Opened:
    path = data_dir / NAME
    if path.exists():
        try:
            entries = Entries(path)
        except JournalDamaged:
            pass  # set aside below, whole
        else:
            try:
                end = _end_of(entries, learnt)
            except JournalClosed:
                entries.close()
                raise
            if end is None:
                return Opened(entries)
            entries.close()
            return _followed(path, new_incarnation(), end)
    event = None if path.exists() else _lost(data_dir, learnt)
    entries, aside = Entries.open(data_dir, new_incarnation, lambda damaged: _known_before(data_dir, damaged, learnt))
    return Opened(entries, aside, event if aside is None else EventWord.JOURNAL_SET_ASIDE)


def _lost(data_dir: Path, learnt: Learnt) -> EventName | None:
    """What to say of a journal that is gone: there was one by our own note, or by the centre's receipts."""
    last, known = last_journal(data_dir), [incarnation for incarnation, _ in learnt.journals()]
    if last is None and not known:
        return None
    gone = last or (known[0] if len(known) == 1 else b"")
    try:
        note_lost(data_dir, gone, learnt.cursor(gone))
    except OSError:  # the journal's own event says it all the same
        log.exception("that a journal was lost could not be noted")
    return say(EventWord.JOURNAL_LOST, gone.hex())


class Learnt(Protocol):
    """What is known of the centre's side of a journal: a `SyncView`."""

    def cursor(self, incarnation: bytes, /) -> int:
        """How far the centre holds it."""

    def parting(self, incarnation: bytes, /) -> Parting | None:
        """Where the centre's history of it leaves ours."""

    def journals(self) -> Sequence[tuple[bytes, int]]:
        """Every journal of this box that it ever acknowledged, and how far."""


class Watch:
    """Looks whether the journal at hand can go on, and asks for a new start at a quiet moment when it cannot."""

    def __init__(self, incarnation: bytes, learnt: Learnt, board: Board, start_anew: Callable[[], None]) -> None:
        self._incarnation = incarnation
        self._learnt = learnt
        self._board = board
        self._start_anew = start_anew
        self._waited_ms = 0

    def run(self, stop: threading.Event) -> None:
        """Look again and again until `stop`."""
        while not stop.wait(LOOK_EVERY_S):
            try:
                if self.is_due(round(LOOK_EVERY_S * 1000)):
                    self._start_anew()
                    return
            except sqlite3.Error:  # sync.db is replaceable, and looked at again
                log.exception("sync.db could not be read")

    def is_due(self, since_last_look_ms: int) -> bool:
        """Whether the moment has come."""
        if self._learnt.parting(self._incarnation) is None:
            return False
        self._waited_ms += since_last_look_ms
        status = self._board.snapshot().status
        is_quiet = self._board.quiet_ms() >= QUIET_MS and status.open_intents == 0
        return is_quiet or self._waited_ms >= PATIENCE_MS


def _end_of(entries: Entries, learnt: Learnt) -> End | None:
    """Why a sound journal cannot go on, or None. Raises JournalClosed."""
    parting, acknowledged = learnt.parting(entries.incarnation), learnt.cursor(entries.incarnation)
    after_last = entries.last_seq + 1
    if parting is not None:
        return End(min(parting.from_seq, after_last), max(parting.through_seq, acknowledged))
    if acknowledged > entries.last_seq:  # a card that lost its end, or an old copy of one
        return End(after_last, acknowledged)
    if not entries.is_closed():
        return None
    if acknowledged < entries.last_seq:
        raise JournalClosed(
            f"the journal was closed and its last {entries.last_seq - acknowledged} entries are not at the "
            "centre yet: let gate-agent sync send them, then start again"
        )
    return End(after_last, entries.last_seq, entries.last_hash, CLOSED)


def _followed(path: Path, incarnation: bytes, end: End) -> Opened:
    """The next journal in place of the one at `path`; that one goes on if there is no room for it, or somebody reads.

    Then the centre takes nothing more of it, and the next start tries again.
    """
    try:
        aside = _follow(path, incarnation, end)
    except (OSError, sqlite3.Error):
        log.exception("the journal cannot go on, and no new one could be made: it is tried at the next start")
        return Opened(Entries(path))
    event = EventWord.JOURNAL_SUPERSEDED if end.kept_as == SUPERSEDED else EventWord.JOURNAL_REOPENED
    return Opened(Entries(path), aside, event)


def _follow(path: Path, incarnation: bytes, end: End) -> Path:
    building = path.with_name(NAME + NEW_SUFFIX)
    for suffix in ("", LOG_SUFFIX, "-shm", "-journal"):
        building.with_name(building.name + suffix).unlink(missing_ok=True)
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode = DELETE")  # a log left behind would run into the file that takes its name
        (before,) = old.execute("SELECT incarnation FROM meta").fetchone()
    aside = path.with_name(f"{end.kept_as}{before.hex()}.db")
    with closing(sqlite3.connect(building, isolation_level=None)) as db:
        entries_schema.create(db, incarnation, Superseded(before, end.last_seq, end.head))
        db.execute("ATTACH ? AS old", (str(path),))
        db.execute("BEGIN")
        _bring_along(db, end.from_seq)
        db.execute("COMMIT")
    building.chmod(0o600)
    fsync(building)
    if not aside.exists():  # after a crash before the rename it is this very file
        os.link(path, aside)
    fsync(path.parent)
    building.rename(path)
    fsync(path.parent)
    return aside


def _bring_along(db: sqlite3.Connection, from_seq: int) -> None:
    """Every row of the database attached as `old`, entry `from_seq` becoming entry 1."""
    by = from_seq - 1
    for (table,) in db.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
        if table not in OF_ITS_OWN:
            _copy(db, table, by)
    db.execute("UPDATE superseded SET shift = ?", (by,))
    db.execute(
        "INSERT INTO superseded SELECT number + 1, incarnation, last_seq, hash, shift + ? FROM old.superseded", (by,)
    )
    _copy(db, "entry", by, dict.fromkeys(("body", "hash"), "x''"), f"WHERE seq < {from_seq}")
    running = FIRST_HASH
    for seq, body in db.execute("SELECT seq, body FROM old.entry WHERE seq >= ? ORDER BY seq", (from_seq,)).fetchall():
        entry = decode_entry(body)
        ref_seq = None if entry.ref_seq is None else entry.ref_seq - by
        anew = entry_with(body, seq=seq - by, ref_seq=ref_seq, evidence=_evidence(db, entry, ref_seq))
        running = entry_hash(running, anew)
        _copy(db, "entry", by, {"body": ":body", "hash": ":hash"}, f"WHERE seq = {seq}", body=anew, hash=running)


def _evidence(db: sqlite3.Connection, entry: Entry, ref_seq: int | None) -> bytes | None:
    """Its own; what speaks of an intent that the centre holds of an earlier journal says which that is."""
    if entry.kind not in NAMES_FAR or ref_seq is None or ref_seq > 0:
        return entry.evidence
    far = entries_schema.far_entry(db, ref_seq)
    return entry.evidence if far is None else far.evidence()


def _copy(
    db: sqlite3.Connection,
    table: str,
    by: int,
    instead: Mapping[str, str] = MappingProxyType({}),
    which: str = "",
    **values: bytes,
) -> None:
    """Rows of a table with `by` taken from every number of an entry, and something else in the columns `instead`."""
    held = {name for _, name, *_ in db.execute(f"PRAGMA old.table_info({table})")}
    columns = [name for _, name, *_ in db.execute(f"PRAGMA main.table_info({table})") if name in held]
    told = [instead.get(name, f"{name} - {by}" if name in NUMBERS else name) for name in columns]
    sql = f"INSERT INTO main.{table} ({', '.join(columns)}) SELECT {', '.join(told)} FROM old.{table} {which}"  # noqa: S608 - names and numbers of our own
    db.execute(sql, values)


def _known_before(data_dir: Path, damaged: Path | None, learnt: Learnt) -> Before:
    """What a fresh journal says of the one before it, of which only this may be left."""
    found = None if damaged is None else _readable_end(damaged)
    if found is not None:
        acknowledged = learnt.cursor(found.incarnation)
        return found if found.last_seq >= acknowledged else Superseded(found.incarnation, acknowledged)
    last, known = last_journal(data_dir), learnt.journals()
    if last is not None:
        return Superseded(last, learnt.cursor(last))
    if len(known) == 1:
        return Superseded(*known[0])
    return LOST if known or damaged_journals(data_dir) else None


def _readable_end(damaged: Path) -> Superseded | None:
    """How far a damaged journal can be followed; None when it does not even say which it is."""
    incarnation, walk = b"", ChainWalk()
    try:
        with closing(read_only(damaged)) as db:
            (incarnation,) = db.execute("SELECT incarnation FROM meta").fetchone()
            first = chain.anchor(db)
            if (type(first.seq), type(first.hash)) != (int, bytes):
                raise TypeError("the anchor says neither a number nor a hash")
            walk = ChainWalk(first.seq, first.hash)
            for row in db.execute("SELECT seq, body, hash FROM entry WHERE seq > ? ORDER BY seq", (first.seq,)):
                if isinstance(walk.step(*row), Broken):
                    break
    except (sqlite3.Error, TypeError):  # the latter: what should be bytes or a number is not
        pass
    if type(incarnation) is not bytes or len(incarnation) != INCARNATION_BYTES:
        return None
    return Superseded(incarnation, walk.seq, walk.hash)
