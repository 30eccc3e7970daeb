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
    sent = list(zip(read.entries, batch.entries, read.hashes, strict=True))
    new = [(one, body, digest) for one, body, digest in sent if one.seq not in held]
    forked = [(one, body, digest) for one, body, digest in sent if held.get(one.seq, digest) != digest]
    insert_missing(connection, entry, [_row(device, batch.incarnation, *part, now_ms) for part in new])
    insert_missing(connection, forked_entry, [_forked_row(device, batch.incarnation, *part, now_ms) for part in forked])
    if forked or not _fits(connection, device.id, read, before, held):
        meet = forked[0][0].seq if forked else batch.first_seq
        flag(connection, device.id, batch.incarnation, f"two histories meet at entry {meet}", now_ms)
    progress = _progress(connection, device.id, batch.incarnation, before, batch.first_seq, last_seq)
    return Stored(tuple(one for one, _, _ in new), progress)


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


def _row(device: Device, incarnation: bytes, one: Entry, body: bytes, digest: bytes, now_ms: int) -> dict[str, Value]:
    """A row of table `entry`. The body keeps the truth; a column only what it can hold of it."""
    return {
        "device_id": device.id,
        "incarnation": incarnation,
        "seq": one.seq,
        "hash": digest,
        "body": body,
        "kind": int(one.kind),
        "lane": min(max(one.lane, 0), _MAX_LANE),
        "presentation": int(one.presentation),
        "pass_id": one.pass_id if one.pass_id is not None and len(one.pass_id) == PASS_ID_BYTES else None,
        "ref_seq": one.ref_seq if one.ref_seq is not None and 0 < one.ref_seq < MAX_SEQ else None,
        "reason": None if one.reason is None else one.reason.replace("\0", "")[:MAX_WORD_CHARACTERS],
        "venue_id": device.venue_id,
        "occurred_at_ms": occurred_at_ms(one, now_ms),
        "received_at_ms": now_ms,
    }


def _forked_row(
    device: Device, incarnation: bytes, one: Entry, body: bytes, digest: bytes, now_ms: int
) -> dict[str, Value]:
    return {
        "device_id": device.id,
        "incarnation": incarnation,
        "seq": one.seq,
        "hash": digest,
        "body": body,
        "received_at_ms": now_ms,
    }
