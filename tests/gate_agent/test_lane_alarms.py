"""Alarms of the lanes: what happened leaves by itself or when staff looked, what stands stays as long as it is so."""

from __future__ import annotations

import pytest

from gate_agent.faces import LaneTrouble
from gate_agent.lane_alarms import ALARM_MS, HAPPENS, TROUBLES, LaneAlarms
from gate_agent.status import Alarm, AlarmKind
from gate_agent.time_trust import Now
from tests.gate_agent.stage import Stage
from tests.gate_agent.venue import NOW_MS, Venue
from wire.messages import ClockTrust

FORCED, TAMPER = Alarm(AlarmKind.FORCED, 1), Alarm(AlarmKind.TAMPER, 1)


def at(ms: int) -> Now:
    return Now(NOW_MS + ms, ClockTrust.TRUSTED, ms, NOW_MS + ms, None)


def since(alarms: LaneAlarms) -> dict[tuple[str, int | None], int]:
    """In ms after the beginning."""
    return {(alarm.kind.value, alarm.lane): (alarm.since_ms or 0) - NOW_MS for alarm in alarms.all()}


def test_what_happened_is_forgotten_after_a_while_and_what_stands_is_not() -> None:
    alarms = LaneAlarms()
    alarms.happened(FORCED, at(0))
    alarms.stands(TAMPER, True, at(0))
    alarms.happened(FORCED, at(5))
    alarms.stands(TAMPER, True, at(5))
    assert since(alarms) == {("forced", 1): 5, ("tamper", 1): 0}, "it happened again, it goes on"
    alarms.forget(at(5 + ALARM_MS))
    assert FORCED in alarms
    alarms.forget(at(6 + ALARM_MS))
    assert since(alarms) == {("tamper", 1): 0}
    alarms.stands(TAMPER, False, at(7 + ALARM_MS))
    assert alarms.all() == ()


def test_staff_attend_to_what_happened_at_their_lane_alone() -> None:
    alarms = LaneAlarms()
    for lane in (1, 2):
        alarms.happened(Alarm(AlarmKind.FORCED, lane), at(0))
        alarms.stands(Alarm(AlarmKind.TAMPER, lane), True, at(0))
    alarms.attended(1)
    assert set(since(alarms)) == {("tamper", 1), ("forced", 2), ("tamper", 2)}


def test_a_trouble_keeps_its_since_while_others_come_and_go() -> None:
    alarms, reader, moved = LaneAlarms(), Alarm(AlarmKind.READER, 1), Alarm(AlarmKind.MOVED, 2)
    alarms.stands(TAMPER, True, at(0))
    alarms.troubles([reader], at(1))
    alarms.troubles([moved, reader], at(2))
    assert since(alarms) == {("tamper", 1): 0, ("reader", 1): 1, ("moved", 2): 2}
    alarms.troubles([moved], at(3))
    alarms.troubles([moved, reader], at(4))
    assert since(alarms) == {("tamper", 1): 0, ("moved", 2): 2, ("reader", 1): 4}
    alarms.troubles([], at(5))
    assert since(alarms) == {("tamper", 1): 0}


def test_every_trouble_of_a_lane_is_an_alarm_and_none_of_them_just_happens() -> None:
    assert {AlarmKind(trouble.value) for trouble in LaneTrouble} == TROUBLES
    assert not TROUBLES & HAPPENS


@pytest.mark.parametrize("named", [(1, 2), (2, 1)])
def test_two_crossed_lanes_are_one_alarm_and_no_record_is_the_whole_box_s(
    stage: Stage, venue: Venue, named: tuple[int, int]
) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    for one, other in (named, named[::-1]):
        stage.gate.standing.name_trouble(one, LaneTrouble.CROSSED, other)
    (alarm,) = stage.look().alarms
    assert (alarm.kind, {alarm.lane, alarm.other_lane}) == (AlarmKind.CROSSED, {1, 2})
    stage.wait(1_000)
    assert stage.look().alarms == (alarm,)
    stage.gate.standing.look(readable=False)
    assert stage.alarms() == [("record", None)]
    stage.gate.standing.name_trouble(1, None)
    stage.gate.standing.look()
    assert stage.alarms() == [("crossed", 2)]
