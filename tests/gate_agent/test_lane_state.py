"""How a lane stands: every combination of what its state rests on."""

from __future__ import annotations

from itertools import product

import pytest

from gate_agent.faces import LaneTrouble
from gate_agent.lane_state import Inputs, LaneState, Order, Word, lane_state, may_pulse

EVERY = [
    Inputs(starting, fire, trouble, word, has_list, on_trial)
    for starting, fire, trouble, word, has_list, on_trial in product(
        (False, True), (False, True), (None, *LaneTrouble), Word, (False, True), (False, True)
    )
]


@pytest.mark.parametrize(
    ("inputs", "state"),
    [
        (Inputs(), LaneState.OPEN),
        (Inputs(starting=True), LaneState.STARTING),
        (Inputs(has_list=False), LaneState.CLOSED),
        (Inputs(word=Word.CLOSED), LaneState.CLOSED),
        (Inputs(word=Word.HELD_OPEN), LaneState.HELD_OPEN),
        (Inputs(word=Word.HELD_OPEN, has_list=False), LaneState.HELD_OPEN),
        (Inputs(trouble=LaneTrouble.READER), LaneState.OUT_OF_ORDER),
        (Inputs(trouble=LaneTrouble.READER, word=Word.HELD_OPEN), LaneState.HELD_OPEN),
        (Inputs(trouble=LaneTrouble.TURNSTILE, word=Word.HELD_OPEN), LaneState.OUT_OF_ORDER),
        (Inputs(trouble=LaneTrouble.RECORD, word=Word.CLOSED), LaneState.OUT_OF_ORDER),
        (Inputs(fire=True, trouble=LaneTrouble.RECORD, word=Word.CLOSED), LaneState.FIRE),
        (Inputs(fire=True, starting=True), LaneState.FIRE),
        (Inputs(fire=True, on_trial=True), LaneState.FIRE),
        (Inputs(on_trial=True, word=Word.HELD_OPEN), LaneState.COMMISSIONING),
        (Inputs(on_trial=True, trouble=LaneTrouble.MOVED), LaneState.COMMISSIONING),
    ],
)
def test_the_table(inputs: Inputs, state: LaneState) -> None:
    assert lane_state(inputs) is state


def test_fire_is_fire_whatever_else() -> None:
    assert all((lane_state(inputs) is LaneState.FIRE) is inputs.fire for inputs in EVERY)


def test_an_open_lane_has_nothing_against_it() -> None:
    assert [inputs for inputs in EVERY if lane_state(inputs) is LaneState.OPEN] == [Inputs()]


def test_the_arm_is_never_unlocked_in_a_fire_closed_starting_or_with_the_lane_stopped() -> None:
    for inputs in EVERY:
        if may_pulse(inputs):
            assert not inputs.fire
            assert not inputs.starting
            assert not inputs.on_trial
            assert inputs.word is not Word.CLOSED
            assert inputs.trouble in (None, LaneTrouble.READER)
            assert lane_state(inputs) not in (LaneState.FIRE, LaneState.CLOSED, LaneState.STARTING)


def test_staff_may_let_somebody_in_where_only_the_reader_is_broken() -> None:
    assert may_pulse(Inputs(trouble=LaneTrouble.READER))


def test_held_open_ends_by_itself() -> None:
    order = Order(Word.HELD_OPEN, ends_ms=10_000)
    assert [order.word_at(ms) for ms in (0, 9_999, 10_000)] == [Word.HELD_OPEN, Word.HELD_OPEN, Word.OPEN]
    assert Order(Word.CLOSED).word_at(99_999) is Word.CLOSED
