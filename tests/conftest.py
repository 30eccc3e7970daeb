"""What every test may ask for, and the rules of a run: groups, counts, and what a missing tool means."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from playwright.sync_api import Page

from tests import postgres
from tests.hardware import card_stack as cards

REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"
USUAL_SHARE = 10  # a usual run does a tenth of the stated count
SLOW_GROUPS = ("kills", "powercut", "money", "scale", "soak", "units", "bare")
ONLY_WHEN_ASKED = {"soak", "units", "bare"}  # need half an hour or rare tools: never part of a usual run

hypothesis.settings.register_profile(
    "here", deadline=None
)  # a shared machine may stop for a second: no timed assertions
hypothesis.settings.load_profile("here")
os.environ[cards.SOCKET_VARIABLE] = str(cards.SOCKET)  # also keeps every test away from this machine's own card readers


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--slow GROUP`: only the tests marked `slow("GROUP")`, at their full counts. `--screenshots DIR`: see `shoot`."""
    parser.addoption("--slow", choices=SLOW_GROUPS, help="run one slow group with its full counts")
    parser.addoption(
        "--screenshots", type=Path, metavar="DIR", help="write a picture of each page, for people to look at"
    )


@pytest.hookimpl(trylast=True)  # of what -k and -m left
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--slow GROUP` nothing outside the group is run; without, no group that has to be asked for.

    SQLite plays every case of a test for both databases; PostgreSQL the first, and all of them with `--slow money`.
    """
    group = config.getoption("--slow")
    further = _further_cases_on_postgres(items)

    def chosen(item: pytest.Item) -> bool:
        groups = {name for mark in item.iter_markers("slow") for name in mark.args}
        if group:
            return group in groups or (group == "money" and item in further)
        return item not in further and not groups & ONLY_WHEN_ASKED

    config.hook.pytest_deselected(items=[item for item in items if not chosen(item)])
    items[:] = [item for item in items if chosen(item)]


def _further_cases_on_postgres(items: list[pytest.Item]) -> set[pytest.Item]:
    """All but the first case of each test that has several on PostgreSQL."""
    begun: set[str] = set()
    further: set[pytest.Item] = set()
    for item in items:
        case = getattr(item, "callspec", None)
        if case is not None and case.params.get("any_centre") == "postgres":
            test = item.nodeid.partition("[")[0]
            if test in begun:
                further.add(item)
            begun.add(test)
    return further


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """REQUIRE_ALL=1: a test that could not run is a failure that says what was missing."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL=1, but {item.nodeid} was skipped: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file that skipped itself."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL=1, but {collector.nodeid} was skipped: {report.longrepr}"
    return report


@pytest.fixture
def times(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """`times(1000)` is how often to do what the design wants done 1000 times: all of it with `--slow`, else a tenth."""
    full = request.config.getoption("--slow") is not None
    return lambda stated: stated if full else max(1, stated // USUAL_SHARE)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    """One PostgreSQL for the run (one per xdist worker); skips where it is not installed."""
    bin_dir = postgres.programs()
    if bin_dir is None:
        pytest.skip("PostgreSQL is not installed; ./dev test without arguments installs it")
    cluster = postgres.Cluster(bin_dir)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def postgres_url(postgres_cluster: postgres.Cluster) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL database of this test's own."""
    url = postgres_cluster.create_database()
    yield url
    postgres_cluster.drop_database(url)


@pytest.fixture(scope="session")
def card_stack() -> Iterator[cards.CardStack]:
    """A real pcscd with two virtual readers, one for the run (one per xdist worker); skips where a part is missing."""
    missing = cards.missing()
    if missing is not None:
        pytest.skip(f"{missing}; ./dev test without arguments installs what card readers need")
    stack = cards.CardStack()
    stack.start()
    yield stack
    stack.remove()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """pytest-playwright with Debian's chromium instead of a downloaded one; skips where it is not installed."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed; ./dev test without arguments installs it")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    kiosk = ["--autoplay-policy=no-user-gesture-required"]  # a gate's screens are heard before anybody touched them
    return {**browser_type_launch_args, "executable_path": chromium, "args": ["--no-sandbox", *quiet, *kiosk]}


@pytest.fixture
def shoot(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """`shoot(page, "gate/idle-1280x800")` writes a picture into the folder of --screenshots, if one is given."""
    folder = request.config.getoption("--screenshots")

    def write(page: Page, name: str) -> None:
        if folder is not None:
            page.screenshot(path=folder / f"{name}.png")

    return write
