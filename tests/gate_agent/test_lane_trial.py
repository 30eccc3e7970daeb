"""A lane of the running agent on trial, played on the stage: all well, every mistake, and who may come between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_agent.commissioning import (
    ANOTHER_ARM,
    LIMIT_MS,
    NO_ARM,
    PULSES_LIMIT,
    Flaw,
    FlawKind,
    Step,
    TrialTold,
    text_of,
)
from gate_agent.decision import Refuse
from gate_agent.faces import LaneTrouble
from gate_agent.lane_state import LaneState, Word
from gate_agent.lane_trial import LaneTrial
from gate_agent.readers import Reader
from gate_agent.staff_entries import NotNow
from gate_agent.topology import Wiring, topology_of
from hardware import DeviceFault
from hardware.devices import parse_lane
from hardware.simulated_readers import SimulatedScanner
from hardware.simulated_turnstile import WINDOW_MS, TurnstileTrouble, Walk
from hardware.turnstile import Direction, Note, Role
from tests.gate_agent.stage import WHO, Stage, admitted, stage_at
from tests.gate_agent.venue import Ticket, Venue
from wire.messages import EntryKind
from wire.reasons import Reason

SPECS = [parse_lane(f"{number}:reader=sim,turnstile=sim") for number in (1, 2)]
CARD_READER, SCANNER = 0, 1
LOCKED_MS = WINDOW_MS + 2_000


class Trial:
    """Lane 1 on trial, with two readers, and somebody who does what a test says."""

    def __init__(self, stage: Stage, ticket: Ticket) -> None:
        self.stage = stage
        self.ticket = ticket
        self.lane = stage.lanes[0]
        scanner = SimulatedScanner(stage.histories[0])
        self.lane.readers = [Reader(scanner, scanner.next_line) for _ in range(2)]
        stage.gate.wiring.compare(SPECS)
        stage.look()

    def begin(self) -> NotNow | None:
        return self.stage.gate.commission(self.lane, WHO)

    @property
    def on(self) -> LaneTrial:
        trial = self.stage.gate.trials.now
        assert trial is not None
        return trial

    @property
    def told(self) -> TrialTold:
        told = self.stage.board.snapshot().status.trial
        assert told is not None
        return told

    @property
    def text(self) -> str:
        return text_of(1, self.told.digits)

    def read_all(self) -> None:
        """Both readers read the code."""
        for place in (CARD_READER, SCANNER):
            self.on.read(place, self.text)

    def to_walk(self) -> None:
        """As far as the pulse on which somebody is to walk through."""
        self.read_all()
        assert self.on.answer(Step.ARM, 1)
        self.stage.wait(LOCKED_MS)
        assert self.told.step is Step.WALK

    def move(self, trouble: TurnstileTrouble) -> None:
        """An input moves there and back."""
        for what in (trouble, None):
            self.stage.arms[0].trouble(what)
            self.stage.wait(200)

    def pass_all(self) -> None:
        """Everything is done as told."""
        self.to_walk()
        self.stage.arms[0].walk(Walk.THROUGH)
        self.stage.wait(2_000)
        assert self.on.skip(Step.FIRE)
        self.move(TurnstileTrouble.TAMPER)

    def events(self) -> list[tuple[str | None, str | None]]:
        """The journal's events at the lane, with who."""
        entries = [entry for entry in self.stage.written() if entry.kind is EntryKind.EVENT and entry.lane == 1]
        return [(entry.reason, entry.who) for entry in entries]


@pytest.fixture
def trial(stage: Stage, venue: Venue) -> Trial:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    return Trial(stage, ticket)


