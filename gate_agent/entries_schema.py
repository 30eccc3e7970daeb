"""What stands in entries.db, schema by schema: a later one only adds nullable columns and tables (gate.md).

A release appends to a journal one schema newer than its own, so that an update can be taken back: what is added must
never be needed by the release before.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

from wire.far_entry import FarEntry
from wire.messages import LOST, Superseded

Before = Superseded | Literal["lost"] | None
"""What a journal knows of the one before it; None: it is the first."""
SCHEMA = 2
NEWEST_SCHEMA = SCHEMA + 1
"""The newest schema this release appends to."""

_FIRST = """
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
"""Released: never edited."""

_ADDED = {
    # Add to the newest while it is not released: nullable columns of `entry`, and tables, each with a comment that
    # says who writes it. Rows are written inside works of the journal thread and nowhere else.
    2: """
ALTER TABLE entry ADD COLUMN step INTEGER;  -- of a rotating code: its time step, which only rises for a pass

CREATE TABLE acknowledged (     -- how far the centre's receipts reached, once a day (gate_agent.pruning)
    through_seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    receipt BLOB NOT NULL
) STRICT;

CREATE TABLE anchor (           -- the newest entry that was pruned: the chain goes on from here (gate_agent.pruning)
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    receipt BLOB NOT NULL       -- with which the centre vouches for what lies before
) STRICT;

CREATE TABLE manual_entry (     -- who let people in by hand, to count a member's day; written with the entry
    seq INTEGER PRIMARY KEY,
    who TEXT NOT NULL,
    day INTEGER,                -- as in entry; NULL: the boot period is all that is known
    boot TEXT NOT NULL
) STRICT;
CREATE INDEX manual_entry_of_day ON manual_entry (who, day);

CREATE TABLE pin_attempts (     -- wrong PINs in a row at this box (gate_agent.pins)
    id INTEGER PRIMARY KEY CHECK (id = 1),
    wrong INTEGER NOT NULL,
    boot TEXT NOT NULL,         -- when it was so, by the boot clock
    boot_ms INTEGER NOT NULL,
    weight_ms INTEGER NOT NULL  -- what all wrong ones weighed then, also those before a right one
) STRICT;

CREATE TABLE wiring (           -- how a lane was wired when it was commissioned (gate_agent.topology)
    lane INTEGER PRIMARY KEY,
    topology TEXT NOT NULL,     -- JSON: place to what is there; empty: never commissioned
    crossed_with INTEGER        -- the lane whose turnstile answered in place of this one's, since then
) STRICT;

CREATE TABLE lane_order (       -- staff's word on a lane, where it is not simply open (gate_agent.lane_orders)
    lane INTEGER PRIMARY KEY,
    word TEXT NOT NULL,
    seq INTEGER NOT NULL,       -- the event that tells it
    who TEXT NOT NULL,          -- empty: the fire input
    boot TEXT NOT NULL,
    ends_boot_ms INTEGER NOT NULL,
    ends_at_ms INTEGER,         -- NULL: the time was not trusted
    held_ms INTEGER NOT NULL    -- for how long from when it was written
) STRICT;

CREATE TABLE superseded (       -- the journals before this one, the newest first (gate_agent.succession)
    number INTEGER PRIMARY KEY,
    incarnation BLOB,           -- NULL: nothing is left that says which
    last_seq INTEGER,           -- how far it is known to reach
    hash BLOB,                  -- of its last entry, empty when not known
    shift INTEGER               -- its entry n stands here as entry n - shift, up to 0; NULL: nothing of it does
) STRICT;

CREATE TABLE request (          -- what staff ask of sync, which answers in sync.db (gate_agent.sync_requests)
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,    -- random: a new journal's first request is not the old one's
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    boot TEXT NOT NULL,
    boot_ms INTEGER NOT NULL
) STRICT;
""",
}


def create(db: sqlite3.Connection, incarnation: bytes, before: Before = None) -> None:
    """Make an empty journal in a database that holds nothing, in one transaction."""
    added = "".join(_ADDED[schema] for schema in sorted(_ADDED))
    db.executescript(f"BEGIN; {_FIRST} {added} {_version(SCHEMA)}")
    db.execute("INSERT INTO meta VALUES (1, ?)", (incarnation,))
    if before is not None:
        told = (None, None, None) if before == LOST else (before.incarnation, before.last_seq, before.head)
        db.execute("INSERT INTO superseded VALUES (1, ?, ?, ?, NULL)", told)
    db.execute("COMMIT")


def before(db: sqlite3.Connection) -> Before:
    """Which journal came before this one; None also in one of the first release."""
    if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'superseded'").fetchone() is None:
        return None
    row = db.execute("SELECT incarnation, last_seq, hash FROM superseded WHERE number = 1").fetchone()
    if row is None:
        return None
    return LOST if row[0] is None else Superseded(*row)


def far_entry(db: sqlite3.Connection, seq: int) -> FarEntry | None:
    """Which entry of an earlier journal stands here as entry `seq`, 0 or less; None where nothing says it."""
    kept = db.execute("SELECT incarnation, shift FROM superseded WHERE shift IS NOT NULL ORDER BY number")
    return next((FarEntry(before, seq + shift) for before, shift in kept if seq + shift > 0), None)


def carry_up(db: sqlite3.Connection, schema: int) -> None:
    """Bring a journal of `schema` to ours in one transaction; one that is as new or newer stays as it is."""
    if schema < SCHEMA:
        added = "".join(_ADDED[later] for later in range(schema + 1, SCHEMA + 1))
        db.executescript(f"BEGIN IMMEDIATE; {added} {_version(SCHEMA)} COMMIT")


def _version(schema: int) -> str:
    return f"PRAGMA user_version = {schema};"
