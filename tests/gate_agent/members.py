"""Staff of a test's box: their PINs are hashed once for a whole run, which takes longer than most tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from gate_agent import staff
from gate_agent.disk import write_whole
from gate_agent.staff import Role


def employ(data_dir: Path, *members: tuple[str, Role, str]) -> None:
    """As after `staff add` with each of these names, roles and PINs, and nobody else."""
    write_whole(data_dir / staff.NAME, _roll_of(members))


@cache
def _roll_of(members: tuple[tuple[str, Role, str], ...]) -> bytes:
    with TemporaryDirectory() as folder:
        for name, role, pin in members:
            staff.add(Path(folder), name, role, pin)
        return (Path(folder) / staff.NAME).read_bytes()
