"""Passages: what becomes of each pulse, in tables of what the sensor told and when."""

from __future__ import annotations

import random

import pytest

from gate_agent.passage import CONTINUE_MS, LATE_MS, MAX_OPENINGS, MS, UNREADY_LIMIT_MS, Ending, LanePassages
from wire.messages import EntryKind

WINDOW_MS = 5_000
DUE_MS = WINDOW_MS + 1_000
PASS, OTHER = b"a" * 8, b"b" * 8


def lane(has_sensor: bool = True) -> LanePassages:
    """A lane whose arm stays unlocked for WINDOW_MS."""
    return LanePassages(WINDOW_MS, has_sensor)


def told(endings: list[Ending]) -> list[tuple[str, int]]:
    """What ended, short."""
    return [(ending.kind.name.lower(), ending.intent_seq) for ending in endings]


Moment = tuple[int, str]
"""At so many ms: `edge` (the sensor rises and falls), `up`, `down`, `tick`, `busy` (a tick, the arm not ready)."""


def play(passages: LanePassages, moments: list[Moment]) -> list[tuple[str, int]]:
    """Everything that ended, in order."""
    ended: list[Ending] = []
    for at_ms, what in moments:
        if what in ("edge", "up"):
            ended += passages.edge(True, at_ms * MS)
        if what in ("edge", "down"):
            ended += passages.edge(False, at_ms * MS)
        if what in ("tick", "busy"):
            ended += passages.tick(at_ms * MS, ready=what == "tick")
    return told(ended)


@pytest.mark.parametrize(
    ("moments", "ends"),
    [
        ([(900, "edge"), (DUE_MS, "tick")], [("passed", 1)]),
        ([(DUE_MS - 1, "tick")], []),
        ([(DUE_MS, "tick")], [("annulled", 1)]),
        ([(DUE_MS, "tick"), (DUE_MS + LATE_MS, "edge")], [("annulled", 1), ("passed_late", 1)]),
        ([(DUE_MS, "tick"), (DUE_MS + LATE_MS + 1, "edge")], [("annulled", 1)]),
        ([(DUE_MS, "tick"), (DUE_MS + 1, "edge"), (DUE_MS + 2, "edge")], [("annulled", 1), ("passed_late", 1)]),
        ([(DUE_MS, "busy"), (DUE_MS + 5_000, "busy"), (DUE_MS + 6_000, "tick")], [("annulled", 1)]),
        ([(DUE_MS, "busy"), (DUE_MS + 5_000, "edge")], [("passed", 1)]),
        ([(DUE_MS + UNREADY_LIMIT_MS, "busy")], [("unresolved", 1)]),
        ([(900, "down"), (DUE_MS, "tick")], [("annulled", 1)]),  # an edge that ends nothing that began
        ([(900, "edge"), (1_600, "edge")], [("passed", 1)]),  # a second person has no intent here
    ],
)
def test_one_pulse(moments: list[Moment], ends: list[tuple[str, int]]) -> None:
    passages = lane()
    assert not passages.pulsed(1, PASS, 0)
    assert play(passages, moments) == ends


def test_a_sensor_that_was_on_before_the_pulse_tells_nothing() -> None:
    passages = lane()
    assert not passages.edge(True, 0)
    assert not passages.pulsed(1, PASS, 10 * MS)
    assert play(passages, [(DUE_MS + 10, "tick")]) == [("passed_assumed", 1)]


def test_the_one_before_still_turns_when_the_next_is_let_in() -> None:
    passages = lane()
    passages.pulsed(1, PASS, 0)
    assert play(passages, [(700, "up")]) == [("passed", 1)]
    passages.pulsed(2, OTHER, 800 * MS)
    assert play(passages, [(1_400, "down"), (2_000, "up")]) == [("passed", 2)]


def test_two_that_wait_pass_in_the_order_they_were_let_in() -> None:
    passages = lane()
    passages.pulsed(1, PASS, 0)
    passages.pulsed(2, OTHER, 1_000 * MS)
    assert play(passages, [(1_500, "edge"), (2_500, "edge")]) == [("passed", 1), ("passed", 2)]


