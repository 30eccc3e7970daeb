"""A list change lands while visitors enter: the worst admission against a raw fsync of the same minute (P6).

`./dev bench list_change [--passes 1000000] [--changed 100000]`
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks import rounds
from benchmarks.scan import Bench
from benchmarks.venue import Venue

BESIDE = 200  # admissions before the change begins, and after it has landed
FSYNC_BYTES = 4_096
SYNC_NICE = 10
"""As gate-sync.service has it."""


class Disk:
    """The floor: one page appended and brought to the disk."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT)

    def fsync(self) -> None:
        """One of them."""
        os.write(self._file, bytes(FSYNC_BYTES))
        os.fsync(self._file)


def main(passes: int, changed: int, folder: Path) -> None:
    """Print the table and the JSON line."""
    venue = Venue(folder, passes)
    venue.install()
    bench, disk = Bench(venue), Disk(folder)
    head = venue.changed(changed)
    sync = multiprocessing.get_context("spawn").Process(target=venue.put_in_force, args=(head, SYNC_NICE))
    times: dict[str, list[float]] = {"quiet": [], "change": [], "fsync": []}

    def admit(when: str) -> None:
        times["fsync"].append(rounds.seconds(disk.fsync))
        times[when].append(bench.admit_next())

    for _ in range(BESIDE):
        admit("quiet")
    sync.start()
    while sync.is_alive():
        admit("change")
    for _ in range(BESIDE):
        admit("change")
    sync.join()
    assert sync.exitcode == 0
    assert bench.world.look().list_version == (1, 2), "the change has to have landed"
    bench.close()
    fsync = statistics.median(times["fsync"])
    worst, quiet_worst = max(times["change"]) / fsync, max(times["quiet"]) / fsync
    p99 = statistics.quantiles(times["change"], n=100)[98] / fsync
    rounds.table(
        [
            ("P6", f"worst of {len(times['change']):,} admissions ÷ median fsync", f"{worst:.0f}", "≤ 100"),
            ("", "  99th percentile, the same", f"{p99:.1f}", ""),
            ("", "  worst before the change, the same", f"{quiet_worst:.0f}", ""),
            ("", "  worst admission, median fsync, ms", f"{worst * fsync * 1e3:.1f} / {fsync * 1e3:.2f}", ""),
        ],
        ("#", f"{changed:,} of {passes:,} passes change", "measured", "bar"),
    )
    figures = {"benchmark": "list_change", "p6_worst_ratio": round(worst, 1), "p99_ratio": round(p99, 2)}
    rounds.last_line({**figures, "passes": passes, "changed": changed})


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="./dev bench list_change")
    options.add_argument("--passes", type=int, default=1_000_000)
    options.add_argument("--changed", type=int, default=100_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        main(chosen.passes, chosen.changed, Path(scratch) / "gate")
