"""Taking a batch in: stored once, classified once, answered by a receipt; one transaction, and twice is once."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.db import insert_new
from sync_server.gates.journals import advance, lock_journal
from sync_server.gates.registry import Device, note_seen
from sync_server.keys.pairs import SigningKey
from sync_server.redemptions.counting import count_admissions, verdicts
from sync_server.redemptions.journal import store
from sync_server.redemptions.tables import receipt
from wire.messages import ReadBatch, Receipt, sign_receipt

RECEIPT_KEPT_MS = 7 * 86_400_000
MAX_DROPPED_RECEIPTS = 10_000


def take_in(
    connection: Connection, centre: Centre, device: Device, read: ReadBatch, digest: bytes, signer: SigningKey
) -> bytes:
    """Store and count what is new of a batch; gives the sealed receipt. The same bytes again: the same receipt.

    Nothing that happened is refused here: what cannot be true is classified or flagged.
    """
    batch, now_ms = read.batch, centre.now_ms()
    progress = lock_journal(connection, device.id, batch.incarnation, now_ms)
    note_seen(connection, device.id, batch, now_ms)
    given: bytes | None = connection.scalar(
        sa.select(receipt.c.body).where(receipt.c.device_id == device.id, receipt.c.batch_digest == digest)
    )
    if given is not None:
        return given
    stored = store(connection, device, read, progress, now_ms)
    count_admissions(connection, centre, device, batch.incarnation, stored.new, progress.highest_seq, now_ms)
    advance(connection, device.id, batch.incarnation, stored.progress, now_ms)
    said = Receipt(
        device=device.id,
        incarnation=batch.incarnation,
        through_seq=stored.progress.through_seq,
        batch_digest=digest,
        verdicts=verdicts(connection, device.id, batch.incarnation, read.entries),
    )
    body = sign_receipt(said, signer.id, signer.private)
    row = {"device_id": device.id, "batch_digest": digest, "body": body, "given_at_ms": now_ms}
    insert_new(receipt, ["device_id", "batch_digest"], [row], connection)
    return body


def drop_old_receipts(centre: Centre) -> int:
    """Worker step: forget receipts that no gate waits for any more; how many. The same batch then gets a new one."""
    with centre.write() as connection:
        old = sa.select(receipt.c.device_id, receipt.c.batch_digest).where(
            receipt.c.given_at_ms < centre.now_ms() - RECEIPT_KEPT_MS
        )
        key = sa.tuple_(receipt.c.device_id, receipt.c.batch_digest)
        return connection.execute(receipt.delete().where(key.in_(old.limit(MAX_DROPPED_RECEIPTS)))).rowcount
