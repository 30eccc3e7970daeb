"""Pins of a Linux GPIO chip by libgpiod (v2): one request for relays and every input, levels set with directions."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hardware import Backoff, DeviceFault, library
from hardware.driver_thread import DriverThread
from hardware.relay import STOP_LIMIT_S, SwitchedRelay
from hardware.turnstile import Direction, Role
from hardware.wired_turnstile import DEBOUNCE_MS, Contact, InputPin, OnEdge, RelayPin

if TYPE_CHECKING:
    from gpiod import LineRequest

CONSUMER = "gate-agent"  # what `gpioinfo` shows beside the lines
POLL_S = 0.2  # bounds closing
REFUSALS = (OSError, ValueError, NotImplementedError)  # what gpiod makes of the kernel's EINVAL and EOPNOTSUPP
REOPEN_FIRST_S = 0.2
REOPEN_LIMIT_S = 5.0


class GpiodPins:
    """Relays and inputs on one chip. The kernel gives lines and idle level in one step: no edge at start or restart.

    A killed process lets go of the lines; what the pin does then is its driver's affair (some keep the level), so the
    next start's idle level is what ends a pulse that was on."""

    def __init__(
        self,
        chip: Path,
        relays: Mapping[Direction, RelayPin],
        inputs: Mapping[Role, InputPin],
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._chip = chip
        self._relay_pins = dict(relays)
        self._inputs = dict(inputs)
        self._role_of = {wired.pin: role for role, wired in inputs.items()}
        self._on_edge: OnEdge | None = None
        self._lock = threading.Lock()
        self._request: LineRequest | None = None
        self._fault: str | None = None
        self._closing = threading.Event()
        self._backoff = Backoff(REOPEN_FIRST_S, REOPEN_LIMIT_S)
        self._open()
        self._relays = {way: SwitchedRelay(partial(self._switch, way), monotonic_ns) for way in self._relay_pins}
        self._thread = DriverThread("gpio", self._follow, self._closing)

    @property
    def roles(self) -> Collection[Role]:
        return self._inputs.keys()

    @property
    def fault(self) -> str | None:
        return self._fault or self._thread.fault

    @property
    def ways(self) -> Collection[Direction]:
        return self._relay_pins.keys()

    def pulse(self, direction: Direction, pulse_ms: int) -> int:
        return self._relays[direction].pulse(pulse_ms)

    def active(self, role: Role) -> bool | None:
        with self._lock:
            if self._request is None:
                return None
            try:
                return bool(self._request.get_value(self._inputs[role].pin).value)
            except REFUSALS as error:
                self._lose(error)
                return None

    def watch(self, on_edge: OnEdge) -> None:
        self._on_edge = on_edge

    def close(self) -> None:
        self._closing.set()
        for relay in self._relays.values():
            relay.close()
        self._thread.join(STOP_LIMIT_S)
        with self._lock:
            self._let_go()
        self._fault = f"{self._chip} is closed"

    def _open(self) -> None:
        try:
            with library("gpiod"):
                import gpiod
                from gpiod import line
            settings: dict[Iterable[int | str] | int | str, gpiod.LineSettings | None] = {
                relay.pin: gpiod.LineSettings(
                    direction=line.Direction.OUTPUT,
                    output_value=line.Value.INACTIVE,
                    active_low=not relay.active_high,
                )
                for relay in self._relay_pins.values()
            }
            for wired in self._inputs.values():
                settings[wired.pin] = gpiod.LineSettings(
                    direction=line.Direction.INPUT,
                    bias=line.Bias.PULL_UP,
                    active_low=wired.contact is Contact.NO,
                    edge_detection=line.Edge.BOTH,
                    debounce_period=timedelta(milliseconds=DEBOUNCE_MS),
                )
            request = gpiod.request_lines(str(self._chip), consumer=CONSUMER, config=settings)
        except DeviceFault as fault:
            self._fault = str(fault)
        except REFUSALS as error:
            self._fault = (
                f"the pins of {self._chip} cannot be had ({error}): does the chip have them, does another program hold "
                "them, may this user open it?"
            )
        else:
            with self._lock:
                self._request, self._fault = request, None
            self._backoff.reset()

    def _switch(self, way: Direction, on: bool) -> None:
        from gpiod.line import Value

        with self._lock:
            if self._request is None:
                if on:
                    raise DeviceFault(self._fault or f"{self._chip} is away")
                return  # nobody holds the pin; opening it again sets it idle
            try:
                self._request.set_value(self._relay_pins[way].pin, Value.ACTIVE if on else Value.INACTIVE)
            except REFUSALS as error:
                self._lose(error)
                raise DeviceFault(str(self._fault)) from error

    def _follow(self) -> float:
        """Tell the next edges; look for the chip again while it is away."""
        request = self._request
        if request is None:
            if not self._closing.wait(self._backoff.next_s()):
                self._open()
            return 0.0
        if not self._inputs:
            return POLL_S
        self._read_edges(request)
        return 0.0

    def _read_edges(self, request: LineRequest) -> None:
        from gpiod import EdgeEvent

        try:
            if not select.select([request.fd], [], [], POLL_S)[0]:
                return
            with self._lock:
                if self._request is not request:
                    return  # lost meanwhile
                events = request.read_edge_events()
        except REFUSALS as error:
            with self._lock:
                if self._request is request:
                    self._lose(error)
            return
        for event in events:
            if self._on_edge is not None:
                active = event.event_type is EdgeEvent.Type.RISING_EDGE
                self._on_edge(self._role_of[event.line_offset], active, event.timestamp_ns)

    def _lose(self, error: Exception) -> None:
        self._fault = f"the pins of {self._chip} are gone ({error}): is the board still plugged in?"
        self._let_go()

    def _let_go(self) -> None:
        if self._request is not None:
            self._request.release()
            self._request = None
