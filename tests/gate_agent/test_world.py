"""The world of a moment: before enrolment, before the list, with it, and how soon a change is seen."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gate_agent import enrolment_copy
from gate_agent.pass_list import PassListHolder
from gate_agent.sync_state import SyncView
from gate_agent.sync_store import SyncStore
from gate_agent.time_trust import SignedTime
from gate_agent.uses import Today
from gate_agent.world import LOOK_AGAIN_MS, NO_KEYS, World, WorldView
from tests.gate_agent import lists
from tests.gate_agent.boxes import HandSetClocks
from tests.gate_agent.venue import ANNUAL, NOW_MS, SINGLE, TWICE, VERSION, Venue, enrol
from wire import moments
from wire.messages import ClockTrust
from wire.token import Place


@pytest.fixture
def clocks() -> HandSetClocks:
    """Clocks that a test moves."""
    return HandSetClocks()


@pytest.fixture
def view(tmp_path: Path, clocks: HandSetClocks) -> WorldView:
    """A look at an empty data directory."""
    return WorldView(clocks.clocks(), PassListHolder(tmp_path), SyncView.open(tmp_path), b"spare")


def later(view: WorldView, clocks: HandSetClocks) -> World:
    """The world when files are looked at again."""
    clocks.advance(LOOK_AGAIN_MS)
    return view.look()


def test_before_anything_is_enrolled(view: WorldView) -> None:
    world = view.look()
    assert (world.venue, world.products, world.keys, world.list_version) == (None, None, NO_KEYS, (0, 0))
    assert (world.now.at_ms, world.now.trust, world.stranger_key) == (None, ClockTrust.UNKNOWN, b"spare")
    assert world.today.day is None


def test_before_the_first_list(view: WorldView, clocks: HandSetClocks, tmp_path: Path) -> None:
    enrol(tmp_path)
    world = later(view, clocks)
    assert (world.place, world.keys.version) == (Place(lists.VENUE), 5)
    assert (world.venue, world.stranger_key) == (None, lists.CONFIG.credential_key)


def test_with_a_list(view: WorldView, clocks: HandSetClocks, tmp_path: Path) -> None:
    Venue().settle(tmp_path, knows_time=False)
    world = later(view, clocks)
    assert world.venue is not None
    assert (world.list_version, world.products) == ((1, VERSION), frozenset({ANNUAL, SINGLE, TWICE}))
    assert world.place == Place(lists.VENUE, frozenset({1}))


def test_a_change_is_seen_at_the_next_look_at_the_files_and_not_before(
    view: WorldView, clocks: HandSetClocks, tmp_path: Path
) -> None:
    venue = Venue()
    venue.settle(tmp_path, knows_time=False)
    assert later(view, clocks).list_version == (1, VERSION)
    venue.publish(NOW_MS, VERSION + 1)
    venue.feed.install(tmp_path)
    clocks.advance(LOOK_AGAIN_MS - 1)
    assert view.look().list_version == (1, VERSION)
    clocks.advance(1)
    assert view.look().list_version == (1, VERSION + 1)


def test_what_could_not_be_read_is_not_given_as_it_was_to_whoever_asks_next(
    view: WorldView, clocks: HandSetClocks, tmp_path: Path
) -> None:
    Venue().settle(tmp_path, knows_time=False)
    assert later(view, clocks).list_version == (1, VERSION)
    (tmp_path / "garbage").write_bytes(b"no database" * 1_000)
    (tmp_path / "garbage").rename(tmp_path / "sync.db")
    (tmp_path / enrolment_copy.NAME).unlink()
    clocks.advance(LOOK_AGAIN_MS)
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError):
            view.look()


def test_the_day_is_the_venues_and_began_at_its_midnight(
    view: WorldView, clocks: HandSetClocks, tmp_path: Path
) -> None:
    """NOW_MS is 19:06:40 in Shanghai."""
    Venue().settle(tmp_path, knows_time=False)
    with closing(SyncStore(tmp_path)) as store:
        store.keep_signed_time(SignedTime(NOW_MS, clocks.boot_now_ms, clocks.boot_id))
    clocks.boot_now_ms += LOOK_AGAIN_MS
    world = view.look()
    assert world.now.at_ms == NOW_MS + LOOK_AGAIN_MS
    since_midnight_ms = (19 * 3600 + 6 * 60 + 40) * 1000
    day = moments.day_number(NOW_MS, ZoneInfo("Asia/Shanghai"))
    began_ms = clocks.boot_now_ms - LOOK_AGAIN_MS - since_midnight_ms
    assert world.today == Today("a-boot", day, began_ms, clocks.boot_now_ms, world.now.at_ms)
