"""The newest segments in this process: what changes in a list is fetched by every gate of its venue within seconds."""

from __future__ import annotations

import threading
from collections import OrderedDict

from sync_server.centre import Centre
from sync_server.feed.reading import segment

MAX_HELD_BYTES = 8 * 1024 * 1024
"""Deltas of many venues, or a snapshot's hundred segments while gates fetch them one after the other."""


class SegmentCache:
    """Safe for many threads. A segment never changes: its name is the hash of its bytes."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._held: OrderedDict[bytes, bytes] = OrderedDict()  # whichever was not asked for longest comes first
        self._bytes = 0
        self._changing = threading.Lock()

    def find(self, name: bytes) -> bytes | None:
        """The bytes of a segment; None where there is none of this name, and never was while we looked."""
        with self._changing:
            held = self._held.get(name)
            if held is not None:
                self._held.move_to_end(name)
                return held
        with self._centre.read() as connection:
            data = segment(connection, name)
        if data is not None:
            self._hold(name, data)
        return data

    def _hold(self, name: bytes, data: bytes) -> None:
        with self._changing:
            if name not in self._held:
                self._held[name] = data
                self._bytes += len(data)
            while self._bytes > MAX_HELD_BYTES:
                _, dropped = self._held.popitem(last=False)
                self._bytes -= len(dropped)
