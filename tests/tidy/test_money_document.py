"""docs/money.md says what the tables of the code say, and the tables have no state that nothing reaches."""

from __future__ import annotations

import pytest

from sync_server.machines import Machine, Row
from sync_server.money_document import CHAPTERS, DOCUMENT, money_document
from tests.tidy.sources import ROOT

MACHINES = [machine for machine, _ in CHAPTERS]


def test_the_document_is_printed_from_the_tables() -> None:
    assert DOCUMENT == ROOT / "docs" / "money.md"
    assert DOCUMENT.read_text(encoding="utf-8") == money_document(), "run python -m sync_server.money_document"


def flaws_of(machine: Machine) -> list[str]:
    """States without a word, states that nothing reaches, one event that leads to two states."""
    first = next(iter(machine.words))
    reached = {first} | {row.next for row in machine.rows}
    named = reached | {state for row in machine.rows for state in row.states}
    cells = [(state, row.event) for row in machine.rows for state in row.states]
    flaws = [f"{state} has no word" for state in sorted(named - set(machine.words))]
    flaws += [f"nothing leads to {state}" for state in machine.words if state not in reached]
    return flaws + [f"{cell} leads to two states" for cell in sorted(set(cells)) if cells.count(cell) > 1]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_state_has_a_word_and_a_way_to_it_and_every_event_one_way(machine: Machine) -> None:
    assert flaws_of(machine) == []


def test_a_wrong_table_is_found() -> None:
    rows = (Row(("A",), "go", "B"), Row(("A",), "go", "A"), Row(("B",), "on", "D"))
    assert flaws_of(Machine("m", {"A": "a", "B": "b", "C": "c"}, rows)) == [
        "D has no word",
        "nothing leads to C",
        "('A', 'go') leads to two states",
    ]
