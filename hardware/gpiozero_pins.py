"""Pins of a Raspberry Pi by gpiozero on lgpio: the pin factory is named, never the one it would fall back to.

gpiozero's own lgpio pin claims an output low and sets its level afterwards, which a relay that is on while low takes
for a pulse at every start. The pin made here claims it with its level, and lets lgpio time the pulse in its own thread.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware import Backoff, DeviceFault, library
from hardware.relay import STOP_LIMIT_S, SwitchedRelay
from hardware.turnstile import Direction, Role
from hardware.wired_turnstile import DEBOUNCE_MS, Contact, InputPin, OnEdge, RelayPin

if TYPE_CHECKING:
    from gpiozero import DigitalInputDevice, OutputDevice
    from gpiozero.pins import Factory

log = logging.getLogger(__name__)
REOPEN_FIRST_S = 0.5
REOPEN_LIMIT_S = 10.0
LENGTHEN_BY = 4  # a pulse is lengthened by a quarter at least, so that lgpio's queue of ten never fills


class GpiozeroPins:
    """Relays and inputs on the header of a Pi, by their BCM numbers. `make_factory` says through which library."""

    def __init__(
        self,
        relays: Mapping[Direction, RelayPin],
        inputs: Mapping[Role, InputPin],
        make_factory: Callable[[], Factory] | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._relay_pins = dict(relays)
        self._wired = dict(inputs)
        self._make_factory = make_factory or lgpio_factory
        self._monotonic_ns = monotonic_ns
        self._on_edge: OnEdge | None = None
        self._factory: Factory | None = None
        self._outputs: dict[Direction, OutputDevice] = {}
        self._inputs: dict[Role, DigitalInputDevice] = {}
        self._fault: str | None = None
        self._lock = threading.RLock()
        self._pulse_ends_ns = dict.fromkeys(self._relay_pins, 0)
        self._closing = threading.Event()
        self._open()
        self._relays = {way: SwitchedRelay(partial(self._switch, way), monotonic_ns) for way in self._relay_pins}
        self._thread = threading.Thread(target=self._look_again, name="gpio", daemon=True)
        self._thread.start()

    @property
    def roles(self) -> Collection[Role]:
        return self._wired.keys()

    @property
    def fault(self) -> str | None:
        return self._fault

    @property
    def ways(self) -> Collection[Direction]:
        return self._relay_pins.keys()

    def pulse(self, direction: Direction, pulse_ms: int) -> int:
        with self._lock:
            output = self._outputs.get(direction)
            if output is None:
                raise DeviceFault(self._fault or "the pins are closed")
            send_pulse = getattr(output.pin, "send_pulse", None)
            if send_pulse is None:
                return self._relays[direction].pulse(pulse_ms)
            began_ns = self._monotonic_ns()
            pulse_ns = pulse_ms * 1_000_000
            # What is sent while a pulse is on follows it within 0.1 ms, so only the part beyond its end is needed
            from_ns = max(began_ns, self._pulse_ends_ns[direction])
            missing_ns = began_ns + pulse_ns - from_ns
            if missing_ns > 0:
                missing_ns = max(missing_ns, pulse_ns // LENGTHEN_BY)
                self._send(send_pulse, missing_ns // 1_000)
                self._pulse_ends_ns[direction] = from_ns + missing_ns
            return began_ns

    def active(self, role: Role) -> bool | None:
        with self._lock:
            device = self._inputs.get(role)
            return None if device is None else self._is_active(role, closed=bool(device.is_active))

    def watch(self, on_edge: OnEdge) -> None:
        self._on_edge = on_edge

    def close(self) -> None:
        self._closing.set()
        for relay in self._relays.values():
            relay.close()
        self._thread.join(STOP_LIMIT_S)
        with self._lock:
            for output in self._outputs.values():
                output.off()
            self._let_go()
            self._fault = "the pins are closed"

    def _open(self) -> None:
        try:
            with library("gpiozero"):
                from gpiozero import DigitalInputDevice, OutputDevice
        except DeviceFault as fault:
            self._fault = str(fault)
            return
        try:
            with self._lock:
                self._factory = self._make_factory()
                for way, relay in self._relay_pins.items():
                    self._outputs[way] = OutputDevice(
                        relay.pin, active_high=relay.active_high, initial_value=False, pin_factory=self._factory
                    )
                for role, wired in self._wired.items():
                    device = DigitalInputDevice(
                        wired.pin, pull_up=True, bounce_time=DEBOUNCE_MS / 1_000, pin_factory=self._factory
                    )
                    device.when_activated = self._teller(role, closed=True)
                    device.when_deactivated = self._teller(role, closed=False)
                    self._inputs[role] = device
        except DeviceFault as fault:
            self._cannot(str(fault))
        except Exception as error:  # gpiozero and the library below it each have errors of their own, of no common kind
            self._cannot(f"the pins cannot be had ({error}): is this a Raspberry Pi, does another program hold them?")
        else:
            self._fault = None

    def _cannot(self, sentence: str) -> None:
        with self._lock:
            self._let_go()
        self._fault = sentence

    def _look_again(self) -> None:
        backoff = Backoff(REOPEN_FIRST_S, REOPEN_LIMIT_S)
        while not self._outputs and not self._closing.wait(backoff.next_s()):
            self._open()

    def _switch(self, way: Direction, on: bool) -> None:
        with self._lock:
            if way in self._outputs:
                self._outputs[way].value = on

    def _send(self, send_pulse: Callable[[int], None], pulse_us: int) -> None:
        try:
            send_pulse(pulse_us)
            self._fault = None
        except (OSError, ValueError) as error:
            self._fault = f"the relay's pin took no pulse ({error}): restart the gate"
            raise DeviceFault(self._fault) from error

    def _teller(self, role: Role, closed: bool) -> Callable[[], None]:
        def tell() -> None:
            if self._on_edge is not None:
                self._on_edge(role, self._is_active(role, closed), self._monotonic_ns())

        return tell

    def _is_active(self, role: Role, closed: bool) -> bool:
        return closed is (self._wired[role].contact is Contact.NO)

    def _let_go(self) -> None:
        """An input's device forgets whom it tells; the factory is ours, so it is closed with its pins."""
        for device in (*self._inputs.values(), *self._outputs.values()):
            device.close()
        self._inputs.clear()
        self._outputs.clear()
        if self._factory is not None:
            self._factory.close()
            self._factory = None


