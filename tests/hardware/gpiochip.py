"""The pretended GPIO chip of gpiochip.c, as tests hold it: its wires, its edges, and what puts a process on it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).with_name("gpiochip.c")
DEVICE = Path("/dev/gpiochip0")
WIRES = 64
VARIABLE = "GPIOCHIP"


class Edge(NamedTuple):
    """An output changed its level."""

    monotonic_ns: int
    line: int
    level: int


class GpioChip:
    """Wires that outlive the processes which move them. `resting` is the level of every wire at first."""

    def __init__(self, path: Path, resting: int = 1) -> None:
        self.path = path
        self._edges = path.with_name(path.name + ".edges")
        self._edges.touch()
        path.touch()
        with path.open("r+b") as wires:  # never cut short: a process may stand on it
            wires.write(str(resting).encode() * WIRES)

    def edges(self, line: int) -> list[Edge]:
        """Every change of an output, by whatever process."""
        rows = (Edge(*map(int, row.split())) for row in self._edges.read_text(encoding="ascii").splitlines())
        return [edge for edge in rows if edge.line == line]

    def level(self, line: int) -> int:
        """The wire's level now."""
        return int(self.path.read_text(encoding="ascii")[line])


def build(folder: Path) -> Path:
    """The library to preload. Skips where there is no C compiler or no header for GPIO."""
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/linux/gpio.h").exists():
        pytest.skip("no C compiler (cc) or no linux/gpio.h: the pretended GPIO chip cannot be built")
    made = folder / "gpiochip.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-o", made, SOURCE, "-ldl"], check=True)
    return made


def environment(library: Path, chip: Path) -> dict[str, str]:
    """What a process needs around it to see the chip as /dev/gpiochip0."""
    return {**os.environ, "LD_PRELOAD": str(library), VARIABLE: str(chip)}


def underneath() -> Path | None:
    """The chip under this very process, if it was started on one."""
    return Path(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def drive(line: int, level: int) -> None:
    """Move an input of the chip under this process."""
    ctypes.CDLL(None).gpiochip_drive(line, level)
