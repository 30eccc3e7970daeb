"""A venue's feed and its signed head: opened once, written from the segments in force, signed again before it ages."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.centre import Centre
from sync_server.feed.tables import feed, feed_segment
from sync_server.gates.venue_keys import ensure_venue_keys, list_key
from sync_server.keys import key_set
from sync_server.keys.pairs import SigningKey, open_list_key
from sync_server.parties.tables import venue
from wire import moments, signing
from wire.feed import (
    FEED_ID_BYTES,
    HEAD_KIND,
    HEAD_NOT_AFTER_MS,
    HEAD_VERSION,
    Head,
    SegmentRef,
    sign_head,
)

RESIGN_AFTER_MS = 30_000
DROPPED_KEPT_MS = 3_600_000
"""How long a segment that no head names any more stays, for gates that are still fetching the list before."""
MAX_FORGOTTEN_SEGMENTS = 1_000
FIRST_EPOCH = 1


def open_feed(
    connection: Connection,
    centre: Centre,
    venue_id: UUID,
    token_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes:
    """The id of a venue's feed, made with its keys when the venue has none yet."""
    known: bytes | None = connection.scalar(sa.select(feed.c.feed_id).where(feed.c.venue_id == venue_id))
    if known is not None:
        return known
    ensure_venue_keys(connection, centre.secrets, venue_id, centre.now_ms(), token_bytes)
    row = {"venue_id": venue_id, "feed_id": token_bytes(FEED_ID_BYTES), "epoch": FIRST_EPOCH, "version": 0}
    insert_missing(connection, feed, [{**row, "key_set_version": 0}])
    feed_id: bytes = connection.scalars(sa.select(feed.c.feed_id).where(feed.c.venue_id == venue_id)).one()
    return feed_id


def write_head(connection: Connection, centre: Centre, venue_id: UUID) -> None:
    """Sign a head that names the venue's segments as the tables now have them; none before the first snapshot."""
    held = connection.execute(
        sa.select(feed, venue.c.number, venue.c.zone)
        .join(venue, venue.c.id == feed.c.venue_id)
        .where(feed.c.venue_id == venue_id)
    ).one()
    if held.snapshot_version is None:
        return
    in_force = connection.execute(
        sa.select(feed_segment.c.name, feed_segment.c.version, feed_segment.c.role)
        .where(feed_segment.c.venue_id == venue_id, feed_segment.c.dropped_at_ms.is_(None))
        .where(feed_segment.c.version <= held.version)
        .order_by(feed_segment.c.version, feed_segment.c.position)
    ).all()
    now_ms = centre.now_ms()
    head = Head(
        feed_id=held.feed_id,
        venue=held.number,
        epoch=held.epoch,
        version=held.version,
        snapshot_version=held.snapshot_version,
        snapshot=tuple(
            SegmentRef(row.name, row.version)
            for row in in_force
            if row.role == "SNAPSHOT" and row.version == held.snapshot_version
        ),
        deltas=tuple(SegmentRef(row.name, row.version) for row in in_force if row.role == "DELTA"),
        key_set_version=key_set.newest(connection).version,
        list_key_id=list_key(connection, centre.secrets, venue_id).id,
        zone=held.zone,
        signed_at_ms=now_ms,
        not_after_ms=now_ms + HEAD_NOT_AFTER_MS,
    )
    _keep(connection, venue_id, head, open_list_key(connection, centre.secrets))


def resign_heads(centre: Centre) -> int:
    """Worker step: sign heads again that grow old or name an older key set; how many."""
    now_ms = centre.now_ms()
    with centre.read() as connection:
        newest = key_set.newest(connection).version
        stale = sa.and_(
            feed.c.head.is_not(None),
            sa.or_(
                feed.c.signed_at_ms < now_ms - RESIGN_AFTER_MS,
                feed.c.signed_at_ms > now_ms,  # the clock was set back
                feed.c.key_set_version != newest,
            ),
        )
        if connection.execute(sa.select(feed.c.venue_id).where(stale).limit(1)).first() is None:
            return 0
    with centre.write() as connection:
        signer = open_list_key(connection, centre.secrets)
        rows = connection.execute(sa.select(feed).where(stale).with_for_update()).all()
        dates = {"signed_at_ms": now_ms, "not_after_ms": now_ms + HEAD_NOT_AFTER_MS}
        for row in rows:
            said = msgspec.structs.replace(_content_of(row.head), epoch=row.epoch, key_set_version=newest, **dates)
            _keep(connection, row.venue_id, said, signer)
    return len(rows)


def begin_epoch(connection: Connection, now_ms: int) -> int:
    """Begin a new epoch of every list, and with it versions anew; the worker signs the heads with its next turn.

    After a restore: gates hold newer versions of the epoch before, and would refuse what is published from the backup.
    The time is in the number, so that two restores from one backup do not begin the same.
    """
    newest: int = connection.scalar(sa.select(sa.func.max(feed.c.epoch))) or 0
    epoch = max(newest + 1, moments.minute_floor(now_ms))
    connection.execute(feed.update().values(epoch=epoch, signed_at_ms=0))
    return epoch


def forget_segments(centre: Centre) -> int:
    """Worker step: delete segments that no head has named for DROPPED_KEPT_MS; how many."""
    old = feed_segment.c.dropped_at_ms < centre.now_ms() - DROPPED_KEPT_MS
    if not centre.finds(sa.select(feed_segment.c.name).where(old)):
        return 0
    with centre.write() as connection:
        some = sa.select(feed_segment.c.name).where(old).limit(MAX_FORGOTTEN_SEGMENTS)
        return connection.execute(feed_segment.delete().where(feed_segment.c.name.in_(some))).rowcount


def _keep(connection: Connection, venue_id: UUID, head: Head, signer: SigningKey) -> None:
    values = {
        "head": sign_head(head, signer.id, signer.private),
        "key_set_version": head.key_set_version,
        "signed_at_ms": head.signed_at_ms,
    }
    connection.execute(feed.update().where(feed.c.venue_id == venue_id).values(values))


def _content_of(sealed_head: bytes) -> Head:
    """What one of our own stored heads says."""
    sealed: Any = signing.unseal(HEAD_KIND, HEAD_VERSION, sealed_head)
    return msgspec.msgpack.decode(sealed.payload, type=Head)
