"""Staff find a pass by its number, the end of it, or an ID number, and what they typed is written nowhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gate_agent import list_find, pass_list
from gate_agent.list_find import Finder, Found, NotSought
from hardware.card_reader import CardRead
from tests.gate_agent.stage import Stage
from tests.gate_agent.venue import Venue

ID_NUMBER = "41020319900307773X"


def found(stage: Stage, typed: str) -> list[bytes] | NotSought:
    told = Finder().find(typed, stage.clock.look())
    return [one.pass_id for one in told.passes] if isinstance(told, Found) else told


def test_a_number_its_end_and_an_id_number_find_the_pass(stage: Stage, venue: Venue) -> None:
    one, _ = venue.issue(), venue.issue()
    person = venue.issue(card=CardRead("410200", "A7", "7", id_number=ID_NUMBER))
    venue.settle(stage.data_dir)
    number = f"20261118{int.from_bytes(one.pass_id, 'big'):08}"
    assert found(stage, number) == [one.pass_id]
    assert found(stage, f" {number[:4]}-{number[4:]} ") == [one.pass_id]
    assert found(stage, number[-6:]) == [one.pass_id]
    assert found(stage, ID_NUMBER) == [person.pass_id]
    assert found(stage, "４１０２０３１９９００３０７７７３ｘ") == [person.pass_id]
    assert found(stage, "999999") == found(stage, "410203199003077748") == []


@pytest.mark.parametrize("typed", ["", "12345", "1" * 33, "%_%_%_%", "'; --abc", "李小花李小花"])
def test_what_is_no_number_is_not_looked_for(stage: Stage, venue: Venue, typed: str) -> None:
    venue.settle(stage.data_dir)
    assert found(stage, typed) is NotSought.TOO_SHORT


def test_without_a_list_or_in_too_long_a_one_staff_are_told(
    stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(stage, "000001") is NotSought.NO_LIST
    venue.issue()
    venue.settle(stage.data_dir)
    monkeypatch.setattr(pass_list, "SEARCH_STEPS", 1)
    assert found(stage, "000001") is NotSought.TOO_LONG


def test_searches_go_one_at_a_time(stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    venue.settle(stage.data_dir)
    monkeypatch.setattr(list_find, "FIND_WAIT_S", 0.01)
    finder = Finder()
    with finder._searching:
        assert finder.find("000001", stage.clock.look()) is NotSought.BUSY


def test_what_was_typed_is_in_no_file(stage: Stage, venue: Venue, tmp_path: Path) -> None:
    venue.issue(card=replace(CardRead("410200", "A7", "7"), id_number=ID_NUMBER))
    venue.settle(stage.data_dir)
    found(stage, ID_NUMBER)
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert ID_NUMBER.encode() not in held
