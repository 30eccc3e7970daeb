"""What gates are told of uses: counted from the redemptions, whatever order they came in, with how far each journal."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa

from gate_agent.uses import PassEntry, Today, count
from sync_server.centre import Centre
from sync_server.feed.publishing import publish_feeds
from sync_server.feed.tables import pass_use
from sync_server.orders.holders import Holder
from sync_server.redemptions.uses import count_uses
from tests.sync_server.feed.fetching import fetch
from tests.sync_server.town import HOLDER, START_MS, Sold, Town, build_town
from wire import moments
from wire.far_entry import FarEntry
from wire.feed import Mark, UseRow
from wire.messages import EntryKind, Superseded

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOON_MS = START_MS + 2 * DAY_MS + 14 * HOUR_MS  # in China
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def town(any_centre: Centre) -> Town:
    town = build_town(any_centre)
    publish_feeds(any_centre)
    return town


@pytest.fixture
def sold(town: Town) -> Sold:
    [one] = town.sell("annual", holders=[HOLDER])
    town.clock.now_ms = NOON_MS + 2 * DAY_MS
    return one


def told(town: Town, sold: Sold, venue: str = "bridge") -> UseRow | None:
    """As the venue's gates hear of it."""
    while count_uses(town.centre):
        pass
    publish_feeds(town.centre)
    return fetch(town, venue).uses.get(sold.pass_id)


def test_uses_of_all_gates_of_the_venue_are_counted_by_its_days(town: Town, sold: Sold) -> None:
    one, other, elsewhere = town.gate(), town.gate(name="G2"), town.gate("park")
    one.admit(sold, NOON_MS)
    one.admit(sold, NOON_MS + DAY_MS)
    other.admit(sold, NOON_MS + DAY_MS + HOUR_MS)
    elsewhere.admit(sold, NOON_MS)
    for gate in (one, other, elsewhere):
        town.upload(gate)
    row = told(town, sold)
    assert row is not None
    day = moments.day_number(NOON_MS + DAY_MS, ZONE)
    assert (row.total, row.day, row.on_day, row.in_month, row.in_year) == (3, day, 2, 3, 3)
    assert row.last_ms == NOON_MS + DAY_MS + HOUR_MS
    assert set(row.marks) == {Mark(one.device.id, one.incarnation, 4), Mark(other.device.id, other.incarnation, 2)}
    there = told(town, sold, "park")
    assert there is not None and there.total == 1


def test_nobody_is_told_of_a_pass_that_was_never_used(town: Town, sold: Sold) -> None:
    assert told(town, sold) is None


@pytest.mark.slow
def test_a_use_given_back_is_none_and_a_new_one_counts(town: Town, sold: Sold) -> None:
    gate = town.gate()
    intent = gate.admit(sold, NOON_MS)
    town.upload(gate)
    first = told(town, sold)
    assert first is not None and first.total == 1
    gate.write(EntryKind.RETURNED, NOON_MS + HOUR_MS, ref_seq=intent, pass_id=sold.pass_id)
    town.upload(gate, 3)
    back = told(town, sold)
    assert back is not None and (back.total, back.on_day) == (0, 0)
    assert back.marks == (Mark(gate.device.id, gate.incarnation, 3),)
    gate.admit(sold, NOON_MS + 2 * HOUR_MS)
    town.upload(gate, 4)
    again = told(town, sold)
    assert again is not None and (again.total, again.on_day) == (1, 1)


