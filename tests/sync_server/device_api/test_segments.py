"""Segments as every gate of a venue fetches them at once: one look at the database, and never more memory than said."""

from __future__ import annotations

import hashlib

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.device_api import segments
from sync_server.device_api.segments import SegmentCache
from sync_server.feed.publishing import publish_feeds
from sync_server.feed.tables import feed_segment
from tests.sync_server.town import build_town


def keep(centre: Centre, count: int) -> list[bytes]:
    """So many segments of a hundred bytes; their names."""
    town = build_town(centre)
    publish_feeds(centre)
    bodies = [bytes([number]) * 100 for number in range(count)]
    names = [hashlib.sha256(body).digest() for body in bodies]
    same = {"venue_id": town.venues["park"], "role": "SNAPSHOT", "version": 1, "created_at_ms": 0}
    rows = [{"name": name, "data": body, **same} for name, body in zip(names, bodies, strict=True)]
    with centre.write() as connection:
        connection.execute(feed_segment.insert(), rows)
    return names


def test_what_many_fetch_is_read_once_and_the_longest_unasked_for_makes_room(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MAX_HELD_BYTES", 350)
    first, second, third, fourth = keep(centre, 4)
    cache, looks = SegmentCache(centre), list[bytes]()
    sa.event.listen(centre.engine, "before_cursor_execute", lambda *given: looks.append(given[3][0]))
    for name in (first, second, third, first, first, third):
        assert hashlib.sha256(cache.find(name) or b"").digest() == name
    assert looks == [first, second, third]
    cache.find(fourth)  # there is room for three
    for name in (first, third, fourth):
        cache.find(name)
    assert looks == [first, second, third, fourth]
    cache.find(second)
    assert looks == [first, second, third, fourth, second]


def test_what_is_not_there_is_looked_for_again(centre: Centre) -> None:
    cache = SegmentCache(centre)
    name = hashlib.sha256(bytes([0]) * 100).digest()
    assert cache.find(name) is None
    assert keep(centre, 1) == [name]
    assert cache.find(name) == bytes(100)
