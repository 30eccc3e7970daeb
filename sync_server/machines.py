"""State machines as data: the code walks them, docs/money.md is printed from them, tests try every cell of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Row(NamedTuple):
    """In any of these states this event leads to the next, if the guard holds; what is booked and done with it.

    Guard, books and effects are words for people: `books` names a posting of money.md §3.
    """

    states: tuple[str, ...]
    event: str
    next: str
    guard: str = ""
    books: str = ""
    effects: str = ""


class Machine(NamedTuple):
    """`words` has every state, the first one first, with the word that people read."""

    name: str
    words: Mapping[str, str]
    rows: tuple[Row, ...]

    @property
    def events(self) -> tuple[str, ...]:
        """Every event once, in the order of the rows."""
        return tuple(dict.fromkeys(row.event for row in self.rows))

    @property
    def ends(self) -> tuple[str, ...]:
        """States that nothing leads out of."""
        left = {state for row in self.rows for state in row.states if state != row.next}
        return tuple(state for state in self.words if state not in left)

    def next(self, state: str, event: str) -> str | None:
        """Where an event leads, or None where it has no place: then nothing changes."""
        return next((row.next for row in self.rows if event == row.event and state in row.states), None)
