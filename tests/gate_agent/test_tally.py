"""The day's numbers, followed along the journal: today's, and how many had entered a day before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gate_agent import pruning
from gate_agent import tally as tally_module
from gate_agent.entries import Entries, Placed
from gate_agent.entries_view import EntriesView
from gate_agent.status import Counters
from gate_agent.tally import Tally
from tests.gate_agent.test_entries import entry, opened
from tests.gate_agent.test_pruning import prune_all
from tests.gate_agent.venue import NOW_MS
from wire.messages import EntryKind
from wire.moments import DAY_MS, HOUR_MS
from wire.reasons import Reason


def numbers(entries: Entries, tally: Tally, folder: Path, day: int | None, now_ms: int | None) -> Counters:
    """The tally after everything was written."""
    with EntriesView.open(folder) as view:
        return tally.follow(view, day, now_ms)


def test_the_days_numbers(tmp_path: Path) -> None:
    entries, tally = opened(tmp_path), Tally()
    today, yesterday = Placed("this", 2513), Placed("this", 2512)

    def write(kind: EntryKind, placed: Placed = today, at_ms: int = NOW_MS, reason: str | None = None) -> None:
        with entries.transaction():
            entries.append(entry(kind, device_at_ms=at_ms, reason=reason, ref_seq=None), placed)

    write(EntryKind.PASSED, yesterday)
    write(EntryKind.PASSED, at_ms=NOW_MS - HOUR_MS)
    write(EntryKind.PASSED)
    write(EntryKind.PASSED_ASSUMED)
    write(EntryKind.ANNULLED)
    write(EntryKind.REFUSED, reason="expired")
    assert numbers(entries, tally, tmp_path, 2513, NOW_MS) == Counters(3, 2, None, {Reason.EXPIRED: 1})
    write(EntryKind.REFUSED, reason="expired")
    write(EntryKind.REFUSED, reason="used_up")
    write(EntryKind.REFUSED, reason="of_a_newer_release")
    refused = {Reason.EXPIRED: 2, Reason.USED_UP: 1}
    assert numbers(entries, tally, tmp_path, 2513, NOW_MS) == Counters(3, 2, None, refused)
    assert numbers(entries, Tally(), tmp_path, 2513, NOW_MS) == Counters(3, 2, None, refused)  # after a restart
    assert numbers(entries, tally, tmp_path, 2514, NOW_MS + DAY_MS) == Counters(0, 0, None, {}, yesterday_by_now=3)
    assert numbers(entries, tally, tmp_path, None, None) == Counters()
    entries.close()


@pytest.mark.parametrize(
    ("written", "entered", "inside"),
    [
        ([(EntryKind.PASSED, None)], 1, 1),
        ([(EntryKind.MANUAL, "booked"), (EntryKind.MANUAL, "booked"), (EntryKind.RETURNED, "fault")], 1, 1),
        ([(EntryKind.PASSED, None), (EntryKind.EVENT, "exit"), (EntryKind.EVENT, "exit")], 1, 0),
        ([(EntryKind.PASSED, None), (EntryKind.EVENT, "group: 3 of 4"), (EntryKind.EVENT, "exit")], 3, 2),
        ([(EntryKind.PASSED, None), (EntryKind.EVENT, "exit: other")], 1, 0),
        ([(EntryKind.PASSED, None), (EntryKind.EVENT, "exit"), (EntryKind.EVENT, "exit_annulled")], 1, 1),
        ([(EntryKind.EVENT, "group: 0 of 4"), (EntryKind.EVENT, "group_by_hand: 3 of 4")], 0, 0),
        ([(EntryKind.EVENT, "held_open_ended: 30 through, 4 back"), (EntryKind.EVENT, "exit")], 30, 25),
        ([(EntryKind.EVENT, "held_open_ended: not counted"), (EntryKind.EVENT, "second_person")], 0, 0),
    ],
)
def test_who_is_inside_where_exits_are_seen(
    tmp_path: Path, written: list[tuple[EntryKind, str | None]], entered: int, inside: int
) -> None:
    entries = opened(tmp_path)
    with entries.transaction():
        for kind, reason in written:
            entries.append(entry(kind, device_at_ms=NOW_MS, reason=reason, ref_seq=None), Placed("this", 2513))
    counted = numbers(entries, Tally(counts_exits=True), tmp_path, 2513, NOW_MS)
    assert (counted.entered_today, counted.inside) == (entered, inside)
    assert numbers(entries, Tally(), tmp_path, 2513, NOW_MS).inside is None
    entries.close()


@pytest.fixture
def entries(tmp_path: Path) -> Iterator[Entries]:
    """An empty journal."""
    with closing(opened(tmp_path)) as opened_entries:
        yield opened_entries


def write(entries: Entries, day: int | None, at_ms: int, kind: EntryKind = EntryKind.PASSED, **what: object) -> None:
    """One entry of a day."""
    with entries.transaction():
        entries.append(entry(kind, device_at_ms=at_ms, ref_seq=None, **what), Placed("this", day))


def yesterday_by_now(tally: Tally, folder: Path, now_ms: int = NOW_MS) -> int | None:
    with EntriesView.open(folder) as view:
        return tally.follow(view, 2513, now_ms).yesterday_by_now


def test_yesterday_at_this_time_moves_on_with_the_clock(entries: Entries, tmp_path: Path) -> None:
    then_ms, tally = NOW_MS - DAY_MS, Tally()
    write(entries, 2511, then_ms - DAY_MS)
    write(entries, 2512, then_ms - HOUR_MS)
    write(entries, 2512, then_ms, EntryKind.MANUAL, reason="booked")
    write(entries, 2512, then_ms, EntryKind.REFUSED, reason="expired")
    write(entries, 2512, then_ms + HOUR_MS, EntryKind.EVENT, reason="group: 3 of 4")
    write(entries, 2512, then_ms + 2 * HOUR_MS, EntryKind.RETURNED)
    write(entries, 2513, NOW_MS)
    for later_h, told in enumerate([2, 4, 3]):
        assert yesterday_by_now(tally, tmp_path, NOW_MS + later_h * HOUR_MS) == told
    assert yesterday_by_now(Tally(), tmp_path) == 2, "the same after a restart"
    assert yesterday_by_now(tally, tmp_path, NOW_MS - HOUR_MS) == 1


def test_a_day_on_which_nobody_came_is_a_nought(entries: Entries, tmp_path: Path) -> None:
    write(entries, 2511, NOW_MS - 2 * DAY_MS)
    write(entries, 2513, NOW_MS)
    assert yesterday_by_now(Tally(), tmp_path) == 0


def test_yesterday_is_not_told_of_a_journal_that_begins_with_it(entries: Entries, tmp_path: Path) -> None:
    assert yesterday_by_now(Tally(), tmp_path) is None
    write(entries, None, NOW_MS - 2 * DAY_MS)
    write(entries, 2512, NOW_MS - DAY_MS)
    assert yesterday_by_now(Tally(), tmp_path) is None


def test_yesterday_is_not_told_of_a_journal_too_long_to_be_read_so_far_back(
    entries: Entries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(entries, 2511, NOW_MS - 2 * DAY_MS)
    write(entries, 2512, NOW_MS - DAY_MS)
    assert yesterday_by_now(Tally(), tmp_path) == 1
    monkeypatch.setattr(tally_module, "LOOK_BACK_ENTRIES", 1)
    assert yesterday_by_now(Tally(), tmp_path) is None


def test_yesterday_is_not_told_once_it_was_pruned(
    entries: Entries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "NEWEST_KEPT", 0)
    write(entries, 2511, NOW_MS - 2 * DAY_MS)
    write(entries, 2512, NOW_MS - DAY_MS, EntryKind.EVENT, reason="group: 3 of 4", pass_id=None)
    write(entries, 2512, NOW_MS - DAY_MS)
    write(entries, 2513, NOW_MS)
    tally = Tally()
    assert yesterday_by_now(tally, tmp_path) == 3
    prune_all(entries, 4)
    assert yesterday_by_now(tally, tmp_path) is None
    assert yesterday_by_now(Tally(), tmp_path) is None
