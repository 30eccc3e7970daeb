"""A lane's turnstile as its settings name it: which relays, which inputs, and the class that drives them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from hardware import DeviceFault
from hardware.file_turnstile import FileTurnstile
from hardware.gpiod_pins import GpiodPins
from hardware.gpiozero_pins import GpiozeroPins
from hardware.http_relay import HttpRelay
from hardware.serial_relay import MAX_LCUS_CHANNEL, MAX_MODBUS_CHANNEL, RELAY_BAUD, LcusRelay, ModbusRelay
from hardware.serial_scanner import BAUD_RATES
from hardware.turnstile import Direction, Role, Turnstile
from hardware.wired_turnstile import USUAL_CONTACT, Contact, InputPin, RelayPin, WiredTurnstile

MAX_PIN = 1_023

R = TypeVar("R", RelayPin, int, str)

TURNSTILES = (
    "file:PATH",
    "gpio:CHIP/PIN[:low]",
    "gpiozero:PIN[:low]",
    "serialrelay:PATH[@BAUD]#CHANNEL",
    "modbusrelay:PATH[@BAUD]#CHANNEL",
    "httprelay:URL",
    "lane:NUMBER",
    "sim",
)
WITH_INPUTS = ("gpio", "gpiozero")
INTERFACE, RELAY_OUT = "interface", "relay_out"
TURNSTILE_PARTS = (*Role, INTERFACE, RELAY_OUT)
"""The parts of a lane that say more about its turnstile."""

_MAX_CHANNEL = {"serialrelay": MAX_LCUS_CHANNEL, "modbusrelay": MAX_MODBUS_CHANNEL}


@dataclass(frozen=True, slots=True)
class TurnstileSpec:
    """One turnstile as it was named; which fields count depends on its kind.

    `out` is the same of a relay of its own for the way out: an arm without one has one relay, for its lane's way."""

    kind: str
    where: str = ""
    relay: RelayPin | None = None
    baud: int = RELAY_BAUD
    channel: int = 1
    interface: str = ""
    inputs: Mapping[Role, InputPin] = field(default_factory=dict)
    out: RelayPin | int | str | None = None

    @property
    def opens_both_ways(self) -> bool:
        """Whether it can be unlocked for either way."""
        return self.out is not None or self.kind == "sim"


def parse_turnstile(value: str, more: Mapping[str, str], direction: Direction) -> TurnstileSpec:
    """The turnstile that `value` and the parts in `more` name. DeviceFault says what is wrong and what it may be."""
    kind, _, where = value.partition(":")
    if kind not in {name.partition(":")[0] for name in TURNSTILES}:
        raise DeviceFault(f"turnstile={value!r} is of no known kind; known are {', '.join(TURNSTILES)}")
    if (kind == "sim") == bool(where):
        raise DeviceFault(f"turnstile={value!r} should read turnstile={' or '.join(TURNSTILES)}")
    inputs = {Role(key): _input(Role(key), text) for key, text in more.items() if key in list(Role)}
    if inputs and kind not in WITH_INPUTS:
        raise DeviceFault(f"only {' and '.join(WITH_INPUTS)} have inputs: {kind} cannot have {', '.join(inputs)}")
    if (INTERFACE in more) != (kind == "httprelay"):
        raise DeviceFault("an httprelay, and nothing else, needs interface=NAME, the network interface of its own wire")
    spec = _PARSERS.get(kind, _plain)(kind, where)
    out = _relay_out(spec, more[RELAY_OUT]) if RELAY_OUT in more else None
    pins = [wired.pin for wired in (*inputs.values(), spec.relay, out) if isinstance(wired, InputPin | RelayPin)]
    if len(set(pins)) < len(pins):
        raise DeviceFault("relays and inputs each need a pin of their own")
    backwards = Role.PASSAGE_OUT if direction is Direction.IN else Role.PASSAGE_IN
    if set(inputs) & {Role.PASSAGE_IN, Role.PASSAGE_OUT} == {backwards}:
        raise DeviceFault(f"{backwards} alone cannot tell who passed in a lane that leads {direction}")
    return replace(spec, interface=more.get(INTERFACE, ""), inputs=inputs, out=out)


