"""An arm that turns both ways, worked by a lane in and a lane out: each opens its own way and sees who goes there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from gate_agent.decision import LetOut
from gate_agent.lane_state import Word
from hardware.simulated_turnstile import WINDOW_MS, Walk
from hardware.turnstile import Direction
from tests.gate_agent.agent_process import AgentProcess, running
from tests.gate_agent.stage import Stage, admitted, stage_at
from tests.gate_agent.venue import Venue
from tests.waiting import until


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Stage]:
    with stage_at(tmp_path, ways=(Direction.IN, Direction.OUT), shares_arm=True) as stage:
        yield stage


def opened(stage: Stage) -> list[object]:
    """The way of every pulse."""
    return [moment.note["direction"] for moment in stage.histories[0].moments("relay") if moment.event == "on"]


def test_each_lane_opens_its_own_way_and_counts_who_goes_there(arm: Stage, venue: Venue) -> None:
    coming, going = venue.issue(), venue.issue()
    venue.settle(arm.data_dir)
    assert admitted(arm.show(coming.text))
    assert isinstance(arm.show(going.text, lane=2), LetOut)
    assert opened(arm) == ["in", "out"]
    for way in Direction:
        arm.arms[0].walk(Walk.THROUGH, way)
    arm.wait(WINDOW_MS * 2)
    assert arm.told() == ["intent 1", "event 2 exit", "passed 1 1"]
    assert arm.alarms() == []


def test_whoever_turns_it_unasked_is_an_alarm_of_the_lane_that_leads_there(arm: Stage, venue: Venue) -> None:
    coming = venue.issue()
    venue.settle(arm.data_dir)
    assert admitted(arm.show(coming.text))
    arm.arms[0].walk(Walk.OUT)
    arm.wait(WINDOW_MS * 2)
    assert arm.alarms() == [("forced", 2)]
    assert arm.told() == ["intent 1", "event forced", "annulled 1 1"]


def test_one_lane_closed_or_held_open_leaves_the_other_as_it_is(arm: Stage, venue: Venue) -> None:
    going = venue.issue()
    venue.settle(arm.data_dir)
    arm.look()
    arm.order(Word.CLOSED)
    assert isinstance(arm.show(going.text, lane=2), LetOut)
    arm.arms[0].walk(Walk.THROUGH, Direction.OUT)
    arm.wait(WINDOW_MS * 2)
    arm.order(Word.HELD_OPEN, 10, lane=2)
    arm.wait(WINDOW_MS * 2)
    assert set(opened(arm)) == {"out"}


@pytest.mark.story
def test_the_agent_runs_both_lanes_of_an_arm(tmp_path: Path) -> None:
    venue = Venue()
    coming, going = venue.issue(), venue.issue()
    venue.settle(tmp_path)
    lanes = ["2:reader=sim,turnstile=lane:1,direction=out", "1:reader=sim,turnstile=sim"]
    with running(tmp_path, lanes, "--simulate") as agent:
        assert agent.ready["lanes"] == [2, 1]
        for number, ticket in (1, coming), (2, going):
            show(agent, number, ticket.text)
            until(lambda: ways(agent)[number - 1 :], what="the arm is opened")  # noqa: B023 - called at once
        assert ways(agent) == ["in", "out"]
        assert agent.stop() == 0


def show(agent: AgentProcess, lane: int, text: str) -> None:
    body = json.dumps({"text": text, "to": "scanner"}).encode()
    urlopen(Request(f"{agent.ready['screen']}/sim/lane/{lane}/show", body)).close()


def ways(agent: AgentProcess) -> list[str]:
    """The way of every pulse; what happens to the arm is in the history of the lane that owns it."""
    with urlopen(f"{agent.ready['screen']}/sim/history") as answer:
        moments = [moment for lane in json.load(answer)["lanes"] for moment in lane["moments"]]
    return [moment["note"]["direction"] for moment in moments if (moment["device"], moment["event"]) == ("relay", "on")]
