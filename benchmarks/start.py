"""The agent as a process: from nothing to READY without a camera, and its memory with the decoder and a large list.

`./dev bench start [--passes 1000000]`
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import rounds
from benchmarks.venue import Venue

SETTLED_S = 60.0
"""How long to wait for an admission and for the first self-check."""
ROUNDS = 5


@contextlib.contextmanager
def agent(data_dir: Path, reader: str) -> Iterator[tuple[int, float]]:
    """A running agent: its process, and how long it took to be ready."""
    command = [sys.executable, "-m", "gate_agent", "run", "--no-sync", "--screen-port", "0", "--data", str(data_dir)]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--lane", f"1:reader={reader},turnstile=file:{data_dir}/pulses"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"READY ")
    ready_s = time.perf_counter() - began
    try:
        yield process.pid, ready_s
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def start_s(venue: Venue) -> float:
    """The median of some starts, the list and a journal there already."""
    taken = []
    for _ in range(ROUNDS):
        with agent(venue.data_dir, f"serial:{venue.data_dir}/no-scanner") as (_, ready_s):
            taken.append(ready_s)
    return statistics.median(taken)


def memory_mb(venue: Venue) -> tuple[float, float]:
    """Resident now and at its most, after a phone was read by the camera, let in, and the gate checked itself."""
    import cv2

    from hardware.phone_screen import Look, draw_phone

    picture = venue.data_dir / "phone.png"
    assert cv2.imwrite(str(picture), draw_phone(venue.token(1), Look()))
    with agent(venue.data_dir, f"camera:{picture}") as (pid, _):
        deadline = time.perf_counter() + SETTLED_S
        while not (_checked(venue.data_dir) and (venue.data_dir / "pulses").exists()):
            assert time.perf_counter() < deadline, "nobody was let in, or the gate did not check itself"
            threading.Event().wait(0.2)
        words = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return tuple(int(words[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def _checked(data_dir: Path) -> bool:
    with contextlib.closing(sqlite3.connect(f"file:{data_dir}/entries.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT 1 FROM selfcheck WHERE at_ms > 0").fetchone() is not None


def main(passes: int, folder: Path) -> None:
    """Print the table and the JSON line."""
    venue = Venue(folder, passes)
    venue.install()
    memory, most = memory_mb(venue)
    ready = start_s(venue)
    rounds.table(
        [
            ("", "start to READY without a camera, s", f"{ready:.2f}", "≤ 1"),
            ("", f"memory with OpenCV and {passes:,} passes, MB (now / most)", f"{memory:.0f} / {most:.0f}", "≤ 150"),
        ],
        ("#", "what", "measured", "bar"),
    )
    figures = {"start_s": round(ready, 3), "memory_mb": round(memory, 1), "most_mb": round(most, 1)}
    rounds.last_line({"benchmark": "start", **figures, "passes": passes})


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="./dev bench start")
    options.add_argument("--passes", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        main(options.parse_args().passes, Path(scratch) / "gate")
