"""The computer under the gate: how full its disk is, how hot it runs, whether its supply holds. What it lacks is None.

What a Raspberry Pi says of itself stands in two places that came with different kernels; either will do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys")
TOO_HOT_C, COOL_AGAIN_C = 80, 75
"""At 80 °C a Raspberry Pi begins to slow down by itself."""
UNDER_VOLTAGE_NOW = 0x1
"""The lowest bit of what the firmware tells (`vcgencmd get_throttled`)."""
SUPPLY_HOLDS_AGAIN_MS = 60_000
SUPPLY_SENSOR = "rpi_volt"


@dataclass(frozen=True, slots=True)
class Machine:
    """One look at it. The disk is the one that holds the journal."""

    disk_percent: int
    temperature_c: int | None = None
    under_voltage: bool | None = None


def look_at(folder: Path, sys: Path = SYS) -> Machine:
    """The machine now; OSError when `folder` itself cannot be asked about."""
    return Machine(disk_percent(folder), _temperature_c(sys), _under_voltage(sys))


def disk_percent(folder: Path) -> int:
    """How full the disk is for this user."""
    disk = os.statvfs(folder)
    used = disk.f_blocks - disk.f_bfree
    return round(100 * used / max(1, used + disk.f_bavail))


class Strain:
    """Whether to spare the processor: too hot until it has cooled down, or a supply that gave way within a minute."""

    def __init__(self) -> None:
        self._hot = False
        self._weak_until_ms: int | None = None

    @property
    def weak(self) -> bool:
        """Whether the supply gave way a moment ago."""
        return self._weak_until_ms is not None

    def judge(self, machine: Machine, monotonic_ms: int) -> bool:
        """After one more look."""
        limit_c = COOL_AGAIN_C if self._hot else TOO_HOT_C
        self._hot = machine.temperature_c is not None and machine.temperature_c >= limit_c
        if machine.under_voltage:
            self._weak_until_ms = monotonic_ms + SUPPLY_HOLDS_AGAIN_MS
        elif self._weak_until_ms is not None and monotonic_ms >= self._weak_until_ms:
            self._weak_until_ms = None
        return self._hot or self.weak


def _temperature_c(sys: Path) -> int | None:
    for millidegrees in _numbers([sys / "class/thermal/thermal_zone0/temp"], int):
        return millidegrees // 1000
    return None


def _under_voltage(sys: Path) -> bool | None:
    sensors = [name.parent for name in sys.glob("class/hwmon/hwmon*/name") if _word(name) == SUPPLY_SENSOR]
    for alarm in _numbers([sensor / "in0_lcrit_alarm" for sensor in sensors], int):
        return alarm != 0
    for told in _numbers(sys.glob("devices/platform/soc*/soc*firmware/get_throttled"), lambda word: int(word, 16)):
        return bool(told & UNDER_VOLTAGE_NOW)
    return None


def _numbers(paths: Iterator[Path] | list[Path], read: Callable[[str], int]) -> Iterator[int]:
    """What can be read of these files: a driver may be there and refuse."""
    for path in paths:
        with suppress(OSError, ValueError):
            yield read(path.read_text(encoding="ascii").strip())


def _word(path: Path) -> str:
    with suppress(OSError, ValueError):
        return path.read_text(encoding="ascii").strip()
    return ""
