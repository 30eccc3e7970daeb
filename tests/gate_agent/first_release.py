"""The journal as the first release wrote it: its statements, word for word, for tests of update and rollback."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from gate_agent.entries import Placed
from gate_agent.journal_files import NAME
from tests.wire import samples
from wire.messages import CLOSING, FIRST_HASH, Entry, EntryKind, encode_entry, entry_hash

NEWEST_SCHEMA = 2
CHECKED_AT_START = 1_000
TABLES = """
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    incarnation BLOB NOT NULL   -- 8 random bytes, made with the file
) STRICT;

CREATE TABLE entry (
    seq INTEGER PRIMARY KEY,    -- 1, 2, 3 … without a gap
    body BLOB NOT NULL,         -- the exact bytes that are hashed and sent (wire.messages.Entry)
    hash BLOB NOT NULL,         -- SHA-256(hash before ‖ body)
    kind INTEGER NOT NULL,      -- the columns from here repeat the body, so that facts are found by an index
    lane INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    trust INTEGER NOT NULL,
    pass_id BLOB,
    ref_seq INTEGER,
    reason TEXT,
    monotonic_ms INTEGER NOT NULL,
    boot TEXT NOT NULL,         -- the boot period in which monotonic_ms counts
    day INTEGER,                -- days since 2020 on the venue's calendar; NULL while the time was not known
    product INTEGER,
    without_list_ms INTEGER     -- admitted on a signature alone: when the head then held was signed
) STRICT;
CREATE INDEX entry_of_pass ON entry (pass_id) WHERE pass_id IS NOT NULL AND kind <> 7;
CREATE INDEX entry_without_list ON entry (lane, product, without_list_ms) WHERE without_list_ms IS NOT NULL;
CREATE TRIGGER entry_is_append_only BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;

CREATE TABLE open_intent (seq INTEGER PRIMARY KEY) STRICT;  -- intents whose outcome is not written yet
CREATE TABLE selfcheck (id INTEGER PRIMARY KEY CHECK (id = 1), at_ms INTEGER NOT NULL) STRICT;
"""
INSERT = """
INSERT INTO entry (seq, body, hash, kind, lane, at_ms, trust, pass_id, ref_seq, reason,
                   monotonic_ms, boot, day, product, without_list_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
STEPS = "SELECT seq, kind, ref_seq, lane, at_ms, day, boot, monotonic_ms FROM entry WHERE pass_id = ? AND kind <> 7"
READY = """
SELECT body, hash FROM entry
WHERE seq > ? AND seq < coalesce((SELECT min(seq) FROM open_intent), ?) ORDER BY seq LIMIT ?
"""


def create(data_dir: Path) -> None:
    """An empty journal."""
    with closing(sqlite3.connect(data_dir / NAME, isolation_level=None)) as db:
        db.executescript(f"BEGIN; PRAGMA user_version = 1; {TABLES}; COMMIT")
        db.execute("INSERT INTO meta VALUES (1, ?)", (samples.INCARNATION,))


def append(data_dir: Path, *entries: Entry, placed: Placed) -> None:
    """Open the journal, refuse what that release refuses, append in one commit, close."""
    with closing(sqlite3.connect(data_dir / NAME, isolation_level=None)) as db:
        (schema,) = db.execute("PRAGMA user_version").fetchone()
        assert 1 <= schema <= NEWEST_SCHEMA
        assert db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        db.execute("PRAGMA journal_mode = WAL")
        seq, chained = _checked_tail(db)
        db.execute("BEGIN IMMEDIATE")
        for entry in entries:
            seq += 1
            body = encode_entry(msgspec.structs.replace(entry, seq=seq))
            chained = entry_hash(chained, body)
            columns = (entry.kind, entry.lane, entry.device_at_ms, entry.trust)
            facts = (entry.pass_id, entry.ref_seq, entry.reason)
            beside = (entry.monotonic_ms, placed.boot, placed.day, placed.product, placed.without_list_ms)
            db.execute(INSERT, (seq, body, chained, *columns, *facts, *beside))
            if entry.kind is EntryKind.INTENT:
                db.execute("INSERT INTO open_intent VALUES (?)", (seq,))
            elif entry.kind in CLOSING:
                db.execute("DELETE FROM open_intent WHERE seq = ?", (entry.ref_seq,))
        db.execute("INSERT OR REPLACE INTO selfcheck VALUES (1, ?)", (samples.NOW_MS,))
        db.execute("COMMIT")


def ready(data_dir: Path, after: int) -> list[bytes]:
    """What that release would send next."""
    with closing(sqlite3.connect(data_dir / NAME)) as db:
        return [body for body, _ in db.execute(READY, (after, 2**63 - 1, 500))]


def steps(data_dir: Path, pass_id: bytes) -> list[tuple[int, int]]:
    """Seq and kind of what that release counts for a pass."""
    with closing(sqlite3.connect(data_dir / NAME)) as db:
        return [(seq, kind) for seq, kind, *_ in db.execute(STEPS, (pass_id,))]


def _checked_tail(db: sqlite3.Connection) -> tuple[int, bytes]:
    """As that release walks the chain of the newest entries: whatever does not follow is damage to it."""
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()
    row = db.execute("SELECT seq, hash FROM entry WHERE seq = ?", (last - CHECKED_AT_START,)).fetchone()
    seq, chained = row or (0, FIRST_HASH)
    for number, body, stored in db.execute("SELECT seq, body, hash FROM entry WHERE seq > ? ORDER BY seq", (seq,)):
        assert number == seq + 1, f"entry {seq + 1} is missing"
        assert entry_hash(chained, body) == stored
        seq, chained = number, stored
    return seq, chained
