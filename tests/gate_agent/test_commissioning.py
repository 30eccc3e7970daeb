"""Commissioning a lane: somebody holds up its code, looks at the arm and walks through it, or something is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from gate_agent.board import Board
from gate_agent.commission_lane import ByHand, NotCommissioned, commission_lane
from gate_agent.commissioning import AT_REST, Commissioning, Flaw, FlawKind, Step, TrialTold, text_of
from gate_agent.entries import Entries
from gate_agent.events import EventWord
from gate_agent.lane_trial import commissioning_of
from gate_agent.readers import readers_of
from gate_agent.screen import commission_words
from gate_agent.screen.commission_words import flaw_said
from gate_agent.settings import LaneChoice, LaneSettings
from gate_agent.topology import NOT_TRIED, roles_of
from gate_agent.trusted_time import device_clock_ns
from hardware.devices import LaneDevices, open_lane, parse_lane
from hardware.simulated import SimulatedLane
from hardware.turnstile import Direction, Role
from tests.gate_agent.agent_process import journal_of
from tests.wire import samples

SIM = "1:reader=sim,turnstile=sim"
DIGITS = "482913"


EVERYTHING = (Role.PASSAGE_IN, Role.READY, Role.FIRE, Role.TAMPER)


def core_of(roles: tuple[Role, ...] = EVERYTHING, readers: int = 1) -> Commissioning:
    return Commissioning(1, Direction.IN, roles, readers, DIGITS, 6_000)


def step(core: Commissioning) -> Step:
    return core.step


def at_rest(role: Role) -> bool:
    return AT_REST[role]


@pytest.mark.parametrize(
    ("roles", "readers", "untried", "steps"),
    [
        (EVERYTHING, 1, set(), "code arm settle walk fire tamper done"),
        (EVERYTHING, 1, {Role.FIRE}, "code arm settle walk tamper done"),
        ((), 2, set(), "code arm done"),
        ((), 0, set(), "arm done"),
        ((Role.FIRE,), 1, set(), "code arm fire done"),
    ],
)
def test_a_lane_has_the_steps_that_its_readers_and_inputs_call_for(
    roles: tuple[Role, ...], readers: int, untried: set[Role], steps: str
) -> None:
    core = core_of(roles, readers)
    core.untried = untried
    assert " ".join(core.steps) == steps


def test_a_pulse_is_wanted_when_an_arm_is_to_be_looked_at_and_when_somebody_is_to_walk() -> None:
    core = core_of()
    core.begin(at_rest, 0)
    assert (step(core), core.wants_pulse) == (Step.CODE, False)
    core.read(0, DIGITS, 0)
    assert (step(core), core.wants_pulse) == (Step.ARM, True)
    core.answer(1, 0)
    assert step(core) is Step.ARM, "nobody can have seen an arm yet"
    core.pulsed(0)
    core.answer(1, 0)
    core.tick(lambda role: AT_REST[role] and role is not Role.READY, 1_000)
    assert step(core) is Step.SETTLE, "the arm is not locked again"
    core.tick(at_rest, 2_000)
    assert (step(core), core.wants_pulse) == (Step.WALK, True)
    core.pulsed(2_000)
    core.tick(at_rest, 7_999)
    assert not core.wants_pulse
    core.tick(at_rest, 8_000)
    assert core.wants_pulse, "nobody walked within the window of that pulse"


def test_what_moved_before_a_step_does_not_count_in_it() -> None:
    core = core_of((Role.TAMPER, Role.FIRE), 0)
    core.begin(at_rest, 0)
    for active in (True, False):
        core.edge(Role.TAMPER, active, 0)
    core.pulsed(0)
    core.answer(1, 0)
    core.skip(0)
    assert step(core) is Step.TAMPER
    core.edge(Role.TAMPER, True, 0)
    assert step(core) is Step.TAMPER, "there, and not back yet"
    core.edge(Role.TAMPER, False, 0)
    assert step(core) is Step.DONE
    assert core.untried == {Role.FIRE}


def test_what_is_over_stays_as_it_ended() -> None:
    core = core_of((Role.FIRE,), 1)
    core.begin(at_rest, 0)
    core.fail(Flaw(FlawKind.CANCELLED))
    core.fail(Flaw(FlawKind.FIRE))
    core.edge(Role.FIRE, True, 0)
    core.read(0, DIGITS, 0)
    core.tick(at_rest, 10_000_000)
    assert core.flaw == Flaw(FlawKind.CANCELLED)


@pytest.mark.parametrize("kind", FlawKind)
def test_every_flaw_has_its_sentence_in_both_languages(kind: FlawKind) -> None:
    flaw = Flaw(kind, (Role.READY,), 2, 1, "detail")
    zh, en = (flaw_said(flaw, lambda pair, side=side: pair[side]) for side in (0, 1))  # type: ignore[misc]
    assert "{" not in zh + en
    assert zh.isascii() is False
    assert en.isascii()


def test_every_step_and_input_has_its_words() -> None:
    assert set(commission_words.STEPS) == set(Step)
    assert set(commission_words.FLAWS) == set(FlawKind)
    assert set(commission_words.ROLES) == set(Role)


class Walker:
    """Somebody at a simulated lane who does as told; `arm` is the lane whose arm he sees unlock."""

    def __init__(self, lane: SimulatedLane, arm: int = 1) -> None:
        self._lane = lane
        self._arm = arm
        self.digits = ""
        self.heard: list[Step] = []

    def tell(self, told: TrialTold) -> None:
        if told.step not in self.heard:
            self.heard.append(told.step)
            self._do(told)

    def ask_arm(self, told: TrialTold) -> int:
        self.heard.append(told.step)
        return self._arm

    def _do(self, told: TrialTold) -> None:
        if told.step is Step.CODE:
            text = text_of(1, self.digits or told.digits)
            self._lane.show(text, seed=3)
            self._lane.show(text, to="scanner")
            self._lane.card({"area": "410200", "number": "A1", "identification": "AB"})
        if told.step in (Step.FIRE, Step.TAMPER):
            for what in (told.step.value, "none"):
                self._lane.fault(what)


@pytest.fixture
def devices() -> Iterator[LaneDevices]:
    """A simulated lane."""
    devices = open_lane(parse_lane(SIM))
    yield devices
    devices.close()


@pytest.fixture
def lane(devices: LaneDevices) -> SimulatedLane:
    """Its verbs."""
    assert devices.simulated is not None
    return devices.simulated


def by_hand(devices: LaneDevices, walker: Walker, limit_ms: int = 180_000, window_ms: int = 5_000) -> Commissioning:
    """The lane tried by that person, with the devices in one hand."""
    readers = readers_of(devices)
    core = commissioning_of(parse_lane(SIM), readers, window_ms)
    core.limit_ms = limit_ms
    ByHand(core, devices, readers, walker, lambda _: 1, 300, device_clock_ns).run()
    return core


@pytest.mark.slow
def test_a_lane_that_is_as_it_should_be(devices: LaneDevices, lane: SimulatedLane) -> None:
    walker = Walker(lane)
    assert by_hand(devices, walker).flaw is None
    assert walker.heard == [Step.CODE, Step.ARM, Step.SETTLE, Step.WALK, Step.FIRE, Step.TAMPER]
    assert [moment.event for moment in lane.history_of("relay")] == ["on", "off"] * 2


def test_the_relay_of_another_lane(devices: LaneDevices, lane: SimulatedLane) -> None:
    assert by_hand(devices, Walker(lane, 2)).flaw == Flaw(FlawKind.OTHER_ARM, lane=2)


@pytest.mark.slow
def test_a_reader_that_reads_another_lanes_code(devices: LaneDevices, lane: SimulatedLane) -> None:
    walker = Walker(lane)
    walker.digits = "999999"
    assert by_hand(devices, walker, limit_ms=2_000).flaw == Flaw(FlawKind.UNREAD, readers=2)
    assert lane.history_of("relay") == []


@pytest.mark.slow
def test_a_reader_that_is_away_is_named(devices: LaneDevices, lane: SimulatedLane) -> None:
    lane.fault("scanner_gone")
    flaw = by_hand(devices, Walker(lane), limit_ms=2_000).flaw
    assert flaw is not None
    assert re.search(r"1 readers did not .*scanner is gone: plug it in", flaw_said(flaw, lambda pair: pair[1]))


@pytest.mark.slow
def test_a_sensor_that_tells_nothing(devices: LaneDevices, lane: SimulatedLane) -> None:
    lane.fault("sensor_dead")
    assert by_hand(devices, Walker(lane), window_ms=1_000).flaw == Flaw(FlawKind.STILL, (Role.PASSAGE_IN,))


def test_an_input_that_is_not_at_rest(devices: LaneDevices, lane: SimulatedLane) -> None:
    lane.fault("tamper")
    assert by_hand(devices, Walker(lane)).flaw == Flaw(FlawKind.NOT_AT_REST, (Role.TAMPER,))
    assert lane.history_of("relay") == []


def test_a_contact_of_the_other_kind_is_learned_and_told() -> None:
    spec = parse_lane("1:reader=sim,turnstile=gpiozero:17,passage_in=27,passage_out=5,ready=23,fire=24:nc")
    assert roles_of(spec) == (Role.PASSAGE_IN, Role.READY, Role.FIRE)
    core = commissioning_of(spec, (), 5_000)
    core.begin(lambda role: {Role.PASSAGE_IN: True}.get(role, False), 0)
    assert core.flaw == Flaw(FlawKind.NOT_AT_REST, (Role.PASSAGE_IN, Role.READY), detail="passage_in=27:no,ready=23:nc")
    assert flaw_said(core.flaw, lambda pair: pair[1]).endswith("write passage_in=27:no,ready=23:nc")


@pytest.mark.slow
def test_the_journal_keeps_how_the_lane_is_wired_and_every_test_pulse(tmp_path: Path) -> None:
    shown: list[str] = []
    choice = LaneChoice(parse_lane(SIM), LaneSettings(devices=SIM))
    operator = LateWalker()

    def serve(board: Board, devices: LaneDevices) -> Callable[[], None]:
        assert devices.simulated is not None
        facts = board.snapshot().shown[1].face.facts
        operator.walker = Walker(devices.simulated)
        shown.append(facts.commission)
        return lambda: shown.append("closed")

    untried = frozenset({Role.FIRE})
    topology = commission_lane(tmp_path, choice, operator, "王班长", untried, serve, device_clock_ns)
    assert shown[1:] == ["closed"]
    assert topology["turnstile"] == "sim"
    events = [(entry.reason, entry.lane, entry.who) for entry in journal_of(tmp_path)]
    assert events == [(EventWord.TEST_PULSE, 1, "王班长")] * 2 + [(EventWord.COMMISSIONED, 1, "王班长")]
    entries, _ = Entries.open(tmp_path, lambda: samples.INCARNATION)
    assert entries.wiring()[1].topology == topology
    assert entries.wiring()[1].crossed_with is None
    entries.close()
    assert NOT_TRIED not in str(topology), "a simulated lane names no inputs"


def test_a_lane_that_is_not_as_it_should_be_keeps_no_wiring(tmp_path: Path) -> None:
    operator = LateWalker()

    def serve(board: Board, devices: LaneDevices) -> Callable[[], None]:
        assert devices.simulated is not None
        operator.walker = Walker(devices.simulated, arm=2)
        return lambda: None

    choice = LaneChoice(parse_lane(SIM), LaneSettings(devices=SIM))
    with pytest.raises(NotCommissioned) as raised:
        commission_lane(tmp_path, choice, operator, "王班长", frozenset(), serve, device_clock_ns)
    assert raised.value.flaw == Flaw(FlawKind.OTHER_ARM, lane=2)
    assert [entry.reason for entry in journal_of(tmp_path)] == ["test_pulse", "commission_ended: other_arm"]
    entries, _ = Entries.open(tmp_path, lambda: samples.INCARNATION)
    assert entries.wiring() == {}
    entries.close()


class LateWalker:
    """A walker who comes when the lane is there."""

    walker: Walker

    def tell(self, told: TrialTold) -> None:
        self.walker.tell(told)

    def ask_arm(self, told: TrialTold) -> int:
        return self.walker.ask_arm(told)


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gate_agent", "commission", "1", "--data", str(tmp_path), "--lane", SIM]
    with subprocess.Popen(
        [*command, "--screen-port", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        url = json.loads(process.stdout.readline().removeprefix("READY "))["screen"]
        page = urlopen(f"{url}/lane/1").read().decode()
        digits = re.search(r"\b\d{6}\b", process.stdout.readline())
        assert digits is not None
        assert f'<p class="fact">{digits[0]}</p>' in page
        assert '<svg viewBox="0 0 ' in page
        for verb, body in (
            ("show", {"text": text_of(1, digits[0]), "seed": 3}),
            ("show", {"text": digits[0], "to": "scanner"}),
            ("card", {"area": "410200", "number": "A1", "identification": "AB"}),
        ):
            urlopen(Request(f"{url}/sim/lane/1/{verb}", json.dumps(body).encode()))
        process.stdin.write("1\n")
        process.stdin.flush()
        for line in process.stdout:
            for word, what in ("fire release", "fire"), ("housing", "tamper"):
                if word in line:
                    for fault in (what, "none"):
                        asked = json.dumps({"what": fault}).encode()
                        urlopen(Request(f"{url}/sim/lane/1/fault", asked))
        assert process.wait() == 0
    assert journal_of(tmp_path)[-1].reason == EventWord.COMMISSIONED
