"""A way to the centre that does what networks do: an HTTP proxy that loses, holds, repeats, cuts, swaps and lies.

Which of it befalls a request is drawn from the chance it is given, so that a run can be had again from its seed.
"""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

PORTAL = b"<!DOCTYPE html><title>Free WiFi</title><form action=/login><input name=phone></form>"
UPSTREAM_LIMIT_S = 30.0
HELD_S = 0.4
"""Longer than the asker waits in such a test, so that it is gone when the answer comes."""
KEPT_BEHIND = 2
"""Requests that wait to be overtaken."""
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


class Mischief(Enum):
    """What befalls one request."""

    LOST = auto()
    """It never arrives."""
    ANSWER_LOST = auto()
    """It arrives, and nobody hears what came of it."""
    HELD = auto()
    """Its answer comes when nobody waits any more."""
    TWICE = auto()
    """It arrives twice; the second answer is the one heard."""
    CUT = auto()
    """The connection ends in the middle of the answer."""
    HALF = auto()
    """Half an answer, as if that were all."""
    OVERTAKEN = auto()
    """It is given up by who sent it, and arrives after the next one."""
    PORTAL = auto()
    """A login page answers, with 200."""
    YESTERDAY = auto()
    """What was answered to an earlier request of the same kind."""


class Asked(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answered(NamedTuple):
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class MisbehavingProxy:
    """Between a gate and its centre. Use as a context manager; `share` of the requests meet something of Mischief."""

    def __init__(self, upstream: str, chance: random.Random, share: float = 0.0) -> None:
        address = urlsplit(upstream)
        assert address.hostname is not None
        self._upstream = (address.hostname, address.port or 80)
        self._chance = chance
        self.share = share
        self.down = False
        """Whether every request is lost."""
        self.requests = 0
        """How many came, whatever became of them."""
        self.met: Counter[Mischief] = Counter()
        self._lock = threading.Lock()
        self._behind: list[Asked] = []
        self._earlier: dict[tuple[str, str], Answered] = {}
        self._server = _Server(self)

    def __enter__(self) -> MisbehavingProxy:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def draw(self) -> Mischief | None:
        """What befalls the request that came now."""
        with self._lock:
            self.requests += 1
            if self.down:
                return Mischief.LOST
            met = self._chance.choice(list(Mischief)) if self._chance.random() < self.share else None
            if met is not None:
                self.met[met] += 1
            return met

    def pass_on(self, asked: Asked) -> Answered:
        """What the centre answers; afterwards, what this request has overtaken arrives."""
        answered = self._ask(asked)
        with self._lock:
            behind, self._behind = self._behind, []
        for late in behind:
            self._ask(late)
        return answered

    def keep_behind(self, asked: Asked) -> None:
        """Let it arrive after the next one."""
        with self._lock:
            self._behind = [*self._behind, asked][-KEPT_BEHIND:]

    def earlier(self, asked: Asked) -> Answered | None:
        """What was answered before, in its place."""
        with self._lock:
            return self._earlier.get((asked.method, asked.path))

    def _ask(self, asked: Asked) -> Answered:
        connection = http.client.HTTPConnection(*self._upstream, timeout=UPSTREAM_LIMIT_S)
        try:
            connection.request(asked.method, asked.path, asked.body or None, asked.headers)
            response = connection.getresponse()
            answered = Answered(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()
        with self._lock:
            self._earlier.setdefault((asked.method, asked.path), answered)
            if self._chance.random() < 0.2:
                self._earlier[asked.method, asked.path] = answered
        return answered


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: MisbehavingProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement
    server: _Server

    def log_message(self, *_: object) -> None:
        """Tests look at `requests` and `met` instead."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _serve(self, body: bytes) -> None:
        proxy, headers = self.server.proxy, dict(self.headers.items())
        asked = Asked(self.command, self.path, headers, body)
        met = proxy.draw()
        if met is Mischief.LOST:
            self.close_connection = True
        elif met is Mischief.OVERTAKEN:
            proxy.keep_behind(asked)
            self.close_connection = True
        elif met is Mischief.PORTAL:
            self._send(Answered(200, {"Content-Type": "text/html; charset=utf-8"}, PORTAL))
        elif met is Mischief.YESTERDAY and (earlier := proxy.earlier(asked)) is not None:
            self._send(earlier)
        else:
            self._spoil(met, asked, proxy.pass_on(asked))

    def _spoil(self, met: Mischief | None, asked: Asked, answered: Answered) -> None:
        if met is Mischief.TWICE:
            answered = self.server.proxy.pass_on(asked)
        if met is Mischief.HELD:
            threading.Event().wait(HELD_S)
        if met is Mischief.ANSWER_LOST:
            self.close_connection = True
        elif met is Mischief.CUT:
            self.close_connection = True
            self._send(answered._replace(body=answered.body[: len(answered.body) // 2]), len(answered.body))
        elif met is Mischief.HALF:
            self._send(answered._replace(body=answered.body[: len(answered.body) // 2]))
        else:
            self._send(answered)

    def _send(self, answered: Answered, claimed_bytes: int | None = None) -> None:
        self.send_response(answered.status)
        for name, value in answered.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answered.body) if claimed_bytes is None else claimed_bytes))
        self.end_headers()
        try:
            self.wfile.write(answered.body)
        except OSError:
            self.close_connection = True  # the gate waits no longer
