"""A turnstile made of a relay and of input contacts: passage, ready, fire, tamper (gate.md, Devices)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hardware import DeviceFault
from hardware.relay import Relay
from hardware.turnstile import Direction, Note, Passage, check_pulse

DEBOUNCE_MS = 20  # a contact that moves again sooner is bouncing; no arm turns that fast
STUCK_MS = 60_000  # a passage input that is active for longer is no visitor


class Role(StrEnum):
    """What an input tells while it is active."""

    PASSAGE_IN = "passage_in"  # the arm turns inwards
    PASSAGE_OUT = "passage_out"  # the arm turns outwards
    READY = "ready"  # the arm is locked and takes a pulse
    FIRE = "fire"  # the fire release is on: the arm is free, by a wire of its own
    TAMPER = "tamper"  # the housing is open


class Contact(StrEnum):
    """How an input's contact rests; it lies between the pin, pulled up, and ground."""

    NC = "nc"  # normally closed: active when the circuit opens, so a cut wire shows
    NO = "no"  # normally open: active when the circuit closes


USUAL_CONTACT = {role: Contact.NO if role is Role.READY else Contact.NC for role in Role}
"""Each so that a cut wire reads as the side that lets nobody in unseen."""
PASSAGES = {Role.PASSAGE_IN: Direction.IN, Role.PASSAGE_OUT: Direction.OUT}


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


class Pins(Relay, Protocol):
    """A board's pins: one relay and the inputs that are wired."""

    @property
    def roles(self) -> Collection[Role]:
        """Which inputs are wired, whether the board is there or not."""

    def active(self, role: Role) -> bool | None:
        """Whether that input is active now; None while the board is away."""

    def watch(self, on_edge: OnEdge) -> None:
        """Call `on_edge` for every later debounced edge, from the board's own thread. Asked for once."""


class WiredTurnstile:
    """One arm at the end of wires. `pins` are None where the relay stands alone, as on most relay boards."""

    def __init__(
        self, relay: Relay, pins: Pins | None = None, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._relay = relay
        self._pins = pins
        self._roles = frozenset(pins.roles if pins is not None else ())
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Passage], None]] = []
        self._active_since_ns: dict[Role, int] = {}
        self._closed = False
        self.has_passage_sensor = not self._roles.isdisjoint(PASSAGES)
        if pins is not None:
            pins.watch(self._edge)

    @property
    def ready(self) -> bool:
        return Role.READY not in self._roles or self._active(Role.READY)

    @property
    def fire(self) -> bool:
        """The fire release is on, or its wire is cut: people walk out freely and no pulse is given."""
        return Role.FIRE in self._roles and self._active(Role.FIRE)

    @property
    def tampered(self) -> bool:
        """The housing is open, or the wire that tells is cut."""
        return Role.TAMPER in self._roles and self._active(Role.TAMPER)

    @property
    def fault(self) -> str | None:
        if self._closed:
            return "the turnstile is closed"
        if self._relay.fault is not None:
            return self._relay.fault
        if self.fire:
            return "the fire release is on and the arm is free: reset the alarm, or mend the wire of the fire input"
        if self.tampered:
            return "the turnstile's housing is open: close it, or mend the wire of the tamper input"
        stuck = next((role for role in PASSAGES if self._is_stuck(role)), None)
        if stuck is not None:
            return f"the {stuck} input stays active: is the arm held, or its wire cut?"
        return None

    def open_for(self, pulse_ms: int, note: Note) -> int:
        check_pulse(pulse_ms)
        if self._closed:
            raise DeviceFault("the turnstile is closed")
        if self.fire:
            raise DeviceFault("the fire release is on: nobody is let in")
        return self._relay.pulse(pulse_ms)

    def watch(self, on_passage: Callable[[Passage], None]) -> None:
        with self._lock:
            self._listeners.append(on_passage)

    def close(self) -> None:
        self._closed = True
        with self._lock:
            self._listeners.clear()
        self._relay.close()

    def _active(self, role: Role) -> bool:
        return self._pins is not None and self._pins.active(role) is True

    def _is_stuck(self, role: Role) -> bool:
        """Looked at whenever health asks, so that an input that was active from the start is noticed too."""
        if role not in self._roles or not self._active(role):
            self._active_since_ns.pop(role, None)
            return False
        now_ns = self._monotonic_ns()
        return now_ns - self._active_since_ns.setdefault(role, now_ns) >= STUCK_MS * 1_000_000

    def _edge(self, role: Role, active: bool, at_ns: int) -> None:
        if role not in PASSAGES:
            return
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(Passage(PASSAGES[role], active, at_ns))