def test_a_use_of_an_earlier_journal_is_given_back_once_and_for_all(town: Town, sold: Sold) -> None:
    """By what the gate has of it, and what the list tells it, together."""
    gate = town.gate()
    intent = gate.admit(sold, NOON_MS)
    town.upload(gate)
    after = replace(gate, incarnation=b"journal2", entries=[], bodies=[], hashes=[])
    far = FarEntry(gate.incarnation, intent).evidence()
    after.write(EntryKind.RETURNED, NOON_MS + HOUR_MS, ref_seq=-1, pass_id=sold.pass_id, evidence=far)
    town.upload(after, supersedes=Superseded(gate.incarnation, 2))
    row = told(town, sold)
    assert row is not None and (row.total, row.on_day) == (0, 0)
    assert row.marks == (Mark(gate.device.id, gate.incarnation, 2), Mark(gate.device.id, after.incarnation, 1))
    day = moments.day_number(NOON_MS, ZONE)
    kept = [
        PassEntry(-1, EntryKind.INTENT, None, 1, NOON_MS, day, "a-boot", 1),
        PassEntry(0, EntryKind.PASSED, -1, 1, NOON_MS, day, "a-boot", 2),
        PassEntry(1, EntryKind.RETURNED, -1, 1, NOON_MS + HOUR_MS, day, "a-boot", 3),
    ]
    today = Today("a-boot", day, 0, 4, NOON_MS + 2 * HOUR_MS)
    through = {mark.incarnation: mark.seq for mark in row.marks}[after.incarnation]
    assert count(kept, today, row, through).counted.total == 0


def test_a_use_that_a_later_journal_tells_of_is_counted_once(town: Town, sold: Sold) -> None:
    """By what the gate has of it, and what the list tells it, together."""
    gate = town.gate()
    intent = gate.admit(sold, NOON_MS, EntryKind.ANNULLED)
    town.upload(gate)
    after = replace(gate, incarnation=b"journal2", entries=[], bodies=[], hashes=[])
    far = FarEntry(gate.incarnation, intent).evidence()
    after.write(EntryKind.PASSED_LATE, NOON_MS + 3_000, ref_seq=-1, pass_id=sold.pass_id, evidence=far)
    town.upload(after, supersedes=Superseded(gate.incarnation, 2))
    row = told(town, sold)
    assert row is not None and (row.total, row.on_day) == (1, 1)
    day = moments.day_number(NOON_MS, ZONE)
    kept = [
        PassEntry(-1, EntryKind.INTENT, None, 1, NOON_MS, day, "a-boot", 1),
        PassEntry(0, EntryKind.ANNULLED, -1, 1, NOON_MS, day, "a-boot", 2),
        PassEntry(1, EntryKind.PASSED_LATE, -1, 1, NOON_MS + 3_000, day, "a-boot", 3),
    ]
    through = {mark.incarnation: mark.seq for mark in row.marks}[after.incarnation]
    assert count(kept, Today("a-boot", day, 0, 4, NOON_MS + 2 * HOUR_MS), row, through).counted.total == 1


def test_what_lies_beyond_a_gap_is_counted_when_the_gap_is_closed(town: Town, sold: Sold) -> None:
    [other] = town.sell("annual", holders=[Holder("王芳", "11010519491231002X", "13900001234")])
    gate = town.gate()
    for hour, shown in enumerate((sold, other, sold)):
        gate.admit(shown, NOON_MS + hour * HOUR_MS)
    town.upload(gate, 1, 2)
    town.upload(gate, 5, 6)
    gapped = told(town, sold)
    assert gapped is not None
    assert (gapped.total, gapped.marks) == (1, (Mark(gate.device.id, gate.incarnation, 2),))
    town.upload(gate, 3, 4)
    whole = told(town, sold)
    assert whole is not None
    assert (whole.total, whole.marks) == (2, (Mark(gate.device.id, gate.incarnation, 6),))


def test_the_same_batches_again_tell_nothing_new(town: Town, sold: Sold) -> None:
    gate = town.gate()
    gate.admit(sold, NOON_MS)
    town.upload(gate)
    told(town, sold)
    version = fetch(town).head.version
    town.upload(gate)
    told(town, sold)
    assert fetch(town).head.version == version
    with town.centre.read() as connection:
        packed = connection.scalars(sa.select(pass_use.c.row)).one()
    assert msgspec.msgpack.decode(packed, type=UseRow).total == 1
