"""Worker step: a venue's list is made anew when something in it changed, and its head is signed again before it ages.

The list is built outside any transaction. First its version is allotted and the changed rows are marked with it, then
the tables are read, then the finished bytes are put in place. A change in between clears the mark of its rows and is
found by the next step; a crash in between leaves marks newer than the list, which is found as well.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.db import insert_new
from sync_server.feed.contents import Stated, chunks, stated_by_venue
from sync_server.feed.tables import feed, feed_segment
from sync_server.gates.venue_keys import VenueKey, ensure_venue_keys, list_key
from sync_server.issuance.tables import entitlement
from sync_server.issuance.versions import allot_version
from sync_server.keys import key_set
from sync_server.keys.pairs import SigningKey, open_list_key
from wire import signing
from wire.feed import (
    FEED_ID_BYTES,
    HEAD_KIND,
    HEAD_NOT_AFTER_MS,
    HEAD_VERSION,
    NONCE_BYTES,
    Head,
    Part,
    Row,
    SegmentRef,
    seal_segment,
    segment_name,
    sign_head,
)

RESIGN_AFTER_MS = 30_000
OLD_SEGMENT_KEPT_MS = 3_600_000  # for gates that are still fetching the list before
FIRST_EPOCH = 1


class Built(NamedTuple):
    """A finished list that is not in place yet."""

    version: int
    stated: Stated
    list_key_id: int
    segments: list[bytes]


def publish_feeds(centre: Centre) -> int:
    """Worker step: publish every list that is out of date, then sign the ageing heads again; how many were touched."""
    with centre.read() as connection:
        due = _due(connection)
    for venue_id in due:
        publish_venue(centre, venue_id)
    return len(due) + resign_heads(centre)


def publish_venue(centre: Centre, venue_id: UUID, token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> int:
    """Build one venue's list from the tables and put it in place; gives its version."""
    with centre.write() as connection:
        open_feed(connection, centre, venue_id, token_bytes)
        version = allot_version(connection)
        unlisted = sa.and_(entitlement.c.venue_id == venue_id, entitlement.c.listed_version.is_(None))
        connection.execute(entitlement.update().where(unlisted).values(listed_version=version))
    with centre.read() as connection:
        stated = stated_by_venue(connection)[venue_id]
        key = list_key(connection, centre.secrets, venue_id)
        segments = [_seal(Part.DOCUMENT, [stated.document], key, token_bytes)]
        for chunk in chunks(connection, centre, venue_id, with_id_numbers=stated.with_id_numbers):
            segments.append(_seal(Part.PASSES, chunk.passes, key, token_bytes))
            segments.append(_seal(Part.NAMES, chunk.names, key, token_bytes))
    with centre.write() as connection:
        _put_in_place(connection, centre, venue_id, Built(version, stated, key.id, segments))
    return version


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
    insert_new(feed, ["venue_id"], [{**row, "key_set_version": 0}], connection)
    feed_id: bytes = connection.scalars(sa.select(feed.c.feed_id).where(feed.c.venue_id == venue_id)).one()
    return feed_id


def resign_heads(centre: Centre) -> int:
    """Sign heads again that grow old or name an older key set; how many."""
    now_ms = centre.now_ms()
    with centre.read() as connection:
        newest = key_set.newest(connection).version
        stale = sa.and_(
            feed.c.head.is_not(None),
            sa.or_(feed.c.signed_at_ms < now_ms - RESIGN_AFTER_MS, feed.c.key_set_version != newest),
        )
        if connection.execute(sa.select(feed.c.venue_id).where(stale).limit(1)).first() is None:
            return 0
    with centre.write() as connection:
        signer = open_list_key(connection, centre.secrets)
        rows = connection.execute(sa.select(feed).where(stale).with_for_update()).all()
        for row in rows:
            said = msgspec.structs.replace(_content_of(row.head), key_set_version=newest, **_dates(now_ms))
            _write_head(connection, row.venue_id, said, signer)
            _drop_old_segments(connection, row.venue_id, row.version, now_ms)
    return len(rows)


