"""A program's disk under our control: every change of its files written down, and chosen changes failing (disk.c)."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("disk.c")
FOR_EVER = 2**62
_RECORD = struct.Struct("=IIiiqIIII")
_FAULTS = struct.Struct("=iiqqqq")
_SEEN_AT = 24


class Kind(IntFlag):
    """What changes a file or its name; `disk.c` has the same numbers."""

    OPEN = 1
    WRITE = 2
    TRUNCATE = 4
    SYNC = 8
    RENAME = 16
    UNLINK = 32
    MKDIR = 64


ANY = Kind(127)


@dataclass(frozen=True, slots=True)
class Change:
    """One change as it was written down. `offset` is the new size of a TRUNCATE."""

    kind: Kind
    process: int
    fd: int
    flags: int
    offset: int
    path: str
    other: str
    data: bytes


def build(folder: Path) -> Path:
    """The shared library; skips where there is no compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed; ./dev test without arguments installs it")
    library = folder / "disk.so"
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, "-lpthread"],
        check=True,
    )
    return library


def environment(library: Path, root: Path, log: Path | None = None, faults: Faults | None = None) -> dict[str, str]:
    """What a program is started with so that its files below `root` are watched."""
    told = os.environ | {"LD_PRELOAD": str(library), "DISK_ROOT": str(root)}
    if log is not None:
        told["DISK_LOG"] = str(log)
    if faults is not None:
        told["DISK_FAULTS"] = str(faults.path)
    return told


def read_log(log: Path) -> Iterator[Change]:
    """The changes in the order they happened."""
    data = log.read_bytes()
    at = 0
    while at < len(data):
        kind, process, fd, flags, offset, *lengths, _ = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        parts = []
        for length in lengths:
            parts.append(data[at : at + length])
            at += length
        path, other, written = parts
        yield Change(Kind(kind), process, fd, flags, offset, path.decode(), other.decode(), written)


class Faults:
    """Which changes fail, told to a program that may be running already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(_FAULTS.size))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _FAULTS.size)

    def fail(
        self, error: int = errno.EIO, kinds: Kind = ANY, *, skip: int = 0, count: int = FOR_EVER, torn: bool = False
    ) -> None:
        """After `skip` more changes of these kinds, `count` fail with `error`; a `torn` write does its first half."""
        self._shared[:] = _FAULTS.pack(error, kinds, skip, count, 0, torn)

    def heal(self, kinds: Kind = ANY) -> None:
        """Nothing fails; changes of `kinds` are counted."""
        self.fail(0, kinds, count=0)

    @property
    def seen(self) -> int:
        """Changes of the kinds last named since then, the failed ones included."""
        return int(struct.unpack_from("=q", self._shared, _SEEN_AT)[0])
