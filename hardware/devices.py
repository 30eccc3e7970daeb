"""The one place that chooses devices: a lane's line of settings becomes its camera, scanner, card reader and turnstile.

A lane is `NUMBER:PART,PART,…`, for instance

    1:reader=serial:/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0@9600,turnstile=file:/run/gate/pulses,direction=in

with these parts (a comma never belongs to a value; in a URL write it %2C):

    reader=serial:PATH[@BAUD]   a scanner on a serial device, 115200 baud unless said so, best by its by-path name
    reader=camera:SOURCE        a device number or /dev path, a URL, a video, a picture or a folder of pictures
    reader=pcsc:NAME            the card reader whose PC/SC name contains NAME; both faces of one that has two
    reader=cardlib:PATH         a card reader behind its maker's library (iReadCardBas)
    reader=cardserial:PATH[@BAUD]   a card reader that tells each tap in a line (serial_card_reader.py)
    reader=sim                  a simulated camera, scanner and card reader
    roi=LEFT/TOP/WIDTH/HEIGHT   of the camera named last: the part that is looked at, in percent of the picture
    exposure_us=N               of the camera named last, if it is on this machine: how long each picture is exposed
    on_go=HEX                   of the serial scanner named last: what it is told when somebody may walk through; with
                                on_idle, on_retry, on_later, on_stop, on_staff, on_lane, on_fault (indicator.py)
    turnstile=file:PATH         each pulse appended to a file as a line of JSON
    turnstile=gpio:CHIP/PIN     a relay on a pin of a GPIO chip; :low behind the PIN if the relay is on while it is low
    turnstile=gpiozero:PIN      a relay on a Raspberry Pi's header (BCM number); :low as above
    turnstile=serialrelay:PATH[@BAUD]#CHANNEL   a board that knows on and off (LCUS), 9600 baud unless said so
    turnstile=modbusrelay:PATH[@BAUD]#CHANNEL   a board that times the pulse itself (Modbus RTU)
    turnstile=httprelay:URL     a board in the network that times the pulse; {pulse_ms}, {pulse_s} stand for its length
    turnstile=lane:NUMBER       the arm of that lane, which leads the other way: an arm that turns both ways
    turnstile=sim               a simulated arm with visitors
    relay_out=…                 of an arm that turns both ways: a second relay for the way out, on the same board: a PIN
                                of gpio and gpiozero, a CHANNEL of a serial board, a URL of an httprelay
    interface=NAME              of an httprelay: the network interface of its own wire
    passage_in=PIN[:nc|no]      of gpio and gpiozero, with passage_out, ready, fire, tamper: what is wired as an input
    direction=in | out          which way the lane leads; in, unless said otherwise

A lane has one turnstile and at least one reader, which may be repeated; one that leads out may have none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hardware import Device, DeviceFault
from hardware.camera import Camera
from hardware.camera_sources import open_camera
from hardware.card_reader import CardReader
from hardware.indicator import Indicator
from hardware.pcsc_reader import PcscReader
from hardware.reader_spec import READER_PARTS, READERS, DeviceSpec, parse_reader, with_part
from hardware.scanner_signals import ScannerSignals
from hardware.serial_card_reader import SerialCardReader
from hardware.serial_scanner import Scanner, SerialScanner
from hardware.simulated import SimulatedLane
from hardware.turnstile import PASSAGES, Direction, Turnstile
from hardware.turnstile_spec import (
    TURNSTILE_PARTS,
    TURNSTILES,
    TurnstileSpec,
    open_turnstile,
    parse_turnstile,
)
from hardware.vendor_card_reader import VendorCardReader

MAX_LANES = 99
MAX_READERS = 8  # of one lane
SINGLE_PARTS = ("turnstile", "direction", *TURNSTILE_PARTS)

CARD_READERS: dict[str, Callable[[DeviceSpec], CardReader]] = {
    "pcsc": lambda spec: PcscReader(spec.where),
    "cardlib": lambda spec: VendorCardReader(Path(spec.where)),
    "cardserial": lambda spec: SerialCardReader(Path(spec.where), spec.baud),
}


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """A lane as its settings name it; nothing is opened yet."""

    number: int
    readers: tuple[DeviceSpec, ...]
    turnstile: TurnstileSpec
    direction: Direction = Direction.IN
    arm_of: int | None = None
    """The lane whose turnstile it shares; `turnstile` is then that one's (see `share_arms`)."""


@dataclass(frozen=True, slots=True)
class LaneDevices:
    """The devices of one lane, open; each looks for itself again when it is lost."""

    number: int
    direction: Direction
    cameras: tuple[Camera, ...]
    scanners: tuple[Scanner, ...]
    card_readers: tuple[CardReader, ...]
    turnstile: Turnstile
    indicators: tuple[Indicator, ...]
    simulated: SimulatedLane | None  # where any of them is simulated

    @property
    def all(self) -> tuple[Device, ...]:
        """Every device, readers first."""
        return (*self.cameras, *self.scanners, *self.card_readers, self.turnstile, *self.indicators)

    @property
    def faults(self) -> list[str]:
        """What is wrong with any of them now, one sentence each."""
        return [device.fault for device in self.all if device.fault is not None]

    def close(self) -> None:
        """Let go of everything; the arm stays locked."""
        for device in self.all:
            device.close()
        if self.simulated is not None:
            self.simulated.close()


