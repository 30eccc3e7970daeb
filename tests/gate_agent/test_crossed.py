"""Lanes whose wires are exchanged, told from pulses and passages; people who only walk oddly are not."""

from __future__ import annotations

import pytest

from gate_agent.crossed import CrossedLanes

S = 1_000_000_000
WINDOWS = {1: 6 * S, 2: 6 * S, 3: 6 * S}


@pytest.fixture
def lanes() -> CrossedLanes:
    """Three lanes."""
    return CrossedLanes(WINDOWS)


def test_a_passage_at_another_lane_twice_is_crossed(lanes: CrossedLanes) -> None:
    lanes.pulsed(1, 0)
    assert lanes.passed(2, 1 * S) is None
    lanes.pulsed(1, 10 * S)
    assert lanes.passed(2, 11 * S) == (1, 2)
    lanes.pulsed(1, 20 * S)
    assert lanes.passed(2, 21 * S) is None, "told once; then it takes twice again"


def test_the_lanes_own_passage_forgives(lanes: CrossedLanes) -> None:
    lanes.pulsed(1, 0)
    assert lanes.passed(2, 1 * S) is None
    lanes.pulsed(1, 10 * S)
    assert lanes.passed(1, 11 * S) is None
    lanes.pulsed(1, 20 * S)
    assert lanes.passed(2, 21 * S) is None


def test_busy_lanes_that_answer_their_own_pulses_are_well(lanes: CrossedLanes) -> None:
    for second in range(0, 100, 2):
        lanes.pulsed(1, second * S)
        lanes.pulsed(2, second * S)
        assert lanes.passed(2, (second + 1) * S) is None
        assert lanes.passed(1, (second + 1) * S) is None


def test_a_forced_passage_after_the_window_accuses_nobody(lanes: CrossedLanes) -> None:
    for second in (0, 20, 40):
        lanes.pulsed(1, second * S)
        assert lanes.passed(2, (second + 7) * S) is None


def test_with_two_lanes_open_nobody_can_tell_which_it_was(lanes: CrossedLanes) -> None:
    for second in (0, 20, 40):
        lanes.pulsed(1, second * S)
        lanes.pulsed(2, second * S)
        assert lanes.passed(3, (second + 1) * S) is None
