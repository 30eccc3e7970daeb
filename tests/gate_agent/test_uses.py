"""Uses of a pass: every state an intent can end in, the centre's count beside the gate's own, days on both clocks."""

from __future__ import annotations

import pytest

from gate_agent.events import EventWord
from gate_agent.uses import SAME_USE_MS, LastUse, PassEntry, PassUses, Today, count
from wire.feed import UseRow
from wire.messages import EntryKind
from wire.moments import DAY_MS

BOOT = "this"
NOW_MONOTONIC_MS, NOW_MS = 90_000, 10_000_000
TODAY = Today(BOOT, 2513, 50_000, NOW_MONOTONIC_MS, NOW_MS)  # 2026-11-18
PASS = bytes(8)


def entry(
    seq: int, kind: EntryKind, ref_seq: int | None = None, day: int | None = 2513, **changes: object
) -> PassEntry:
    """An entry at lane 1, at minute `seq` of its day."""
    fields: dict[str, object] = {"lane": 1, "at_ms": seq * 60_000, "boot": BOOT, "monotonic_ms": 60_000 + seq}
    return PassEntry(seq, kind, ref_seq, day=day, **(fields | changes))  # type: ignore[arg-type]


def counts_of(passed: PassUses) -> tuple[int, int]:
    """Ever and today."""
    return passed.counted.total, passed.counted.today


def uses(*entries: PassEntry, today: Today = TODAY, centre: UseRow | None = None, through: int = 0) -> PassUses:
    """Counted as the journal thread counts."""
    return count(entries, today, centre, through)


@pytest.mark.parametrize(
    ("kinds", "counts"),
    [
        ([EntryKind.INTENT], 1),
        ([EntryKind.INTENT, EntryKind.PASSED], 1),
        ([EntryKind.INTENT, EntryKind.PASSED_ASSUMED], 1),
        ([EntryKind.INTENT, EntryKind.UNRESOLVED], 1),
        ([EntryKind.INTENT, EntryKind.ANNULLED], 0),
        ([EntryKind.INTENT, EntryKind.ANNULLED, EntryKind.PASSED_LATE], 1),
        ([EntryKind.INTENT, EntryKind.PASSED, EntryKind.RETURNED], 0),
        ([], 0),
    ],
)
def test_the_last_word_on_an_intent_holds(kinds: list[EntryKind], counts: int) -> None:
    entries = [entry(10 + n, kind, None if n == 0 else 10) for n, kind in enumerate(kinds)]
    assert counts_of(uses(*reversed(entries))) == (counts, counts)


def test_what_is_no_step_of_an_admission_does_not_count() -> None:
    assert uses(entry(1, EntryKind.EVENT), entry(2, EntryKind.SHIFT)) == PassUses()


def test_days_are_told_apart() -> None:
    assert counts_of(uses(entry(1, EntryKind.INTENT, day=2512), entry(2, EntryKind.INTENT))) == (2, 1)


@pytest.mark.parametrize(("through", "counts"), [(0, (7, 4)), (1, (6, 3)), (2, (6, 3)), (3, (5, 2))])
def test_what_the_centre_knows_is_added_and_nothing_twice(through: int, counts: tuple[int, int]) -> None:
    own = [entry(1, EntryKind.INTENT), entry(2, EntryKind.PASSED, 1), entry(3, EntryKind.INTENT)]
    assert counts_of(uses(*own, centre=UseRow(PASS, 5, 2513, 2, ()), through=through)) == counts


@pytest.mark.parametrize(("through", "of_centre"), [(0, 0), (2, 1), (3, 0)])
def test_a_use_that_was_returned_here_is_free_at_once_and_not_given_back_twice(through: int, of_centre: int) -> None:
    own = [entry(1, EntryKind.INTENT), entry(2, EntryKind.PASSED, 1), entry(3, EntryKind.RETURNED, 1)]
    row = UseRow(PASS, of_centre, 2513, of_centre, ())
    assert counts_of(uses(*own, centre=row, through=through)) == (0, 0)


@pytest.mark.parametrize(("through", "of_centre"), [(0, 0), (2, 0), (3, 1)])
def test_who_passed_late_counts_again_whatever_the_centre_had_counted(through: int, of_centre: int) -> None:
    own = [entry(1, EntryKind.INTENT), entry(2, EntryKind.ANNULLED, 1), entry(3, EntryKind.PASSED_LATE, 1)]
    row = UseRow(PASS, of_centre, 2513, of_centre, ())
    assert counts_of(uses(*own, centre=row, through=through)) == (1, 1)


def test_the_centres_day_counts_only_if_it_is_today() -> None:
    assert counts_of(uses(centre=UseRow(PASS, 5, 2512, 2, ()))) == (5, 0)


def test_an_entry_of_an_unknown_day_is_placed_by_the_boot_clock() -> None:
    early = entry(1, EntryKind.INTENT, day=None, monotonic_ms=49_999)
    late = entry(2, EntryKind.INTENT, day=None, monotonic_ms=50_000)
    before = entry(3, EntryKind.INTENT, day=None, boot="before", monotonic_ms=60_000)
    assert counts_of(uses(early, late, before)) == (3, 1)


def test_on_an_unknown_day_everything_of_this_boot_is_todays() -> None:
    nobody_knows = Today(BOOT, None, None)
    entries = [
        entry(1, EntryKind.INTENT, day=None),
        entry(2, EntryKind.INTENT, day=2512),
        entry(3, EntryKind.ANNULLED, 2),
    ]
    counted = uses(*entries, entry(4, EntryKind.INTENT, boot="before"), today=nobody_knows)
    assert counts_of(counted) == (2, 1)
    assert counted.in_this_boot == 1


