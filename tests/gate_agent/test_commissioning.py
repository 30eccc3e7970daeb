"""Commissioning a lane: somebody holds up its code, looks at the arm and walks through it, or something is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import cv2
import pytest

from gate_agent.board import Board
from gate_agent.commission_lane import commission_lane
from gate_agent.commissioning import Commissioning, NotCommissioned, text_of
from gate_agent.entries import Entries
from gate_agent.events import EventWord
from gate_agent.settings import LaneChoice, LaneSettings
from gate_agent.topology import NOT_TRIED
from gate_agent.trusted_time import device_clock_ns
from hardware.devices import LaneDevices, open_lane, parse_lane
from hardware.phone_screen import qr_picture
from hardware.simulated import SimulatedLane
from hardware.turnstile import Direction, Role
from hardware.wired_turnstile import OnEdge, WiredTurnstile
from tests.gate_agent.agent_process import journal_of
from tests.wire import samples

SIM = "1:reader=sim,turnstile=sim"
DIGITS = "482913"


class Walker:
    """Somebody at a simulated lane who does as told; `arm` is the lane whose arm he sees unlock."""

    def __init__(self, lane: SimulatedLane, arm: str = "1") -> None:
        self._lane = lane
        self._arm = arm
        self.digits = DIGITS
        self.reads = True
        self.heard: list[str] = []

    def tell(self, sentence: str) -> None:
        self.heard.append(sentence)
        if sentence.startswith("Take a picture") and self.reads:
            self._lane.show(text_of(1, self.digits), seed=3)
            self._lane.show(text_of(1, self.digits), to="scanner")
            self._lane.card({"area": "410200", "number": "A1", "identification": "AB"})
        for word, what in ("fire release", "fire"), ("housing", "tamper"):
            if word in sentence:
                self._lane.fault(what)
                self._lane.fault("none")

    def ask(self, question: str) -> str:
        self.heard.append(question)
        return self._arm


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


def commissioning(devices: LaneDevices, walker: Walker, limit_s: float = 180.0, window_s: float = 6.0) -> Commissioning:
    return Commissioning(
        parse_lane(SIM), devices, walker, DIGITS, lambda: None, now_s, limit_s=limit_s, window_s=window_s
    )


def now_s() -> float:
    return device_clock_ns() / 1e9


@pytest.mark.slow
def test_a_lane_that_is_as_it_should_be(devices: LaneDevices, lane: SimulatedLane) -> None:
    walker = Walker(lane)
    assert commissioning(devices, walker).run() == {"direction": "in", "reader 1": "sim", "turnstile": "sim"}
    assert [line.split()[0] for line in walker.heard][-4:] == ["Which", "The", "Set", "Open"]
    assert lane.history_of("relay")[0].event == "on"


@pytest.mark.parametrize(
    ("arm", "says"),
    [("2", "lane 1 unlocks the arm of lane 2: exchange their wires"), (" 0 ", "lane 1 unlocks no arm")],
)
def test_the_relay_of_another_lane(devices: LaneDevices, lane: SimulatedLane, arm: str, says: str) -> None:
    with pytest.raises(NotCommissioned, match=says):
        commissioning(devices, Walker(lane, arm)).run()


@pytest.mark.slow
def test_a_reader_that_reads_another_lanes_code(devices: LaneDevices, lane: SimulatedLane) -> None:
    walker = Walker(lane)
    walker.digits = "999999"
    with pytest.raises(NotCommissioned, match=r"2 of the readers of lane 1 did not read its code .*another lane"):
        commissioning(devices, walker, limit_s=2.0).run()
    assert lane.history_of("relay") == []


@pytest.mark.slow
def test_a_reader_that_is_away_is_named(devices: LaneDevices, lane: SimulatedLane) -> None:
    lane.fault("scanner_gone")
    with pytest.raises(NotCommissioned, match=r"1 of the readers .*scanner is gone: plug it in"):
        commissioning(devices, Walker(lane), limit_s=2.0).run()


@pytest.mark.slow
def test_a_sensor_that_tells_nothing(devices: LaneDevices, lane: SimulatedLane) -> None:
    lane.fault("sensor_dead")
    with pytest.raises(NotCommissioned, match="passage_in did not move there and back while somebody walked through"):
        commissioning(devices, Walker(lane), window_s=2.0).run()


def test_an_input_that_is_not_at_rest(devices: LaneDevices, lane: SimulatedLane) -> None:
    lane.fault("tamper")
    with pytest.raises(NotCommissioned, match="at rest tamper should be inactive: lock and empty the arm"):
        commissioning(devices, Walker(lane)).run()
    assert lane.history_of("relay") == []


class HandPins:
    """A board whose inputs are moved by hand; its relay does nothing but count."""

    fault = None

    def __init__(self, active: dict[Role, bool]) -> None:
        self._active = active
        self.roles = active.keys()
        self.ways = (Direction.IN,)
        self.pulses = 0

    def active(self, role: Role) -> bool | None:
        return self._active[role]

    def watch(self, on_edge: OnEdge) -> None:
        return

    def pulse(self, direction: Direction, pulse_ms: int) -> int:
        self.pulses += 1
        return 0

    def close(self) -> None:
        return


def test_a_contact_of_the_other_kind_is_learned_and_told(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), qr_picture(text_of(1, DIGITS), 6))
    spec = parse_lane(f"1:reader=camera:{tmp_path / 'a.png'},turnstile=gpiozero:17,passage_in=27,ready=23,fire=24:nc")
    pins = HandPins({Role.PASSAGE_IN: True, Role.READY: False, Role.FIRE: False})
    devices = LaneDevices(1, spec.direction, (), (), (), WiredTurnstile(pins, pins), (), None)
    with pytest.raises(NotCommissioned, match=r"write passage_in=27:no,ready=23:nc$"):
        Commissioning(spec, devices, Operatorless(), DIGITS, lambda: None, now_s).run()
    assert pins.pulses == 0


class Operatorless:
    """Nobody at the lane."""

    def tell(self, sentence: str) -> None:
        raise AssertionError(sentence)

    def ask(self, question: str) -> str:
        raise AssertionError(question)


@pytest.mark.slow
def test_the_journal_keeps_how_the_lane_is_wired_and_every_test_pulse(tmp_path: Path) -> None:
    shown: list[str] = []
    choice = LaneChoice(parse_lane(SIM), LaneSettings(devices=SIM))
    operator = LateWalker()

    def serve(board: Board, devices: LaneDevices) -> Callable[[], None]:
        assert devices.simulated is not None
        facts = board.snapshot().shown[1].face.facts
        operator.walker = Walker(devices.simulated)
        operator.walker.digits = facts.commission
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


class LateWalker:
    """A walker who comes when the lane is there."""

    walker: Walker

    def tell(self, sentence: str) -> None:
        self.walker.tell(sentence)

    def ask(self, question: str) -> str:
        return self.walker.ask(question)


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
