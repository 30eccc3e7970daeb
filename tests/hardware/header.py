"""Headers for gpiozero: its own pretended one, held so that pins can be driven and read back, and a Pi 4's."""

from __future__ import annotations

import time
from typing import Any

from gpiozero.pins import Factory
from gpiozero.pins.mock import MockFactory

from hardware.gpiozero_pins import lgpio_factory

PI_4 = 0xA03111


class HeaderPins:
    """One header; whoever asks for its `factory` again finds the pins as they were left."""

    def __init__(self) -> None:
        self._factory = MockFactory()
        self._kept: dict[Any, Any] = {}  # the pins by what gpiozero knows them by; a closed factory forgets its own
        self._began_ns: dict[int, int] = {}

    def factory(self) -> Factory:
        """For GpiozeroPins."""
        self._factory.pins.update(self._kept)
        return self._factory

    def pin(self, number: int) -> Any:
        """Gpiozero's pretended pin itself."""
        self._began_ns.setdefault(number, time.monotonic_ns())
        pin = self.factory().pin(number)
        self._kept.update(self._factory.pins)
        return pin

    def drive(self, number: int, level: int) -> None:
        """Move an input."""
        pin = self.pin(number)
        (pin.drive_high if level else pin.drive_low)()

    def edges(self, number: int) -> list[tuple[int, bool]]:
        """When the pin changed, in monotonic ns, and to what; its first state is no edge."""
        at_s, edges = 0.0, []
        for state in self.pin(number).states[1:]:
            at_s += state.timestamp
            edges.append((self._began_ns[number] + int(at_s * 1e9), bool(state.state)))
        return edges


def pi_factory() -> Factory:
    """The lgpio factory as on a Pi 4; this machine need not be one."""
    factory = lgpio_factory(0)
    factory._get_revision = lambda: PI_4
    return factory
