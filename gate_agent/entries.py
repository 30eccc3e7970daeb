"""entries.db: the journal of what happened at the lanes, append-only and hash-chained; also what is sent up. Precious.

Written only by `gate-agent run`; everybody else opens it read-only. SQLite in WAL mode with synchronous=FULL: what a
commit returned for is on disk. entries_schema.py says what stands in it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gate_agent import entries_schema, journal_check, lane_orders, pruning, topology
from gate_agent.disk import BUSY_TIMEOUT_S, free_bytes, is_damage
from gate_agent.entries_schema import Before
from gate_agent.events import EventWord
from gate_agent.journal_check import JournalDamaged, JournalTooNew
from gate_agent.journal_files import LOG_SUFFIX, NAME, create_journal, set_journal_aside
from gate_agent.lane_state import Order
from gate_agent.pruning import Acknowledged
from gate_agent.time_trust import Now
from gate_agent.topology import Wiring
from gate_agent.uses import PassEntry
from wire.far_entry import FarEntry
from wire.messages import (
    CLOSING,
    ClockTrust,
    Entry,
    EntryKind,
    Presentation,
    decode_entry,
    encode_entry,
    entry_hash,
)
from wire.reasons import Reason

REQUESTS_KEPT = 4
MANUAL_ENTRIES_KEPT = 2_000
"""Of each member of staff, the newest: more than any limit of a day, whatever days a clock that was set gave them."""
NOTHING_COUNTED = -(2**63)
KEPT_FOR_ADMISSIONS_BYTES = 64 * 1024 * 1024
"""When the disk has less, refusals are no longer written: admissions go on for some 300,000 entries more."""
UNDONE_BY = {EntryKind.INTENT: EntryKind.ANNULLED, EntryKind.MANUAL: EntryKind.RETURNED}
"""What follows an admission that was recorded too late for its visitor (`Entries.take_back`)."""

_INSERT = """
INSERT INTO entry (seq, body, hash, kind, lane, at_ms, trust, pass_id, ref_seq, reason,
                   monotonic_ms, boot, day, product, without_list_ms, step)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FORGET_MANUAL = """
DELETE FROM manual_entry WHERE who = ?1 AND seq <= (
    SELECT seq FROM manual_entry WHERE who = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)"""
_ENTRIES_OF = """
SELECT seq, kind, ref_seq, lane, at_ms, day, boot, monotonic_ms, step, reason
FROM entry WHERE pass_id = ? AND kind <> 7
"""


@dataclass(frozen=True, slots=True)
class Placed:
    """What the journal keeps beside an entry's bytes. `without_list_ms`, `step`: see the table."""

    boot: str
    day: int | None
    product: int | None = None
    without_list_ms: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class OpenIntent:
    """An intent that a crash left without an outcome."""

    seq: int
    lane: int
    pass_id: bytes
    boot: str
    monotonic_ms: int


