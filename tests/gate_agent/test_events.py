"""What the doors write of people without an entry of their own is what the day's numbers read."""

from __future__ import annotations

import pytest

from gate_agent.events import EventWord, came_and_went, group_over, hold_over


@pytest.mark.parametrize(
    ("word", "people"),
    [
        (EventWord.EXIT, (0, 1)),
        (f"{EventWord.EXIT}: work", (0, 1)),
        (EventWord.EXIT_ANNULLED, (0, -1)),
        (group_over(3, 4, by_hand=False), (2, 0)),
        (group_over(0, 4, by_hand=False), (0, 0)),
        (group_over(3, 4, by_hand=True), (0, 0)),
        (hold_over(30, 4, counted=True), (30, 4)),
        (hold_over(0, 0, counted=False), (0, 0)),
        ("forced", (0, 0)),
    ],
)
def test_people_who_come_and_go_are_read_as_they_were_written(word: str, people: tuple[int, int]) -> None:
    assert came_and_went(word) == people
