"""The dates of the centre's certificate are judged by the gate's own time: a cold boot in 1970 still reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gate_agent.centre_client import Answer, Centre, Rest
from gate_agent.centre_tls import Trust
from gate_agent.enrolment import Enrolled, enrol
from gate_agent.pass_list import PassList
from gate_agent.sync_state import LinkTrouble, TroubleKind
from gate_agent.time_trust import Now
from tests.certificates import Authority
from tests.gate_agent.boxes import HandSetClocks, box_at
from tests.gate_agent.small_centre import SmallCentre
from wire.messages import ClockTrust

OURS, STRANGER = Authority(), Authority()
PAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC)
FUTURE = datetime(2090, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
"""Neither holds by the clock of the machine that runs these tests: only the gate's own time can have accepted it."""


def ms(year: int) -> int:
    """The middle of a year."""
    return round(datetime(year, 7, 1, tzinfo=UTC).timestamp() * 1000)


def known(year: int, trust: ClockTrust = ClockTrust.TRUSTED) -> Now:
    return Now(ms(year), trust, 5, ms(year), None)


def unknown(floor_year: int | None = None) -> Now:
    return Now(None, ClockTrust.UNKNOWN, 5, 0, None if floor_year is None else ms(floor_year))


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text(OURS.pem)
    return path


def asked(ca: Path, url: str, now: Now) -> Answer | LinkTrouble:
    centre = Centre(url, HandSetClocks().clocks(), Trust(ca_file=ca), now=lambda: now)
    try:
        return centre.exchange("GET", "/feed/segments/00", 1_000)
    finally:
        centre.close()


@pytest.mark.parametrize(
    ("dates", "now", "why"),
    [
        (PAST, unknown(), None),
        (FUTURE, unknown(), None),
        (PAST, unknown(2021), None),
        (FUTURE, unknown(2021), None),
        (PAST, unknown(2023), "its certificate ended at 2022-01-01 00:00 UTC, and it is not before 2023-07-01"),
        (PAST, known(2021), None),
        (PAST, known(2021, ClockTrust.HELD), None),
        (FUTURE, known(2095), None),
        (PAST, known(2023), "its certificate ended at 2022-01-01 00:00 UTC, and the gate's time is 2023-07-01"),
        (PAST, known(2023, ClockTrust.HELD), "ended"),
        (FUTURE, known(2089), "its certificate begins at 2090-01-01 00:00 UTC, and the gate's time is 2089-07-01"),
    ],
)
def test_dates_count_by_the_gates_own_time(
    tmp_path: Path, ca: Path, dates: tuple[datetime, datetime], now: Now, why: str | None
) -> None:
    with SmallCentre(tls=OURS.server_side(tmp_path / "server", dates=dates)) as centre:
        told = asked(ca, centre.url, now)
        if why is None:
            assert isinstance(told, Answer)
        else:
            assert isinstance(told, LinkTrouble)
            assert told.kind is TroubleKind.NOT_THE_CENTRE and why in told.detail
            assert centre.requests == [], "not a word was said to whoever answered"


@pytest.mark.parametrize("now", [unknown(), unknown(2021), known(2021)])
def test_everything_else_is_verified_whatever_the_time(tmp_path: Path, ca: Path, now: Now) -> None:
    with SmallCentre(tls=STRANGER.server_side(tmp_path / "stranger", dates=PAST)) as stranger:
        told = asked(ca, stranger.url, now)
        assert isinstance(told, LinkTrouble) and told.kind is TroubleKind.NOT_THE_CENTRE
        assert stranger.requests == []
    with SmallCentre(tls=OURS.server_side(tmp_path / "elsewhere", "127.0.0.2", dates=PAST)) as elsewhere:
        told = asked(ca, elsewhere.url, now)
        assert isinstance(told, LinkTrouble) and "not valid for '127.0.0.1'" in told.detail
        assert elsewhere.requests == []


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[SmallCentre]:
    """Its certificate begins long after what a box without a clock believes."""
    with SmallCentre(tls=OURS.server_side(tmp_path / "server", dates=FUTURE)) as small:
        small.lists.publish(42)
        yield small


def test_a_box_that_boots_in_1970_is_enrolled_gets_its_list_and_learns_the_time(
    tmp_path: Path, centre: SmallCentre
) -> None:
    hands, box = HandSetClocks(5_000, 5_000), tmp_path / "box"
    answer = enrol(box, centre.url, centre.code.text(), "gate-3", hands.clocks(), ca_pem=OURS.pem)
    assert isinstance(answer, Enrolled)
    with box_at(box, None, hands) as cold:
        assert cold.time.now().trust is ClockTrust.UNKNOWN
        assert isinstance(cold.pull.pull_once(), Rest)
        assert (cold.time.now().trust, cold.time.now().at_ms) == (ClockTrust.TRUSTED, centre.now_ms())
    assert PassList.open(box) is not None