def test_the_latest_use_is_named() -> None:
    own = [
        entry(1, EntryKind.INTENT, lane=1),
        entry(2, EntryKind.PASSED, 1, lane=1),
        entry(3, EntryKind.INTENT, lane=2),
    ]
    assert uses(*own).last == LastUse(180_000, 2)
    assert uses(*own, centre=UseRow(PASS, 1, 2514, 1, ())).last == LastUse(None, None)
    assert uses(centre=UseRow(PASS, 1, 2513, 1, ())).last == LastUse(None, None)
    assert uses().last is None


DAYS = [2513, 2512, 2496, 2495, 2192, 2191]
"""Today, yesterday, the first of November, the last of October, New Year, New Year's Eve."""


def test_months_and_years_are_those_of_the_calendar() -> None:
    counted = uses(*(entry(seq, EntryKind.INTENT, day=day) for seq, day in enumerate(DAYS, 1))).counted
    assert (counted.total, counted.today, counted.this_month, counted.this_year) == (6, 1, 3, 5)


@pytest.mark.parametrize(
    ("day", "counted"), [(2513, (1, 3, 5)), (2512, (0, 3, 5)), (2495, (0, 0, 5)), (2191, (0, 0, 0)), (2514, (0, 0, 0))]
)
def test_the_centre_counts_the_month_and_the_year_of_its_day(day: int, counted: tuple[int, int, int]) -> None:
    found = uses(centre=UseRow(PASS, 9, day, 1, (), 3, 5)).counted
    assert (found.today, found.this_month, found.this_year) == counted
    assert found.total == 9


def test_an_entry_of_an_unknown_day_falls_into_the_month_of_this_boot() -> None:
    first_ms = 50_000 - 17 * DAY_MS  # when the month began by the boot clock
    own = [
        entry(1, EntryKind.INTENT, day=None, monotonic_ms=first_ms),
        entry(2, EntryKind.INTENT, day=None, boot="old"),
    ]
    before = entry(3, EntryKind.INTENT, day=None, monotonic_ms=first_ms - 1)
    counted = uses(*own, before).counted
    assert (counted.total, counted.today, counted.this_month, counted.this_year) == (3, 0, 1, 2)


@pytest.mark.parametrize(
    ("entries", "inside"),
    [
        ([(1, EntryKind.INTENT, None)], True),
        ([(1, EntryKind.INTENT, None), (2, EntryKind.PASSED, 1)], True),
        ([(1, EntryKind.INTENT, None), (2, EntryKind.EVENT, EventWord.EXIT)], False),
        ([(1, EntryKind.INTENT, None), (2, EntryKind.EVENT, EventWord.EXIT), (3, EntryKind.PASSED, 1)], False),
        ([(1, EntryKind.INTENT, None), (2, EntryKind.EVENT, "check")], True),
        ([(1, EntryKind.EVENT, EventWord.EXIT), (2, EntryKind.INTENT, None)], True),
        ([(1, EntryKind.INTENT, None), (2, EntryKind.ANNULLED, 1)], False),
        ([(1, EntryKind.INTENT, None), (2, EntryKind.RETURNED, 1)], False),
        ([(1, EntryKind.INTENT, None), (2, EntryKind.EVENT, EventWord.EXIT), (3, EntryKind.INTENT, None)], True),
        ([(2, EntryKind.EVENT, EventWord.EXIT)], False),
    ],
)
def test_inside_is_who_entered_and_has_not_left(entries: list[tuple[int, EntryKind, object]], inside: bool) -> None:
    made = [
        entry(seq, kind, reason=said) if isinstance(said, str) else entry(seq, kind, said)  # type: ignore[arg-type]
        for seq, kind, said in entries
    ]
    assert uses(*made).counted.inside is inside


def test_nobody_is_inside_since_yesterday() -> None:
    assert not uses(entry(1, EntryKind.INTENT, day=2512)).counted.inside


@pytest.mark.parametrize(
    ("changes", "since_ms"),
    [
        ({"monotonic_ms": 80_000}, 10_000),
        ({"monotonic_ms": 80_000, "day": None, "at_ms": 3}, 10_000),  # the boot clock knows better than any other
        ({"boot": "before", "at_ms": NOW_MS - 7_000}, 7_000),
        ({"boot": "before", "at_ms": NOW_MS + 7_000}, 0),
        ({"boot": "before", "at_ms": NOW_MS - 7_000, "day": None}, None),  # written while the time was not known
    ],
)
def test_how_long_ago_the_newest_entry_was(changes: dict[str, object], since_ms: int | None) -> None:
    assert uses(entry(1, EntryKind.INTENT, **changes)).counted.since_last_ms == since_ms  # type: ignore[arg-type]


def test_the_centre_may_know_of_a_newer_entry_elsewhere() -> None:
    own = entry(1, EntryKind.INTENT, at_ms=NOW_MS - 900_000, monotonic_ms=NOW_MONOTONIC_MS - 900_000)
    elsewhere = UseRow(PASS, 1, 2513, 1, (), 1, 1, NOW_MS - 60_000)
    counted = uses(own, centre=elsewhere)
    assert counted.counted.since_last_ms == 60_000
    assert counted.last == LastUse(NOW_MS - 60_000, None)
    the_same = UseRow(PASS, 1, 2513, 1, (), 1, 1, NOW_MS - 900_000 + SAME_USE_MS)
    assert uses(own, centre=the_same, through=1).last == LastUse(NOW_MS - 900_000, 1)
    nobody_knows = Today(BOOT, None, None, NOW_MONOTONIC_MS)
    assert uses(today=nobody_knows, centre=elsewhere).counted.since_last_ms is None
