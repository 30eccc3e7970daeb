"""Interleaved rounds: A B A B …, the ratio pair by pair, its median; a shared machine's drift falls out."""

from __future__ import annotations

import json
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROUNDS = 5


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Seconds for one `work`, averaged over `repeats` calls in a row."""
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - began) / repeats


def interleaved(
    works: Mapping[str, Callable[[], object]], repeats: Mapping[str, int], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Seconds per call of each work, measured in turn in every round; one round before them is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for counted in range(-1, rounds):
        for name, work in works.items():
            taken = seconds(work, repeats.get(name, 1))
            if counted >= 0:
                times[name].append(taken)
    return times


def ratio(times: Mapping[str, Sequence[float]], over: str, under: str) -> float:
    """The median over the rounds of `over` ÷ `under`."""
    return statistics.median(a / b for a, b in zip(times[over], times[under], strict=True))


def median_ms(times: Sequence[float]) -> float:
    """The median in milliseconds."""
    return statistics.median(times) * 1000


def machine() -> str:
    """What the figures were measured on, without naming it."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def table(rows: Sequence[Sequence[object]], head: Sequence[str]) -> None:
    """Print rows under a head, columns aligned."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def last_line(figures: Mapping[str, object]) -> None:
    """The figures as one JSON object: the last line of every benchmark."""
    print(json.dumps({"machine": machine(), **figures}, ensure_ascii=False))


def until(condition: Callable[[], object], limit_s: float, what: str, every_s: float = 0.05) -> float:
    """Seconds until `condition` was true; AssertionError with `what` after `limit_s`."""
    began, pause = time.perf_counter(), threading.Event()
    while not condition():
        assert time.perf_counter() - began < limit_s, f"did not happen within {limit_s} s: {what}"
        pause.wait(every_s)
    return time.perf_counter() - began


def memory_mb(pid: int) -> tuple[float, float]:
    """What a process holds now, and the most it ever held."""
    words = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines())
    now, most = (int(words[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def load() -> float:
    """How many processes wanted the processors in the last minute, this benchmark's own included."""
    return os.getloadavg()[0]
