"""A turnstile: a relay that unlocks the arm for one pulse, and the inputs that tell whether somebody walked through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hardware import Device

MIN_PULSE_MS = 100  # shorter pulses are missed by real turnstiles
MAX_PULSE_MS = 5_000  # one passage window; a door is held open by its own switch, never by a long pulse

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

    def open_for(self, direction: Direction, pulse_ms: int, note: Note) -> int:
        """Begin one pulse that lets somebody through that way, and return at once with its monotonic time in ns; the
        pulse ends by itself after `pulse_ms`.

        A pulse begun while one that way is on lengthens it. DeviceFault: no relay was moved, as always while `fire`,
        and that way where none is wired. ValueError: not a pulse between MIN_PULSE_MS and MAX_PULSE_MS."""

    def watch(self, on_edge: Callable[[Edge], None]) -> None:
        """Call `on_edge` for every later edge of any input, from the device's own thread; it must not wait."""


def check_pulse(pulse_ms: int) -> None:
    """ValueError unless a turnstile may be asked for such a pulse."""
    if not MIN_PULSE_MS <= pulse_ms <= MAX_PULSE_MS:
        raise ValueError(f"a pulse is {MIN_PULSE_MS} to {MAX_PULSE_MS} ms, not {pulse_ms}")
