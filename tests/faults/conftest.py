"""What the tests of broken disks begin with: the library that stands between a program and its files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import disk

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def disk_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `disk.c`."""
    return disk.build(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def fast_path() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of states are written, and no real disk is on trial."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)
