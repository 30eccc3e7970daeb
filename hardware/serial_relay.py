"""Relay boards on a serial line: the plain USB boards of the LCUS kind, and Modbus RTU boards that time the pulse.

LCUS (also sold as LC USB switch; 9600 baud): four bytes, `A0 channel state sum`, state 01 on and 00 off, sum the low
byte of the three before: `A0 01 01 A2` switches channel 1 on. The board says nothing and knows no time: a thread of
ours ends the pulse, and the first thing written to a board that is opened is off.

Modbus RTU (the Waveshare relay boards; 9600 baud): `01 05 02 00 00 07 8D B0` is "flash on" of relay 0 for 7 tenths of a
second; the board ends the pulse by itself, even if this machine dies, and repeats the request as its answer.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hardware import Backoff, DeviceFault, library
from hardware.driver_thread import DriverThread
from hardware.relay import STOP_LIMIT_S, SwitchedRelay
from hardware.turnstile import Direction

if TYPE_CHECKING:
    from serial import Serial

RELAY_BAUD = 9_600
MAX_LCUS_CHANNEL = 16
MAX_MODBUS_CHANNEL = 32
ANSWER_LIMIT_S = 0.3  # a board answers within 20 ms; a visitor waits for the rest
WRITE_LIMIT_S = 0.5
LOOK_EVERY_S = 0.5  # how soon a board that was unplugged is missed
REOPEN_FIRST_S = 0.2
REOPEN_LIMIT_S = 5.0
MAX_STALE_BYTES = 4_096

FLASH_STEP_MS = 100
MODBUS_ADDRESS = 1
MODBUS_FRAME_BYTES = 8
_WRITE_COIL = 0x05
_FLASH_ON = 0x0200  # added to the coil's number: on, and off again after the value × FLASH_STEP_MS
_COIL_OFF = 0x0000


def lcus_frame(channel: int, on: bool) -> bytes:
    """The four bytes that switch `channel` (from 1) of an LCUS board."""
    frame = bytes((0xA0, channel, int(on)))
    return frame + bytes((sum(frame) & 0xFF,))


def modbus_frame(coil: int, value: int) -> bytes:
    """A Modbus RTU "write single coil" with its checksum (CRC-16, low byte first)."""
    frame = bytes((MODBUS_ADDRESS, _WRITE_COIL)) + coil.to_bytes(2, "big") + value.to_bytes(2, "big")
    return frame + crc16(frame).to_bytes(2, "little")


def crc16(data: bytes) -> int:
    """Modbus' checksum: polynomial A001 (reflected 8005), from FFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


class _Line:
    """A relay board's serial line, for this process alone, opened again after it was away.

    `first` are the frames written then, one after the other; each is answered by `answer_bytes`."""

    def __init__(self, path: Path, baud: int, first: Sequence[bytes], answer_bytes: int = 0) -> None:
        self._path = path
        self._baud = baud
        self._first = first
        self._first_answer_bytes = answer_bytes  # read, so that it is not taken for the answer to what follows
        self._lock = threading.Lock()
        self._port: Serial | None = None
        self._fault: str | None = None
        self._closing = threading.Event()
        self._backoff = Backoff(REOPEN_FIRST_S, REOPEN_LIMIT_S)
        self._look()
        self._thread = DriverThread("relay board", self._keep, self._closing, first_s=LOOK_EVERY_S)

    @property
    def fault(self) -> str | None:
        return self._fault or self._thread.fault

    def write(self, frame: bytes, answer_bytes: int = 0) -> bytes:
        """Send `frame`; up to `answer_bytes` of what comes within ANSWER_LIMIT_S. DeviceFault: it did not go out."""
        with self._lock:
            if self._port is None:
                raise DeviceFault(self._fault or f"relay board {self._path} is not there")
            try:
                self._forget_what_came(self._port)
                self._port.write(frame)
                return self._port.read(answer_bytes) if answer_bytes else b""
            except OSError as error:
                self._lose(error)
                raise DeviceFault(str(self._fault)) from error

    def close(self) -> None:
        self._closing.set()
        self._thread.join(STOP_LIMIT_S)
        with self._lock:
            self._let_go()
        self._fault = f"relay board {self._path} is closed"

    def _keep(self) -> float:
        return LOOK_EVERY_S if self._look() else self._backoff.next_s()

    def _look(self) -> bool:
        """Open the board if it is away, notice it if it went."""
        with self._lock:
            try:
                if self._port is None:
                    self._port = self._open()
                    for frame in self._first:
                        self._port.write(frame)
                        self._port.read(self._first_answer_bytes)
                    self._backoff.reset()
                    self._fault = None
                else:
                    self._forget_what_came(self._port)
            except DeviceFault as fault:
                self._fault = str(fault)
            except (
                OSError,
                ValueError,
            ) as error:  # pyserial's own errors are OSErrors; ValueError: a baud rate it refuses
                self._lose(error)
            return self._port is not None

    def _open(self) -> Serial:
        with library("pyserial"):
            from serial import Serial
        return Serial(str(self._path), self._baud, timeout=ANSWER_LIMIT_S, write_timeout=WRITE_LIMIT_S, exclusive=True)

    def _forget_what_came(self, port: Serial) -> None:
        """Late answers and noise; asking is also how a lost board is noticed."""
        waiting = port.in_waiting
        if waiting:
            port.read(min(waiting, MAX_STALE_BYTES))

    def _lose(self, error: Exception) -> None:
        if self._path.exists():
            what_to_do = "is another program using it, may this user open it?"
        else:
            what_to_do = "plug it in, or name it as it is called under /dev/serial/by-path"
        self._fault = f"relay board {self._path} cannot be reached ({error}): {what_to_do}"
        self._let_go()

    def _let_go(self) -> None:
        if self._port is not None:
            with contextlib.suppress(OSError):  # unplugged: there is nothing left to close
                self._port.close()
            self._port = None


