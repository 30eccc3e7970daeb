"""What a journal must be before it is written on: whole as a file, of a schema we know, its chain unbroken."""

from __future__ import annotations

import sqlite3

from gate_agent import entries_schema
from gate_agent.chain import Broken, ChainWalk
from gate_agent.journal_files import NAME
from wire.messages import INCARNATION_BYTES, ClockTrust

CHECKED_AT_START = 1_000
"""The newest entries whose chain is walked at every start; `gate-agent verify` walks all of it."""
CHECK_STEPS = 20_000_000
"""Virtual-machine steps of SQLite that the check of the file's structure may take at start: well under a second."""


class JournalDamaged(Exception):
    """The file is not the journal it should be; the message says where it is broken."""


class JournalTooNew(Exception):
    """The journal was written by a release too far ahead of this one."""


def schema(db: sqlite3.Connection) -> int:
    """The journal's schema, after SQLite looked through the file's structure."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found == 0:
        raise JournalDamaged(f"{NAME} holds no journal")
    if found > entries_schema.NEWEST_SCHEMA:
        raise JournalTooNew(
            f"{NAME} is of schema {found}, this release writes {entries_schema.SCHEMA}: install a newer release"
        )
    db.set_progress_handler(lambda: 1, CHECK_STEPS)
    try:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        verdict = "ok"  # as far as a start may wait for it
    finally:
        db.set_progress_handler(None, 0)
    if verdict != "ok":
        raise JournalDamaged(f"{NAME}: {verdict}")
    return int(found)


def incarnation(db: sqlite3.Connection) -> bytes:
    """Which journal it is."""
    row = db.execute("SELECT incarnation FROM meta").fetchone()
    if row is None or len(row[0]) != INCARNATION_BYTES:
        raise JournalDamaged(f"{NAME} does not say which incarnation it is")
    return bytes(row[0])


def newest_trusted_ms(db: sqlite3.Connection) -> int | None:
    """The latest time among the newest entries written while the clock was trusted, however long ago that was."""
    sql = "SELECT max(at_ms) FROM (SELECT at_ms FROM entry WHERE trust = ? ORDER BY seq DESC LIMIT ?)"
    (newest,) = db.execute(sql, (ClockTrust.TRUSTED, CHECKED_AT_START)).fetchone()
    return None if newest is None else int(newest)


def tail(db: sqlite3.Connection) -> tuple[int, bytes]:
    """Seq and hash of the newest entry, after walking the chain of the newest ones."""
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()
    walk = ChainWalk.after(db, last - CHECKED_AT_START)
    for row in db.execute("SELECT seq, body, hash FROM entry WHERE seq > ? ORDER BY seq", (walk.seq,)):
        taken = walk.step(*row)
        if isinstance(taken, Broken):
            raise JournalDamaged(f"{NAME}: {taken.sentence}")
    return walk.seq, walk.hash
