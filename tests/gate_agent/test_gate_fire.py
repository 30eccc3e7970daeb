"""Fire: told at once, nothing judged, no arm moved, and every lane closed until staff open it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from gate_agent.decision import Refuse
from gate_agent.entries import Entries
from gate_agent.faces import State
from gate_agent.journal import CannotRecord
from gate_agent.lane_state import LaneState, Word
from gate_agent.recognition import recognise
from gate_agent.staff_entries import NotNow
from gate_agent.world import World
from hardware.indicator import Signal
from hardware.simulated_turnstile import SimulatedTurnstile, TurnstileTrouble, Walk
from tests.gate_agent.stage import WHO, Stage, stage_at
from tests.gate_agent.venue import SINGLE, Venue
from wire.messages import CLOSING, EntryKind
from wire.reasons import Reason

T = TypeVar("T")
OPEN, CLOSED, FIRE = LaneState.OPEN, LaneState.CLOSED, LaneState.FIRE


def test_fire_is_shown_at_once_at_every_lane_and_nothing_is_judged(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.look()
    stage.arms[0].trouble(TurnstileTrouble.FIRE)  # its edge is all there is: nobody looks
    assert [stage.face(number).verdict for number in (1, 2)] == [State.FIRE] * 2
    assert [one.state for one in stage.board.snapshot().status.lanes] == [FIRE] * 2
    assert stage.alarms() == [("fire", None)]
    assert stage.show(ticket.text, lane=2) is None
    assert stage.gate.let_in(stage.lanes[1], WHO, "") is NotNow.FIRE
    assert stage.order(Word.OPEN, lane=2) is NotNow.FIRE
    stage.arms[0].walk(Walk.THROUGH)
    stage.arms[1].walk(Walk.FORCE)
    stage.wait(3_000)
    assert stage.signal(2) is Signal.GO
    assert stage.told() == ["event fire"], "people leave, and nobody forces anything"
    assert stage.pulses() + stage.pulses(2) == []


def test_after_a_fire_every_lane_stays_closed_until_staff_open_it_over_a_restart_too(
    tmp_path: Path, venue: Venue
) -> None:
    venue.settle(tmp_path)
    with stage_at(tmp_path) as stage:
        stage.look()
        stage.arms[1].trouble(TurnstileTrouble.FIRE)
        stage.arms[1].trouble(None)
        assert [one.state for one in stage.board.snapshot().status.lanes] == [CLOSED] * 2
        stage.order(Word.OPEN)
        assert stage.told() == ["event fire", "event fire_over", "event lane_opened: 维修"]
        assert stage.alarms() == []
    with stage_at(tmp_path) as stage:
        assert stage.states() == [OPEN, CLOSED]


def test_a_box_that_starts_in_a_fire_says_so_without_an_edge(tmp_path: Path, venue: Venue) -> None:
    venue.settle(tmp_path)
    with stage_at(tmp_path) as stage:
        stage.arms[0]._listeners.clear()
        stage.arms[0].trouble(TurnstileTrouble.FIRE)
        assert stage.states() == [FIRE, FIRE]
        assert stage.face().verdict is State.FIRE
        assert stage.pulses() == []


def test_a_fire_that_begins_while_the_lanes_are_looked_at_is_not_undone(
    stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The input is read, then its edge comes, and only then what was read is told."""
    venue.settle(stage.data_dir)
    stage.look()
    edges = [TurnstileTrouble.FIRE]
    read = vars(SimulatedTurnstile)["fire"].fget

    def read_late(arm: SimulatedTurnstile) -> bool:
        active = bool(read(arm))
        if edges:
            arm.trouble(edges.pop())
        return active

    monkeypatch.setattr(SimulatedTurnstile, "fire", property(read_late))
    stage.gate.standing.look()
    assert [one.state for one in stage.board.snapshot().status.lanes] == [FIRE, FIRE]
    assert stage.told() == ["event fire"]
    stage.arms[0].trouble(None)
    assert stage.states() == [CLOSED, CLOSED]
    assert stage.told() == ["event fire", "event fire_over"]


