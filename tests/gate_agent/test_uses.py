"""Uses of a pass: every state an intent can end in, the centre's count beside the gate's own, days on both clocks."""

from __future__ import annotations

import pytest

from gate_agent.uses import LastUse, PassUses, Step, Today, count
from wire.entitlement import Uses
from wire.feed import UseRow
from wire.messages import EntryKind

BOOT = "this"
TODAY = Today(BOOT, 2513, 50_000)
PASS = bytes(8)


def step(seq: int, kind: EntryKind, ref_seq: int | None = None, day: int | None = 2513, **changes: object) -> Step:
    """An entry at lane 1, at minute `seq` of its day."""
    fields: dict[str, object] = {"lane": 1, "at_ms": seq * 60_000, "boot": BOOT, "monotonic_ms": 60_000 + seq}
    return Step(seq, kind, ref_seq, day=day, **(fields | changes))  # type: ignore[arg-type]


def uses(*steps: Step, today: Today = TODAY, centre: UseRow | None = None, marked: tuple[int, ...] = ()) -> PassUses:
    """Counted as the journal thread counts."""
    return count(steps, today, centre, frozenset(marked))


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
    steps = [step(10 + n, kind, None if n == 0 else 10) for n, kind in enumerate(kinds)]
    assert uses(*reversed(steps)).counted == Uses(total=counts, today=counts)


def test_what_is_no_step_of_an_admission_does_not_count() -> None:
    assert uses(step(1, EntryKind.EVENT), step(2, EntryKind.SHIFT)) == PassUses()


def test_days_are_told_apart() -> None:
    assert uses(step(1, EntryKind.INTENT, day=2512), step(2, EntryKind.INTENT)).counted == Uses(total=2, today=1)


def test_what_the_centre_knows_is_added_and_nothing_twice() -> None:
    own = [step(1, EntryKind.INTENT), step(2, EntryKind.PASSED, 1), step(3, EntryKind.INTENT)]
    centre = UseRow(PASS, 5, 2513, 2, ())
    assert uses(*own, centre=centre).counted == Uses(total=7, today=4)
    for mark in (1, 2):  # the centre may name the intent or its outcome
        assert uses(*own, centre=centre, marked=(mark,)).counted == Uses(total=6, today=3)


def test_a_marked_use_that_was_returned_here_is_not_given_back_twice() -> None:
    own = [step(1, EntryKind.INTENT), step(2, EntryKind.PASSED, 1), step(3, EntryKind.RETURNED, 1)]
    assert uses(*own, centre=UseRow(PASS, 1, 2513, 1, ()), marked=(2,)).counted == Uses(total=1, today=1)


def test_the_centres_day_counts_only_if_it_is_today() -> None:
    assert uses(centre=UseRow(PASS, 5, 2512, 2, ())).counted == Uses(total=5, today=0)


def test_an_entry_of_an_unknown_day_is_placed_by_the_boot_clock() -> None:
    early = step(1, EntryKind.INTENT, day=None, monotonic_ms=49_999)
    late = step(2, EntryKind.INTENT, day=None, monotonic_ms=50_000)
    before = step(3, EntryKind.INTENT, day=None, boot="before", monotonic_ms=60_000)
    assert uses(early, late, before).counted == Uses(total=3, today=1)


def test_on_an_unknown_day_everything_of_this_boot_is_todays() -> None:
    nobody_knows = Today(BOOT, None, None)
    steps = [step(1, EntryKind.INTENT, day=None), step(2, EntryKind.INTENT, day=2512), step(3, EntryKind.ANNULLED, 2)]
    counted = uses(*steps, step(4, EntryKind.INTENT, boot="before"), today=nobody_knows)
    assert counted.counted == Uses(total=2, today=1)
    assert counted.in_this_boot == 1


def test_the_latest_use_is_named() -> None:
    own = [step(1, EntryKind.INTENT, lane=1), step(2, EntryKind.PASSED, 1, lane=1), step(3, EntryKind.INTENT, lane=2)]
    assert uses(*own).last == LastUse(180_000, 2)
    assert uses(*own, centre=UseRow(PASS, 1, 2514, 1, ())).last == LastUse(None, None)
    assert uses(centre=UseRow(PASS, 1, 2513, 1, ())).last == LastUse(None, None)
    assert uses().last is None
