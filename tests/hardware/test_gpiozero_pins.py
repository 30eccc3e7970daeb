"""Pins by gpiozero, on its own pretended header: no edge but those of pulses, inputs both ways, and what is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hardware import DeviceFault
from hardware.gpiozero_pins import GpiozeroPins, lgpio_factory
from hardware.turnstile import Direction, Edge, Role
from hardware.wired_turnstile import Contact, InputPin, RelayPin, WiredTurnstile
from tests.hardware.header import HeaderPins
from tests.waiting import until

HIGH_AT_REST, LOW_AT_REST = 2, 17  # pins with and without a pull-up of their own
INPUTS = {
    Role.PASSAGE_IN: InputPin(27, Contact.NC),
    Role.PASSAGE_OUT: InputPin(22, Contact.NO),
}


@pytest.fixture
def header() -> HeaderPins:
    return HeaderPins()


@pytest.fixture
def opened() -> Iterator[list[GpiozeroPins]]:
    opened: list[GpiozeroPins] = []
    yield opened
    for pins in opened:
        pins.close()


@pytest.mark.parametrize("relay", [RelayPin(HIGH_AT_REST, active_high=False), RelayPin(LOW_AT_REST)])
def test_every_edge_of_the_pin_is_one_of_a_pulse(header: HeaderPins, relay: RelayPin) -> None:
    header.pin(relay.pin)
    for _ in range(3):  # starts and ends
        GpiozeroPins({Direction.IN: relay}, {}, header.factory).close()
    assert header.edges(relay.pin) == []
    pins = GpiozeroPins({Direction.IN: relay}, {}, header.factory)
    pins.pulse(Direction.IN, 100)
    levels = [int(relay.active_high), int(not relay.active_high)]
    until(lambda: [level for _, level in header.edges(relay.pin)] == levels, what="one pulse")
    pins.close()
    assert len(header.edges(relay.pin)) == 2


@pytest.mark.parametrize(
    ("inputs", "number", "rests", "role"),
    [(INPUTS, 27, 0, Role.PASSAGE_IN), (INPUTS, 22, 1, Role.PASSAGE_OUT)],
)
def test_an_input_is_active_as_its_contact_rests(
    header: HeaderPins,
    opened: list[GpiozeroPins],
    inputs: Mapping[Role, InputPin],
    number: int,
    rests: int,
    role: Role,
) -> None:
    for pin, level in ((27, 0), (22, 1)):
        header.drive(pin, level)
    pins = GpiozeroPins({Direction.IN: RelayPin(LOW_AT_REST)}, inputs, header.factory)
    opened.append(pins)
    turnstile = WiredTurnstile(pins, pins)
    heard: list[Edge] = []
    turnstile.watch(heard.append)
    for pin, level in ((27, 0), (22, 1)):
        header.drive(pin, level)  # pulled up when it became an input: the contact is where it was
    heard.clear()
    header.drive(number, 1 - rests)
    assert [pins.active(role) for role in inputs] == [number == 27, number == 22]
    header.drive(number, rests)
    assert [pins.active(role) for role in inputs] == [False, False]
    assert [(edge.role, edge.active) for edge in heard] == [(role, True), (role, False)]


@pytest.mark.parametrize("library", ["gpiozero", "lgpio"])
def test_a_missing_library_is_a_fault_that_says_so(
    monkeypatch: pytest.MonkeyPatch, opened: list[GpiozeroPins], library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    pins = GpiozeroPins({Direction.IN: RelayPin(17)}, INPUTS)
    opened.append(pins)
    assert f"{library} is missing" in str(pins.fault)
    assert [pins.active(role) for role in INPUTS] == [None, None]
    with pytest.raises(DeviceFault, match="is missing"):
        pins.pulse(Direction.IN, 100)


@pytest.mark.slow
def test_pins_that_are_away_are_looked_for_again(header: HeaderPins, opened: list[GpiozeroPins]) -> None:
    factories = iter([DeviceFault("no such chip"), OSError(13, "no permission"), header.factory()])

    def make_factory() -> object:
        found = next(factories)
        if isinstance(found, Exception):
            raise found
        return found

    pins = GpiozeroPins({Direction.IN: RelayPin(17)}, {}, make_factory)
    opened.append(pins)
    assert pins.fault == "no such chip"
    until(lambda: pins.fault is not None and "no permission" in pins.fault, what="it is tried again")
    until(lambda: pins.fault is None, what="it is there")
    pins.pulse(Direction.IN, 100)


def test_without_a_gpio_chip_lgpio_says_so() -> None:
    pytest.importorskip("lgpio", reason="lgpio is not installed here")
    here = Path.cwd()
    with pytest.raises(DeviceFault, match="lgpio cannot open the GPIO chip"):
        lgpio_factory(77)
    assert Path.cwd() == here
