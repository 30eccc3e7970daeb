"""The journals of the gates as they arrive: how far each is complete, which follows which, and what freezes one.

A frozen journal goes on being stored, receipted and counted; only settlement leaves it alone until two persons said
that it may go on (wire.md §7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import Value, insert_missing
from sync_server.gates.tables import incarnation
from wire.messages import LOST, Batch

MAX_SEQ = 2**53  # no journal gets there; a number beyond it is no number of ours

KEPT_HERE = b"redeemed"
"""The incarnation of the journal that the centre itself keeps for a device's on-line checks: complete at any time.

No batch names it; a gate's own incarnations are random.
"""

NOT_BEGUN = b""
"""In the place of an incarnation: whatever journal a gate keeps of which nothing has come yet."""


@dataclass(frozen=True)
class Progress:
    """Entries up to `through_seq` are all stored; `highest_seq` is the highest stored, so more of it means a gap."""

    through_seq: int
    highest_seq: int


@dataclass(frozen=True)
class Journal:
    """One journal, locked: until the transaction ends nobody else takes in entries of it."""

    device_id: bytes
    incarnation: bytes
    progress: Progress
    synced_through_ms: int | None
    knows_its_place: bool
    """It has said which journal it follows."""
    closed_seq: int | None
    """Its last entry, as it said itself."""
    followed_seq: int | None
    """Its last entry, as another journal of the gate said that follows it."""

    @property
    def ended_seq(self) -> int | None:
        """After this entry it should not go on."""
        return min((seq for seq in (self.followed_seq, self.closed_seq) if seq is not None), default=None)


class Confirmed(NamedTuple):
    """An earlier receipt that the gate got, while holding this list: what it did before `at_ms` is stored here."""

    at_ms: int
    list_epoch: int | None
    list_version: int | None


def lock_journal(connection: Connection, device_id: bytes, incarnation_id: bytes, now_ms: int) -> Journal:
    """Where this journal stands; made known with its first batch."""
    row: dict[str, Value] = {
        "device_id": device_id,
        "incarnation": incarnation_id,
        "through_seq": 0,
        "highest_seq": 0,
        "first_seen_ms": now_ms,
        "last_seen_ms": now_ms,
    }
    insert_missing(connection, incarnation, [row])
    found = connection.execute(_LOCKED, {"device": device_id, "journal": incarnation_id}).one()
    return Journal(
        device_id,
        incarnation_id,
        Progress(found.through_seq, found.highest_seq),
        found.synced_through_ms,
        knows_its_place=found.supersedes is not None,
        closed_seq=found.closed_seq,
        followed_seq=found.followed_seq,
    )


def _locked() -> sa.Select[Any]:
    """A journal's row, and after which entry of it another goes on; made once, as every batch asks it."""
    successor = incarnation.alias("successor")
    followed_seq = (
        sa.select(sa.func.min(successor.c.supersedes_seq))
        .where(successor.c.device_id == sa.bindparam("device"), successor.c.supersedes == sa.bindparam("journal"))
        .scalar_subquery()
    )
    return (
        sa.select(incarnation, followed_seq.label("followed_seq"))
        .where(incarnation.c.device_id == sa.bindparam("device"), incarnation.c.incarnation == sa.bindparam("journal"))
        .with_for_update(of=incarnation)
    )


_LOCKED = _locked()


def place(connection: Connection, journal: Journal, batch: Batch, now_ms: int) -> None:
    """Keep what a batch says of the journal's own beginning and end; said once, it stays.

    Its end does, unless it says a later one: then two boxes act as one gate, as when there is more of it than it says.
    """
    values: dict[str, object] = {}
    before = batch.supersedes
    if before is not None and not journal.knows_its_place:
        if before == LOST:
            values["supersedes"] = b""
        elif before.incarnation != journal.incarnation:
            values["supersedes"] = before.incarnation
            # What came before it was known to have ended is none of what goes on after it.
            known_seq = min(max(before.last_seq, 0), MAX_SEQ)
            values["supersedes_seq"] = max(known_seq, _highest_seq(connection, journal, before.incarnation))
    last_seq = batch.first_seq + len(batch.entries) - 1
    if batch.closing and (journal.closed_seq is None or journal.closed_seq < last_seq):
        values["closed_seq"] = last_seq
    if values:
        mine = _is(journal.device_id, journal.incarnation)
        connection.execute(incarnation.update().where(mine).values(values))
    if "closed_seq" not in values:
        return
    cause = None
    if journal.closed_seq is not None:
        cause = f"it closed at entry {journal.closed_seq} and again at {last_seq}"
    elif last_seq < journal.progress.highest_seq:
        cause = f"it closed at entry {last_seq} and goes on to {journal.progress.highest_seq}"
    if cause is not None:
        freeze(connection, journal.device_id, journal.incarnation, cause, now_ms)


def advance(
    connection: Connection, journal: Journal, progress: Progress, confirmed: Confirmed | None, now_ms: int
) -> None:
    """Note how far a locked journal has arrived now; its watermark only rises."""
    values: dict[str, object] = {
        "through_seq": progress.through_seq,
        "highest_seq": progress.highest_seq,
        "last_seen_ms": now_ms,
    }
    if confirmed is not None and (journal.synced_through_ms is None or confirmed.at_ms > journal.synced_through_ms):
        values |= {
            "synced_through_ms": confirmed.at_ms,
            "confirmed_epoch": confirmed.list_epoch,
            "confirmed_version": confirmed.list_version,
        }
    connection.execute(_MINE, {**values, "device": journal.device_id, "journal": journal.incarnation})


_MINE = incarnation.update().where(
    incarnation.c.device_id == sa.bindparam("device"), incarnation.c.incarnation == sa.bindparam("journal")
)
"""A journal's row, to be given what it is told; made once, as every batch asks it."""


def freeze(connection: Connection, device_id: bytes, incarnation_id: bytes, cause: str, now_ms: int) -> None:
    """Keep settlement away from a journal that cannot be true, until two persons looked; the first cause stays."""
    connection.execute(
        incarnation.update()
        .where(_is(device_id, incarnation_id), incarnation.c.frozen_cause.is_(None))
        .values(frozen_cause=cause, frozen_at_ms=now_ms)
    )


def freeze_what_goes_on(connection: Connection, journal: Journal, new_seq: int, now_ms: int) -> None:
    """Freeze a journal with a new entry after its end, and the one that follows it: two boxes act as one gate."""
    if journal.ended_seq is None or new_seq <= journal.ended_seq:
        return
    cause = f"entry {new_seq} came after its end at {journal.ended_seq}"
    freeze(connection, journal.device_id, journal.incarnation, cause, now_ms)
    connection.execute(
        incarnation.update()
        .where(
            incarnation.c.device_id == journal.device_id,
            incarnation.c.supersedes == journal.incarnation,
            incarnation.c.supersedes_seq < new_seq,
            incarnation.c.frozen_cause.is_(None),
        )
        .values(frozen_cause="the journal before it goes on", frozen_at_ms=now_ms)
    )


def _highest_seq(connection: Connection, journal: Journal, incarnation_id: bytes) -> int:
    query = sa.select(incarnation.c.highest_seq).where(_is(journal.device_id, incarnation_id))
    return connection.scalar(query) or 0


def _is(device_id: bytes, incarnation_id: bytes) -> sa.ColumnElement[bool]:
    return sa.and_(incarnation.c.device_id == device_id, incarnation.c.incarnation == incarnation_id)
