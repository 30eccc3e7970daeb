"""Time and chance are passed in: who may look at a clock or sleep is written here, and nobody else does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch

import pytest

from tests.tidy.sources import PACKAGES, Source, sources

WALL, MONOTONIC, SLEEP = "the wall clock", "a monotonic clock", "sleep"
KINDS = {
    "time.time": WALL,
    "time.time_ns": WALL,
    "time.localtime": WALL,
    "time.gmtime": WALL,
    "time.ctime": WALL,
    "time.strftime": WALL,
    "datetime.datetime.now": WALL,
    "datetime.datetime.utcnow": WALL,
    "datetime.datetime.today": WALL,
    "datetime.date.today": WALL,
    "time.monotonic": MONOTONIC,
    "time.monotonic_ns": MONOTONIC,
    "time.perf_counter": MONOTONIC,
    "time.perf_counter_ns": MONOTONIC,
    "time.clock_gettime": MONOTONIC,
    "time.clock_gettime_ns": MONOTONIC,
    "time.sleep": SLEEP,
    "asyncio.sleep": SLEEP,
}
LAST_WORDS = {name.rpartition(".")[2] for name in KINDS}

ALLOWED = {  # where -> what it may look at. Waiting is `Event.wait(timeout)` or a queue's time-out, which can be ended.
    "gate_agent/trusted_time.py": {WALL, MONOTONIC},
    "gate_agent/screen/streams.py": {MONOTONIC},  # the heartbeat of a page that must look frozen when it is
    "sync_server/clock.py": {WALL},
    "sandbox_provider/cli.py": {WALL},
    "sandbox_card_platform/cli.py": {WALL},
    "hardware/*": {MONOTONIC},  # devices have time-outs of their own
    "demo/phone.py": {WALL},  # a visitor's phone goes by its own clock
    "demo/*": {MONOTONIC, SLEEP},  # waits for other processes and says how long it took
    "benchmarks/*": {WALL, MONOTONIC},
    "tests/*": {MONOTONIC},  # time-outs, and what devices are to say of the moment
    "tests/browser/*": {WALL},  # real processes, which look at the real clock
}


def looks_at_clocks(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Every place that names a function of KINDS, under whatever name it was imported."""
    meaning: dict[str, str] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            meaning |= {name.asname or name.name: name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            meaning |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    for node in ast.walk(source.tree):
        imported = isinstance(node, ast.Name) and node.id in meaning
        if imported or (isinstance(node, ast.Attribute) and node.attr in LAST_WORDS):
            first, _, rest = ast.unparse(node).partition(".")
            full = f"{meaning.get(first, first)}.{rest}".rstrip(".")
            if full in KINDS:
                yield node, full


def unwanted_looks(source: Source) -> Iterator[str]:
    """Looks at a clock that this file's place does not allow."""
    allowed = set().union(*(kinds for place, kinds in ALLOWED.items() if fnmatch(source.place, place)))
    for node, full in looks_at_clocks(source):
        if KINDS[full] not in allowed:
            yield source.at(node, f"{full}: {KINDS[full]} is not to be used here; take it as an argument")


@pytest.mark.slow
def test_time_is_passed_in() -> None:
    findings = [finding for source in sources(*PACKAGES, "tests") for finding in unwanted_looks(source)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize(
    "sample",
    [
        "import time\nnow = time.time()\n",
        "import time as t\nt.sleep(1)\n",
        "from time import monotonic\ndef f(clock=monotonic): ...\n",
        "import datetime\ndatetime.datetime.now(datetime.UTC)\n",
        "from datetime import datetime as dt, UTC\ndt.now(UTC)\n",
        "from datetime import date\ndate.today()\n",
    ],
)
def test_a_look_at_the_clock_is_found(sample: str) -> None:
    assert len(list(unwanted_looks(Source("wire/token.py", sample)))) == 1


def test_an_allowed_look_is_left_alone() -> None:
    assert not list(unwanted_looks(Source("gate_agent/trusted_time.py", "import time\nnow = time.time()\n")))
    assert list(unwanted_looks(Source("gate_agent/trusted_time.py", "import time\ntime.sleep(1)\n")))


@pytest.mark.slow
def test_every_allowance_is_still_used() -> None:
    """An exception nobody needs any more is taken off the list."""
    everything = sources(*PACKAGES, "tests")
    used = {
        (place, KINDS[full])
        for place in ALLOWED
        for source in everything
        if fnmatch(source.place, place)
        for _, full in looks_at_clocks(source)
    }
    idle = {(place, kind) for place, kinds in ALLOWED.items() for kind in kinds} - used
    assert not idle
