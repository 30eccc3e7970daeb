"""What staff do at a lane: let in by hand, one after the other, give back, look a pass up, check one; and parties."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate_agent.board import ShownBy
from gate_agent.decision import Refuse
from gate_agent.faces import IDLE, State
from gate_agent.gate import CHECK_MS
from gate_agent.lane_state import PARTY_LIMIT, LaneState, Word
from gate_agent.readers import Reader
from gate_agent.staff_entries import NotNow
from hardware.simulated_turnstile import STEP_UP_MS, TURN_MS, WINDOW_MS, TurnstileTrouble, Walk
from tests.gate_agent.stage import Stage, admitted, stage_at
from tests.gate_agent.test_lanes import PlayedReader
from tests.gate_agent.venue import SINGLE, Venue
from wire.messages import Entry, EntryKind, Presentation
from wire.reasons import Reason

WHO = "李一"


def let_in(stage: Stage, persons: int = 1) -> int | NotNow:
    """At lane 1."""
    return stage.gate.let_in(stage.lanes[0], WHO, "booked", persons)


def give_back(stage: Stage, seq: int) -> int | NotNow:
    """At lane 1."""
    return stage.gate.return_entry(stage.lanes[0], seq, WHO, "misjudged")


def of_kind(stage: Stage, kind: EntryKind) -> list[Entry]:
    return [entry for entry in stage.written() if entry.kind is kind]


def test_who_is_let_in_by_hand_is_on_disk_before_the_arm_moves(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    assert let_in(stage) == 1
    (manual,) = of_kind(stage, EntryKind.MANUAL)
    assert (manual.who, manual.reason, manual.pass_id, manual.lane) == (WHO, "booked", None, 1)
    assert stage.pulses() == [1]
    assert (stage.face().verdict, stage.scans()[0].shown_by) == (State.ADMITTED, ShownBy.COUNTER)
    stage.arms[0].walk(Walk.THROUGH)
    stage.wait(WINDOW_MS + 5_000)
    assert stage.told() == ["manual booked"]
    assert stage.scans()[0].passed is True
    assert stage.alarms() == []


def test_a_disk_that_takes_nothing_lets_nobody_in_by_hand_either(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.disk_takes(False)
    assert let_in(stage) is NotNow.CANNOT_RECORD
    stage.disk_takes(True)
    assert stage.pulses() == []


def test_a_turnstile_that_does_not_move_leaves_no_one_let_in(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].trouble(TurnstileTrouble.RELAY_GONE)
    assert let_in(stage, 3) is NotNow.TURNSTILE
    assert stage.told() == ["manual booked", "returned 1 fault"]
    stage.look()
    assert let_in(stage) is NotNow.OUT_OF_ORDER


def test_a_lane_without_a_reader_still_opens_at_staff_s_word(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.lanes[0].readers = [Reader(PlayedReader(), lambda _: None, failed="pulled out")]
    assert stage.states()[0] is LaneState.OUT_OF_ORDER
    assert let_in(stage) == 1


def test_a_closed_lane_opens_for_nobody(stage: Stage, venue: Venue) -> None:
    assert let_in(stage) is NotNow.STARTING
    stage.look()
    assert let_in(stage) is NotNow.LANE_CLOSED, "there is no list yet"
    venue.settle(stage.data_dir)
    stage.look()
    stage.gate.set_order(stage.lanes[0], Word.CLOSED, WHO)
    assert let_in(stage) is NotNow.LANE_CLOSED
    assert stage.pulses() == []


def test_people_of_a_group_are_let_in_one_by_one_each_on_disk_first(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    for _ in range(3):
        stage.arms[0].walk(Walk.THROUGH)
    assert let_in(stage, 3) == 1
    assert let_in(stage) is NotNow.BUSY
    shown = []
    for _ in range(50):
        facts = stage.face().facts
        if facts.of_count == 3 and facts.count not in shown:
            shown.append(facts.count)
        stage.wait(100)
    assert shown == [1, 2, 3]
    assert stage.pulses() == [1, 2, 3]
    assert stage.told() == [*["manual booked"] * 3, "event group_by_hand: 3 of 3"]
    assert stage.gate.next_tick_ns(stage.lanes[0]) is not None
    assert let_in(stage) == 5


def test_who_of_a_group_does_not_come_ends_it(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].walk(Walk.THROUGH)
    let_in(stage, 4)
    stage.wait(WINDOW_MS + 5_000)
    assert stage.told() == [*["manual booked"] * 2, "event group_by_hand: 1 of 4"]
    assert stage.pulses() == [1, 2]


def fail(*_: object) -> None:
    """What no driver should do."""
    raise ZeroDivisionError


def test_after_a_driver_s_mistake_at_the_first_nobody_follows(
    stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    with monkeypatch.context() as broken:
        broken.setattr(stage.arms[0], "open_for", fail)
        with pytest.raises(ZeroDivisionError):
            let_in(stage, 3)
    stage.wait(WINDOW_MS + 5_000)
    assert stage.told() == ["manual booked"], "it counts until staff give it back: the arm may have moved"
    assert stage.pulses() == []


def test_a_driver_s_mistake_within_a_group_ends_it_and_is_told(
    stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].walk(Walk.THROUGH)
    let_in(stage, 4)
    with monkeypatch.context() as broken:
        broken.setattr(stage.arms[0], "open_for", fail)
        with pytest.raises(ZeroDivisionError):
            stage.wait(5_000)
    stage.wait(5_000)
    assert stage.told() == [*["manual booked"] * 2, "event group_by_hand: 1 of 4"]
    assert stage.pulses() == [1]


def test_a_pass_that_the_arm_does_not_move_for_leaves_a_group_its_event(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].walk(Walk.THROUGH)
    let_in(stage, 3)
    stage.wait(700)
    stage.arms[0].trouble(TurnstileTrouble.RELAY_GONE)
    assert stage.show(ticket.text) == Refuse(Reason.FAULT)
    stage.wait(10_000)
    assert "event group_by_hand: 1 of 3" in stage.told()


@pytest.mark.parametrize("persons", [0, PARTY_LIMIT + 1])
def test_a_group_has_a_limit(stage: Stage, persons: int) -> None:
    with pytest.raises(ValueError, match="a party is 1 to"):
        let_in(stage, persons)


def test_two_who_go_together_are_two_of_the_group(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].walk(Walk.TAILGATE)
    stage.arms[0].walk(Walk.THROUGH)
    let_in(stage, 3)
    stage.wait(WINDOW_MS + 5_000)
    assert stage.told()[-1] == "event group_by_hand: 3 of 3"
    assert stage.alarms() == []


def test_a_group_at_a_lane_without_a_sensor_goes_by_the_turnstile_s_window(tmp_path: Path, venue: Venue) -> None:
    venue.settle(tmp_path)
    with stage_at(tmp_path, has_sensor=False) as stage:
        stage.look()
        let_in(stage, 2)
        stage.wait(WINDOW_MS - 200)
        assert stage.pulses() == [1]
        stage.wait(400)
        assert stage.pulses() == [1, 2]


def test_an_entry_is_given_back_once_and_only_if_it_counts(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    stage.show(ticket.text)
    assert give_back(stage, 1) is NotNow.STILL_OPEN
    stage.wait(2_000)
    assert give_back(stage, 2) is NotNow.NO_SUCH_ENTRY, "that is the outcome"
    assert give_back(stage, 99) is NotNow.NO_SUCH_ENTRY
    assert stage.show(ticket.text) == Refuse(Reason.USED_UP)
    assert give_back(stage, 1) == 4
    assert give_back(stage, 1) is NotNow.DOES_NOT_COUNT
    (returned,) = of_kind(stage, EntryKind.RETURNED)
    assert (returned.ref_seq, returned.who, returned.reason) == (1, WHO, "misjudged")
    assert admitted(stage.show(ticket.text))
    stage.wait(WINDOW_MS + 1_200)
    assert stage.told()[-1] == "annulled 1 5"
    assert give_back(stage, 5) is NotNow.DOES_NOT_COUNT


def test_a_pass_found_by_its_number_is_judged_by_the_same_rules(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.look()
    gate, lane = stage.gate, stage.lanes[0]
    stage.arms[0].walk(Walk.THROUGH)
    verdict = gate.admit_by_counter(lane, ticket.pass_id, WHO, "no_phone")
    assert not isinstance(verdict, NotNow)
    assert admitted(verdict)
    assert stage.scans()[0].shown_by is ShownBy.COUNTER
    stage.wait(2_000)
    assert gate.admit_by_counter(lane, ticket.pass_id, WHO, "no_phone") == Refuse(Reason.USED_UP)
    assert gate.admit_by_counter(lane, bytes(8), WHO, "no_phone") == Refuse(Reason.NOT_IN_LIST)
    intent = stage.written()[0]
    assert (intent.kind, intent.presentation, intent.who, intent.reason) == (
        *(EntryKind.INTENT, Presentation.COUNTER, WHO, "no_phone"),
    )
    assert stage.pulses() == [1]
    stage.gate.set_order(lane, Word.CLOSED, WHO)
    assert gate.admit_by_counter(lane, ticket.pass_id, WHO, "") is NotNow.LANE_CLOSED


def test_a_check_judges_the_next_presentation_and_opens_nothing(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.look()
    assert stage.gate.check_next(stage.lanes[0], WHO) is None
    assert stage.face().verdict is State.CHECK_ONLY
    assert admitted(stage.show(ticket.text))
    assert stage.face().verdict is State.CHECK_ONLY
    scan = stage.scans()[0]
    assert (scan.checked, scan.verdict, scan.intent_seq) == (True, State.ADMITTED, 0)
    assert stage.pulses() == []
    assert stage.told() == ["event 1 checked: admitted"]
    assert stage.written()[0].who == WHO
    assert admitted(stage.show(ticket.text)), "only the next one was checked"
    assert stage.pulses() == [2]


def test_nobody_to_check_for_a_minute_ends_the_check(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.gate.check_next(stage.lanes[0], WHO)
    stage.wait(CHECK_MS - 100)
    assert stage.face().verdict is State.CHECK_ONLY
    stage.wait(200)
    assert stage.face() == IDLE
    assert stage.written() == []


def test_the_next_of_a_group_waits_until_the_one_before_has_left_the_arm(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].walk(Walk.THROUGH)
    let_in(stage, 2)
    stage.wait(5_000)
    relay = stage.histories[0].moments("relay")
    first, second = (moment.monotonic_ns // 1_000_000 for moment in relay if moment.event == "on")
    assert second - first >= STEP_UP_MS + TURN_MS