def open_turnstile(spec: TurnstileSpec, lane: int, direction: Direction) -> Turnstile:
    """Open any but a simulated one, whose one relay leads the way of its lane.

    One that is away is looked for until it is there; DeviceFault: it never can be."""
    match spec:
        case TurnstileSpec(kind="gpio", relay=RelayPin() as relay):
            lines = GpiodPins(Path(spec.where), _by_way(direction, relay, spec.out), spec.inputs)
            return WiredTurnstile(lines, lines)
        case TurnstileSpec(kind="gpiozero", relay=RelayPin() as relay):
            pins = GpiozeroPins(_by_way(direction, relay, spec.out), spec.inputs)
            return WiredTurnstile(pins, pins)
        case TurnstileSpec(kind="serialrelay"):
            return WiredTurnstile(LcusRelay(Path(spec.where), _by_way(direction, spec.channel, spec.out), spec.baud))
        case TurnstileSpec(kind="modbusrelay"):
            return WiredTurnstile(ModbusRelay(Path(spec.where), _by_way(direction, spec.channel, spec.out), spec.baud))
        case TurnstileSpec(kind="httprelay"):
            return WiredTurnstile(HttpRelay(_by_way(direction, spec.where, spec.out), spec.interface))
    return FileTurnstile(Path(spec.where), lane)


def _by_way(direction: Direction, relay: R, out: RelayPin | int | str | None) -> dict[Direction, R]:
    """Which relay unlocks which way: both, or the one there is for the way of the lane."""
    return {Direction.IN: relay, Direction.OUT: out} if isinstance(out, type(relay)) else {direction: relay}


def _relay_out(spec: TurnstileSpec, text: str) -> RelayPin | int | str:
    """The relay for the way out, on the same board as the other."""
    if spec.kind in WITH_INPUTS:
        return _relay_pin(text)
    if spec.kind in _MAX_CHANNEL:
        highest = _MAX_CHANNEL[spec.kind]
        if not text.isdecimal() or not 1 <= int(text) <= highest or int(text) == spec.channel:
            raise DeviceFault(f"relay_out={text!r} is another channel of the same board, from 1 to {highest}")
        return int(text)
    if spec.kind == "httprelay":
        return _http(spec.kind, text).where
    raise DeviceFault(f"relay_out is a second relay beside the first: turnstile={spec.kind} has none")


def _plain(kind: str, where: str) -> TurnstileSpec:
    return TurnstileSpec(kind, where)


def _gpio(kind: str, where: str) -> TurnstileSpec:
    chip, _, pin = where.rpartition("/")
    if not chip:
        raise DeviceFault(f"turnstile=gpio:{where} names no chip: write gpio:CHIP/PIN, as in gpio:gpiochip0/17")
    return TurnstileSpec(kind, chip if "/" in chip else f"/dev/{chip}", _relay_pin(pin))


def _gpiozero(kind: str, where: str) -> TurnstileSpec:
    return TurnstileSpec(kind, relay=_relay_pin(where))


def _serial(kind: str, where: str) -> TurnstileSpec:
    place, _, channel = where.rpartition("#")
    highest = _MAX_CHANNEL[kind]
    if not place or not channel.isdecimal() or not 1 <= int(channel) <= highest:
        raise DeviceFault(f"turnstile={kind}:{where} names no channel: end with # and a number from 1 to {highest}")
    path, at, baud = place.rpartition("@")
    if not at or not baud.isdecimal():
        return TurnstileSpec(kind, place, channel=int(channel))
    if int(baud) not in BAUD_RATES:
        raise DeviceFault(f"{baud} baud is no speed of a serial line; relay boards use {RELAY_BAUD}")
    return TurnstileSpec(kind, path, baud=int(baud), channel=int(channel))


def _http(kind: str, where: str) -> TurnstileSpec:
    try:
        parts = urlsplit(where)
        ipaddress.ip_address(parts.hostname or "")
        usable = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise DeviceFault(f"turnstile=httprelay:{where} needs a URL with an IP address, as in http://10.0.8.2/pulse")
    return TurnstileSpec(kind, where)


def _lane(kind: str, where: str) -> TurnstileSpec:
    if not where.isdecimal():
        raise DeviceFault(f"turnstile=lane:{where} should name the lane whose arm it shares, as in lane:1")
    return TurnstileSpec(kind, str(int(where)))


_PARSERS = {
    "gpio": _gpio,
    "gpiozero": _gpiozero,
    "serialrelay": _serial,
    "modbusrelay": _serial,
    "httprelay": _http,
    "lane": _lane,
}


def _relay_pin(text: str) -> RelayPin:
    pin, colon, level = text.partition(":")
    if (colon and level not in ("low", "high")) or not _is_pin(pin):
        raise DeviceFault(f"{text!r} is no relay's pin: write its number, with :low behind it if low is on")
    return RelayPin(int(pin), active_high=level != "low")


def _input(role: Role, text: str) -> InputPin:
    pin, colon, contact = text.partition(":")
    if (colon and contact not in list(Contact)) or not _is_pin(pin):
        raise DeviceFault(f"{role}={text!r} should read {role}=PIN, or PIN:nc or PIN:no (how the contact rests)")
    return InputPin(int(pin), Contact(contact) if colon else USUAL_CONTACT[role])


def _is_pin(text: str) -> bool:
    return text.isdecimal() and text.isascii() and int(text) <= MAX_PIN
