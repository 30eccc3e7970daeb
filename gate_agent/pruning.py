"""What the centre has held for thirty days leaves the journal, a little at a time; what rules count of it stays.

A pruned entry of a pass gives up its bytes and keeps its columns, so that facts are found as before (some 80 bytes an
entry, for good); all others go whole. The anchor says where the chain begins from then on, and with which receipt the
centre vouches for what lies before it (wire.md §6).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from gate_agent import chain
from wire.messages import EntryKind
from wire.moments import DAY_MS

KEPT_MS = 30 * DAY_MS
"""How long acknowledged entries stay, for a centre that lost them (wire.md §6)."""
NEWEST_KEPT = 10_000
"""So many stay however old they are: every start walks the chain of the newest, also that of the release before."""
PIECE = 100
"""Entries pruned in one commit: little more than the commit itself takes."""

_NOTE = "INSERT INTO acknowledged VALUES (?, ?, ?)"
_DUE = "SELECT through_seq, receipt FROM acknowledged WHERE at_ms <= ? ORDER BY through_seq DESC LIMIT 1"
_LIMIT = "SELECT coalesce(max(seq), 0) - ?, (SELECT min(seq) FROM open_intent) FROM entry"
_DROP = "DELETE FROM entry WHERE seq > ? AND seq <= ? AND (pass_id IS NULL OR kind = ?)"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """How far the centre holds this journal for good, and its receipt that says so."""

    through_seq: int
    receipt: bytes


def prune(db: sqlite3.Connection, held: Acknowledged, now_ms: int) -> int:
    """Prune one piece of what has been acknowledged for long enough; how many entries that were.

    Inside a transaction. `now_ms` must be a trusted time. Once a day it is written down how far `held` reaches: age
    counts from there, so that no clock an entry was written under has a say.
    """
    newest = db.execute("SELECT max(through_seq), max(at_ms) FROM acknowledged").fetchone()
    if held.through_seq > (newest[0] or 0) and now_ms >= (newest[1] or 0) + DAY_MS:
        db.execute(_NOTE, (held.through_seq, now_ms, held.receipt))
    due = db.execute(_DUE, (now_ms - KEPT_MS,)).fetchone()
    if due is None:
        return 0
    after = chain.anchor(db).seq
    newest_limit, oldest_open = db.execute(_LIMIT, (NEWEST_KEPT,)).fetchone()
    # The entry the cursor stands at stays whole: the next batch names its hash.
    limits = [due[0], held.through_seq - 1, newest_limit, *([] if oldest_open is None else [oldest_open - 1])]
    through = min([after + PIECE, *map(int, limits)])
    if through <= after:
        db.execute("DELETE FROM acknowledged WHERE through_seq <= ?", (after,))
        return 0
    (chained,) = db.execute("SELECT hash FROM entry WHERE seq = ?", (through,)).fetchone()
    db.execute(_DROP, (after, through, EntryKind.REFUSED))
    db.execute(_without_bytes(db), (after, through))
    db.execute("INSERT OR REPLACE INTO anchor VALUES (1, ?, ?, ?)", (through, chained, due[1]))
    return through - after


def _without_bytes(db: sqlite3.Connection) -> str:
    """Entries in place of themselves, every column as it is, also those of a later release, but no bytes."""
    columns = [name for _, name, *_ in db.execute("PRAGMA table_info(entry)")]
    kept = ", ".join("x''" if name in ("body", "hash") else name for name in columns)
    return f"REPLACE INTO entry ({', '.join(columns)}) SELECT {kept} FROM entry WHERE seq > ? AND seq <= ?"  # noqa: S608 - names of columns
