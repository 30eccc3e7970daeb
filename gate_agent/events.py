"""The journal's words for people who come and go without an entry of their own: written here and read here (pure).

docs/journal.md explains them, and all the other events.
"""

from __future__ import annotations

import re

EXIT = "exit"
"""Somebody left; at a lane out of the venue the pass id stands beside it."""
STAYED = "exit_annulled"
"""Nobody walked out on the newest of these: who only shows his pass has not left."""
_GROUP, _GROUP_BY_HAND, _HOLD_OVER = "group", "group_by_hand", "held_open_ended"
_GROUP_TOLD = re.compile(rf"{_GROUP}: (\d+) of \d+")
_HOLD_TOLD = re.compile(rf"{_HOLD_OVER}: (\d+) through, (\d+) back")


def group_over(through: int, persons: int, by_hand: bool) -> str:
    """Of the people of one party so many walked through; by hand each of them has an entry too."""
    return f"{_GROUP_BY_HAND if by_hand else _GROUP}: {through} of {persons}"


def hold_over(through: int, back: int, counted: bool) -> str:
    """The lane is no longer held open. `counted`: it has a sensor that told."""
    return f"{_HOLD_OVER}: {through} through, {back} back" if counted else f"{_HOLD_OVER}: not counted"


def came_and_went(word: str) -> tuple[int, int]:
    """How many people an event says came in, and left, beside those with an entry of their own."""
    name = word.partition(":")[0]
    if name in (EXIT, STAYED):
        return 0, 1 if name == EXIT else -1
    if group := _GROUP_TOLD.fullmatch(word):
        return max(0, int(group[1]) - 1), 0  # the first is the intent's own
    if held := _HOLD_TOLD.fullmatch(word):
        return int(held[1]), int(held[2])
    return 0, 0
