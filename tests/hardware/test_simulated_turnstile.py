"""The simulated arm: what each kind of visitor and each trouble does, edge by edge, with time moved by hand."""

from __future__ import annotations

import pytest

from hardware import DeviceFault
from hardware.simulated_turnstile import (
    SLOW_TURN_MS,
    STEP_UP_MS,
    TURN_MS,
    WINDOW_MS,
    SimulatedTurnstile,
    TurnstileTrouble,
    Walk,
)
from hardware.timeline import HISTORY_LIMIT, History, StepTimeline
from hardware.turnstile import PASSAGES, Direction, Edge, Role

PULSE_MS = 300


class Lane:
    """An arm whose time the test moves, and what its listener heard."""

    def __init__(self, usual_walk: Walk | None = None, has_passage_sensor: bool = True) -> None:
        self.time = StepTimeline()
        self.history = History(self.time.now_ns)
        self.arm = SimulatedTurnstile(self.time, self.history, usual_walk, has_passage_sensor)
        self.heard: list[Edge] = []
        self.arm.watch(self.heard.append)

    def told(self) -> list[tuple[int, str]]:
        """The whole history as (ms, "device event")."""
        return [(m.monotonic_ns // 1_000_000, f"{m.device} {m.event}") for m in self.history.moments()]

    def passages(self) -> list[tuple[str, bool]]:
        return [(PASSAGES[edge.role].value, edge.active) for edge in self.heard if edge.role in PASSAGES]


def test_a_visitor_walks_through() -> None:
    lane = Lane(Walk.THROUGH)
    lane.time.advance(1_000)
    assert lane.told() == [], "nothing moves by itself"
    assert lane.arm.open_for(Direction.IN, PULSE_MS, {"pass": "a1", "entry_seq": 7}) == 1_000_000_000
    assert (lane.arm.ready, lane.arm.arm, lane.arm.relay_on) == (False, "unlocked", True)
    lane.time.advance(WINDOW_MS + TURN_MS)
    turned = 1_000 + STEP_UP_MS
    assert lane.told() == [
        (1_000, "relay on"),
        (1_000, "arm unlocked"),
        (1_000, "ready inactive"),
        (1_000 + PULSE_MS, "relay off"),
        (turned, "visitor pass"),
        (turned, "arm turns in"),
        (turned, "passage in active"),
        (turned + TURN_MS, "passage in inactive"),
        (turned + TURN_MS, "arm locked"),
        (turned + TURN_MS, "ready active"),
    ]
    assert lane.history.moments("relay")[0].note == {"pass": "a1", "entry_seq": 7, "direction": "in"}
    assert lane.heard == [
        Edge(Role.READY, False, 1_000_000_000),
        Edge(Role.PASSAGE_IN, True, turned * 1_000_000),
        Edge(Role.PASSAGE_IN, False, (turned + TURN_MS) * 1_000_000),
        Edge(Role.READY, True, (turned + TURN_MS) * 1_000_000),
    ]


@pytest.mark.parametrize(
    ("walk", "passages", "locked_after_ms"),
    [
        (Walk.THROUGH, [("in", True), ("in", False)], STEP_UP_MS + TURN_MS),
        (Walk.BALK, [], WINDOW_MS),
        (Walk.GO_BACK, [("in", True), ("in", False), ("out", True), ("out", False)], STEP_UP_MS + 2 * TURN_MS),
        (Walk.TAILGATE, [("in", True), ("in", False), ("in", True), ("in", False)], STEP_UP_MS + 2 * TURN_MS),
        (Walk.SLOW, [("in", True), ("in", False)], STEP_UP_MS + SLOW_TURN_MS),
    ],
)
def test_what_visitors_do(walk: Walk, passages: list[tuple[str, bool]], locked_after_ms: int) -> None:
    lane = Lane()
    lane.arm.walk(walk)
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.time.advance(locked_after_ms - 1)
    assert not lane.arm.ready
    lane.time.advance(1)
    assert (lane.arm.ready, lane.arm.arm) == (True, "locked")
    assert lane.passages() == passages


@pytest.mark.parametrize(
    ("trouble", "passages", "ready_after"),
    [
        (TurnstileTrouble.SENSOR_STUCK, [("in", True)], True),
        (TurnstileTrouble.SENSOR_DEAD, [], True),
        (TurnstileTrouble.NEVER_READY, [("in", True), ("in", False)], False),
        (TurnstileTrouble.RELAY_DEAD, [], True),
    ],
)
def test_what_troubles_do(trouble: TurnstileTrouble, passages: list[tuple[str, bool]], ready_after: bool) -> None:
    lane = Lane(Walk.THROUGH)
    lane.arm.trouble(trouble)
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.time.advance(WINDOW_MS + TURN_MS)
    assert lane.passages() == passages
    assert lane.arm.ready is ready_after
    lane.arm.trouble(None)
    assert lane.arm.ready
    assert lane.history.events("trouble") == [trouble, "none"]


def test_a_relay_that_is_gone_moves_nothing_and_says_so() -> None:
    lane = Lane(Walk.THROUGH)
    lane.arm.trouble(TurnstileTrouble.RELAY_GONE)
    with pytest.raises(DeviceFault, match="plug it in"):
        lane.arm.open_for(Direction.IN, PULSE_MS, {})
    assert "plug it in" in str(lane.arm.fault)
    lane.time.advance(WINDOW_MS)
    assert lane.told() == [(0, "trouble relay_gone"), (0, "ready inactive")]
    lane.arm.trouble(None)
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    assert lane.arm.relay_on


def test_a_pulse_during_a_pulse_lengthens_it() -> None:
    lane = Lane()
    lane.arm.open_for(Direction.IN, PULSE_MS, {"entry_seq": 1})
    lane.time.advance(PULSE_MS - 1)
    lane.arm.open_for(Direction.IN, PULSE_MS, {"entry_seq": 2})
    lane.time.advance(PULSE_MS - 1)
    assert lane.arm.relay_on
    lane.time.advance(1)
    assert lane.history.events("relay") == ["on", "on", "off"]


def test_a_pulse_during_a_turn_lets_the_next_one_in() -> None:
    lane = Lane(Walk.THROUGH)
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.time.advance(STEP_UP_MS + 1)
    assert lane.arm.arm == "turning in"
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.time.advance(2 * (STEP_UP_MS + TURN_MS))
    assert lane.passages() == [("in", True), ("in", False)] * 2
    assert lane.arm.ready


def test_a_pulse_during_a_turn_calls_one_visitor_and_not_two() -> None:
    lane = Lane(Walk.THROUGH)
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.time.advance(STEP_UP_MS + TURN_MS // 2)
    lane.arm.walk(Walk.BALK)
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.time.advance(WINDOW_MS + TURN_MS)
    assert lane.passages() == [("in", True), ("in", False)], "nobody follows the one who stays standing there"


def test_a_visitor_without_a_right_stays_outside_until_he_has_one() -> None:
    lane = Lane()
    lane.arm.walk(Walk.THROUGH)
    lane.time.advance(60_000)
    assert lane.passages() == []
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.time.advance(STEP_UP_MS)
    assert lane.passages() == [("in", True)]


def test_a_visitor_who_comes_late_still_finds_it_open() -> None:
    lane = Lane()
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.time.advance(WINDOW_MS // 2)
    lane.arm.walk(Walk.THROUGH)
    lane.time.advance(STEP_UP_MS)
    assert lane.passages() == [("in", True)]


def test_a_lane_that_leads_out_turns_out() -> None:
    time, heard = StepTimeline(), list[Edge]()
    arm = SimulatedTurnstile(time, History(time.now_ns), Walk.GO_BACK, direction=Direction.OUT)
    arm.watch(heard.append)
    arm.open_for(Direction.OUT, PULSE_MS, {})
    time.advance(WINDOW_MS)
    assert [edge.role for edge in heard if edge.active and edge.role in PASSAGES] == [Role.PASSAGE_OUT, Role.PASSAGE_IN]


def test_an_arm_that_is_opened_both_ways_lets_one_through_after_the_other() -> None:
    lane = Lane()
    for way in Direction:
        lane.arm.walk(Walk.THROUGH, way)
        lane.arm.open_for(way, PULSE_MS, {})
    lane.time.advance(STEP_UP_MS + TURN_MS)
    assert (lane.arm.arm, lane.arm.ready) == ("unlocked", False), "somebody still comes the other way"
    lane.time.advance(STEP_UP_MS + TURN_MS)
    assert lane.passages() == [("in", True), ("in", False), ("out", True), ("out", False)]
    assert (lane.arm.arm, lane.arm.ready) == ("locked", True)
    on = [moment.note["direction"] for moment in lane.history.moments("relay") if moment.event == "on"]
    off = [moment.note["direction"] for moment in lane.history.moments("relay") if moment.event == "off"]
    assert on == off == ["in", "out"]


def test_whoever_waits_at_one_side_does_not_walk_when_the_other_is_opened() -> None:
    lane = Lane()
    lane.arm.walk(Walk.THROUGH)
    lane.arm.open_for(Direction.OUT, PULSE_MS, {})
    lane.time.advance(WINDOW_MS)
    assert lane.passages() == []
    assert lane.arm.arm == "locked"


def test_a_lane_without_a_sensor_tells_nothing() -> None:
    lane = Lane(Walk.THROUGH, has_passage_sensor=False)
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.time.advance(WINDOW_MS)
    assert lane.passages() == []
    assert lane.history.events("arm") == ["unlocked", "turns in", "locked"]


def test_closing_ends_the_pulse_and_locks() -> None:
    lane = Lane(Walk.THROUGH)
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.arm.close()
    lane.time.advance(WINDOW_MS)
    assert lane.history.events("relay") == ["on", "off"]
    assert lane.history.events("arm") == ["unlocked", "locked"]
    assert lane.passages() == []


def test_the_history_is_bounded_and_counts_what_it_forgot() -> None:
    history = History(StepTimeline().now_ns)
    for number in range(HISTORY_LIMIT + 3):
        history.add("relay", str(number))
    assert (len(history.moments()), history.moments()[0].event, history.forgotten) == (HISTORY_LIMIT, "3", 3)


@pytest.mark.parametrize(("walk", "way"), [(Walk.FORCE, "in"), (Walk.OUT, "out")])
def test_some_need_no_pulse(walk: Walk, way: str) -> None:
    lane = Lane()
    lane.arm.walk(walk)
    assert lane.arm.passing(Direction(way))
    lane.time.advance(TURN_MS)
    assert lane.passages() == [(way, True), (way, False)]
    assert lane.history.events("relay") == []
    assert lane.arm.ready


def test_in_a_fire_the_arm_is_free_and_takes_no_pulse() -> None:
    lane = Lane()
    lane.arm.trouble(TurnstileTrouble.FIRE)
    assert (lane.arm.fire, lane.arm.ready, lane.arm.fault) == (True, False, None)
    with pytest.raises(DeviceFault, match="fire release"):
        lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.arm.walk(Walk.THROUGH)
    lane.time.advance(TURN_MS)
    assert lane.passages() == [("in", True), ("in", False)]
    lane.arm.trouble(None)
    told = [(edge.role, edge.active) for edge in lane.heard if edge.role not in PASSAGES]
    assert told == [(Role.FIRE, True), (Role.READY, False), (Role.FIRE, False), (Role.READY, True)]
    assert lane.history.events("relay") == []


def test_an_open_housing_is_told_and_stops_nobody() -> None:
    lane = Lane()
    lane.arm.trouble(TurnstileTrouble.TAMPER)
    assert lane.arm.tampered
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    assert lane.heard[0] == Edge(Role.TAMPER, True, 0)


def test_a_stuck_sensor_is_seen_without_an_edge_and_a_dead_one_never() -> None:
    lane = Lane(Walk.THROUGH)
    lane.arm.trouble(TurnstileTrouble.SENSOR_STUCK)
    assert [lane.arm.passing(way) for way in Direction] == [True, False]
    lane.arm.trouble(TurnstileTrouble.SENSOR_DEAD)
    lane.arm.open_for(Direction.IN, PULSE_MS, {})
    lane.time.advance(STEP_UP_MS)
    assert lane.arm.arm == "turning in"
    assert not lane.arm.passing(Direction.IN)