class LcusRelay:
    """The channels of an LCUS board that unlock one arm; the board switches, a thread of ours ends each pulse."""

    def __init__(
        self,
        path: Path,
        channels: Mapping[Direction, int],
        baud: int = RELAY_BAUD,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._channels = dict(channels)
        self._line = _Line(path, baud, [lcus_frame(channel, on=False) for channel in self._channels.values()])
        self._relays = {way: SwitchedRelay(partial(self._switch, way), monotonic_ns) for way in self._channels}

    @property
    def ways(self) -> Collection[Direction]:
        return self._channels.keys()

    @property
    def fault(self) -> str | None:
        return self._line.fault

    def pulse(self, direction: Direction, pulse_ms: int) -> int:
        return self._relays[direction].pulse(pulse_ms)

    def close(self) -> None:
        for relay in self._relays.values():
            relay.close()
        self._line.close()

    def _switch(self, way: Direction, on: bool) -> None:
        self._line.write(lcus_frame(self._channels[way], on))


class ModbusRelay:
    """The channels of a Modbus RTU board that unlock one arm.

    The board ends each pulse itself, in whole tenths of a second (rounded up)."""

    def __init__(
        self,
        path: Path,
        channels: Mapping[Direction, int],
        baud: int = RELAY_BAUD,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._path = path
        self._coils = {way: channel - 1 for way, channel in channels.items()}
        self._monotonic_ns = monotonic_ns
        self._offs = {way: modbus_frame(coil, _COIL_OFF) for way, coil in self._coils.items()}
        self._line = _Line(path, baud, list(self._offs.values()), answer_bytes=MODBUS_FRAME_BYTES)
        self._silent: str | None = None
        self._lock = threading.Lock()
        self._ends_ns = dict.fromkeys(self._coils, 0)

    @property
    def ways(self) -> Collection[Direction]:
        return self._coils.keys()

    @property
    def fault(self) -> str | None:
        return self._line.fault or self._silent

    def pulse(self, direction: Direction, pulse_ms: int) -> int:
        with self._lock:
            began_ns = self._monotonic_ns()
            # never shorter than a pulse that is on
            ends_ns = max(self._ends_ns[direction], began_ns + pulse_ms * 1_000_000)
            steps = -(-(ends_ns - began_ns) // (FLASH_STEP_MS * 1_000_000))
            request = modbus_frame(_FLASH_ON + self._coils[direction], steps)
            answer = self._line.write(request, answer_bytes=len(request))
            if answer == request:
                self._silent = None
            elif answer[1:2] == bytes((_WRITE_COIL | 0x80,)):
                self._silent = f"relay board {self._path} refuses (code {answer[2:3].hex()}): has it that channel?"
                raise DeviceFault(self._silent)
            else:  # it may have moved: a pulse, but one that somebody has to look at
                self._silent = f"relay board {self._path} does not answer: check its power, its wires and its baud rate"
            self._ends_ns[direction] = ends_ns
            return began_ns

    def close(self) -> None:
        with self._lock:
            for way, ends_ns in self._ends_ns.items():
                if self._monotonic_ns() < ends_ns:
                    with contextlib.suppress(DeviceFault):  # gone: it ends its pulse alone
                        self._line.write(self._offs[way])
        self._line.close()
