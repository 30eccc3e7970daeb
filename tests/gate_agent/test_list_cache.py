"""Lists through the cache that the centre names: asked in the centre's place, believed no more than anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gate_agent.centre_client import Rest
from gate_agent.list_pull import CONFIG_EVERY_MS, QUIET_MS
from gate_agent.pass_list import PassList
from gate_agent.sync_state import LinkTrouble, TroubleKind
from tests.gate_agent.boxes import Box, box_at
from tests.gate_agent.lists import CONFIG
from tests.gate_agent.small_centre import Fault, SmallCentre
from tests.wire import samples

HALF_A_MINUTE_MS = 30_000


@pytest.fixture
def cache() -> Iterator[SmallCentre]:
    with SmallCentre() as small:
        yield small


@pytest.fixture
def centre(cache: SmallCentre) -> Iterator[SmallCentre]:
    with SmallCentre() as small:
        small.lists = cache.lists
        small.lists.publish(42)
        small.config = msgspec.structs.replace(CONFIG, feed_url=cache.url)
        yield small


@pytest.fixture
def box(tmp_path: Path, centre: SmallCentre) -> Iterator[Box]:
    with box_at(tmp_path, centre.url) as enrolled:
        yield enrolled


def version_held(box: Box) -> int:
    held = PassList.open(box.data_dir)
    assert held is not None
    return held.version


def test_head_and_segments_are_asked_of_the_cache_alone(box: Box, cache: SmallCentre, centre: SmallCentre) -> None:
    for _ in range(3):
        assert isinstance(box.pull.pull_once(), Rest)
    assert version_held(box) == 42
    assert cache.asked_for("GET", "/head") == 3
    assert centre.requests == [("GET", "/device/v1/config")]


def test_a_cache_that_gives_something_else_is_told_of_and_the_centre_asked(
    box: Box, cache: SmallCentre, centre: SmallCentre, caplog: pytest.LogCaptureFixture
) -> None:
    cache.faults.extend([Fault.HALF, None, Fault.HALF])
    assert isinstance(box.pull.pull_once(), Rest)
    assert version_held(box) == 42
    assert centre.asked_for("GET", "segments") > 0
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["bad_list"]
    assert isinstance(box.pull.pull_once(), Rest)
    assert "in order again" in caplog.records[-1].getMessage()


@pytest.mark.parametrize(("fault", "told"), [(Fault.HALF, TroubleKind.BAD_LIST), (Fault.PORTAL, TroubleKind.BAD_LIST)])
def test_what_is_wrong_with_a_cache_is_shown_where_the_centre_cannot_be_asked(
    tmp_path: Path, cache: SmallCentre, centre: SmallCentre, fault: Fault, told: TroubleKind
) -> None:
    with box_at(tmp_path, centre.url) as box:
        assert isinstance(box.pull.pull_once(), Rest)
        centre.lists.publish(43)
        cache.faults.append(fault)
        centre.faults.append(Fault.DROP_BEFORE_STORING)
        answer = box.pull.pull_once()
        assert isinstance(answer, LinkTrouble) and answer.kind is told
        assert version_held(box) == 42


def test_the_cache_goes_on_while_the_centre_is_away_even_over_a_restart(
    tmp_path: Path, cache: SmallCentre, centre: SmallCentre
) -> None:
    with box_at(tmp_path, centre.url) as box:
        assert isinstance(box.pull.pull_once(), Rest)
    centre.lists.publish(43)
    centre.faults.append(Fault.DROP_BEFORE_STORING)  # the configuration, asked for at every start
    with box_at(tmp_path, None) as box:
        assert isinstance(box.pull.pull_once(), Rest)
        assert version_held(box) == 43


def test_a_cache_that_stands_still_hides_nothing(box: Box, cache: SmallCentre, centre: SmallCentre) -> None:
    assert isinstance(box.pull.pull_once(), Rest)
    yesterday = cache.lists.head
    centre.lists.publish(43)
    newest, cache.lists = cache.lists, type(cache.lists)()
    cache.lists.head, cache.lists.segments = yesterday, newest.segments
    assert isinstance(box.pull.pull_once(), Rest)
    assert version_held(box) == 42
    box.clocks.advance(QUIET_MS)
    assert isinstance(box.pull.pull_once(), Rest)
    assert version_held(box) == 43


def test_heads_that_are_signed_anew_keep_the_centre_from_being_asked(
    box: Box, cache: SmallCentre, centre: SmallCentre
) -> None:
    for turn in range(2 * QUIET_MS // HALF_A_MINUTE_MS):
        centre.lists.publish(42, signed_at_ms=samples.NOW_MS + turn * HALF_A_MINUTE_MS)
        assert isinstance(box.pull.pull_once(), Rest)
        box.clocks.advance(HALF_A_MINUTE_MS)
    assert centre.asked_for("GET", "/feed") == 0


def test_another_address_is_learnt_within_the_hour(box: Box, cache: SmallCentre, centre: SmallCentre) -> None:
    assert isinstance(box.pull.pull_once(), Rest)
    centre.config = msgspec.structs.replace(centre.config, feed_url="")
    box.clocks.advance(CONFIG_EVERY_MS)
    before = len(cache.requests)
    assert isinstance(box.pull.pull_once(), Rest)
    assert len(cache.requests) == before
