"""Published lists as the web reads them: which heads changed, and a segment by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.feed.tables import feed, feed_segment


class PublishedHead(NamedTuple):
    """A venue's head as sent. A newer one has a higher (version, signed_at_ms)."""

    version: int
    signed_at_ms: int
    data: bytes


def changed_heads(connection: Connection, held: Mapping[bytes, PublishedHead]) -> dict[bytes, PublishedHead]:
    """The heads, by feed id, that differ from those held."""
    stamps = connection.execute(
        sa.select(feed.c.feed_id, feed.c.version, feed.c.signed_at_ms).where(feed.c.head.is_not(None))
    )
    changed = [
        row.feed_id
        for row in stamps
        if (known := held.get(row.feed_id)) is None or known[:2] != (row.version, row.signed_at_ms)
    ]
    if not changed:
        return {}
    rows = connection.execute(
        sa.select(feed.c.feed_id, feed.c.version, feed.c.signed_at_ms, feed.c.head).where(feed.c.feed_id.in_(changed))
    )
    return {row.feed_id: PublishedHead(row.version, row.signed_at_ms, row.head) for row in rows}


def list_key_ids(connection: Connection, venue_id: UUID) -> set[int]:
    """The venue's list keys that some segment in force, or in the making, is encrypted with."""
    live = sa.and_(feed_segment.c.venue_id == venue_id, feed_segment.c.dropped_at_ms.is_(None))
    return set(connection.scalars(sa.select(feed_segment.c.list_key_id).where(live).distinct()))


def named_segments(connection: Connection, venue_id: UUID) -> Iterator[tuple[bytes, bytes]]:
    """Name and bytes of every segment of the venue that is in force, one at a time."""
    live = sa.and_(feed_segment.c.venue_id == venue_id, feed_segment.c.dropped_at_ms.is_(None))
    for name in connection.scalars(sa.select(feed_segment.c.name).where(live)).all():
        data = segment(connection, name)
        if data is not None:
            yield name, data


def segment(connection: Connection, name: bytes) -> bytes | None:
    """A segment by the SHA-256 of its bytes."""
    data: bytes | None = connection.scalar(sa.select(feed_segment.c.data).where(feed_segment.c.name == name))
    return data