def test_fire_ends_a_hold_and_a_party(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    stage.order(Word.HELD_OPEN, 10)
    stage.gate.let_in(stage.lanes[1], WHO, "团队", persons=3)
    stage.wait(1_000)
    pulses = len(stage.pulses())
    stage.arms[0].trouble(TurnstileTrouble.FIRE)
    stage.wait(30_000)
    stage.arms[0].trouble(None)
    stage.wait(30_000)
    assert (len(stage.pulses()), len(stage.pulses(2))) == (pulses, 1)
    assert stage.states() == [CLOSED, CLOSED]
    assert "event held_open_ended: 0 through, 0 back" in stage.told()
    assert "event group_by_hand: 0 of 3" in stage.told()


def test_the_arm_never_moves_while_a_lane_is_closed_or_in_a_fire_whatever_is_done(tmp_path: Path, venue: Venue) -> None:
    """A random day: every pulse of the relay lies in a moment at which the lane might be unlocked."""
    tickets = [venue.issue() for _ in range(120)]
    venue.settle(tmp_path)
    chance = random.Random(11)
    with stage_at(tmp_path) as stage:
        stage.look()
        for ticket in tickets:
            number = chance.choice((1, 2))
            one, arm = stage.lanes[number - 1], stage.arms[number - 1]
            before = (len(stage.pulses()), len(stage.pulses(2)))
            shut = [state in (CLOSED, FIRE) for state in stage.states()]
            what = chance.randrange(8)
            if what == 0:
                stage.order(chance.choice((Word.OPEN, Word.CLOSED)), lane=number)
            elif what == 1:
                stage.order(Word.HELD_OPEN, 10, number)
            elif what == 2:
                arm.trouble(None if arm.fire else TurnstileTrouble.FIRE)
            elif what == 3:
                stage.gate.let_in(one, WHO, "", persons=chance.choice((1, 3)))
            else:
                stage.show(ticket.text, lane=number)
            if what > 2:
                after = (len(stage.pulses()), len(stage.pulses(2)))
                assert not any(shut_now and now > then for shut_now, now, then in zip(shut, after, before, strict=True))
            arm.walk(chance.choice([Walk.THROUGH, Walk.BALK, Walk.TAILGATE]))
            shut = [state in (CLOSED, FIRE) for state in stage.states()]
            before = (len(stage.pulses()), len(stage.pulses(2)))
            stage.wait(chance.randrange(1, 80) * 100)
            after = (len(stage.pulses()), len(stage.pulses(2)))
            assert not any(shut_now and now > then for shut_now, now, then in zip(shut, after, before, strict=True))
        for arm in stage.arms:
            arm.trouble(None)
        for number in (1, 2):
            stage.order(Word.CLOSED, lane=number)
        stage.wait(70_000)
        written = stage.written()
        intents = {entry.seq for entry in written if entry.kind is EntryKind.INTENT}
        ended = Counter(entry.ref_seq for entry in written if entry.kind in CLOSING)
        assert ended == dict.fromkeys(intents, 1), "each exactly once"


def test_a_fire_that_breaks_out_while_a_pass_is_written_down_moves_no_arm(
    stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a lane whose own turnstile has no fire input."""
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.look()
    perform = stage.journal.perform

    def burn_meanwhile(work: Callable[[Entries], T]) -> T | CannotRecord:
        written = perform(work)
        stage.arms[0].trouble(TurnstileTrouble.FIRE)
        return written

    monkeypatch.setattr(stage.journal, "perform", burn_meanwhile)
    assert stage.gate.present(stage.lanes[1], recognise(ticket.text)) == Refuse(Reason.FAULT)
    monkeypatch.undo()
    assert stage.pulses(2) == []
    assert "annulled 1 1 fault" in stage.told()


def test_fire_is_told_before_any_file_is_looked_at(stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    venue.settle(stage.data_dir)
    stage.look()
    shown: list[object] = []

    def look() -> World:
        shown.append(stage.face(2).verdict)
        return stage.clock.look()

    monkeypatch.setattr(stage.gate.standing, "_look", look)
    stage.arms[0].trouble(TurnstileTrouble.FIRE)
    assert shown[0] is State.FIRE
