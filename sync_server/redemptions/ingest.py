"""Taking a batch in: stored once, classified once, answered by a receipt; one transaction, and twice is once."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from sync_server.bulk import Value, insert_missing
from sync_server.centre import Centre
from sync_server.gates.journals import Confirmed, advance, lock_journal, place
from sync_server.gates.registry import MAX_NUMBER, Device, note_seen
from sync_server.keys.pairs import SigningKey
from sync_server.redemptions.counting import count_admissions, verdicts
from sync_server.redemptions.journal import store
from sync_server.redemptions.tables import receipt
from wire.messages import Batch, ReadBatch, Receipt, sign_receipt

RECEIPT_KEPT_MS = 7 * 86_400_000
MAX_DROPPED_RECEIPTS = 10_000

# Made once, as every batch asks them.
_IS_RECEIPT = sa.and_(receipt.c.device_id == bindparam("device"), receipt.c.batch_digest == bindparam("digest"))
_GIVEN = sa.select(receipt.c.body).where(_IS_RECEIPT)
_ECHOED = sa.select(receipt.c.given_at_ms, receipt.c.held_epoch, receipt.c.held_version).where(
    _IS_RECEIPT, receipt.c.incarnation == bindparam("journal")
)


def take_in(
    connection: Connection, centre: Centre, device: Device, read: ReadBatch, digest: bytes, signer: SigningKey
) -> bytes:
    """Store and count what is new of a batch; gives the sealed receipt. The same bytes again: the same receipt.

    Nothing that happened is refused here: what cannot be true is classified or flagged.
    """
    batch, now_ms = read.batch, centre.now_ms()
    note_seen(connection, device.id, batch, now_ms)  # also keeps two boxes that act as one gate from each other
    journal = lock_journal(connection, device.id, batch.incarnation, now_ms)
    given: bytes | None = connection.scalar(_GIVEN, {"device": device.id, "digest": digest})
    if given is not None:
        return given
    place(connection, journal, batch, now_ms)
    stored = store(connection, device, read, journal, now_ms)
    highest_before = journal.progress.highest_seq
    counted = count_admissions(connection, centre, device, batch.incarnation, stored.new, highest_before, now_ms)
    confirmed = _confirmed(connection, batch, stored.progress.through_seq)
    advance(connection, journal, stored.progress, confirmed, now_ms)
    said = Receipt(
        device=device.id,
        incarnation=batch.incarnation,
        through_seq=stored.progress.through_seq,
        batch_digest=digest,
        verdicts=verdicts(connection, device.id, batch.incarnation, stored.ours, counted),
        through_hash=stored.through_hash,
        forked_seq=stored.forked_seq,
    )
    body = sign_receipt(said, signer.id, signer.private)
    row: dict[str, Value] = {
        "device_id": device.id,
        "batch_digest": digest,
        "body": body,
        "given_at_ms": now_ms,
        "incarnation": batch.incarnation,
        "held_epoch": min(max(batch.held_epoch, 0), MAX_NUMBER),
        "held_version": min(max(batch.held_version, 0), MAX_NUMBER),
    }
    insert_missing(connection, receipt, [row])
    return body


def _confirmed(connection: Connection, batch: Batch, through_seq: int) -> Confirmed | None:
    """The receipt that the batch echoes, if this very journal was given it and all that it vouches for is here."""
    if batch.echo is None or batch.complete_seq > through_seq:
        return None
    asked = {"device": batch.device, "digest": batch.echo, "journal": batch.incarnation}
    row = connection.execute(_ECHOED, asked).one_or_none()
    return None if row is None else Confirmed(*row)


def drop_old_receipts(centre: Centre) -> int:
    """Worker step: forget receipts that no gate waits for any more; how many. The same batch then gets a new one."""
    old = sa.select(receipt.c.device_id, receipt.c.batch_digest).where(
        receipt.c.given_at_ms < centre.now_ms() - RECEIPT_KEPT_MS
    )
    if not centre.finds(old):
        return 0
    with centre.write() as connection:
        key = sa.tuple_(receipt.c.device_id, receipt.c.batch_digest)
        return connection.execute(receipt.delete().where(key.in_(old.limit(MAX_DROPPED_RECEIPTS)))).rowcount