def test_a_lane_that_is_as_it_should_be(trial: Trial) -> None:
    stage = trial.stage
    assert trial.begin() is None
    assert (trial.told.step, trial.told.place, trial.told.of, trial.told.unread) == (Step.CODE, 1, 5, 2)
    assert stage.states() == [LaneState.COMMISSIONING, LaneState.OPEN]
    face = stage.face()
    assert (face.verdict, face.facts.commission, face.facts.to_lane) == (Reason.LANE_CLOSED, trial.told.digits, 2)
    trial.on.read(CARD_READER, "https://pay.example/1")
    trial.on.read(CARD_READER, trial.text)
    assert (trial.told.step, trial.told.unread) == (Step.CODE, 1)
    trial.on.read(SCANNER, trial.text)
    assert trial.told.place == 2
    assert stage.face().facts.commission == "", "nobody is asked to read it any more"
    assert len(stage.pulses()) == 1
    assert trial.on.answer(Step.ARM, 1)
    assert trial.told.place == 3, "the arm is waited for"
    stage.wait(LOCKED_MS)
    assert (trial.told.step, len(stage.pulses())) == (Step.WALK, 2)
    stage.arms[0].walk(Walk.THROUGH)
    stage.wait(2_000)
    assert trial.told.place == 4
    trial.move(TurnstileTrouble.FIRE)
    assert trial.told.place == 5
    trial.move(TurnstileTrouble.TAMPER)
    assert trial.told.step is Step.DONE
    stage.wait(LOCKED_MS)
    assert trial.lane.trial is None
    assert stage.gate.trials.now is None
    on_disk = {entry.seq: entry.reason for entry in stage.written()}
    assert [on_disk[seq] for seq in stage.pulses()] == ["test_pulse"] * 2
    words = [reason for reason, who in trial.events() if who == WHO]
    assert words == ["commission", "test_pulse", "test_pulse", "commissioned"]
    assert stage.entries.wiring()[1] == Wiring(topology_of(SPECS[0]))
    assert stage.states() == [LaneState.CLOSED] * 2, "the fire release was tried: staff open every lane again"


def test_what_was_not_tried_is_kept_as_such_and_the_lane_serves_again(trial: Trial) -> None:
    trial.begin()
    trial.pass_all()
    assert trial.told.step is Step.DONE
    trial.stage.wait(LOCKED_MS)
    assert trial.stage.states() == [LaneState.OPEN] * 2
    assert trial.stage.alarms() == []
    assert admitted(trial.stage.show(trial.ticket.text))
    trial.stage.gate.standing.trial_read(trial.told.number)
    assert trial.stage.board.snapshot().status.trial is None


@pytest.mark.parametrize(
    ("arm", "flaw"),
    [
        (2, Flaw(FlawKind.OTHER_ARM, lane=2)),
        (NO_ARM, Flaw(FlawKind.NO_ARM)),
        (ANOTHER_ARM, Flaw(FlawKind.OTHER_ARM, lane=ANOTHER_ARM)),
    ],
)
def test_the_relay_of_another_lane(trial: Trial, arm: int, flaw: Flaw) -> None:
    trial.begin()
    trial.read_all()
    assert trial.on.answer(Step.ARM, arm)
    assert (trial.told.step, trial.told.flaw) == (Step.FAILED, flaw)
    assert trial.events()[-1] == (f"commission_ended: {flaw.kind}", WHO)
    assert trial.stage.entries.wiring() == {}


def test_the_reader_of_another_lane(trial: Trial) -> None:
    trial.begin()
    assert trial.stage.show(trial.text, lane=2) is None
    trial.stage.wait(200)
    assert trial.told.flaw == Flaw(FlawKind.READ_ELSEWHERE, lane=2)
    assert "refused" not in " ".join(trial.stage.told()), "nobody was turned away at lane 2"
    assert trial.stage.pulses() == []


def test_another_lane_judges_any_other_code(trial: Trial) -> None:
    trial.begin()
    assert trial.stage.show(text_of(1, "000000"), lane=2) == Refuse(Reason.NOT_OURS)
    assert trial.told.step is Step.CODE


def test_readers_that_never_read(trial: Trial) -> None:
    trial.begin()
    trial.on.read(SCANNER, trial.text)
    trial.stage.wait(LIMIT_MS + 1_000)
    assert trial.told.flaw == Flaw(FlawKind.UNREAD, readers=1)
    assert trial.stage.states() == [LaneState.OPEN] * 2


