"""Staff's orders, lanes held open, lanes crossed and lanes out of the venue, played on the stage."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gate_agent.decision import LetOut, Refuse
from gate_agent.faces import IDLE, LaneTrouble, State
from gate_agent.lane_state import LaneState, Order, Word
from gate_agent.staff_entries import NotNow
from gate_agent.status import LaneStatus
from gate_agent.time_trust import Now
from hardware import DeviceFault
from hardware.indicator import Signal
from hardware.simulated_turnstile import WINDOW_MS, TurnstileTrouble, Walk
from hardware.timeline import StepTimeline
from hardware.turnstile import Direction, Note
from tests.gate_agent.stage import WHO, Stage, admitted, stage_at
from tests.gate_agent.venue import NOW_MINUTE, SINGLE, Venue
from tests.waiting import until
from wire.messages import EntryKind
from wire.moments import MINUTE_MS
from wire.reasons import Reason

OPEN, CLOSED, HELD = LaneState.OPEN, LaneState.CLOSED, LaneState.HELD_OPEN


def lane(stage: Stage, number: int = 1) -> LaneStatus:
    """How the board says it stands."""
    return stage.board.snapshot().status.lanes[number - 1]


def test_a_closed_lane_sends_everybody_to_the_other_one(stage: Stage, venue: Venue) -> None:
    good, late = venue.issue(), venue.issue(not_after=NOW_MINUTE)
    venue.settle(stage.data_dir)
    stage.look()
    assert stage.order(Word.CLOSED) == 1
    assert (lane(stage).state, stage.face().verdict, stage.face().facts.to_lane) == (CLOSED, Reason.LANE_CLOSED, 2)
    assert stage.show(good.text) == Refuse(Reason.LANE_CLOSED)
    assert (stage.face().facts.to_lane, stage.scans()[0].facts.who) == (2, WHO)
    assert stage.show(late.text) == Refuse(Reason.EXPIRED), "the first reason of the list that applies"
    assert stage.pulses() == []
    stage.order(Word.OPEN)
    assert admitted(stage.show(good.text))
    assert [told for told in stage.told() if "event" in told or "lane_closed" in told] == [
        "event lane_closed: 维修",
        "refused 1 lane_closed",
        "event lane_opened: 维修",
    ]
    assert {entry.who for entry in stage.written() if entry.kind is EntryKind.EVENT} == {WHO}


def test_no_lane_is_named_where_no_other_is_open_or_leads_the_same_way(tmp_path: Path, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(tmp_path)
    with stage_at(tmp_path, ways=(Direction.IN, Direction.OUT)) as stage:
        stage.look()
        stage.order(Word.CLOSED)
        assert stage.face().facts.to_lane is None
        assert stage.show(ticket.text) == Refuse(Reason.LANE_CLOSED)
        assert stage.face().facts.to_lane is None


def test_an_order_outlasts_a_restart(tmp_path: Path, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(tmp_path)
    with stage_at(tmp_path) as stage:
        stage.look()
        stage.order(Word.CLOSED)
    with stage_at(tmp_path) as stage:
        assert stage.states() == [CLOSED, OPEN]
        assert stage.show(ticket.text) == Refuse(Reason.LANE_CLOSED)
        assert stage.scans()[0].facts.who == WHO
        stage.order(Word.OPEN)
    with stage_at(tmp_path) as stage:
        assert stage.states() == [OPEN, OPEN]


def test_an_order_the_disk_does_not_take_is_none(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.disk_takes(False)
    assert stage.order(Word.CLOSED) is NotNow.CANNOT_RECORD
    stage.disk_takes(True)
    stage.journal.perform(lambda _: None)
    assert stage.states() == [OPEN, OPEN]


def test_held_open_the_arm_is_pulsed_on_and_on_never_long_and_stops_by_itself(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.order(Word.HELD_OPEN, 10)
    assert (lane(stage).state, stage.face().verdict) == (HELD, State.HELD_OPEN)
    assert lane(stage).until_ms == stage.clock.began_ms + 10 * MINUTE_MS
    for _ in range(3):
        stage.arms[0].walk(Walk.THROUGH)
    stage.wait(6_000)
    assert stage.signal() is Signal.GO
    stage.arms[0].walk(Walk.OUT)
    stage.wait(10 * MINUTE_MS - 6_000)
    pulses = len(stage.pulses())
    assert set(stage.pulses()) == {1}, "each pulse carries the order's own entry"
    assert pulses > 100
    assert max(_lengths_ms(stage)) == 300
    stage.wait(20_000)
    assert len(stage.pulses()) == pulses
    assert stage.told() == ["event lane_held_open: 10 min, 维修", "event held_open_ended: 3 through, 1 back"]
    assert (stage.states()[0], stage.face(), stage.alarms()) == (OPEN, IDLE, [])


def _lengths_ms(stage: Stage) -> list[int]:
    moments = stage.histories[0].moments("relay")
    times = [moment.monotonic_ns // 1_000_000 for moment in moments]
    return [off - on for on, off in zip(times[::2], times[1::2], strict=True)]


def test_held_open_waits_for_a_turnstile_that_is_not_ready(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].trouble(TurnstileTrouble.NEVER_READY)
    stage.order(Word.HELD_OPEN, 10)
    stage.wait(20_000)
    assert stage.pulses() == []
    stage.arms[0].trouble(None)
    stage.wait(1_000)
    assert len(stage.pulses()) == 1


def test_a_turnstile_that_takes_no_pulse_is_asked_again_each_second(
    stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(direction: Direction, pulse_ms: int, note: Note) -> int:
        asked.append(pulse_ms)
        raise DeviceFault("the board does not answer")

    venue.settle(stage.data_dir)
    stage.look()
    monkeypatch.setattr(stage.arms[0], "open_for", refuse)
    stage.order(Word.HELD_OPEN, 10)
    stage.wait(10_000)
    assert len(asked) == 10


def test_codes_shown_at_a_lane_held_open_are_judged_and_recorded(stage: Stage, venue: Venue) -> None:
    walked, stayed = venue.issue(SINGLE), venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.look()
    stage.order(Word.HELD_OPEN, 10)
    stage.wait(1_000)
    stage.arms[0].walk(Walk.THROUGH)
    assert admitted(stage.show(walked.text))
    stage.wait(2_000)
    assert admitted(stage.show(stayed.text))
    stage.wait(WINDOW_MS + 1_200)
    assert stage.show(walked.text) == Refuse(Reason.USED_UP)
    stage.order(Word.CLOSED)
    stage.wait(WINDOW_MS + 1_200)
    assert stage.told() == [
        "event lane_held_open: 10 min, 维修",
        "intent 1",
        "passed 1 2",
        "intent 2",
        "passed_assumed 2 4",
        "refused 1 used_up",
        "event lane_closed: 维修",
        "event held_open_ended: 0 through, 0 back",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("boot", "knows_time", "down_ms", "left_ms"),
    [
        ("this", True, 4 * MINUTE_MS, 6 * MINUTE_MS),
        ("this", False, 4 * MINUTE_MS, 6 * MINUTE_MS),  # the boot clock is enough
        ("next", True, 4 * MINUTE_MS, 6 * MINUTE_MS),
        ("next", True, 0, 10 * MINUTE_MS),
        ("next", True, -60 * MINUTE_MS, 10 * MINUTE_MS),  # a clock that was set back lengthens nothing
        ("next", True, 11 * MINUTE_MS, 0),
        ("next", False, 4 * MINUTE_MS, 0),  # nobody knows how much is left
    ],
)
def test_a_restart_never_lengthens_a_hold(
    tmp_path: Path, venue: Venue, boot: str, knows_time: bool, down_ms: int, left_ms: int
) -> None:
    venue.settle(tmp_path)
    with stage_at(tmp_path) as stage:
        stage.look()
        stage.order(Word.HELD_OPEN, 10)
    timeline = StepTimeline()
    if boot == "this":
        timeline.advance(down_ms)
    with stage_at(
        tmp_path,
        timeline=timeline,
        boot=boot,
        knows_time=knows_time,
        later_ms=0 if boot == "this" else down_ms,
    ) as stage:
        assert stage.states()[0] is (HELD if left_ms else OPEN)
        stage.wait(left_ms - 100 if left_ms else 0)
        assert stage.states()[0] is (HELD if left_ms else OPEN)
        stage.wait(200)
        assert stage.states()[0] is OPEN
        assert stage.told()[-1] == "event held_open_ended: 0 through, 0 back"


def test_an_order_that_a_slow_disk_took_too_late_does_not_stand_after_a_start(
    stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Staff were told that it could not be recorded, and nobody watches an arm that opens by itself an hour later."""
    venue.settle(stage.data_dir)
    stage.look()
    go_on, keep = threading.Event(), stage.entries.keep_lane_order

    def slowly(lane: int, order: Order, boot: str, now: Now) -> None:
        keep(lane, order, boot, now)
        assert order.word is Word.OPEN or go_on.wait(10)

    monkeypatch.setattr(stage.entries, "keep_lane_order", slowly)
    monkeypatch.setattr(stage.journal, "_patience_s", 0.05)
    assert stage.gate.set_order(stage.lanes[0], Word.HELD_OPEN, WHO, minutes=60) is NotNow.CANNOT_RECORD
    go_on.set()
    until(lambda: len(stage.told()) == 2, what="both orders in the journal")
    assert stage.told() == ["event lane_held_open: 60 min", "event lane_opened: cannot_record"]
    world = stage.clock.look()
    assert stage.journal.perform(lambda entries: entries.lane_orders(world.boot, world.now)) == {}


