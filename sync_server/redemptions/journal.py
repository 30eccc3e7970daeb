"""Storing a gate's journal as it came: what is new of a batch, a second history of it, and how far it is complete."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.gates.journals import Progress, flag
from sync_server.gates.registry import Device
from sync_server.redemptions.bulk import Value, insert_missing
from sync_server.redemptions.judge import occurred_at_ms
from sync_server.redemptions.tables import entry, forked_entry, in_journal
from wire.messages import FIRST_HASH, MAX_WORD_CHARACTERS, Entry, ReadBatch, entry_hash
from wire.token import PASS_ID_BYTES

MAX_SEQ = 2**53  # no journal gets there; a number beyond it is no number of ours
_MAX_LANE = 32_767


class Stored(NamedTuple):
    """What a batch added, and how far its journal is complete now."""

    new: tuple[Entry, ...]
    progress: Progress


def store(connection: Connection, device: Device, read: ReadBatch, before: Progress, now_ms: int) -> Stored:
    """Keep the entries that are not there yet. The journal must be locked; nothing is ever overwritten."""
    batch = read.batch
    last_seq = batch.first_seq + len(batch.entries) - 1
    held = _hashes(connection, device.id, batch.incarnation, batch.first_seq - 1, last_seq)
    new, rows, forked = [], [], []
    for one, body, digest in zip(read.entries, batch.entries, read.hashes, strict=True):
        if one.seq not in held:
            new.append(one)
            rows.append(_row(device, batch.incarnation, one, body, digest, now_ms))
        elif held[one.seq] != digest:
            forked.append((device.id, batch.incarnation, one.seq, digest, body, now_ms))
    insert_missing(connection, entry, rows)
    insert_missing(connection, forked_entry, forked)
    if forked or not _fits(connection, device.id, read, before, held):
        cause = f"two histories meet at entry {forked[0][2] if forked else batch.first_seq}"
        flag(connection, device.id, batch.incarnation, cause, now_ms)
    progress = _progress(connection, device.id, batch.incarnation, before, batch.first_seq, last_seq)
    return Stored(tuple(new), progress)


def _hashes(connection: Connection, device: bytes, incarnation: bytes, first: int, last: int) -> dict[int, bytes]:
    rows = connection.execute(
        sa.select(entry.c.seq, entry.c.hash).where(
            in_journal(entry, device, incarnation), entry.c.seq.between(first, last)
        )
    )
    return {row.seq: row.hash for row in rows}


def _fits(connection: Connection, device: bytes, read: ReadBatch, before: Progress, held: dict[int, bytes]) -> bool:
    """Whether the chain goes on from the entry before the batch, and on to the one after it, where those are held."""
    batch = read.batch
    previous = FIRST_HASH if batch.first_seq == 1 else held.get(batch.first_seq - 1, batch.previous_hash)
    if previous != batch.previous_hash:
        return False
    next_seq = batch.first_seq + len(batch.entries)
    if before.highest_seq < next_seq:
        return True
    after = connection.execute(
        sa.select(entry.c.body, entry.c.hash).where(
            in_journal(entry, device, batch.incarnation), entry.c.seq == next_seq
        )
    ).one_or_none()
    return after is None or entry_hash(batch.last_hash, after.body) == after.hash


def _progress(
    connection: Connection, device: bytes, incarnation: bytes, before: Progress, first: int, last: int
) -> Progress:
    """A batch that closes a gap also makes complete what had come too early."""
    highest = max(before.highest_seq, last)
    if first > before.through_seq + 1:
        return Progress(before.through_seq, highest)
    through = max(before.through_seq, last)
    if highest > through:
        following = entry.alias("following")
        has_next = sa.exists().where(
            following.c.device_id == device,
            following.c.incarnation == incarnation,
            following.c.seq == entry.c.seq + 1,
        )
        end = sa.select(sa.func.min(entry.c.seq)).where(
            in_journal(entry, device, incarnation), entry.c.seq >= through, ~has_next
        )
        through = connection.scalar(end) or through
    return Progress(through, highest)


def _row(device: Device, incarnation: bytes, one: Entry, body: bytes, digest: bytes, now_ms: int) -> tuple[Value, ...]:
    """The columns of table `entry`. The body keeps the truth; a column only what it can hold of it."""
    return (
        device.id,
        incarnation,
        one.seq,
        digest,
        body,
        int(one.kind),
        min(max(one.lane, 0), _MAX_LANE),
        int(one.presentation),
        one.pass_id if one.pass_id is not None and len(one.pass_id) == PASS_ID_BYTES else None,
        one.ref_seq if one.ref_seq is not None and 0 < one.ref_seq < MAX_SEQ else None,
        None if one.reason is None else one.reason.replace("\0", "")[:MAX_WORD_CHARACTERS],
        device.venue_id,
        occurred_at_ms(one, now_ms),
        now_ms,
    )