def test_a_sensor_that_never_moves_gets_three_pulses(trial: Trial) -> None:
    trial.begin()
    trial.stage.arms[0].trouble(TurnstileTrouble.SENSOR_DEAD)
    trial.to_walk()
    for _ in range(PULSES_LIMIT):
        trial.stage.arms[0].walk(Walk.THROUGH)
        trial.stage.wait(LOCKED_MS)
    assert trial.told.flaw == Flaw(FlawKind.STILL, (Role.PASSAGE_IN,))
    assert len(trial.stage.pulses()) == 1 + PULSES_LIMIT


def test_an_input_that_is_not_at_rest_ends_it_at_once(trial: Trial) -> None:
    trial.stage.arms[0].trouble(TurnstileTrouble.TAMPER)
    assert trial.begin() is None
    assert trial.told.flaw == Flaw(FlawKind.NOT_AT_REST, (Role.TAMPER,))
    assert trial.stage.pulses() == []
    trial.stage.wait(200)
    assert trial.stage.states() == [LaneState.OPEN] * 2


def test_an_arm_that_does_not_lock_again(trial: Trial) -> None:
    trial.begin()
    trial.read_all()
    trial.stage.arms[0].trouble(TurnstileTrouble.NEVER_READY)
    trial.on.answer(Step.ARM, 1)
    trial.stage.wait(LIMIT_MS + 1_000)
    assert trial.told.flaw == Flaw(FlawKind.HELD)


