"""A code scanner on a serial line: bytes in, whole ASCII lines out, through noise, half lines and floods."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hardware import Backoff, Device, DeviceFault, library

if TYPE_CHECKING:
    from serial import Serial

MAX_LINE_CHARS = 1_024  # more than twice the longest code the product knows; nothing longer is ever held
LINE_IDLE_MS = 300  # this long after its last byte a line without an end is taken as whole
MAX_WAITING_LINES = 64  # lines that came in one read and were not asked for yet; the oldest fall out
MAX_READ_BYTES = 65_536
READ_POLL_S = 0.05  # how long one read may block: bounds closing and the idle rule
REOPEN_FIRST_S = 0.2
REOPEN_LIMIT_S = 5.0
DEFAULT_BAUD = 115_200
BAUD_RATES = range(300, 4_000_001)
MAX_COMMAND_BYTES = 64  # of what a scanner is told
TELL_LIMIT_S = 0.2  # a scanner that does not take a command in this time is deaf

STABLE_NAMES = Path("/dev/serial/by-path")

_ENDS = b"\r\n"
_NOISE = bytes(byte for byte in range(256) if not 0x20 <= byte < 0x7F and byte not in _ENDS)


class Scanner(Device, Protocol):
    """A scanner is asked again and again by one thread; what it answers is the next line."""

    def next_line(self, timeout_s: float) -> str | None:
        """The next line: 1 to MAX_LINE_CHARS characters of printable ASCII; None when none came within `timeout_s`."""


class LineFramer:
    """Bytes in, lines out (pure; time is the caller's, in ms of any clock that only rises).

    A line ends at CR, LF or CRLF, or `idle_ms` after its last byte. Control bytes and bytes outside ASCII are dropped;
    an empty line is no line. Of a longer line the first `max_chars` characters come out, once, so that it is refused
    like any wrong code instead of vanishing; the rest is dropped up to its end. No code is as long as a cut line."""

    def __init__(self, max_chars: int = MAX_LINE_CHARS, idle_ms: int = LINE_IDLE_MS) -> None:
        self._max_chars = max_chars
        self._idle_ms = idle_ms
        self._held = bytearray()
        self._dropping = False  # inside a line that was already given out, cut
        self._last_byte_ms = 0

    @property
    def held_chars(self) -> int:
        """How much of an unfinished line is kept: never more than `max_chars`."""
        return len(self._held)

    def feed(self, data: bytes, now_ms: int) -> list[str]:
        """Take bytes that arrived at `now_ms`; the lines they complete, in order."""
        lines = self.idle(now_ms)
        if not data:
            return lines
        self._last_byte_ms = now_ms
        *ended, open_piece = data.replace(b"\r", b"\n").split(b"\n")
        for piece in ended:
            self._take(piece, lines)
            self._end(lines)
        self._take(open_piece, lines)
        return lines

    def idle(self, now_ms: int) -> list[str]:
        """The line that silence has completed by `now_ms`, if there is one."""
        lines: list[str] = []
        if (self._held or self._dropping) and now_ms - self._last_byte_ms >= self._idle_ms:
            self._end(lines)
        return lines

    def _take(self, piece: bytes, lines: list[str]) -> None:
        if self._dropping or not piece:
            return
        self._held += piece.translate(None, delete=_NOISE)
        if len(self._held) > self._max_chars:
            lines.append(self._held[: self._max_chars].decode("ascii"))
            self._held.clear()
            self._dropping = True

    def _end(self, lines: list[str]) -> None:
        if self._held:
            lines.append(self._held.decode("ascii"))
            self._held.clear()
        self._dropping = False


class SerialScanner:
    """A scanner on a serial device or pseudo-terminal, opened for this process alone and again after it was away."""

    def __init__(
        self,
        path: Path,
        baud: int = DEFAULT_BAUD,
        monotonic_s: Callable[[], float] = time.monotonic,
        called: str = "scanner",
    ) -> None:
        """`called`: what staff call the device on this line."""
        self._path = path
        self._called = called
        self._baud = baud
        self._monotonic_s = monotonic_s
        self._framer = LineFramer()
        self._waiting: deque[str] = deque(maxlen=MAX_WAITING_LINES)
        self._backoff = Backoff(REOPEN_FIRST_S, REOPEN_LIMIT_S)
        self._try_again_at_s = monotonic_s()
        self._port_lock = threading.Lock()  # held while the port is opened, read or closed
        self._port: Serial | None = None
        self._closed = threading.Event()
        self._fault: str | None = None
        self._command: bytes | None = None  # the newest one not told yet
        self.deaf: str | None = None
        """Why the scanner takes no commands, a sentence for staff; its reading goes on."""
        self._connect()  # at once: opening drops what was typed before

    @property
    def fault(self) -> str | None:
        return self._fault

    def next_line(self, timeout_s: float) -> str | None:
        """The next line; waits up to READ_POLL_S longer than `timeout_s`."""
        deadline_s = self._monotonic_s() + timeout_s
        while not self._closed.is_set():
            if self._waiting:
                return self._waiting.popleft()
            with self._port_lock:
                if self._port is None and self._monotonic_s() >= self._try_again_at_s:
                    self._connect()
                if self._port is not None:
                    self._read(self._port)
            left_s = deadline_s - self._monotonic_s()
            if left_s <= 0 and not self._waiting:
                return None
            if self._port is None:
                self._closed.wait(max(0.0, min(left_s, self._try_again_at_s - self._monotonic_s())))
        return None

    def tell(self, command: bytes) -> None:
        """Have a command sent to the scanner, at the next reading; returns at once. A newer one wins."""
        self._command = command

    def close(self) -> None:
        self._closed.set()
        with self._port_lock:  # at most one READ_POLL_S
            self._let_go()
        self._fault = f"{self._called} {self._path} is closed"

    def _connect(self) -> None:
        if self._closed.is_set():
            return
        try:
            with library("pyserial"):
                from serial import Serial
            self._port = Serial(
                str(self._path), self._baud, timeout=READ_POLL_S, write_timeout=TELL_LIMIT_S, exclusive=True
            )
        except DeviceFault as fault:
            self._lost(str(fault))
        except (OSError, ValueError) as error:  # pyserial's own errors are OSErrors; ValueError: a baud rate it refuses
            self._lost(_what_to_do(self._called, self._path, error))
        else:
            self._backoff.reset()
            self._fault = None

    def _read(self, port: Serial) -> None:
        try:
            self._pass_on(port)
            data = port.read(max(1, min(port.in_waiting, MAX_READ_BYTES)))
        except OSError as error:
            self._let_go()
            self._lost(_what_to_do(self._called, self._path, error))
        else:
            self._waiting.extend(self._framer.feed(data, int(self._monotonic_s() * 1000)))

    def _pass_on(self, port: Serial) -> None:
        from serial import SerialTimeoutException

        command, self._command = self._command, None
        if command is None:
            return
        try:
            port.write(command)
            self.deaf = None
        except SerialTimeoutException:
            self.deaf = f"{self._called} {self._path} takes no commands: switch them on in it, or leave on_… away"

    def _lost(self, sentence: str) -> None:
        self._fault = sentence
        self._try_again_at_s = self._monotonic_s() + self._backoff.next_s()

    def _let_go(self) -> None:
        if self._port is not None:
            with contextlib.suppress(OSError):  # unplugged: there is nothing left to close
                self._port.close()
            self._port = None
            self._framer = LineFramer()  # a line cut by unplugging is not continued by the next one


def _what_to_do(called: str, path: Path, error: Exception) -> str:
    if not path.exists():
        there = ", ".join(str(name) for name in sorted(STABLE_NAMES.glob("*"))) or "none"
        return f"{called} {path} is not there: plug it in, or name one of the serial devices that are ({there})"
    return f"{called} {path} cannot be read ({error}): is another program using it, may this user open it?"
