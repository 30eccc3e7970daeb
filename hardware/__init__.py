"""Things with wires, each with its simulated twin: cameras, scanners, card readers, turnstiles, lamps. No tickets here.

Every device is a Protocol, a real class and a simulated one, chosen in `devices.py`. A device's library is imported
inside the class that uses it. A device that is away does not stop its class from being made: `fault` says in a sentence
what is wrong until it is back. `DeviceFault` is raised only where somebody must act first: a wrong setting, or a pulse
that cannot be given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol


class DeviceFault(Exception):
    """A device, its library or its setting is not as needed; the message is one sentence that says what to do."""


class Device(Protocol):
    """What every device answers to; any thread may ask."""

    @property
    def fault(self) -> str | None:
        """None while it works, else a sentence for staff; a lost device is looked for again by itself."""

    def close(self) -> None:
        """Let go of the device and end its threads; who waits for it gets None. Doing it twice is doing it once."""


@contextlib.contextmanager
def library(name: str, remedy: str = "install the gate's requirements again") -> Iterator[None]:
    """Around the import of a device's library: its absence is a DeviceFault that names it and what to do."""
    try:
        yield
    except ImportError as error:
        raise DeviceFault(f"{name} is missing ({error}): {remedy}") from error


class Backoff:
    """How long to leave a lost device alone: doubling from `first_s` to `limit_s`, anew after a success."""

    def __init__(self, first_s: float, limit_s: float) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The pause before the next attempt; each call doubles the one after it."""
        pause_s, self._next_s = self._next_s, min(self._next_s * 2, self._limit_s)
        return pause_s

    def reset(self) -> None:
        """The device is there: a later loss starts with the short pause again."""
        self._next_s = self._first_s