def parse_lane(text: str) -> LaneSpec:
    """The lane that `text` describes. DeviceFault names the piece that is wrong and what it may be."""
    number_text, colon, parts = text.partition(":")
    if not colon or not number_text.isdecimal() or not 1 <= int(number_text) <= MAX_LANES:
        raise DeviceFault(f"lane {text!r}: begin with a number from 1 to {MAX_LANES} and a colon, as in 1:reader=sim,…")
    try:
        return _parse_parts(int(number_text), parts)
    except DeviceFault as fault:
        raise DeviceFault(f"lane {number_text}: {fault}") from fault


def _parse_parts(number: int, parts: str) -> LaneSpec:
    readers: list[DeviceSpec] = []
    single: dict[str, str] = {}
    for part in parts.split(","):
        key, _, value = part.partition("=")
        if key == "reader":
            readers.append(parse_reader(value))
        elif key in READER_PARTS:
            readers[-1:] = [with_part(readers[-1] if readers else None, key, value)]
        elif key not in SINGLE_PARTS:
            known = ", ".join(f"{name}=…" for name in ("reader", *READER_PARTS, *SINGLE_PARTS))
            raise DeviceFault(f"{part!r} is none of {known}")
        elif key in single:
            raise DeviceFault(f"name {key} once")
        else:
            single[key] = value
    if len(readers) > MAX_READERS or (not readers and single.get("direction") != Direction.OUT):
        raise DeviceFault(f"name 1 to {MAX_READERS} readers ({', '.join(READERS)}), not {len(readers)}")
    way = single.pop("direction", Direction.IN)
    if way not in list(Direction):
        raise DeviceFault(f"direction is in or out, not {way!r}")
    named = single.pop("turnstile", None)
    if named is None:
        raise DeviceFault(f"name exactly one turnstile ({' or '.join(TURNSTILES)})")
    turnstile = parse_turnstile(named, single, Direction(way))
    arm_of = int(turnstile.where) if turnstile.kind == "lane" else None
    return LaneSpec(number, tuple(readers), turnstile, Direction(way), arm_of)


def share_arms(lanes: Sequence[LaneSpec]) -> list[LaneSpec]:
    """The lanes, each with the turnstile it works: its own, or that of the lane it shares an arm with.

    DeviceFault names what cannot be shared."""
    own = {lane.number: lane for lane in lanes if lane.arm_of is None}
    return [lane if lane.arm_of is None else _sharing(lane, lane.arm_of, own.get(lane.arm_of)) for lane in lanes]


def _sharing(lane: LaneSpec, number: int, other: LaneSpec | None) -> LaneSpec:
    told = f"lane {lane.number}: turnstile=lane:{number}"
    if other is None:
        raise DeviceFault(f"{told}: there is no lane {number} with a turnstile of its own")
    if other.direction is lane.direction:
        raise DeviceFault(f"{told}: both lead {lane.direction}; an arm is shared by a lane each way")
    if not other.turnstile.opens_both_ways:
        raise DeviceFault(
            f"{told}: the arm of lane {number} has no second relay for the way out; name it there, as relay_out=…"
        )
    if len(PASSAGES.keys() & other.turnstile.inputs.keys()) == 1:
        raise DeviceFault(f"{told}: lane {number} needs passage_in and passage_out, to tell who passed which way")
    return replace(lane, turnstile=other.turnstile)


def open_lane(spec: LaneSpec, arm: LaneDevices | None = None) -> LaneDevices:
    """Open what `spec` names; `arm` is the open lane whose turnstile it shares, if it is to share it.

    A device that is away is looked for until it is there; DeviceFault: it never can be."""
    with contextlib.ExitStack() as opened:
        simulated: SimulatedLane | None = None
        if "sim" in (spec.turnstile.kind, *(reader.kind for reader in spec.readers)):
            shared = None if arm is None or arm.simulated is None else arm.simulated.turnstile
            simulated = SimulatedLane(spec.number, direction=spec.direction, arm=shared)
            opened.callback(simulated.close)
        cameras: list[Camera] = []
        scanners: list[Scanner] = []
        card_readers: list[CardReader] = []
        indicators: list[Indicator] = []
        for reader in spec.readers:
            if reader.kind == "serial":
                scanner = SerialScanner(Path(reader.where), reader.baud)
                opened.callback(scanner.close)
                scanners.append(scanner)
                if reader.signals:
                    indicators.append(ScannerSignals(scanner, reader.signals))
            elif reader.kind == "camera":
                cameras.append(open_camera(reader.where, region=reader.region, exposure_us=reader.exposure_us))
                opened.callback(cameras[-1].close)
            elif reader.kind in CARD_READERS:
                card_readers.append(CARD_READERS[reader.kind](reader))
                opened.callback(card_readers[-1].close)
            elif simulated is not None:
                cameras.append(simulated.camera)
                scanners.append(simulated.scanner)
                card_readers.append(simulated.card_reader)
        turnstile: Turnstile
        if arm is not None:
            turnstile = arm.turnstile
        elif simulated is not None and spec.turnstile.kind == "sim":
            turnstile = simulated.turnstile
        else:
            turnstile = open_turnstile(spec.turnstile, spec.number, spec.direction)
        opened.pop_all()  # all of it is there: it is the caller's to close
    return LaneDevices(
        number=spec.number,
        direction=spec.direction,
        cameras=tuple(cameras),
        scanners=tuple(scanners),
        card_readers=tuple(card_readers),
        turnstile=turnstile,
        indicators=(*indicators, *(() if simulated is None else (simulated.indicator,))),
        simulated=simulated,
    )