def _due(connection: Connection) -> list[UUID]:
    """Venues with passes not listed as they are now, with marks newer than their list, or with another document."""
    unlisted = sa.select(entitlement.c.venue_id).where(entitlement.c.listed_version.is_(None)).distinct()
    due = set(connection.scalars(unlisted))
    newest_mark = (
        sa.select(sa.func.max(entitlement.c.listed_version))
        .where(entitlement.c.venue_id == feed.c.venue_id)
        .scalar_subquery()
    )
    due |= set(connection.scalars(sa.select(feed.c.venue_id).where(newest_mark > feed.c.version)))
    listed = {
        row.venue_id: row.document_digest
        for row in connection.execute(sa.select(feed.c.venue_id, feed.c.document_digest))
    }
    stated = stated_by_venue(connection)
    due |= {venue_id for venue_id, one in stated.items() if listed.get(venue_id) != one.digest}
    return [venue_id for venue_id in stated if venue_id in due]


def _seal(part: Part, rows: Sequence[Row], key: VenueKey, token_bytes: Callable[[int], bytes]) -> bytes:
    return seal_segment(part, rows, key.key, key.id, token_bytes(NONCE_BYTES))


def _put_in_place(connection: Connection, centre: Centre, venue_id: UUID, built: Built) -> None:
    now_ms = centre.now_ms()
    held = connection.execute(sa.select(feed).where(feed.c.venue_id == venue_id).with_for_update()).one()
    if held.version >= built.version:
        return  # another worker was quicker with a later list
    names = [segment_name(data) for data in built.segments]
    rows = [
        {"name": name, "venue_id": venue_id, "version": built.version, "data": data, "created_at_ms": now_ms}
        for name, data in zip(names, built.segments, strict=True)
    ]
    connection.execute(feed_segment.insert(), rows)
    head = Head(
        feed_id=held.feed_id,
        venue=built.stated.document.venue,
        epoch=held.epoch,
        version=built.version,
        snapshot_version=built.version,
        snapshot=tuple(SegmentRef(name, built.version) for name in names),
        deltas=(),
        key_set_version=key_set.newest(connection).version,
        list_key_id=built.list_key_id,
        zone=built.stated.document.zone,
        **_dates(now_ms),
    )
    _write_head(connection, venue_id, head, open_list_key(connection, centre.secrets))
    mine = feed.update().where(feed.c.venue_id == venue_id)
    connection.execute(mine.values(version=built.version, document_digest=built.stated.digest))
    _drop_old_segments(connection, venue_id, built.version, now_ms)


def _write_head(connection: Connection, venue_id: UUID, head: Head, signer: SigningKey) -> None:
    values = {
        "head": sign_head(head, signer.id, signer.private),
        "key_set_version": head.key_set_version,
        "signed_at_ms": head.signed_at_ms,
    }
    connection.execute(feed.update().where(feed.c.venue_id == venue_id).values(values))


def _dates(now_ms: int) -> dict[str, int]:
    return {"signed_at_ms": now_ms, "not_after_ms": now_ms + HEAD_NOT_AFTER_MS}


def _drop_old_segments(connection: Connection, venue_id: UUID, version: int, now_ms: int) -> None:
    old = sa.and_(feed_segment.c.version < version, feed_segment.c.created_at_ms < now_ms - OLD_SEGMENT_KEPT_MS)
    connection.execute(feed_segment.delete().where(feed_segment.c.venue_id == venue_id, old))


def _content_of(sealed_head: bytes) -> Head:
    """What one of our own stored heads says."""
    sealed: Any = signing.unseal(HEAD_KIND, HEAD_VERSION, sealed_head)
    return msgspec.msgpack.decode(sealed.payload, type=Head)