def test_a_lane_out_of_order_names_the_nearest_other_of_its_side(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.gate.standing.name_trouble(2, LaneTrouble.MOVED)
    assert stage.states() == [OPEN, LaneState.OUT_OF_ORDER]
    assert (stage.face(2).verdict, stage.face(2).facts.to_lane) == (Reason.FAULT, 1)
    assert stage.show(ticket.text, lane=2) == Refuse(Reason.FAULT)
    assert stage.gate.let_in(stage.lanes[1], WHO, "") is NotNow.OUT_OF_ORDER
    stage.gate.standing.name_trouble(2, None)
    assert stage.states() == [OPEN, OPEN]
    assert admitted(stage.show(ticket.text, lane=2))


def test_out_of_the_venue_a_genuine_pass_leads_and_nothing_is_counted(tmp_path: Path, venue: Venue) -> None:
    late = venue.issue(SINGLE, not_after=NOW_MINUTE)
    strange = venue.issue(signer=bytes(32))
    venue.settle(tmp_path)
    with stage_at(tmp_path, ways=(Direction.OUT, Direction.IN)) as stage:
        stage.arms[0].walk(Walk.THROUGH)
        assert stage.show(late.text) == LetOut()
        assert (stage.face().verdict, stage.signal()) == (State.EXIT, Signal.GO)
        stage.wait(2_000)
        assert stage.show(strange.text) == Refuse(Reason.FORGED)
        assert stage.told() == ["event 1 exit", "refused forged"]
        assert stage.pulses() == [1]
        assert stage.alarms() == []
        stage.order(Word.CLOSED)
        assert stage.show(late.text) == Refuse(Reason.LANE_CLOSED)
        stage.disk_takes(False)
        stage.order(Word.OPEN)


def test_a_free_way_out_says_goodbye_and_counts(tmp_path: Path, venue: Venue) -> None:
    venue.settle(tmp_path)
    with stage_at(tmp_path, ways=(Direction.OUT, Direction.OUT), free=(Direction.OUT,)) as stage:
        stage.look()
        assert stage.face().verdict is State.EXIT
        for _ in range(2):
            stage.arms[0].walk(Walk.FORCE)
            stage.wait(5_000)
        assert stage.told() == ["event exit", "event exit"]
        assert (stage.pulses(), stage.alarms()) == ([], [])


def test_lanes_whose_turnstiles_are_exchanged_close_each_other(tmp_path: Path, venue: Venue) -> None:
    tickets = [venue.issue() for _ in range(3)]
    venue.settle(tmp_path)
    with stage_at(tmp_path) as stage:
        for ticket in tickets[:2]:
            assert admitted(stage.show(ticket.text))
            stage.arms[1].walk(Walk.FORCE)  # the arm that lane 1's relay moved
            stage.wait(WINDOW_MS + 1_200)
        assert stage.states() == [LaneState.OUT_OF_ORDER] * 2
        assert [one.trouble for one in stage.look().lanes] == [LaneTrouble.CROSSED] * 2
        assert stage.show(tickets[2].text) == Refuse(Reason.FAULT)
        assert stage.face().facts.to_lane is None
        assert "event lanes_crossed" in stage.told()


def test_people_who_slip_in_behind_somebody_at_one_lane_cross_it_with_no_other(stage: Stage, venue: Venue) -> None:
    hesitating, family, other = (venue.issue().text for _ in range(3))
    venue.settle(stage.data_dir)
    assert admitted(stage.show(family, lane=2))
    stage.arms[1].walk(Walk.THROUGH)
    stage.wait(1_500)
    for text in (hesitating, other):
        assert admitted(stage.show(text))
        stage.arms[1].walk(Walk.FORCE)
        stage.wait(1_500)
    assert stage.told().count("event second_person") == 2
    assert stage.states() == [OPEN, OPEN]


@pytest.mark.parametrize("why", ["held open", "free way out"])
def test_who_walks_where_no_pulse_is_needed_crosses_no_lanes(tmp_path: Path, venue: Venue, why: str) -> None:
    tickets = [venue.issue() for _ in range(3)]
    venue.settle(tmp_path)
    free = why == "free way out"
    ways = (Direction.IN, Direction.OUT if free else Direction.IN)
    with stage_at(tmp_path, ways=ways, free=(Direction.OUT,) if free else ()) as stage:
        stage.look()
        if not free:
            stage.order(Word.HELD_OPEN, 10, lane=2)
        for ticket in tickets:
            stage.show(ticket.text)
            stage.arms[1].walk(Walk.FORCE)
            stage.wait(WINDOW_MS + 1_200)
        assert stage.states() == [OPEN, OPEN if free else HELD]


def test_a_lane_held_open_stops_when_it_is_out_of_order_and_goes_on_after_it(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.order(Word.HELD_OPEN, 10)
    stage.wait(1_000)
    stage.gate.standing.name_trouble(1, LaneTrouble.MOVED)
    stage.wait(20_000)
    assert len(stage.pulses()) == 1
    stage.gate.standing.name_trouble(1, None)
    stage.wait(1_000)
    assert len(stage.pulses()) == 2


def test_a_lane_that_is_closed_lets_no_more_of_a_group_in(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].walk(Walk.THROUGH)
    stage.gate.let_in(stage.lanes[0], WHO, "booked", persons=3)
    stage.wait(700)
    stage.order(Word.CLOSED)
    stage.wait(10_000)
    assert stage.pulses() == [1]
    assert stage.told() == ["manual booked", "event lane_closed: 维修", "event group_by_hand: 1 of 3"]
