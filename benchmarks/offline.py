"""72 hours without the network: whether the last decision of 200,000 entries is as fast as the first (R4).

`./dev bench offline [--entries 200000] [--passes 100000]`

Time is virtual: three days go by while the visitors come, at eight lanes at once. Then the gate and a fresh one beside
it, whose journal is empty, admit in turn. What looks at the journal beside the lanes is measured too: sync, which asks
every second what there is to send, and the start after a power cut. Draining as many entries is P10 (`ingest`).
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks import rounds
from benchmarks.scan import Arm
from benchmarks.venue import PHONE_PASS, Venue
from gate_agent.board import Board
from gate_agent.decision import Admit
from gate_agent.entries import Entries
from gate_agent.gate import Gate
from gate_agent.journal import Journal
from gate_agent.lane import Lane
from gate_agent.outbox import Moment, Outbox
from gate_agent.pass_list import PassListHolder
from gate_agent.passage import LanePassages
from gate_agent.sync_state import SyncView
from gate_agent.trusted_time import clocks_of_this_machine
from gate_agent.world import WorldView
from hardware.turnstile import Edge, Role
from wire.presentation import StaticCode

LANES = 8
OFF_LINE_MS = 72 * 3_600_000
ENTRIES_EACH = 2
"""Of an admission: the intent, and that somebody passed."""
ADMISSIONS = 400  # of a round, at each gate
LOOKS = 20
WALKING_MS = 2


class Clock:
    """The machine's clocks, carried on by `ms` as the benchmark wants it; every look is a moment later."""

    def __init__(self) -> None:
        self.real = clocks_of_this_machine()
        self.passed_ms = 0

    def boot_ms(self) -> int:
        """Milliseconds since boot."""
        return self.real.boot_ms() + self.passed_ms

    def os_ms(self) -> int:
        """What the operating system would say."""
        return self.real.os_ms() + self.passed_ms

    def ns(self) -> int:
        """The turnstiles' clock."""
        return self.boot_ms() * 1_000_000


class Box:
    """A gate with its lanes on a venue's data directory."""

    def __init__(self, venue: Venue, clock: Clock) -> None:
        self._venue, self._clock = venue, clock
        clocks = replace(clock.real, boot_ms=clock.boot_ms, os_ms=clock.os_ms, rtc_ms=lambda: None)
        world = WorldView(clocks, PassListHolder(venue.data_dir), SyncView.open(venue.data_dir), bytes(32))
        self.journal = Journal(Entries.open(venue.data_dir, lambda: os.urandom(8))[0])
        self.journal.start()
        self._arms = [Arm() for _ in range(LANES)]
        self.lanes = [
            Lane(number, arm, LanePassages(window_ms=5_000, has_sensor=True), pulse_ms=300)
            for number, arm in enumerate(self._arms, start=1)
        ]
        board = Board(tuple(lane.number for lane in self.lanes), clock.boot_ms)
        self._gate = Gate(self.journal, world.look, board, self.lanes, clock.ns)
        self._numbers = itertools.count(PHONE_PASS + 1)

    def enter(self, lane: Lane) -> float:
        """The next visitor shows a pass and walks through: seconds from the code to the pulse."""
        text = self._venue.token(next(self._numbers))
        began_s = time.perf_counter()
        verdict = self._gate.present(lane, StaticCode(text))
        assert isinstance(verdict, Admit), verdict
        taken_s = self._arms[lane.number - 1].pulsed_s - began_s
        walked_ns = self._clock.ns() + WALKING_MS * 1_000_000
        self._gate.edge(lane, Edge(Role.PASSAGE_IN, True, walked_ns))
        self._gate.edge(lane, Edge(Role.PASSAGE_IN, False, walked_ns))
        return taken_s