def test_a_relay_that_takes_no_pulse(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(direction: Direction, pulse_ms: int, note: Note) -> int:
        raise DeviceFault("the board does not answer")

    monkeypatch.setattr(trial.stage.arms[0], "open_for", refuse)
    trial.begin()
    trial.read_all()
    assert trial.told.flaw == Flaw(FlawKind.RELAY, detail="the board does not answer")


def test_cancelled_it_keeps_nothing_and_waits_for_the_arm(trial: Trial) -> None:
    trial.begin()
    trial.to_walk()
    assert trial.on.cancel()
    assert trial.told.flaw == Flaw(FlawKind.CANCELLED)
    assert trial.stage.states()[0] is LaneState.COMMISSIONING, "somebody may still walk through on the test pulse"
    trial.stage.arms[0].walk(Walk.THROUGH)
    trial.stage.wait(LOCKED_MS)
    assert trial.stage.states() == [LaneState.OPEN] * 2
    assert trial.stage.alarms() == []
    assert trial.stage.entries.wiring() == {}


@pytest.mark.parametrize("burns", [1, 2])
def test_a_fire_ends_it(trial: Trial, burns: int) -> None:
    trial.begin()
    trial.to_walk()
    trial.stage.arms[burns - 1].trouble(TurnstileTrouble.FIRE)
    trial.stage.wait(200)
    assert trial.told.flaw == Flaw(FlawKind.FIRE)
    assert trial.stage.states() == [LaneState.FIRE] * 2
    assert trial.lane.trial is None


def test_a_fire_at_another_lane_is_no_try_of_this_ones_release(trial: Trial) -> None:
    trial.begin()
    trial.to_walk()
    trial.stage.arms[0].walk(Walk.THROUGH)
    trial.stage.wait(2_000)
    assert trial.told.step is Step.FIRE
    trial.stage.arms[1].trouble(TurnstileTrouble.FIRE)
    trial.stage.wait(200)
    assert trial.told.flaw == Flaw(FlawKind.FIRE)


def test_one_lane_at_a_time_and_none_in_use(trial: Trial) -> None:
    assert admitted(trial.stage.show(trial.ticket.text))
    assert trial.begin() is NotNow.IN_USE
    trial.stage.wait(LOCKED_MS)
    trial.stage.order(Word.HELD_OPEN, 10)
    trial.stage.wait(200)
    assert trial.begin() is NotNow.IN_USE
    trial.stage.order(Word.CLOSED)
    trial.stage.wait(LOCKED_MS)
    assert trial.begin() is None
    assert trial.stage.gate.commission(trial.stage.lanes[1], WHO) is NotNow.COMMISSIONING


def test_staff_open_nothing_at_a_lane_on_trial(trial: Trial) -> None:
    trial.begin()
    gate, lane = trial.stage.gate, trial.lane
    assert gate.let_in(lane, WHO, "other") is NotNow.COMMISSIONING
    assert gate.check_next(lane, WHO) is NotNow.COMMISSIONING
    trial.stage.order(Word.HELD_OPEN, 10)
    trial.stage.wait(2_000)
    assert trial.stage.pulses() == []


def test_answers_to_what_is_not_asked_any_more_do_nothing(trial: Trial) -> None:
    trial.begin()
    assert not trial.on.answer(Step.ARM, 1)
    assert not trial.on.skip(Step.CODE)
    trial.read_all()
    assert not trial.on.skip(Step.FIRE)
    assert trial.told.step is Step.ARM


def test_in_a_fire_none_begins(trial: Trial) -> None:
    trial.stage.arms[1].trouble(TurnstileTrouble.FIRE)
    assert trial.begin() is NotNow.FIRE


def test_without_the_journal_nothing_begins_and_nothing_moves(trial: Trial) -> None:
    trial.stage.disk_takes(anything=False)
    assert trial.begin() is NotNow.CANNOT_RECORD
    assert trial.stage.gate.trials.now is None
    trial.stage.disk_takes(anything=True)
    assert trial.begin() is None
    trial.stage.disk_takes(anything=False)
    trial.read_all()
    assert trial.told.flaw is not None
    assert trial.told.flaw.kind is FlawKind.RECORD
    assert trial.stage.pulses() == []


def test_what_cannot_be_kept_is_not_learnt(trial: Trial) -> None:
    trial.begin()
    trial.to_walk()
    trial.stage.arms[0].walk(Walk.THROUGH)
    trial.stage.wait(2_000)
    trial.on.skip(Step.FIRE)
    trial.stage.disk_takes(anything=False)
    trial.move(TurnstileTrouble.TAMPER)
    trial.stage.disk_takes(anything=True)
    assert trial.told.flaw is not None
    assert trial.told.flaw.kind is FlawKind.RECORD
    assert trial.stage.entries.wiring() == {}


def test_a_lane_that_moved_or_is_crossed_is_in_order_after_it(trial: Trial) -> None:
    standing = trial.stage.gate.standing
    standing.name_trouble(1, LaneTrouble.CROSSED, 2)
    assert trial.stage.states()[0] is LaneState.OUT_OF_ORDER
    assert trial.begin() is None
    trial.pass_all()
    trial.stage.wait(LOCKED_MS)
    assert trial.stage.states() == [LaneState.OPEN] * 2


@pytest.fixture
def shared(tmp_path: Path, venue: Venue) -> Iterator[Trial]:
    ticket = venue.issue()
    venue.settle(tmp_path)
    with stage_at(tmp_path, ways=(Direction.IN, Direction.OUT), shares_arm=True) as stage:
        yield Trial(stage, ticket)


def test_of_an_arm_that_turns_both_ways_a_lane_tries_its_own(shared: Trial) -> None:
    shared.begin()
    shared.pass_all()
    assert shared.told.step is Step.DONE
    moments = shared.stage.histories[0].moments("relay")
    assert {moment.note["direction"] for moment in moments} == {"in"}


def test_a_disk_with_room_for_admissions_alone_takes_no_test_pulse(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.begin()
    monkeypatch.setattr(trial.stage.entries, "has_room", lambda: False)
    trial.read_all()
    assert trial.told.flaw == Flaw(FlawKind.RECORD, detail="the disk is full")
    assert trial.stage.pulses() == []
