"""Relay boards that are not there, at the end of a pseudo-terminal or of loopback HTTP; each remembers every edge."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable, Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hardware.serial_relay import crc16
from hardware.timeline import History

POLL_S = 0.02
MAX_FRAME_BYTES = 8


class BoardRelay:
    """The relay of a board; `timed` pulses end by the board's own clock."""

    def __init__(self) -> None:
        self.history = History(time.monotonic_ns)
        self._lock = threading.Lock()
        self._on = False
        self._ends_ns: int | None = None

    def switch(self, on: bool) -> None:
        """On or off until told otherwise."""
        with self._lock:
            self._ends_ns = None
            self._set(on)

    def flash(self, pulse_ms: int) -> None:
        """On, and off after `pulse_ms`, counted anew by every flash."""
        with self._lock:
            self._set(True)
            self._ends_ns = time.monotonic_ns() + pulse_ms * 1_000_000

    def tick(self) -> None:
        """The board's clock."""
        with self._lock:
            if self._ends_ns is not None and time.monotonic_ns() >= self._ends_ns:
                self._ends_ns = None
                self._set(False)

    def _set(self, on: bool) -> None:
        if on is not self._on:
            self._on = on
            self.history.add("relay", "on" if on else "off")


class SerialBoard:
    """A board on a pseudo-terminal; `link` carries its name, so that it can be unplugged and come back under it."""

    def __init__(self, link: Path, take: Callable[[bytearray], bytes], relays: Collection[BoardRelay]) -> None:
        """`take` removes one whole frame from what came, moves a relay and says what the board answers."""
        self._take = take
        self._relays = relays
        self._link = link
        self._unplugged = threading.Event()
        self._plug()

    def unplug(self) -> None:
        """Pull the cable; a board fed through it loses its power too."""
        if not self._unplugged.is_set():
            self._unplugged.set()
            self._thread.join()
            os.close(self._board_end)
            os.close(self._far_end)
            self._link.unlink()

    def plug(self) -> None:
        """Put it in again, with the relay as it is."""
        self._unplugged.clear()
        self._plug()

    def _plug(self) -> None:
        self._board_end, self._far_end = pty.openpty()
        tty.setraw(self._far_end)
        self._link.symlink_to(os.ttyname(self._far_end))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        came = bytearray()
        while not self._unplugged.is_set():
            for relay in self._relays:
                relay.tick()
            if select.select([self._board_end], [], [], POLL_S)[0]:
                came += os.read(self._board_end, 4_096)
                while answer := self._take(came):
                    with contextlib.suppress(BlockingIOError):
                        os.write(self._board_end, answer)


class LcusBoard(SerialBoard):
    """Channels that are switched by `A0 01 state sum`; a frame with a wrong sum is dropped. `relay`: of the first."""

    def __init__(self, link: Path, *channels: int) -> None:
        self.relays = {channel: BoardRelay() for channel in channels or (1,)}
        self.relay = next(iter(self.relays.values()))
        super().__init__(link, self._frame, self.relays.values())

    def _frame(self, came: bytearray) -> bytes:
        while len(came) >= 4:
            start, channel, state, check = came[:4]
            if start == 0xA0 and check == (start + channel + state) & 0xFF:
                del came[:4]
                if channel in self.relays:
                    self.relays[channel].switch(bool(state))
            else:
                del came[0]
        return b""


class ModbusBoard(SerialBoard):
    """Coils at address 1 that take on, off and flash. `mood`: answer, be silent (and move), or refuse."""

    def __init__(self, link: Path, *channels: int) -> None:
        self.relays = {channel: BoardRelay() for channel in channels or (1,)}
        self.relay = next(iter(self.relays.values()))
        self.mood = "answer"
        super().__init__(link, self._frame, self.relays.values())

    def _frame(self, came: bytearray) -> bytes:
        if len(came) < MAX_FRAME_BYTES:
            return b""
        frame = bytes(came[:MAX_FRAME_BYTES])
        del came[:MAX_FRAME_BYTES]
        assert crc16(frame[:6]) == int.from_bytes(frame[6:], "little"), frame.hex(" ")
        coil, value = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
        if self.mood == "refuse" and value:
            refusal = frame[:1] + bytes((frame[1] | 0x80, 0x02))
            return refusal + crc16(refusal).to_bytes(2, "little")
        relay = self.relays.get((coil & 0x00FF) + 1)
        if relay is not None and coil & 0x0200:
            relay.flash(value * 100)
        elif relay is not None:
            relay.switch(value == 0xFF00)
        return frame if self.mood == "answer" else b""


class HttpBoard:
    """`GET /pulse?ms=N` is a pulse, `/out?ms=N` one of the other relay.

    `mood`: answer, be silent behind the pulse, or a status."""

    def __init__(self) -> None:
        self.relays = {"/pulse": BoardRelay(), "/out": BoardRelay()}
        self.relay = self.relays["/pulse"]
        self.mood: int | str = "answer"
        board = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self) -> None:
                board.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the name the server calls it by
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._ended = threading.Event()
        self.url = f"http://127.0.0.1:{self._server.server_port}/pulse?ms={{pulse_ms}}"
        self.url_out = self.url.replace("/pulse?", "/out?")
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._serve, self._clock)]
        for thread in self._threads:
            thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Move the relay, and say so or not."""
        if not isinstance(self.mood, int):
            asked = urlsplit(request.path)
            self.relays[asked.path].flash(int(parse_qs(asked.query)["ms"][0]))
        if self.mood == "silent":
            return
        request.send_response(self.mood if isinstance(self.mood, int) else 204)
        request.end_headers()

    def close(self) -> None:
        """Away from the network."""
        if not self._ended.is_set():
            self._ended.set()
            self._server.shutdown()
            self._server.server_close()
            for thread in self._threads:
                thread.join()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=POLL_S)

    def _clock(self) -> None:
        while not self._ended.wait(POLL_S):
            for relay in self.relays.values():
                relay.tick()