def three_days(box: Box, clock: Clock, admissions: int) -> None:
    """Visitors at all lanes at once, evenly over the time off-line."""
    began_ms, left = clock.passed_ms, itertools.count(1)

    def work(lane: Lane) -> None:
        while (number := next(left)) <= admissions:
            clock.passed_ms = max(clock.passed_ms, began_ms + OFF_LINE_MS * number // admissions)
            box.enter(lane)

    threads = [threading.Thread(target=work, args=(lane,)) for lane in box.lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def decisions(last: Box, first: Box) -> dict[str, list[float]]:
    """Seconds of admissions at both gates in turn."""
    times: dict[str, list[float]] = {"last": [], "first": []}
    for counted in range(-1, rounds.ROUNDS):
        for _ in range(ADMISSIONS):
            for name, box in (("last", last), ("first", first)):
                taken_s = box.enter(box.lanes[0])
                if counted >= 0:
                    times[name].append(taken_s)
    return times


def looks_of_sync(data_dir: Path) -> Callable[[], object]:
    """What there is to send, as sync asks it, since the centre was heard last: before the first of these entries."""
    outbox = Outbox(data_dir)
    incarnation = outbox.ready(lambda _: 0)
    assert incarnation is not None
    heard = Moment(incarnation.incarnation, 0)
    return lambda: outbox.ready(lambda _: 0, heard)


def main(entries: int, passes: int, folder: Path) -> None:
    """Print the table and the JSON line."""
    clock, venues = Clock(), [Venue(folder / name, passes) for name in ("last", "first")]
    for venue in venues:
        venue.install()
    last = Box(venues[0], clock)
    began = time.perf_counter()
    three_days(last, clock, entries // ENTRIES_EACH)
    filling_s = time.perf_counter() - began
    first = Box(venues[1], clock)
    times = decisions(last, first)
    p99 = {name: statistics.quantiles(taken, n=100)[98] for name, taken in times.items()}
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    works = {name: looks_of_sync(venue.data_dir) for name, venue in zip(("last", "first"), venues, strict=True)}
    looks = rounds.interleaved(works, dict.fromkeys(works, LOOKS))
    for box in (last, first):
        box.journal.close()
    starts = rounds.interleaved({name: _start(venue) for name, venue in zip(works, venues, strict=True)}, {})
    p99_ratio, median_ratio = p99["last"] / p99["first"], medians["last"] / medians["first"]
    sync_ms, start_ms = (
        [round(rounds.median_ms(taken[name]), 1) for name in ("last", "first")] for taken in (looks, starts)
    )
    rounds.table(
        [
            ("R4", "99th percentile of the last decisions ÷ of the first", f"{p99_ratio:.2f}", "≤ 1.2"),
            ("", "  median, the same", f"{median_ratio:.2f}", ""),
            ("", "  99th percentile, ms", f"{p99['last'] * 1e3:.2f} / {p99['first'] * 1e3:.2f}", ""),
            ("", "sync's look for what to send, ms", f"{sync_ms[0]} / {sync_ms[1]}", ""),
            ("", "journal opened and checked at start, ms", f"{start_ms[0]} / {start_ms[1]}", ""),
            ("", f"the {entries:,} entries written in, s", f"{filling_s:.0f}", ""),
        ],
        ("#", f"{entries:,} entries in 72 h off-line, load {rounds.load():.1f}", "measured", "bar"),
    )
    figures = {"p99_ratio": round(p99_ratio, 3), "median_ratio": round(median_ratio, 3)}
    figures |= {"entries": entries, "load": round(rounds.load(), 1)}
    rounds.last_line({"benchmark": "offline", **figures, "sync_ms": sync_ms, "start_ms": start_ms})


def _start(venue: Venue) -> Callable[[], object]:
    def start() -> None:
        Entries.open(venue.data_dir, lambda: os.urandom(8))[0].close()

    return start


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="./dev bench offline")
    options.add_argument("--entries", type=int, default=200_000)
    options.add_argument("--passes", type=int, default=120_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        main(chosen.entries, chosen.passes, Path(scratch))