def lgpio_factory(chip: int | None = None) -> Factory:
    """The lgpio factory of gpiozero, with pins that never twitch; `chip` None: a Pi's header. DeviceFault: no lgpio."""
    # Imported, lgpio goes to a directory it can leave a pipe in, and takes the whole process along: come back
    os.environ.setdefault("LG_WD", os.environ.get("RUNTIME_DIRECTORY", tempfile.gettempdir()))
    here = Path.cwd()
    try:
        with library("lgpio"):
            import lgpio
            from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin
    finally:
        os.chdir(here)

    class SteadyPin(LGPIOPin):  # type: ignore[misc] # the library ships no types
        """An output that comes up at its idle level and ends its pulses by itself; `state` stays the pin's level."""

        _low_is_on = False
        _relay: bool | None = None  # None: an input; True: a relay's pin; False: one that was let go

        def output_with_state(self, state: Any) -> None:
            self._low_is_on = bool(state)
            lgpio.gpio_free(self.factory._handle, self._number)
            flags = lgpio.SET_ACTIVE_LOW if self._low_is_on else 0
            lgpio.gpio_claim_output(self.factory._handle, self._number, 0, flags)
            self._relay = True

        def close(self) -> None:
            if self._relay is None:
                if self.factory._handle is not None:
                    self.when_changed = None  # else lgpio would go on telling a pin that is gone
                super().close()
            elif self._relay and self.factory._handle is not None:
                self._relay = False
                lgpio.gpio_free(self.factory._handle, self._number)  # not made an input, which might float to "on"

        def send_pulse(self, pulse_us: int) -> None:
            try:
                # Not tx_pulse, which waits for a multiple of the pulse's own length before it begins
                wave = [lgpio.pulse(1, 1, pulse_us), lgpio.pulse(0, 1, 0)]
                lgpio.tx_wave(self.factory._handle, self._number, wave)
            except lgpio.error as error:
                raise OSError(str(error)) from error

        def _call_when_changed(self, *edge: Any) -> None:
            try:
                super()._call_when_changed(*edge)
            except Exception:  # raised further it would end lgpio's thread, and nobody's edges were told any more
                log.exception("an edge of pin %s was lost", self._number)

        def _get_state(self) -> bool:
            return bool(super()._get_state()) is not self._low_is_on

        def _set_state(self, value: Any) -> None:
            super()._set_state(bool(value) is not self._low_is_on)

    try:
        factory = LGPIOFactory(chip)
    except lgpio.error as error:
        raise DeviceFault(f"lgpio cannot open the GPIO chip ({error}): is this a Pi, may this user open it?") from error
    factory.pin_class = SteadyPin
    return factory
