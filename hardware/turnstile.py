"""A turnstile: a relay that unlocks the arm for one pulse, and the inputs that tell whether somebody walked through."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from hardware import Device, DeviceFault

MIN_PULSE_MS = 100  # shorter pulses are missed by real turnstiles
MAX_PULSE_MS = 5_000  # one passage window; a door is held open by its own switch, never by a long pulse
MAX_NOTE_BYTES = 1_000

Note = Mapping[str, str | int | None]
"""What the caller wants kept with a pulse, opaque to the turnstile."""


class Direction(StrEnum):
    """Which way somebody goes through the arm."""

    IN = "in"
    OUT = "out"


class Role(StrEnum):
    """What an input tells while it is active."""

    PASSAGE_IN = "passage_in"  # the arm turns inwards
    PASSAGE_OUT = "passage_out"  # the arm turns outwards
    READY = "ready"  # the arm is locked and takes a pulse
    FIRE = "fire"  # the fire release is on: the arm is free, by a wire of its own
    TAMPER = "tamper"  # the housing is open


PASSAGES = {Role.PASSAGE_IN: Direction.IN, Role.PASSAGE_OUT: Direction.OUT}


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge of an input; a passage input is active while the arm turns and inactive when it has come to rest."""

    role: Role
    active: bool
    monotonic_ns: int


class Turnstile(Device, Protocol):
    """One arm. Nothing moves when it is made or closed: a pulse is the only way to unlock, and it ends by itself."""

    @property
    def has_passage_sensor(self) -> bool:
        """Whether `watch` will ever report a passage; without it nobody can tell a balk from an entry."""

    @property
    def ready(self) -> bool:
        """The arm is locked and would take a pulse now (always true where no such input is wired)."""

    @property
    def fire(self) -> bool:
        """The fire release is on, or its wire is cut: people walk out freely and no pulse is given."""

    @property
    def tampered(self) -> bool:
        """The housing is open, or the wire that tells is cut."""

    def passing(self, direction: Direction) -> bool:
        """The passage input of that way is active now: somebody is in the arm, or the sensor is stuck."""

    def open_for(self, pulse_ms: int, note: Note) -> int:
        """Begin one pulse and return at once with its monotonic time in ns; the pulse ends by itself after `pulse_ms`.

        A pulse begun while one is on lengthens it. DeviceFault: the relay was not moved, as always while
        `fire`. ValueError: not a pulse between MIN_PULSE_MS and MAX_PULSE_MS."""

    def watch(self, on_edge: Callable[[Edge], None]) -> None:
        """Call `on_edge` for every later edge of any input, from the device's own thread; it must not wait."""


def check_pulse(pulse_ms: int) -> None:
    """ValueError unless a turnstile may be asked for such a pulse."""
    if not MIN_PULSE_MS <= pulse_ms <= MAX_PULSE_MS:
        raise ValueError(f"a pulse is {MIN_PULSE_MS} to {MAX_PULSE_MS} ms, not {pulse_ms}")


class FileTurnstile:
    """Driver `file:PATH`: each pulse is one line of JSON appended to a file, for checking from outside.

    The line is `{"lane":…, …note…, "monotonic_ns":…}`, written by one O_APPEND write at the moment a relay would move
    (design: quality.md, seams), so lanes may share a file and a killed process leaves whole lines."""

    has_passage_sensor = False
    ready = True
    fire = False
    tampered = False

    def __init__(self, path: Path, lane: int, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._path = path
        self._lane = lane
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._fault: str | None = None
        try:
            self._file: int | None = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DeviceFault(
                f"turnstile file {path} cannot be opened ({error.strerror}): name one in a folder that can be written"
            ) from error

    @property
    def fault(self) -> str | None:
        return self._fault

    def open_for(self, pulse_ms: int, note: Note) -> int:
        check_pulse(pulse_ms)
        with self._lock:
            if self._file is None:
                raise DeviceFault(f"turnstile file {self._path} is closed")
            began_ns = self._monotonic_ns()
            line = json.dumps({"lane": self._lane, **note, "monotonic_ns": began_ns}).encode() + b"\n"
            if len(line) > MAX_NOTE_BYTES:
                raise ValueError(f"a note of {len(line)} bytes is longer than {MAX_NOTE_BYTES}")
            try:
                written = os.write(self._file, line)
            except OSError as error:
                self._fault = f"turnstile file {self._path} cannot be written: {error.strerror}"
                raise DeviceFault(self._fault) from error
            if written != len(line):
                self._fault = f"turnstile file {self._path} took only a part of a line: its disk is full"
                raise DeviceFault(self._fault)
            self._fault = None
            return began_ns

    def passing(self, direction: Direction) -> bool:
        return False

    def watch(self, on_edge: Callable[[Edge], None]) -> None:
        return

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
