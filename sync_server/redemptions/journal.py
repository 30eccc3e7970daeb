"""Storing a gate's journal as it came: what is new of a batch, a second history of it, and how far it is complete."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from sync_server.bulk import Value, append, insert_missing
from sync_server.gates.journals import Journal, Progress, freeze, freeze_what_goes_on
from sync_server.gates.registry import Device
from sync_server.redemptions.judge import occurred_at_ms, referred
from sync_server.redemptions.tables import entry, forked_entry, in_journal
from wire.messages import FIRST_HASH, MAX_WORD_CHARACTERS, Entry, ReadBatch, entry_hash
from wire.token import PASS_ID_BYTES

_MAX_LANE = 32_767


class Stored(NamedTuple):
    """What a batch added, and how far its journal is complete now."""

    new: tuple[Entry, ...]
    ours: tuple[Entry, ...]
    """Those of the batch that are of the history kept here, new or not."""
    forked_seq: int
    """From this entry on the batch is of another history; 0: it is not."""
    progress: Progress
    through_hash: bytes


def store(connection: Connection, device: Device, read: ReadBatch, journal: Journal, now_ms: int) -> Stored:
    """Keep the entries that are not there yet; nothing is ever overwritten.

    Where the batch leaves the history that is here, the rest of it is a second one and kept apart.
    """
    batch, before = read.batch, journal.progress
    last_seq = batch.first_seq + len(batch.entries) - 1
    held = _hashes(connection, device.id, batch.incarnation, batch.first_seq - 1, min(last_seq, before.highest_seq))
    sent = list(zip(read.entries, batch.entries, read.hashes, strict=True))
    shared = _shared_length(read, held)
    ours, forked = sent[:shared], sent[shared:]
    new = [(one, body, digest) for one, body, digest in ours if one.seq not in held]
    append(connection, entry, [entry_row(device, batch.incarnation, *part, now_ms) for part in new])
    rows = [_forked_row(device, batch.incarnation, *part, now_ms) for part in forked]
    meet = None
    if insert_missing(connection, forked_entry, rows):
        meet = forked[0][0].seq
    elif new and not _leads_on(connection, device.id, read, before):
        meet = last_seq
    if meet is not None:
        freeze(connection, device.id, batch.incarnation, f"two histories meet at entry {meet}", now_ms)
    if new:
        freeze_what_goes_on(connection, journal, new[-1][0].seq, now_ms)
    progress = before
    if ours:
        progress = _progress(connection, device.id, batch.incarnation, before, batch.first_seq, ours[-1][0].seq)
    return Stored(
        new=tuple(one for one, _, _ in new),
        ours=tuple(one for one, _, _ in ours),
        forked_seq=forked[0][0].seq if forked else 0,
        progress=progress,
        through_hash=_hash_at(connection, device.id, read, shared, progress.through_seq),
    )


def _shared_length(read: ReadBatch, held: dict[int, bytes]) -> int:
    """How many entries of the batch are of the history that is here, or go on from it."""
    batch = read.batch
    previous = FIRST_HASH if batch.first_seq == 1 else held.get(batch.first_seq - 1, batch.previous_hash)
    if previous != batch.previous_hash:
        return 0
    pairs = zip(read.entries, read.hashes, strict=True)
    return next((at for at, (one, digest) in enumerate(pairs) if held.get(one.seq, digest) != digest), len(read.hashes))


def _hash_at(connection: Connection, device: bytes, read: ReadBatch, shared: int, seq: int) -> bytes:
    """The hash of the history that is here at entry `seq`; empty at its very beginning."""
    at = seq - read.batch.first_seq
    if 0 <= at < shared:
        return read.hashes[at]
    found: bytes | None = connection.scalar(
        sa.select(entry.c.hash).where(in_journal(entry, device, read.batch.incarnation), entry.c.seq == seq)
    )
    return found or b""


def _hashes(connection: Connection, device: bytes, incarnation: bytes, first: int, last: int) -> dict[int, bytes]:
    asked = {"device": device, "journal": incarnation, "first": first, "last": last}
    return {row.seq: row.hash for row in connection.execute(_HASHES, asked)}


_HASHES = sa.select(entry.c.seq, entry.c.hash).where(
    in_journal(entry, bindparam("device"), bindparam("journal")),
    entry.c.seq.between(bindparam("first"), bindparam("last")),
)
"""Made once, as every batch asks it."""


def _leads_on(connection: Connection, device: bytes, read: ReadBatch, before: Progress) -> bool:
    """Whether the entry after the batch, where that came earlier, goes on from its last one."""
    batch = read.batch
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


def entry_row(
    device: Device, incarnation: bytes, one: Entry, body: bytes, digest: bytes, now_ms: int
) -> dict[str, Value]:
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
        "ref_seq": referred(one),
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
