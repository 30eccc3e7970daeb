"""Server-sent events with a beat each second: bounded in number, and each cheap enough never to hold up a lane."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from flask import Response, stream_with_context

from gate_agent.board import Board, Snapshot

STREAMS_LIMIT = 16
"""Half of the server's threads: the other half always answers pages."""
RETRY_AFTER_S = 5
BEAT_S = 1.0
"""The pages cover themselves after three seconds without a beat."""
RECONNECT_MS = 1000
DOTS = 4


class Streams:
    """The open event streams of one agent. `clock` is the gate's time as the screens write it, told every `beat_s`."""

    def __init__(self, board: Board, clock: Callable[[], str], beat_s: float) -> None:
        self._board = board
        self._clock = clock
        self._beat_s = beat_s
        self._lock = threading.Lock()
        self._taken = 0
        self._closing = threading.Event()
        self._run = secrets.token_hex(4)

    @property
    def taken(self) -> int:
        """How many pages listen."""
        return self._taken

    def open(
        self,
        parts: Callable[[Snapshot], Mapping[str, str]],
        pause_s: float = 0.0,
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> Response:
        """A stream of the named `parts` of a screen: each is sent when its HTML changed, at most every `pause_s`.

        It ends with the first thing there is to send when the browser may not go on: a beat at the latest."""
        if not self._take():
            return Response("all streams are taken\n", 503, {"Retry-After": str(RETRY_AFTER_S)}, mimetype="text/plain")
        response = Response(stream_with_context(self._events(parts, pause_s, may_go_on)), mimetype="text/event-stream")
        response.call_on_close(self._release)
        return response

    def close(self) -> None:
        """Ends every stream at once."""
        self._closing.set()
        self._board.wake()

    def _take(self) -> bool:
        with self._lock:
            free = self._taken < STREAMS_LIMIT
            self._taken += free
            return free

    def _release(self) -> None:
        with self._lock:
            self._taken -= 1

    def _events(
        self, parts: Callable[[Snapshot], Mapping[str, str]], pause_s: float, may_go_on: Callable[[], bool]
    ) -> Iterator[str]:
        yield f"retry: {RECONNECT_MS}\n\n"
        sent: dict[str, str] = {}
        version, beats, next_beat_s = 0, 0, time.monotonic()
        while not self._closing.is_set():
            snapshot = self._board.wait(version, max(0.0, next_beat_s - time.monotonic()))
            if not may_go_on():
                return
            if snapshot.version != version:
                version = snapshot.version
                changed = {name: html for name, html in parts(snapshot).items() if sent.get(name) != html}
                sent |= changed
                yield from (_event(name, html) for name, html in changed.items())
                self._closing.wait(pause_s)
            if time.monotonic() >= next_beat_s:
                beats += 1
                next_beat_s = time.monotonic() + self._beat_s
                beat = {"dot": beats % DOTS, "clock": self._clock(), "run": self._run}
                yield _event("beat", json.dumps(beat))


def _event(name: str, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])  # an event without data is not heard
    return f"event: {name}\n{lines}\n"
