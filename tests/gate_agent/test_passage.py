"""Passages: what becomes of each pulse, in tables of what the sensor told and when."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate_agent.passage import (
    CONTINUE_MS,
    FOLLOW_MS,
    LATE_MS,
    MAX_OPENINGS,
    NS_PER_MS,
    UNREADY_LIMIT_MS,
    Ending,
    LanePassages,
    Sighting,
)
from hardware.turnstile import Direction
from wire.messages import EntryKind

WINDOW_MS = 5_000
DUE_MS = WINDOW_MS + 1_000
PASS, OTHER = b"a" * 8, b"b" * 8
IN, OUT = Direction.IN, Direction.OUT


def lane(has_sensor: bool = True) -> LanePassages:
    """A lane whose arm stays unlocked for WINDOW_MS."""
    return LanePassages(WINDOW_MS, has_sensor)


def told(endings: Sequence[Ending | Sighting]) -> list[tuple[str, int]]:
    """What ended, short; 0 for what belongs to no pulse."""
    return [(one.value, 0) if isinstance(one, Sighting) else (one.kind.name.lower(), one.intent_seq) for one in endings]


Moment = tuple[int, str]
"""At so many ms: `edge` (the sensor rises and falls), `up`, `down`, `out` (the other way), `tick`, `busy` (a tick, the
arm not ready)."""


def play(passages: LanePassages, moments: list[Moment]) -> list[tuple[str, int]]:
    """Everything that ended, in order."""
    ended: list[Ending | Sighting] = []
    for at_ms, what in moments:
        if what in ("edge", "up"):
            ended += passages.edge(IN, True, at_ms * NS_PER_MS)
        if what in ("edge", "down"):
            ended += passages.edge(IN, False, at_ms * NS_PER_MS)
        if what == "out":
            ended += passages.edge(OUT, True, at_ms * NS_PER_MS)
            ended += passages.edge(OUT, False, at_ms * NS_PER_MS)
        if what in ("tick", "busy"):
            ended += passages.tick(at_ms * NS_PER_MS, ready=what == "tick")
    return told(ended)


@pytest.mark.parametrize(
    ("moments", "ends"),
    [
        ([(900, "edge"), (DUE_MS, "tick")], [("passed", 1)]),
        ([(DUE_MS - 1, "tick")], []),
        ([(DUE_MS, "tick")], [("annulled", 1)]),
        ([(DUE_MS, "tick"), (DUE_MS + LATE_MS, "edge")], [("annulled", 1), ("passed_late", 1)]),
        ([(DUE_MS, "tick"), (DUE_MS + LATE_MS + 1, "edge")], [("annulled", 1), ("forced", 0)]),
        (
            [(DUE_MS, "tick"), (DUE_MS + 1, "edge"), (DUE_MS + 2, "edge")],
            [("annulled", 1), ("passed_late", 1), ("second_person", 0)],
        ),
        ([(DUE_MS, "busy"), (DUE_MS + 5_000, "busy"), (DUE_MS + 6_000, "tick")], [("annulled", 1)]),
        ([(DUE_MS, "busy"), (DUE_MS + 5_000, "edge")], [("passed", 1)]),
        ([(DUE_MS + UNREADY_LIMIT_MS, "busy")], [("unresolved", 1)]),
        ([(900, "down"), (DUE_MS, "tick")], [("annulled", 1)]),  # an edge that ends nothing that began
        ([(900, "edge"), (1_600, "edge")], [("passed", 1), ("second_person", 0)]),
        ([(900, "edge"), (1_600, "out")], [("passed", 1), ("backwards", 0)]),
        ([(900, "out"), (DUE_MS, "tick")], [("backwards", 0), ("annulled", 1)]),
        ([(900, "edge"), (DUE_MS + 1, "edge")], [("passed", 1), ("forced", 0)]),
        ([(900, "edge"), (DUE_MS + 1, "out")], [("passed", 1), ("forced", 0)]),
        (  # a slow one, and somebody close behind
            [(900, "up"), (9_000, "down"), (9_000 + FOLLOW_MS, "edge")],
            [("passed", 1), ("second_person", 0)],
        ),
        ([(900, "up"), (9_000, "down"), (9_001 + FOLLOW_MS, "edge")], [("passed", 1), ("forced", 0)]),
    ],
)
def test_one_pulse(moments: list[Moment], ends: list[tuple[str, int]]) -> None:
    passages = lane()
    assert not passages.pulsed(1, PASS, 0)
    assert play(passages, moments) == ends


def test_a_sensor_that_was_on_before_the_pulse_tells_nothing() -> None:
    passages = lane()
    assert told(passages.edge(IN, True, 0)) == [("forced", 0)]
    assert not passages.pulsed(1, PASS, 10 * NS_PER_MS)
    assert play(passages, [(DUE_MS + 10, "tick")]) == [("passed_assumed", 1)]


def test_the_one_before_still_turns_when_the_next_is_let_in() -> None:
    passages = lane()
    passages.pulsed(1, PASS, 0)
    assert play(passages, [(700, "up")]) == [("passed", 1)]
    passages.pulsed(2, OTHER, 800 * NS_PER_MS)
    assert play(passages, [(1_400, "down"), (2_000, "up")]) == [("passed", 2)]


def test_two_that_wait_pass_in_the_order_they_were_let_in() -> None:
    passages = lane()
    passages.pulsed(1, PASS, 0)
    passages.pulsed(2, OTHER, 1_000 * NS_PER_MS)
    assert play(passages, [(1_500, "edge"), (2_500, "edge")]) == [("passed", 1), ("passed", 2)]


def test_nothing_is_annulled_while_a_later_pulse_keeps_the_arm_unlocked() -> None:
    passages = lane()
    passages.pulsed(1, PASS, 0)
    passages.pulsed(2, OTHER, 4_000 * NS_PER_MS)
    assert play(passages, [(DUE_MS, "tick")]) == []
    assert play(passages, [(4_000 + DUE_MS, "tick")]) == [("annulled", 1), ("annulled", 2)]


def test_an_edge_before_the_pulse_is_not_its() -> None:
    passages = lane()
    passages.pulsed(1, PASS, 1_000 * NS_PER_MS)
    assert play(passages, [(1_000, "edge"), (1_000 + DUE_MS, "tick")]) == [("second_person", 0), ("annulled", 1)]


def test_without_a_sensor_a_pulse_is_a_passage() -> None:
    passages = lane(has_sensor=False)
    assert told(passages.pulsed(1, PASS, 0)) == [("passed_assumed", 1)]
    assert passages.may_go_on(PASS, ready=True) is None
    assert passages.next_tick_ns(0) is None


def test_intents_beyond_the_limit_are_not_kept_waiting() -> None:
    passages = lane()
    for seq in range(MAX_OPENINGS):
        assert not passages.pulsed(seq, PASS, seq)
    assert told(passages.pulsed(MAX_OPENINGS, PASS, MAX_OPENINGS)) == [("unresolved", 0)]


def proven() -> LanePassages:
    """A lane whose sensor told of a passage a moment ago, with an intent of PASS open since."""
    passages = lane()
    passages.pulsed(1, OTHER, 0)
    assert play(passages, [(500, "edge")]) == [("passed", 1)]
    passages.pulsed(2, PASS, 1_000 * NS_PER_MS)
    return passages


def test_shown_again_the_same_pass_gets_one_more_pulse_counted_once() -> None:
    passages = proven()
    opening = passages.may_go_on(PASS, ready=True)
    assert opening is not None
    assert opening.intent_seq == 2
    assert not passages.pulsed_again(opening, 3_000 * NS_PER_MS)
    assert passages.may_go_on(PASS, ready=True) is None  # once
    assert play(passages, [(1_000 + DUE_MS, "tick")]) == []  # the second pulse has its own window
    assert play(passages, [(3_000 + DUE_MS, "tick")]) == [("annulled", 2)]


@pytest.mark.parametrize("why", ["another pass", "not ready", "sensor on", "sensor silent for three pulses"])
def test_shown_again_in_vain(why: str) -> None:
    passages = proven()
    if why == "sensor on":
        passages.edge(IN, True, 999 * NS_PER_MS)
    if why == "sensor silent for three pulses":
        for seq in (3, 4):
            passages.pulsed(seq, OTHER, 1_000 * NS_PER_MS + seq)
    shown = OTHER if why == "another pass" else PASS
    assert passages.may_go_on(shown, ready=why != "not ready") is None


def test_after_a_crash_the_same_pass_goes_on_for_a_while() -> None:
    passages = lane()
    assert not passages.recover(7, PASS, 4_000, 100_000 * NS_PER_MS)
    opening = passages.may_go_on(PASS, ready=True)
    assert opening is not None
    assert not passages.pulsed_again(opening, 101_000 * NS_PER_MS)
    assert play(passages, [(101_500, "edge")]) == [("passed", 7)]


@pytest.mark.parametrize(
    ("moments", "ends"),
    [
        ([(11_000, "tick")], [("unresolved", 7)]),
        ([(10_999, "tick")], []),
        ([(1_000, "edge")], [("passed", 7)]),  # the pulse before the crash still counts
    ],
)
def test_after_a_crash_nobody_comes_back(moments: list[Moment], ends: list[tuple[str, int]]) -> None:
    passages = lane()
    assert not passages.recover(7, PASS, CONTINUE_MS - 11_000, 0)
    assert play(passages, moments) == ends


def test_after_a_crash_nothing_is_annulled_because_somebody_may_have_passed_unseen() -> None:
    passages = lane()
    passages.recover(7, PASS, 0, 0)
    opening = passages.may_go_on(PASS, ready=True)
    assert opening is not None
    passages.pulsed_again(opening, 1_000 * NS_PER_MS)
    assert play(passages, [(1_000 + DUE_MS, "tick")]) == [("unresolved", 7)]


def test_after_a_crash_a_lane_without_a_sensor_goes_on_once() -> None:
    passages = lane(has_sensor=False)
    passages.recover(7, PASS, 0, 0)
    opening = passages.may_go_on(PASS, ready=True)
    assert opening is not None
    assert told(passages.pulsed_again(opening, 1_000 * NS_PER_MS)) == [("passed_assumed", 7)]
    assert passages.may_go_on(PASS, ready=True) is None


@pytest.mark.parametrize("age_ms", [CONTINUE_MS, -1])
def test_what_is_too_old_or_of_another_boot_is_unresolved_at_once(age_ms: int) -> None:
    passages = lane()
    assert told(passages.recover(7, PASS, age_ms, 0)) == [("unresolved", 7)]
    assert passages.may_go_on(PASS, ready=True) is None


def test_the_next_look_is_when_something_is_due_and_never_in_a_busy_loop() -> None:
    passages = lane()
    assert passages.next_tick_ns(0) is None
    passages.pulsed(1, PASS, 0)
    assert passages.next_tick_ns(0) == DUE_MS * NS_PER_MS
    late = passages.next_tick_ns((DUE_MS + 500) * NS_PER_MS)
    assert late is not None
    assert late > (DUE_MS + 500) * NS_PER_MS


Step = tuple[str, int, bool]
"""What happens, after how many ms, and a coin for it."""
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["pulse", "free", "again", "in", "out", "tick", "held"]), st.integers(1, 9_000), st.booleans()
    ),
    max_size=60,
)
CLOSING_KINDS = {EntryKind.PASSED, EntryKind.PASSED_ASSUMED, EntryKind.ANNULLED, EntryKind.UNRESOLVED}


@given(steps=STEPS, has_sensor=st.booleans(), stuck=st.booleans())
def test_every_pulse_ends_exactly_once_whatever_happens(steps: list[Step], has_sensor: bool, stuck: bool) -> None:
    """Each one gets one closing outcome, and `passed_late` only after an annulment; nobody is counted twice."""
    passages, now_ms, seq = lane(has_sensor), 0, 0
    ended: list[Ending | Sighting] = []
    risings = 0
    for what, pause_ms, coin in steps:
        now_ms += pause_ms
        if what in ("pulse", "free"):
            seq += 1
            ended += passages.pulsed(seq, PASS, now_ms * NS_PER_MS, free=what == "free", sensor_on=stuck)
        elif what == "again":
            opening = passages.may_go_on(PASS, ready=coin)
            ended += [] if opening is None else passages.pulsed_again(opening, now_ms * NS_PER_MS)
        elif what in ("in", "out") and has_sensor:
            told_of = passages.edge(IN if what == "in" else OUT, coin, now_ms * NS_PER_MS)
            risings += bool(told_of)
            ended += told_of
        elif what in ("tick", "held"):
            ended += passages.tick(now_ms * NS_PER_MS, ready=coin, sensor_on=stuck, held=what == "held")
    ended += passages.tick((now_ms + DUE_MS + UNREADY_LIMIT_MS) * NS_PER_MS, ready=False)
    assert passages.next_tick_ns(0) is None
    kinds = [[one.kind for one in ended if isinstance(one, Ending) and one.intent_seq == n] for n in range(1, seq + 1)]
    for own in kinds:
        assert sum(kind in CLOSING_KINDS for kind in own) == 1
        assert own.count(EntryKind.PASSED_LATE) <= own.count(EntryKind.ANNULLED)
    walked = sum(own.count(EntryKind.PASSED) + own.count(EntryKind.PASSED_LATE) for own in kinds)
    seen = sum(isinstance(one, Sighting) and one is not Sighting.ANNULLED_OFTEN for one in ended)
    assert walked + seen == risings, "each time the arm turns is told once"


def test_who_has_an_intent_comes_before_who_has_none() -> None:
    passages = lane()
    passages.pulsed(1, b"", 0, free=True)
    passages.pulsed(2, PASS, 100 * NS_PER_MS)
    (first,) = passages.edge(IN, True, 500 * NS_PER_MS)
    assert isinstance(first, Ending)
    assert (first.intent_seq, first.free) == (2, False)
    passages.edge(IN, False, 600 * NS_PER_MS)
    (second,) = passages.edge(IN, True, 700 * NS_PER_MS)
    assert isinstance(second, Ending)
    assert (second.intent_seq, second.free) == (1, True)


def test_the_next_one_may_follow_when_the_arm_is_locked_and_empty_and_nobody_else_is_awaited() -> None:
    passages = lane()
    assert passages.is_free_for_next(0, ready=True)
    passages.pulsed(1, PASS, 0)
    assert not passages.is_free_for_next(100 * NS_PER_MS, ready=True)
    passages.edge(IN, True, 500 * NS_PER_MS)
    assert not passages.is_free_for_next(600 * NS_PER_MS, ready=True), "somebody is in the arm"
    passages.edge(IN, False, 700 * NS_PER_MS)
    assert not passages.is_free_for_next(700 * NS_PER_MS, ready=False)
    assert passages.is_free_for_next(700 * NS_PER_MS, ready=True)


def test_without_a_sensor_the_next_one_follows_when_the_window_is_over() -> None:
    passages = lane(has_sensor=False)
    passages.pulsed(1, PASS, 0)
    assert [passages.is_free_for_next(ms * NS_PER_MS, ready=True) for ms in (WINDOW_MS - 1, WINDOW_MS)] == [False, True]


def test_a_lane_held_open_waits_for_nobody_and_says_that_whoever_showed_a_code_may_have_walked_in() -> None:
    passages = lane()
    passages.pulsed(1, b"", 0, free=True)
    passages.pulsed(2, PASS, 1_000 * NS_PER_MS)
    assert not passages.tick((WINDOW_MS + 999) * NS_PER_MS, ready=True, held=True)
    (free,) = passages.tick((WINDOW_MS + 1_000) * NS_PER_MS, ready=True, held=True)
    passages.pulsed(3, b"", (WINDOW_MS + 1_000) * NS_PER_MS, free=True)
    assert told(passages.tick((1_000 + DUE_MS) * NS_PER_MS, ready=True, held=True)) == [("passed_assumed", 2)]
    assert isinstance(free, Ending)
    assert (free.kind, free.intent_seq, free.free) == (EntryKind.ANNULLED, 1, True)


@pytest.mark.parametrize("sensor_on", [True, False])
def test_a_sensor_that_is_on_without_an_edge_tells_nothing_either(sensor_on: bool) -> None:
    """Its wire was cut before the start: annulling would give every right back."""
    passages = lane()
    passages.pulsed(1, PASS, 0, sensor_on=True)
    assert told(passages.tick(DUE_MS * NS_PER_MS, ready=True, sensor_on=sensor_on)) == [("passed_assumed", 1)]


def test_who_pushes_the_arm_first_and_then_shows_his_code_gets_no_right_back() -> None:
    """He turns the arm to its end without another edge: annulled, one right would let him in again and again."""
    passages = lane()
    assert passages.edge(IN, True, 1_000 * NS_PER_MS) == [Sighting.FORCED]
    passages.pulsed(1, PASS, 1_200 * NS_PER_MS)
    passages.edge(IN, False, 1_900 * NS_PER_MS)
    assert told(passages.tick((1_200 + DUE_MS) * NS_PER_MS, ready=True)) == [("passed_assumed", 1)]


def test_who_shows_a_code_while_the_one_before_still_walks_and_then_stays_gets_his_right_back() -> None:
    passages = lane()
    passages.pulsed(1, OTHER, 0)
    assert play(passages, [(500, "up")]) == [("passed", 1)]
    passages.pulsed(2, PASS, 700 * NS_PER_MS)
    passages.edge(IN, False, 900 * NS_PER_MS)
    assert told(passages.tick((700 + DUE_MS) * NS_PER_MS, ready=True)) == [("annulled", 2)]


def test_three_of_the_last_ten_that_nobody_walked_through_are_too_many() -> None:
    passages, ended = lane(), list[tuple[str, int]]()
    for seq in range(1, 20):
        began_ms = seq * 20_000
        passages.pulsed(seq, PASS, began_ms * NS_PER_MS)
        walked = [(began_ms + 500, "edge")] if seq % 4 else []
        ended += play(passages, [*walked, (began_ms + DUE_MS, "tick")])
    assert [n for n, one in enumerate(ended) if one[0] == "annulled_often"] == [12], "with the third, and then anew"
    assert ended[11] == ("annulled", 12)


def test_ten_that_walk_make_up_for_two_that_did_not() -> None:
    passages, ended = lane(), list[tuple[str, int]]()
    for seq in range(1, 30):
        began_ms = seq * 20_000
        passages.pulsed(seq, PASS, began_ms * NS_PER_MS)
        walked = [(began_ms + 500, "edge")] if seq % 5 else []
        ended += play(passages, [*walked, (began_ms + DUE_MS, "tick")])
    assert "annulled_often" not in [what for what, _ in ended]


def test_a_way_that_needs_no_pulse_is_counted_and_not_forced() -> None:
    passages = LanePassages(WINDOW_MS, True, IN, frozenset({OUT}))
    assert told(passages.edge(OUT, True, 0)) == [("exit", 0)]
    free_exit = LanePassages(WINDOW_MS, True, OUT, frozenset({OUT}))
    assert told(free_exit.edge(OUT, True, 0)) == [("exit", 0)]
    assert told(free_exit.edge(IN, True, 1_000 * NS_PER_MS)) == [("forced", 0)]