class Entries:
    """The journal, open for writing: one connection, used by one thread at a time. SQLite's errors are raised."""

    def __init__(self, path: Path) -> None:
        """Open an existing journal and check it: JournalDamaged, JournalTooNew, or what SQLite says of the disk."""
        self.path = path
        self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            schema = journal_check.schema(self._db)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA secure_delete = FAST")  # a request may hold a one-time code; exports copy the file
            self.incarnation = journal_check.incarnation(self._db)
            self._seq, self._hash = journal_check.tail(self._db)
            self._newest_trusted_ms = journal_check.newest_trusted_ms(self._db)
            entries_schema.carry_up(self._db, schema)
            self._places = self._places_now()
        except sqlite3.DatabaseError as error:
            self._db.close()
            if is_damage(error):
                raise JournalDamaged(f"{NAME}: {error}") from error
            raise
        except (JournalDamaged, JournalTooNew):
            self._db.close()
            raise

    @classmethod
    def open(
        cls,
        data_dir: Path,
        new_incarnation: Callable[[], bytes],
        before: Callable[[Path | None], Before] = lambda _: None,
    ) -> tuple[Entries, Path | None]:
        """The journal of a data directory, made if there is none.

        A damaged one is set aside whole under a name of its own, which is returned, and a new incarnation begins.
        `before` is asked what a new one says of the journal before it, and is given that name.
        """
        path, set_aside = data_dir / NAME, None
        try:
            if path.exists():
                return cls(path), None
        except JournalDamaged:
            set_aside = set_journal_aside(path)
        set_journal_aside(
            path
        )  # a log without its database, from a start that died here, must not run into the new one
        create_journal(path, new_incarnation(), before(set_aside))
        return cls(path), set_aside

    @property
    def last_seq(self) -> int:
        """The newest entry; 0 in an empty journal."""
        return self._seq

    @property
    def last_hash(self) -> bytes:
        """The chain's hash after the newest entry."""
        return self._hash

    def is_closed(self) -> bool:
        """Whether its last word is that nothing more will come."""
        row = self._db.execute("SELECT reason FROM entry WHERE seq = ?", (self._seq,)).fetchone()
        return row is not None and bool(row[0] == EventWord.JOURNAL_CLOSED)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is on disk when this returns, or nothing of it happened."""
        before = self._seq, self._hash
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:  # whatever it was, nothing of it may stay
            self._seq, self._hash = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """A part of a transaction that can fail alone, unless it was the disk or the file that failed."""
        before = self._seq, self._hash
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except sqlite3.Error:
            raise
        except BaseException:  # whatever it was, this part is undone and the others stay
            self._seq, self._hash = before
            self._db.execute("ROLLBACK TO part")
            raise
        self._db.execute("RELEASE part")

    def append(self, entry: Entry, placed: Placed) -> int:
        """Write one entry as the next of the chain, inside a transaction; its seq. `entry.seq` is not looked at."""
        seq = self._seq + 1
        body = encode_entry(msgspec.structs.replace(entry, seq=seq))
        chained = entry_hash(self._hash, body)
        columns = (entry.kind, entry.lane, entry.device_at_ms, entry.trust, entry.pass_id, entry.ref_seq, entry.reason)
        beside = (entry.monotonic_ms, placed.boot, placed.day, placed.product, placed.without_list_ms, placed.step)
        self._db.execute(_INSERT, (seq, body, chained, *columns, *beside))
        if entry.kind is EntryKind.INTENT:
            self._db.execute("INSERT INTO open_intent VALUES (?)", (seq,))
        elif entry.kind in CLOSING:
            self._db.execute("DELETE FROM open_intent WHERE seq = ?", (entry.ref_seq,))
        elif entry.kind is EntryKind.RETURNED:
            self._db.execute("DELETE FROM manual_entry WHERE seq = ?", (entry.ref_seq,))
        elif entry.kind is EntryKind.MANUAL and entry.who is not None:
            self._db.execute("INSERT INTO manual_entry VALUES (?, ?, ?, ?)", (seq, entry.who, placed.day, placed.boot))
            self._db.execute(_FORGET_MANUAL, (entry.who, MANUAL_ENTRIES_KEPT))
        self._seq, self._hash = seq, chained
        if entry.trust is ClockTrust.TRUSTED:
            self._newest_trusted_ms = max(entry.device_at_ms, self._newest_trusted_ms or 0)
        return seq

    def take_back(self, after_seq: int, through_seq: int) -> None:
        """Undo what was appended in between for somebody who was told that it could not be recorded.

        An intent is annulled, an admission by hand returned, as of their own moments; inside a transaction.
        """
        sql = "SELECT body, boot, day FROM entry WHERE seq > ? AND seq <= ? AND kind IN (?, ?) ORDER BY seq"
        for body, boot, day in self._db.execute(sql, (after_seq, through_seq, *UNDONE_BY)).fetchall():
            done = decode_entry(body)
            undone = msgspec.structs.replace(
                done,
                kind=UNDONE_BY[done.kind],
                presentation=Presentation.NONE,
                evidence=None,
                ref_seq=done.seq,
                reason=Reason.CANNOT_RECORD,
            )
            self.append(undone, Placed(boot, day))

    def has_ended(self, pass_id: bytes, intent_seq: int, kind: EntryKind) -> bool:
        """Whether an ending of this kind would be one too many: the intent is closed, or was passed late already."""
        if kind in CLOSING:
            return self._db.execute("SELECT 1 FROM open_intent WHERE seq = ?", (intent_seq,)).fetchone() is None
        return any((entry.ref_seq, entry.kind) == (intent_seq, kind) for entry in self.entries_of(pass_id))

    def displaced(self) -> str | None:
        """A sentence when the file or SQLite's log beside it was deleted or replaced under us: then nothing lasts."""
        if self._places_now() == self._places:
            return None
        return f"{self.path.name} was deleted or replaced while the gate was running: start the gate anew"

    def has_room(self) -> bool:
        """Whether the disk has more room than admissions should keep to themselves."""
        return free_bytes(self.path) >= KEPT_FOR_ADMISSIONS_BYTES

    def counted_through(self, marks: Mapping[bytes, int]) -> int:
        """The last entry here that the centre has counted, by how far it says it has counted each journal of this gate.

        What is kept of earlier journals stands before entry 1, each up to where the next begins.
        """
        if not marks or self.incarnation in marks:
            return marks.get(self.incarnation, NOTHING_COUNTED)
        kept = self._db.execute("SELECT incarnation, shift FROM superseded WHERE shift IS NOT NULL ORDER BY number")
        return next((min(0, marks[before] - shift) for before, shift in kept if before in marks), NOTHING_COUNTED)

    def entries_of(self, pass_id: bytes) -> list[PassEntry]:
        """What the journal holds of a pass, refusals left out."""
        return [
            PassEntry(seq, EntryKind(kind), *rest) for seq, kind, *rest in self._db.execute(_ENTRIES_OF, (pass_id,))
        ]

    def used_without_list(self, lane: int, product: int, head_signed_at_ms: int) -> int:
        """Admissions of a product at a lane that rested on no list, under the head signed at that time."""
        sql = "SELECT count(*) FROM entry WHERE lane = ? AND product = ? AND without_list_ms = ?"
        return int(self._db.execute(sql, (lane, product, head_signed_at_ms)).fetchone()[0])

    def open_intents(self) -> list[OpenIntent]:
        """Intents without an outcome, oldest first."""
        sql = "SELECT seq, lane, pass_id, boot, monotonic_ms FROM open_intent JOIN entry USING (seq) ORDER BY seq"
        return [OpenIntent(*row) for row in self._db.execute(sql)]

    def newest_trusted_ms(self) -> int | None:
        """The latest time at which an entry was written while the clock was trusted; any thread may ask."""
        return self._newest_trusted_ms

    def let_in_by(self, who: str, day: int | None, boot: str) -> int:
        """How many people a member of staff let in by hand on a day; while the time is not known, in this boot."""
        sql = "SELECT count(*) FROM manual_entry WHERE who = ? AND (day = ? OR day IS NULL AND boot = ?)"
        return int(self._db.execute(sql, (who, day, boot)).fetchone()[0])

    def pin_attempts(self) -> tuple[int, str, int, int]:
        """Wrong PINs in a row, boot and boot clock of when that was, and what all of them weighed then."""
        row = self._db.execute("SELECT wrong, boot, boot_ms, weight_ms FROM pin_attempts").fetchone()
        return (0, "", 0, 0) if row is None else (int(row[0]), str(row[1]), int(row[2]), int(row[3]))

    def keep_pin_attempts(self, wrong: int, boot: str, boot_ms: int, weight_ms: int) -> None:
        """As `pin_attempts` gives them."""
        row = (wrong, boot, boot_ms, weight_ms)
        self._db.execute("INSERT OR REPLACE INTO pin_attempts VALUES (1, ?, ?, ?, ?)", row)

    def wiring(self) -> dict[int, Wiring]:
        """See `topology.load`."""
        return topology.load(self._db)

    def keep_wiring(self, lane: int, wiring: Wiring) -> None:
        """See `topology.keep`."""
        topology.keep(self._db, lane, wiring)

    def lane_orders(self, boot: str, now: Now) -> dict[int, Order]:
        """See `lane_orders.load`."""
        return lane_orders.load(self._db, boot, now)

    def keep_lane_order(self, lane: int, order: Order, boot: str, now: Now) -> None:
        """See `lane_orders.keep`."""
        lane_orders.keep(self._db, lane, order, boot, now)

    def pass_of_intent(self, seq: int) -> bytes | None:
        """The pass that an intent of this journal let in."""
        sql = "SELECT pass_id FROM entry WHERE seq = ? AND kind = ?"
        row = self._db.execute(sql, (seq, EntryKind.INTENT)).fetchone()
        return None if row is None else bytes(row[0])

    def far_entry(self, seq: int) -> FarEntry | None:
        """Which entry of an earlier journal stands here as entry `seq`, 0 or less."""
        return entries_schema.far_entry(self._db, seq)

    def ask_sync(self, request_id: bytes, kind: str, body: bytes, boot: str, boot_ms: int) -> None:
        """One more request for sync; the oldest beyond REQUESTS_KEPT go."""
        columns = "INSERT INTO request (id, kind, body, boot, boot_ms) VALUES (?, ?, ?, ?, ?)"
        number = self._db.execute(columns, (request_id, kind, body, boot, boot_ms)).lastrowid or 0
        self._db.execute("DELETE FROM request WHERE number <= ?", (number - REQUESTS_KEPT,))

    def forget_request(self, request_id: bytes) -> None:
        """Nobody waits for it any more."""
        self._db.execute("DELETE FROM request WHERE id = ?", (request_id,))

    def prune(self, held: Acknowledged, now_ms: int) -> int:
        """See `pruning.prune`."""
        return pruning.prune(self._db, held, now_ms)

    def check_itself(self, at_ms: int) -> None:
        """Write something outside the chain, to see whether the disk takes it."""
        self._db.execute("INSERT OR REPLACE INTO selfcheck VALUES (1, ?)", (at_ms,))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _places_now(self) -> list[tuple[int, int] | None]:
        return [_place(file) for file in (str(self.path), f"{self.path}{LOG_SUFFIX}")]


def _place(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - with every commit, and a third of the time of Path.stat
    except OSError:
        return None
    return found.st_dev, found.st_ino
