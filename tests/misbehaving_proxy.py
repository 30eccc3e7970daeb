"""A way to the centre that does what networks do: an HTTP proxy that loses, holds, repeats, cuts, swaps and lies.

Which of it befalls a request is drawn from the chance it is given, so that a run can be had again from its seed.
"""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from enum import Enum, auto
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.loopback import PORTAL, Handler, LoopbackServer

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
    """One answer as it came, but for what concerns the connection alone."""

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
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

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
            headers = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
            answered = Answered(response.status, headers, response.read())
        finally:
            connection.close()
        with self._lock:
            self._earlier.setdefault((asked.method, asked.path), answered)
            if self._chance.random() < 0.2:
                self._earlier[asked.method, asked.path] = answered
        return answered


class _Server(LoopbackServer):
    def __init__(self, proxy: MisbehavingProxy) -> None:
        self.proxy = proxy
        super().__init__(_Handler)


class _Handler(Handler):
    server: _Server

    def answer(self, body: bytes) -> None:
        proxy, headers = self.server.proxy, dict(self.headers.items())
        asked = Asked(self.command, self.path, headers, body)
        met = proxy.draw()
        if met is Mischief.LOST:
            self.close_connection = True
        elif met is Mischief.OVERTAKEN:
            proxy.keep_behind(asked)
            self.close_connection = True
        elif met is Mischief.PORTAL:
            self.send(200, {"Content-Type": "text/html; charset=utf-8"}, PORTAL)
        elif met is Mischief.YESTERDAY and (earlier := proxy.earlier(asked)) is not None:
            self.send(*earlier)
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
            self.send_cut(*answered)
        elif met is Mischief.HALF:
            self.send_half(*answered)
        else:
            self.send(*answered)
