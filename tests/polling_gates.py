"""Many gates in one process, as the centre sees them: each asks for the head, fetches what is new, sends signs of life.

They verify what they get (once for all of them, as the bytes are the same) and keep no list.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gate_agent.list_pull import HEAD_EVERY_S, HEAD_SPREAD
from tests.sync_server.town import Gate
from wire.entitlement import PassStatus
from wire.envelope import sign_request
from wire.feed import Head, PassRow, open_segment, read_head, segment_name
from wire.keyset import KeySet
from wire.messages import Receipt, batch_digest, read_receipt

REQUEST_LIMIT_S = 30.0
ENTRIES = "/device/v1/entries"


@dataclass
class Venue:
    """What all gates of a venue know, and what they saw of its list."""

    port: int
    feed_id: bytes
    list_keys: dict[int, bytes]
    keys: KeySet
    now_ms: Callable[[], int]
    heads: dict[bytes, Head] = field(default_factory=dict)
    suspended_in: dict[bytes, frozenset[bytes]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    requests: int = 0

    def head(self, data: bytes) -> Head:
        """A head, believed only if it is signed."""
        if data not in self.heads:
            read = read_head(data, self.keys, self.feed_id)
            assert isinstance(read, Head), read
            self.heads[data] = read
        return self.heads[data]

    def take(self, name: bytes, data: bytes) -> None:
        """A segment, believed only if it bears its name."""
        assert segment_name(data) == name, "the segment bears another name"
        if name not in self.suspended_in:
            opened = open_segment(data, name, self.list_keys)
            assert isinstance(opened, tuple), opened
            rows = (row for row in opened[1] if isinstance(row, PassRow))
            self.suspended_in[name] = frozenset(row.pass_id for row in rows if row.status is PassStatus.SUSPENDED)


class PollingGate:
    """One of them."""

    def __init__(self, venue: Venue, gate: Gate, chance: random.Random) -> None:
        self._venue, self._gate, self._chance = venue, gate, chance
        self._etag: str | None = None
        self._segments: set[bytes] = set()
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.suspended: dict[bytes, float] = {}
        """Since when, by `time.monotonic`, its list says so."""
        self.receipts = 0

    async def live(self, over: asyncio.Event, beat_s: float) -> None:
        """Ask until it is over, from a moment of its own on; one sign of life at some moment of the first `beat_s`."""
        await pause(self._chance.uniform(0, HEAD_EVERY_S))
        beat_at_s = time.monotonic() + self._chance.uniform(0, beat_s)
        try:
            while not over.is_set():
                try:
                    if not self.receipts and time.monotonic() >= beat_at_s:
                        await self._beat()
                    await self._pull()
                except (OSError, EOFError, TimeoutError, AssertionError, asyncio.LimitOverrunError) as error:
                    self._venue.errors.append(f"{type(error).__name__}: {error}")
                    self._hang_up()
                await pause(HEAD_EVERY_S * self._chance.uniform(1 - HEAD_SPREAD, 1 + HEAD_SPREAD))
        finally:
            self._hang_up()

    async def _pull(self) -> None:
        asked = {} if self._etag is None else {"If-None-Match": self._etag}
        status, headers, body = await self._ask("GET", f"/feed/{self._venue.feed_id.hex()}/head", asked)
        if status == 304:
            return
        assert status == 200, f"the head: {status}"
        head = self._venue.head(body)
        names = [ref.name for ref in (*head.snapshot, *head.deltas)]
        for name in names:
            if name not in self._segments:
                status, _, data = await self._ask("GET", f"/feed/segments/{name.hex()}", {})
                assert status == 200, f"a segment: {status}"
                self._venue.take(name, data)
        self._etag, self._segments = headers["etag"], set(names)
        for pass_id in frozenset().union(*(self._venue.suspended_in[name] for name in names)):
            self.suspended.setdefault(pass_id, time.monotonic())

    async def _beat(self) -> None:
        body = self._gate.batch()
        packed, now_ms = gzip.compress(body), self._venue.now_ms()
        asked = (self._gate.private, self._gate.device.id, "POST", ENTRIES, packed, now_ms, secrets.token_bytes(16))
        status, _, answer = await self._ask(
            "POST", ENTRIES, sign_request(*asked) | {"Content-Encoding": "gzip"}, packed
        )
        assert status == 200, f"a sign of life: {status} {answer[:200]!r}"
        receipt = read_receipt(answer, self._venue.keys, now_ms)
        assert isinstance(receipt, Receipt) and receipt.batch_digest == batch_digest(body), receipt
        self.receipts += 1

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on the connection that is kept, and its whole answer."""
        self._venue.requests += 1
        async with asyncio.timeout(REQUEST_LIMIT_S):
            if self._connection is None:
                self._connection = await asyncio.open_connection("127.0.0.1", self._venue.port)
            reader, writer = self._connection
            said = {"Host": "centre", **headers} | ({"Content-Length": str(len(body))} if method == "POST" else {})
            lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
            writer.write("\r\n".join(lines).encode("ascii") + body)
            await writer.drain()
            first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            told = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest if line)}
            answer = await reader.readexactly(int(told.get("content-length", "0")))
            if told.get("connection") == "close":
                self._hang_up()
        return int(first.split()[1]), told, answer

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection[1].close()
            self._connection = None


async def live(gates: Sequence[PollingGate], over: asyncio.Event, beat_s: float) -> None:
    """All of them at once, until it is over."""
    async with asyncio.TaskGroup() as group:
        for gate in gates:
            group.create_task(gate.live(over, beat_s))


async def pause(seconds: float) -> None:
    """The time between two questions: nothing can end it sooner, and nothing is waited for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
