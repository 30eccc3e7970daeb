"""A lane's line of settings: what it may say, and the words for what it may not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware import DeviceFault
from hardware.devices import DeviceSpec, LaneSpec, open_lane, parse_lane
from hardware.pty_scanner import PtyScanner
from hardware.simulated_turnstile import SimulatedTurnstile
from hardware.turnstile import Direction, FileTurnstile

SIM = DeviceSpec("sim")


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("1:reader=sim,turnstile=sim", LaneSpec(1, (SIM,), SIM)),
        ("2:turnstile=sim,direction=out,reader=sim", LaneSpec(2, (SIM,), SIM, Direction.OUT)),
        (
            "1:reader=serial:/dev/ttyUSB0,turnstile=file:/run/pulses",
            LaneSpec(1, (DeviceSpec("serial", "/dev/ttyUSB0", 115_200),), DeviceSpec("file", "/run/pulses")),
        ),
        (
            "1:reader=serial:/dev/serial/by-path/pci-0:2:1.0@9600,reader=camera:rtsp://a:b@c/d?e=f,turnstile=sim",
            LaneSpec(
                1,
                (
                    DeviceSpec("serial", "/dev/serial/by-path/pci-0:2:1.0", 9600),
                    DeviceSpec("camera", "rtsp://a:b@c/d?e=f"),
                ),
                SIM,
            ),
        ),
        (
            "1:reader=serial:/tmp/odd@name,turnstile=sim",
            LaneSpec(1, (DeviceSpec("serial", "/tmp/odd@name"),), SIM),
        ),
    ],
)
def test_lanes_that_are_understood(text: str, spec: LaneSpec) -> None:
    assert parse_lane(text) == spec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "number from 1 to 99"),
        ("reader=sim,turnstile=sim", "number from 1 to 99"),
        ("0:reader=sim,turnstile=sim", "number from 1 to 99"),
        ("100:reader=sim,turnstile=sim", "number from 1 to 99"),
        ("1:", "none of reader="),
        ("1:reader=sim", "exactly one turnstile .*not 0"),
        ("1:reader=sim,turnstile=sim,turnstile=sim", "exactly one turnstile .*not 2"),
        ("1:turnstile=sim", "1 to 8 readers .*not 0"),
        ("1:turnstile=sim" + ",reader=sim" * 9, "1 to 8 readers .*not 9"),
        ("1:reader=sim,turnstile=sim,lamp=red", "'lamp=red' is none of"),
        ("1:reader=sim,turnstile=sim,direction=up", "in or out, not 'up'"),
        ("1:reader=sim,turnstile=sim,direction=in,direction=in", "direction once"),
        ("1:reader=nose:1,turnstile=sim", "no known kind; known are serial:PATH"),
        ("1:reader=serial,turnstile=sim", "should read reader=serial:PATH"),
        ("1:reader=sim:1,turnstile=sim", "should read reader="),
        ("1:reader=sim,turnstile=file:", "should read turnstile=file:PATH or sim"),
        ("1:reader=serial:/dev/ttyUSB0@7,turnstile=sim", "7 baud"),
    ],
)
def test_lanes_that_are_not(text: str, words: str) -> None:
    with pytest.raises(DeviceFault, match=words):
        parse_lane(text)


def test_a_real_lane_is_opened_and_closed(tmp_path: Path) -> None:
    far_end = PtyScanner()
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8), np.uint8))
    spec = f"3:reader=serial:{far_end.path},reader=camera:{tmp_path / 'a.png'},turnstile=file:{tmp_path / 'pulses'}"
    lane = open_lane(parse_lane(spec))
    assert (lane.number, lane.direction, lane.simulated, lane.indicators) == (3, Direction.IN, None, ())
    assert (len(lane.scanners), len(lane.cameras), len(lane.card_readers)) == (1, 1, 0)
    assert isinstance(lane.turnstile, FileTurnstile)
    assert lane.faults == []
    far_end.type("HELLO")
    assert lane.scanners[0].next_line(5.0) == "HELLO"
    far_end.close()
    lane.close()
    with pytest.raises(DeviceFault):
        lane.turnstile.open_for(300, {})


def test_a_simulated_lane_is_held_in_one_hand() -> None:
    lane = open_lane(parse_lane("1:reader=sim,turnstile=sim"))
    assert lane.simulated is not None
    assert isinstance(lane.turnstile, SimulatedTurnstile)
    lane.simulated.show("HELLO", to="scanner")
    assert lane.scanners[0].next_line(0) == "HELLO"
    assert (len(lane.cameras), len(lane.card_readers), len(lane.indicators)) == (1, 1, 1)
    lane.close()


def test_a_device_that_is_away_does_not_stop_the_lane(tmp_path: Path) -> None:
    lane = open_lane(parse_lane(f"1:reader=serial:{tmp_path / 'ttyUSB0'},reader=sim,turnstile=sim"))
    (fault,) = lane.faults
    assert "ttyUSB0 is not there" in fault
    lane.close()


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("reader=camera:{0}/none.mp4,turnstile=sim", "none.mp4"),
        ("reader=sim,turnstile=file:{0}/no/pulses", "no/pulses"),
    ],
)
def test_what_can_never_be_opened_is_named(tmp_path: Path, part: str, words: str) -> None:
    with pytest.raises(DeviceFault, match=words):
        open_lane(parse_lane("1:" + part.format(tmp_path)))
