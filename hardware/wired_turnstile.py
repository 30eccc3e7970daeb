"""A turnstile made of relays and of input contacts: passage, ready, fire, tamper (gate.md, Devices)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hardware import DeviceFault
from hardware.relay import Relays
from hardware.turnstile import PASSAGES, Direction, Edge, Note, Role, check_pulse

DEBOUNCE_MS = 20  # a contact that moves again sooner is bouncing; no arm turns that fast


class Contact(StrEnum):
    """How an input's contact rests; it lies between the pin, pulled up, and ground."""

    NC = "nc"  # normally closed: active when the circuit opens, so a cut wire shows
    NO = "no"  # normally open: active when the circuit closes


USUAL_CONTACT = {role: Contact.NO if role is Role.READY else Contact.NC for role in Role}
"""Each so that a cut wire reads as the side that lets nobody in unseen."""
_ROLE_OF = {direction: role for role, direction in PASSAGES.items()}


@dataclass(frozen=True, slots=True)
class RelayPin:
    """The pin a relay hangs on; `active_high`: the relay is on while the pin is high."""

    pin: int
    active_high: bool = True


@dataclass(frozen=True, slots=True)
class InputPin:
    """The pin a contact hangs on."""

    pin: int
    contact: Contact


OnEdge = Callable[[Role, bool, int], None]
"""Told for every edge: whose, whether it is active now, and its monotonic time in ns."""


class Pins(Relays, Protocol):
    """A board's pins: the relays, one or two, and the inputs that are wired."""

    @property
    def roles(self) -> Collection[Role]:
        """Which inputs are wired, whether the board is there or not."""

    def active(self, role: Role) -> bool | None:
        """Whether that input is active now; None while the board is away."""

    def watch(self, on_edge: OnEdge) -> None:
        """Call `on_edge` for every later debounced edge, from the board's own thread. Asked for once."""


class WiredTurnstile:
    """One arm at the end of wires. `pins` are None where relays stand alone, as on most relay boards."""

    def __init__(self, relays: Relays, pins: Pins | None = None) -> None:
        self._relays = relays
        self._pins = pins
        self._roles = frozenset(pins.roles if pins is not None else ())
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Edge], None]] = []
        self._closed = False
        self.has_passage_sensor = not self._roles.isdisjoint(PASSAGES)
        if pins is not None:
            pins.watch(self._edge)

    @property
    def ready(self) -> bool:
        return Role.READY not in self._roles or self._active(Role.READY)

    @property
    def fire(self) -> bool:
        return Role.FIRE in self._roles and self._active(Role.FIRE)

    @property
    def tampered(self) -> bool:
        return Role.TAMPER in self._roles and self._active(Role.TAMPER)

    def passing(self, direction: Direction) -> bool:
        return _ROLE_OF[direction] in self._roles and self._active(_ROLE_OF[direction])

    @property
    def fault(self) -> str | None:
        return "the turnstile is closed" if self._closed else self._relays.fault

    def open_for(self, direction: Direction, pulse_ms: int, note: Note) -> int:
        check_pulse(pulse_ms)
        if self._closed:
            raise DeviceFault("the turnstile is closed")
        if self.fire:
            raise DeviceFault("the fire release is on: nobody is let in")
        if direction not in self._relays.ways:
            raise DeviceFault(f"no relay unlocks this arm for the way {direction}: wire one, and name it as relay_out")
        return self._relays.pulse(direction, pulse_ms)

    def watch(self, on_edge: Callable[[Edge], None]) -> None:
        with self._lock:
            self._listeners.append(on_edge)

    def close(self) -> None:
        self._closed = True
        with self._lock:
            self._listeners.clear()
        self._relays.close()

    def _active(self, role: Role) -> bool:
        return self._pins is not None and self._pins.active(role) is True

    def _edge(self, role: Role, active: bool, at_ns: int) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(Edge(role, active, at_ns))
