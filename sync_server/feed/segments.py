"""Rows of a list sealed into segments, and the rows of table `feed_segment` that keep them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.feed.contents import Chunk
from sync_server.feed.tables import feed_segment
from sync_server.gates.venue_keys import VenueKey
from wire.feed import NONCE_BYTES, Part, Row, UseRow, VenueDocument, seal_segment, segment_name


class Sealed(NamedTuple):
    """A segment's bytes, how many rows it holds, and the venue's list key that opens it."""

    data: bytes
    rows: int
    list_key_id: int


def seal_chunk(chunk: Chunk, key: VenueKey, token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> list[Sealed]:
    """One segment of each part that the chunk has."""
    parts = ((Part.PASSES, chunk.passes), (Part.NAMES, chunk.names))
    return [_seal(part, rows, key, token_bytes) for part, rows in parts if rows]


def seal_uses(
    rows: Sequence[UseRow], key: VenueKey, token_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> list[Sealed]:
    """A segment of uses, if there are any."""
    return [_seal(Part.USES, rows, key, token_bytes)] if rows else []


def seal_document(
    document: VenueDocument, key: VenueKey, token_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> Sealed:
    """The venue's own document as a segment."""
    return _seal(Part.DOCUMENT, [document], key, token_bytes)


def keep(
    connection: Connection,
    venue_id: UUID,
    role: str,
    versions: tuple[int, int],
    sealed: Iterable[Sealed],
    now_ms: int,
    first_position: int = 0,
) -> int:
    """Store segments that lead from the first of the versions to the second; how many."""
    rows = [
        {
            "name": segment_name(one.data),
            "venue_id": venue_id,
            "role": role,
            "after_version": versions[0],
            "version": versions[1],
            "position": position,
            "rows": one.rows,
            "list_key_id": one.list_key_id,
            "data": one.data,
            "created_at_ms": now_ms,
        }
        for position, one in enumerate(sealed, first_position)
    ]
    if rows:
        connection.execute(feed_segment.insert(), rows)
    return len(rows)


def drop(connection: Connection, venue_id: UUID, which: sa.ColumnElement[bool], now_ms: int) -> None:
    """No head names these segments of the venue from now on; they stay a while for gates that fetch the old list."""
    live = sa.and_(feed_segment.c.venue_id == venue_id, feed_segment.c.dropped_at_ms.is_(None))
    connection.execute(feed_segment.update().where(live, which).values(dropped_at_ms=now_ms))


def _seal(part: Part, rows: Sequence[Row], key: VenueKey, token_bytes: Callable[[int], bytes]) -> Sealed:
    return Sealed(seal_segment(part, rows, key.key, key.id, token_bytes(NONCE_BYTES)), len(rows), key.id)
