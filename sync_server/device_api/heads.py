"""The heads of all venues in this process: asked for by every gate every three seconds, read five times a second."""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import NamedTuple

from sync_server.centre import Centre
from sync_server.feed.reading import PublishedHead, changed_heads

REFRESH_MS = 200


class CachedHead(NamedTuple):
    """Bytes as sent, and the ETag (without quotes) that names them."""

    etag: str
    data: bytes


class HeadCache:
    """Safe for many threads: one of them refreshes, the others are answered from what is there."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._held: dict[bytes, PublishedHead] = {}
        self._answers: dict[bytes, CachedHead] = {}
        self._refreshed_at_ms: int | None = None
        self._refreshing = threading.Lock()

    def find(self, feed_id: bytes) -> CachedHead | None:
        """The newest head of a feed, at most REFRESH_MS old; None for a feed that is not published."""
        now_ms = self._centre.now_ms()
        if self._refreshed_at_ms is None:
            with self._refreshing:
                if self._refreshed_at_ms is None:
                    self._refresh(now_ms)
        elif abs(now_ms - self._refreshed_at_ms) >= REFRESH_MS and self._refreshing.acquire(blocking=False):
            try:
                self._refresh(now_ms)
            finally:
                self._refreshing.release()
        return self._answers.get(feed_id)

    def _refresh(self, now_ms: int) -> None:
        with self._centre.read() as connection:
            changed = changed_heads(connection, self._held)
        self._held |= changed
        answers = {
            feed_id: CachedHead(sha256(head.data).hexdigest()[:32], head.data) for feed_id, head in changed.items()
        }
        self._answers |= answers
        self._refreshed_at_ms = now_ms
