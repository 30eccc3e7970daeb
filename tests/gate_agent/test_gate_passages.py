"""Whoever walks without a right, or does not walk: told to staff, asked to step back, never counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate_agent.decision import Refuse
from gate_agent.faces import IDLE, State
from gate_agent.lane_alarms import ALARM_MS
from gate_agent.lane_state import Word
from gate_agent.standing import STUCK_MS
from hardware.simulated_turnstile import SLOW_TURN_MS, WINDOW_MS, TurnstileTrouble, Walk
from hardware.turnstile import Direction
from tests.gate_agent.stage import STEP_MS, WHO, Stage, admitted, stage_at
from tests.gate_agent.venue import SINGLE, TWICE, Venue
from wire.reasons import Reason


@pytest.mark.parametrize(("walk", "event"), [(Walk.TAILGATE, "second_person"), (Walk.GO_BACK, "backwards")])
def test_one_too_many_and_one_who_comes_back_are_asked_to_come_one_at_a_time(
    stage: Stage, venue: Venue, walk: Walk, event: str
) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.arms[0].walk(walk)
    stage.show(ticket.text)
    stage.wait(2_000)
    assert stage.told() == ["intent 1", "passed 1 1", f"event {event}"]
    assert stage.face().verdict is State.ONE_AT_A_TIME
    assert stage.alarms() == [(event, 1)]


def test_who_forces_the_arm_is_an_alarm_and_no_visitor_s_face(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].walk(Walk.FORCE)
    stage.wait(1_000)
    assert stage.told() == ["event forced"]
    assert stage.face() == IDLE
    assert stage.alarms() == [("forced", 1)]
    assert stage.pulses() == []


def test_an_alarm_leaves_when_staff_have_looked_after_it_or_by_itself(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    for lane in (1, 2):
        stage.arms[lane - 1].walk(Walk.FORCE)
    stage.wait(1_000)
    stage.gate.set_order(stage.lanes[0], Word.OPEN, WHO)
    assert stage.alarms() == [("forced", 2)]
    stage.timeline.advance(ALARM_MS)
    stage.look()
    assert stage.alarms() == []


def test_a_slow_one_is_no_annulment_and_the_next_one_waits_for_him(stage: Stage, venue: Venue) -> None:
    first, second = venue.issue(), venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.SLOW)
    stage.show(first.text)
    stage.wait(5_000)
    assert admitted(stage.show(second.text))
    stage.arms[0].walk(Walk.THROUGH)
    stage.wait(SLOW_TURN_MS)
    assert stage.told() == ["intent 1", "passed 1 1", "intent 2", "passed 2 3"]
    assert stage.alarms() == []


def test_a_turnstile_that_never_gets_ready_annuls_nothing(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.arms[0].trouble(TurnstileTrouble.NEVER_READY)
    stage.show(ticket.text)
    stage.wait(WINDOW_MS + 61_000)
    assert stage.told() == ["intent 1", "unresolved 1 1"]
    assert stage.show(ticket.text, lane=2) == Refuse(Reason.USED_UP)


def test_a_sensor_that_is_on_before_the_pulse_tells_nothing_and_staff_hear_of_it(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].trouble(TurnstileTrouble.SENSOR_STUCK)
    stage.wait(5_000)
    stage.gate.standing.attended(1)  # that it turned by itself was told
    stage.show(ticket.text)
    stage.wait(WINDOW_MS + 1_100)
    assert stage.told() == ["event forced", "intent 1", "event sensor_stuck", "passed_assumed 1 2"]
    assert stage.alarms() == [("sensor", 1)]
    assert stage.show(ticket.text) == Refuse(Reason.USED_UP)
    stage.arms[0].trouble(None)
    stage.look()
    assert stage.alarms() == []


def test_a_sensor_that_stays_on_is_told_though_nobody_comes(stage: Stage, venue: Venue) -> None:
    """As when its wire is cut before the start: there is no edge."""
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.arms[0]._listeners.clear()
    stage.arms[0].trouble(TurnstileTrouble.SENSOR_STUCK)
    stage.look()
    stage.timeline.advance(STUCK_MS - STEP_MS)
    stage.look()
    assert stage.alarms() == []
    stage.timeline.advance(STEP_MS)
    stage.look()
    assert stage.alarms() == [("sensor", 1)]
    stage.show(ticket.text)
    stage.wait(WINDOW_MS + 1_100)
    assert stage.told() == ["event sensor_stuck", "intent 1", "passed_assumed 1 2"]


def test_more_than_two_annulments_of_a_pass_in_a_day_are_told(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(TWICE)
    venue.settle(stage.data_dir)
    for turn in range(3):
        assert admitted(stage.show(ticket.text, lane=1 + turn % 2))
        assert stage.alarms() == []
        stage.wait(WINDOW_MS + 1_100)
    assert stage.told()[-2:] == ["annulled 1 5", "event 1 annulled_often"]
    assert stage.alarms() == [("annulled_often", 1)]


def test_three_of_a_lane_s_last_ten_pulses_that_nobody_used_are_told(stage: Stage, venue: Venue) -> None:
    tickets = [venue.issue() for _ in range(5)]
    venue.settle(stage.data_dir)
    for number, ticket in enumerate(tickets):
        if number in (1, 3):
            stage.arms[0].walk(Walk.THROUGH)
        stage.show(ticket.text)
        stage.wait(WINDOW_MS + 1_100)
    assert stage.told()[-2:] == ["annulled 5 9", "event annulled_often"]
    assert stage.alarms() == [("annulled_often", 1)]


def test_a_pulse_the_turnstile_did_not_take_is_nobody_s_farming(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.arms[0].trouble(TurnstileTrouble.RELAY_GONE)
    for _ in range(4):
        assert stage.show(ticket.text) == Refuse(Reason.FAULT)
        stage.wait(WINDOW_MS + 1_100)
    assert not any("annulled_often" in told for told in stage.told())


def test_tampering_is_told_once_and_as_long_as_it_lasts(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].trouble(TurnstileTrouble.TAMPER)
    stage.look()
    assert stage.alarms() == [("tamper", 1)]
    assert admitted(stage.show(ticket.text)), "the right is as good as before"
    stage.arms[0].trouble(None)
    assert stage.alarms() == []
    assert stage.told() == ["event tamper", "intent 1"]


def test_out_through_an_entry_lane_is_forced_unless_the_way_out_is_free(tmp_path: Path, venue: Venue) -> None:
    venue.settle(tmp_path)
    for free, told in [((), "event forced"), ((Direction.OUT,), "event exit")]:
        with stage_at(tmp_path, free=free) as stage:
            stage.look()
            stage.arms[0].walk(Walk.OUT)
            stage.wait(1_000)
            assert stage.told()[-1] == told
            assert stage.alarms() == ([] if free else [("forced", 1)])