def test_nothing_is_annulled_while_a_later_pulse_keeps_the_arm_unlocked() -> None:
    passages = lane()
    passages.pulsed(1, PASS, 0)
    passages.pulsed(2, OTHER, 4_000 * MS)
    assert play(passages, [(DUE_MS, "tick")]) == []
    assert play(passages, [(4_000 + DUE_MS, "tick")]) == [("annulled", 1), ("annulled", 2)]


def test_an_edge_before_the_pulse_is_not_its() -> None:
    passages = lane()
    passages.pulsed(1, PASS, 1_000 * MS)
    assert play(passages, [(1_000, "edge"), (1_000 + DUE_MS, "tick")]) == [("annulled", 1)]


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
    passages.pulsed(2, PASS, 1_000 * MS)
    return passages


def test_shown_again_the_same_pass_gets_one_more_pulse_counted_once() -> None:
    passages = proven()
    opening = passages.may_go_on(PASS, ready=True)
    assert opening is not None
    assert opening.intent_seq == 2
    assert not passages.pulsed_again(opening, 3_000 * MS)
    assert passages.may_go_on(PASS, ready=True) is None  # once
    assert play(passages, [(1_000 + DUE_MS, "tick")]) == []  # the second pulse has its own window
    assert play(passages, [(3_000 + DUE_MS, "tick")]) == [("annulled", 2)]


@pytest.mark.parametrize("why", ["another pass", "not ready", "sensor on", "sensor silent for three pulses"])
def test_shown_again_in_vain(why: str) -> None:
    passages = proven()
    if why == "sensor on":
        passages.edge(True, 999 * MS)
    if why == "sensor silent for three pulses":
        for seq in (3, 4):
            passages.pulsed(seq, OTHER, 1_000 * MS + seq)
    shown = OTHER if why == "another pass" else PASS
    assert passages.may_go_on(shown, ready=why != "not ready") is None


def test_after_a_crash_the_same_pass_goes_on_for_a_while() -> None:
    passages = lane()
    assert not passages.recover(7, PASS, 4_000, 100_000 * MS)
    opening = passages.may_go_on(PASS, ready=True)
    assert opening is not None
    assert not passages.pulsed_again(opening, 101_000 * MS)
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
    passages.pulsed_again(opening, 1_000 * MS)
    assert play(passages, [(1_000 + DUE_MS, "tick")]) == [("unresolved", 7)]


def test_after_a_crash_a_lane_without_a_sensor_goes_on_once() -> None:
    passages = lane(has_sensor=False)
    passages.recover(7, PASS, 0, 0)
    opening = passages.may_go_on(PASS, ready=True)
    assert opening is not None
    assert told(passages.pulsed_again(opening, 1_000 * MS)) == [("passed_assumed", 7)]
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
    assert passages.next_tick_ns(0) == DUE_MS * MS
    late = passages.next_tick_ns((DUE_MS + 500) * MS)
    assert late is not None
    assert late > (DUE_MS + 500) * MS


def test_every_intent_ends_exactly_once_whatever_happens() -> None:
    """Random moments: each intent gets one closing outcome, and `passed_late` only after an annulment."""
    chance = random.Random(7)
    closing = {EntryKind.PASSED, EntryKind.PASSED_ASSUMED, EntryKind.ANNULLED, EntryKind.UNRESOLVED}
    for _ in range(200):
        passages, ended, now_ms = lane(has_sensor=chance.random() < 0.9), [], 0
        for seq in range(1, 40):
            now_ms += chance.randrange(1, 9_000)
            match chance.randrange(4):
                case 0:
                    opening = passages.may_go_on(PASS, ready=True)
                    if opening is not None:
                        ended += passages.pulsed_again(opening, now_ms * MS)
                case 1:
                    ended += passages.edge(chance.random() < 0.6, now_ms * MS)
                case 2:
                    ended += passages.tick(now_ms * MS, ready=chance.random() < 0.8)
                case _:
                    pass
            ended += passages.pulsed(seq, PASS, now_ms * MS)
        ended += passages.tick((now_ms + DUE_MS + UNREADY_LIMIT_MS) * MS, ready=False)
        for seq in range(1, 40):
            kinds = [ending.kind for ending in ended if ending.intent_seq == seq]
            assert sum(kind in closing for kind in kinds) == 1
            assert kinds.count(EntryKind.PASSED_LATE) <= kinds.count(EntryKind.ANNULLED)
