"""Relay boards on a real pseudo-terminal: their frames, cables that are pulled, answers that do not come, a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardware import DeviceFault
from hardware.serial_relay import LcusRelay, ModbusRelay, lcus_frame, modbus_frame
from hardware.turnstile import Direction
from tests.hardware.relay_boards import BoardRelay, LcusBoard, ModbusBoard
from tests.tidy.sources import ROOT
from tests.waiting import until

HOLD = """
import sys, threading
from pathlib import Path
from hardware import serial_relay
from hardware.turnstile import Direction
getattr(serial_relay, sys.argv[1])(Path(sys.argv[2]), {Direction.IN: 1}).pulse(Direction.IN, int(sys.argv[3]))
print("on", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def lcus(tmp_path: Path) -> Iterator[LcusBoard]:
    board = LcusBoard(tmp_path / "board")
    yield board
    board.unplug()


@pytest.fixture
def modbus(tmp_path: Path) -> Iterator[ModbusBoard]:
    board = ModbusBoard(tmp_path / "board")
    yield board
    board.unplug()


def edges(relay: BoardRelay) -> list[str]:
    return relay.history.events("relay")


def killed_while_on(kind: str, path: Path, pulse_ms: int) -> None:
    """Another process begins a pulse and is killed."""
    arguments = [sys.executable, "-c", HOLD, kind, str(path), str(pulse_ms)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL


def test_the_frames_are_those_of_the_handbooks() -> None:
    assert lcus_frame(1, on=True) == bytes.fromhex("A0 01 01 A2")
    assert lcus_frame(1, on=False) == bytes.fromhex("A0 01 00 A1")
    assert lcus_frame(4, on=True) == bytes.fromhex("A0 04 01 A5")
    assert modbus_frame(0x0200, 7) == bytes.fromhex("01 05 02 00 00 07 8D B0")


def test_a_killed_gate_leaves_a_relay_on_until_it_starts_again(lcus: LcusBoard, tmp_path: Path) -> None:
    killed_while_on("LcusRelay", tmp_path / "board", 60_000)
    until(lambda: edges(lcus.relay) == ["on"], what="what it began to write arrives")
    relay = LcusRelay(tmp_path / "board", {Direction.IN: 1})
    until(lambda: edges(lcus.relay) == ["on", "off"], what="the start switches it off")
    relay.pulse(Direction.IN, 100)
    until(lambda: edges(lcus.relay) == ["on", "off"] * 2, what="one pulse, no other")
    relay.close()


def test_a_board_that_times_the_pulse_ends_it_without_us(modbus: ModbusBoard, tmp_path: Path) -> None:
    killed_while_on("ModbusRelay", tmp_path / "board", 200)
    until(lambda: edges(modbus.relay) == ["on", "off"], what="the board ends it")
    ModbusRelay(tmp_path / "board", {Direction.IN: 1}).close()
    assert edges(modbus.relay) == ["on", "off"]


@pytest.mark.slow
def test_a_board_that_was_pulled_out_while_on_comes_back_off(lcus: LcusBoard, tmp_path: Path) -> None:
    relay = LcusRelay(tmp_path / "board", {Direction.IN: 1})
    relay.pulse(Direction.IN, 150)
    until(lambda: edges(lcus.relay) == ["on"])
    lcus.unplug()
    until(lambda: relay.fault, what="the loss is noticed")
    assert "plug it in" in str(relay.fault)
    with pytest.raises(DeviceFault, match="plug it in"):
        relay.pulse(Direction.IN, 100)
    lcus.plug()
    until(lambda: relay.fault is None, what="it is found again")
    until(lambda: edges(lcus.relay) == ["on", "off"], what="it is switched off")
    relay.pulse(Direction.IN, 100)
    until(lambda: edges(lcus.relay) == ["on", "off"] * 2, what="it works again")
    relay.close()


def test_a_board_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    relay = LcusRelay(tmp_path / "ttyUSB7", {Direction.IN: 1})
    assert "ttyUSB7 cannot be reached" in str(relay.fault)
    with pytest.raises(DeviceFault, match="plug it in"):
        relay.pulse(Direction.IN, 100)
    relay.close()


@pytest.mark.slow
def test_two_programs_cannot_share_a_board(lcus: LcusBoard, tmp_path: Path) -> None:
    first, second = LcusRelay(tmp_path / "board", {Direction.IN: 1}), LcusRelay(tmp_path / "board", {Direction.IN: 2})
    assert first.fault is None
    assert "another program" in str(second.fault)
    first.close()
    until(lambda: second.fault is None, what="the second gets it")
    second.close()


def test_a_missing_library_is_a_fault_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    relay = LcusRelay(tmp_path / "ttyUSB0", {Direction.IN: 1})
    assert "pyserial is missing" in str(relay.fault)
    relay.close()


def test_a_board_that_refuses_did_not_move(modbus: ModbusBoard, tmp_path: Path) -> None:
    relay = ModbusRelay(tmp_path / "board", {Direction.IN: 1})
    modbus.mood = "refuse"
    with pytest.raises(DeviceFault, match="code 02"):
        relay.pulse(Direction.IN, 100)
    assert edges(modbus.relay) == []
    modbus.mood = "answer"
    relay.pulse(Direction.IN, 100)
    assert relay.fault is None
    relay.close()


def test_a_board_that_does_not_answer_may_have_moved(modbus: ModbusBoard, tmp_path: Path) -> None:
    relay = ModbusRelay(tmp_path / "board", {Direction.IN: 1})
    modbus.mood = "silent"
    relay.pulse(Direction.IN, 100)
    assert edges(modbus.relay)[0] == "on"
    assert "does not answer" in str(relay.fault)
    modbus.mood = "answer"
    relay.pulse(Direction.IN, 100)
    assert relay.fault is None
    relay.close()
