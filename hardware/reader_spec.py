"""A lane's readers as its settings name them: what each is, where it is, and the parts that say more about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hardware import DeviceFault
from hardware.camera import Region
from hardware.camera_sources import is_device
from hardware.indicator import Signal
from hardware.serial_scanner import BAUD_RATES, DEFAULT_BAUD, MAX_COMMAND_BYTES

READERS = (
    "serial:PATH[@BAUD]", "camera:SOURCE", "pcsc:NAME", "cardlib:PATH", "cardserial:PATH[@BAUD]", "sim",
)  # fmt: skip
REGION, EXPOSURE = "roi", "exposure_us"
SIGNALS = {f"on_{signal}": signal for signal in Signal}
READER_PARTS = (REGION, EXPOSURE, *SIGNALS)
"""The parts of a lane that say more about the reader named last before them."""
EXPOSURE_US = range(100, 1_000_001)


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One reader as it was named: its kind, where it is, and what counts for some kinds only."""

    kind: str
    where: str = ""
    baud: int = DEFAULT_BAUD
    region: Region | None = None
    exposure_us: int | None = None
    signals: Mapping[Signal, bytes] = field(default_factory=dict)
    """What a scanner is told with each signal."""


def parse_reader(value: str) -> DeviceSpec:
    """One reader as named. DeviceFault: its kind is none of READERS, or it does not say where it is."""
    kind, _, where = value.partition(":")
    if kind not in {name.partition(":")[0] for name in READERS}:
        raise DeviceFault(f"reader={value!r} is of no known kind; known are {', '.join(READERS)}")
    if (kind == "sim") == bool(where):
        raise DeviceFault(f"reader={value!r} should read reader={' or '.join(READERS)}")
    if kind in ("serial", "cardserial"):
        path, at, baud = where.rpartition("@")
        if at and baud.isdecimal():
            if int(baud) not in BAUD_RATES:
                raise DeviceFault(f"{baud} baud is no speed of a serial line; scanners use 9600 or 115200")
            return DeviceSpec(kind, path, int(baud))
    return DeviceSpec(kind, where)


def with_part(reader: DeviceSpec | None, key: str, value: str) -> DeviceSpec:
    """The reader with one of READER_PARTS added. DeviceFault: it cannot have it, or what it may be."""
    wanted = "serial" if key in SIGNALS else "camera"
    if reader is None or reader.kind != wanted:
        raise DeviceFault(f"{key}={value} belongs behind the reader={wanted}:… it says more about")
    named = {REGION: reader.region, EXPOSURE: reader.exposure_us, **{f"on_{s}": c for s, c in reader.signals.items()}}
    if named.get(key) is not None:
        raise DeviceFault(f"name {key} once for each reader")
    if key in SIGNALS:
        return replace(reader, signals={**reader.signals, SIGNALS[key]: _command(key, value)})
    if key == REGION:
        return replace(reader, region=_region(value))
    if not is_device(reader.where):
        raise DeviceFault(f"{key} is for cameras on this machine; {reader.where} exposes by its own settings")
    if not value.isdecimal() or int(value) not in EXPOSURE_US:
        raise DeviceFault(
            f"{key}={value!r} should be microseconds from {EXPOSURE_US.start} to {EXPOSURE_US.stop - 1}, as in 4000"
        )
    return replace(reader, exposure_us=int(value))


def _region(value: str) -> Region:
    numbers = value.split("/")
    if len(numbers) == 4 and all(number.isascii() and number.isdecimal() for number in numbers):
        region = Region(*map(int, numbers))
        if region.width and region.height and max(region.left + region.width, region.top + region.height) <= 100:
            return region
    raise DeviceFault(
        f"roi={value!r} should read roi=LEFT/TOP/WIDTH/HEIGHT in percent of the picture, as in 25/0/50/100"
    )


def _command(key: str, value: str) -> bytes:
    try:
        command = bytes.fromhex(value)
    except ValueError:
        command = b""
    if not 0 < len(command) <= MAX_COMMAND_BYTES:
        raise DeviceFault(f"{key}={value!r} should be 1 to {MAX_COMMAND_BYTES} bytes in hex, as in {key}=1B0742")
    return command
