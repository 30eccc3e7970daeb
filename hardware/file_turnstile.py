"""A turnstile that is a file: what each pulse would have moved, for whoever checks from outside (quality.md, seams)."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hardware import DeviceFault
from hardware.turnstile import Direction, Edge, Note, check_pulse

MAX_NOTE_BYTES = 1_000


class FileTurnstile:
    """Driver `file:PATH`: each pulse is one line of JSON appended to a file, for checking from outside.

    The line is `{"lane":…, …note…, "direction":…, "monotonic_ns":…}`, written by one O_APPEND write at the moment a
    relay would move (design: quality.md, seams), so lanes may share a file and a killed process leaves whole lines."""

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

    def open_for(self, direction: Direction, pulse_ms: int, note: Note) -> int:
        check_pulse(pulse_ms)
        with self._lock:
            if self._file is None:
                raise DeviceFault(f"turnstile file {self._path} is closed")
            began_ns = self._monotonic_ns()
            told = {"lane": self._lane, **note, "direction": direction, "monotonic_ns": began_ns}
            line = json.dumps(told).encode() + b"\n"
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
