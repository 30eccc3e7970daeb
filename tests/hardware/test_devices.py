"""A lane's line of settings: what it may say, and the words for what it may not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware import DeviceFault
from hardware.camera import Region
from hardware.devices import LaneSpec, open_lane, parse_lane, share_arms
from hardware.file_turnstile import FileTurnstile
from hardware.indicator import Signal
from hardware.pty_scanner import PtyScanner
from hardware.reader_spec import DeviceSpec
from hardware.simulated_turnstile import SimulatedTurnstile
from hardware.turnstile import Direction, Role
from hardware.turnstile_spec import TurnstileSpec
from hardware.wired_turnstile import Contact, InputPin, RelayPin, WiredTurnstile
from tests.waiting import until

SIM, ARM = DeviceSpec("sim"), TurnstileSpec("sim")
INPUTS = {
    Role.PASSAGE_IN: InputPin(27, Contact.NC),
    Role.PASSAGE_OUT: InputPin(22, Contact.NO),
    Role.READY: InputPin(23, Contact.NO),
    Role.FIRE: InputPin(24, Contact.NC),
    Role.TAMPER: InputPin(25, Contact.NC),
}


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("1:reader=sim,turnstile=sim", LaneSpec(1, (SIM,), ARM)),
        ("2:turnstile=sim,direction=out,reader=sim", LaneSpec(2, (SIM,), ARM, Direction.OUT)),
        (
            "1:reader=serial:/dev/ttyUSB0,turnstile=file:/run/pulses",
            LaneSpec(1, (DeviceSpec("serial", "/dev/ttyUSB0", 115_200),), TurnstileSpec("file", "/run/pulses")),
        ),
        (
            "1:reader=serial:/dev/serial/by-path/pci-0:2:1.0@9600,reader=camera:rtsp://a:b@c/d?e=f,turnstile=sim",
            LaneSpec(
                1,
                (
                    DeviceSpec("serial", "/dev/serial/by-path/pci-0:2:1.0", 9600),
                    DeviceSpec("camera", "rtsp://a:b@c/d?e=f"),
                ),
                ARM,
            ),
        ),
        (
            "1:reader=serial:/tmp/odd@name,turnstile=sim",
            LaneSpec(1, (DeviceSpec("serial", "/tmp/odd@name"),), ARM),
        ),
        (
            "1:reader=sim,turnstile=gpio:gpiochip4/17:low,passage_in=27,passage_out=22:no,ready=23,fire=24:nc,tamper=25",
            LaneSpec(
                1, (SIM,), TurnstileSpec("gpio", "/dev/gpiochip4", RelayPin(17, active_high=False), inputs=INPUTS)
            ),
        ),
        (
            "1:reader=sim,turnstile=gpio:/dev/usb-gpio/0,direction=out,passage_out=1",
            LaneSpec(
                1,
                (SIM,),
                TurnstileSpec("gpio", "/dev/usb-gpio", RelayPin(0), inputs={Role.PASSAGE_OUT: InputPin(1, Contact.NC)}),
                Direction.OUT,
            ),
        ),
        (
            "1:reader=sim,turnstile=gpiozero:17:high",
            LaneSpec(1, (SIM,), TurnstileSpec("gpiozero", relay=RelayPin(17))),
        ),
        (
            "1:reader=sim,turnstile=serialrelay:/dev/serial/by-path/pci-0:2:1.0@115200#4",
            LaneSpec(
                1, (SIM,), TurnstileSpec("serialrelay", "/dev/serial/by-path/pci-0:2:1.0", baud=115_200, channel=4)
            ),
        ),
        (
            "1:reader=sim,turnstile=modbusrelay:/dev/odd@name#32",
            LaneSpec(1, (SIM,), TurnstileSpec("modbusrelay", "/dev/odd@name", baud=9600, channel=32)),
        ),
        (
            "1:reader=sim,turnstile=httprelay:http://10.0.8.2/relay/0?turn=on&timer={pulse_s},interface=eth1",
            LaneSpec(
                1,
                (SIM,),
                TurnstileSpec("httprelay", "http://10.0.8.2/relay/0?turn=on&timer={pulse_s}", interface="eth1"),
            ),
        ),
        (
            "1:reader=sim,turnstile=gpiozero:17,relay_out=18:low",
            LaneSpec(1, (SIM,), TurnstileSpec("gpiozero", relay=RelayPin(17), out=RelayPin(18, active_high=False))),
        ),
        (
            "1:reader=sim,turnstile=serialrelay:/a#1,relay_out=16",
            LaneSpec(1, (SIM,), TurnstileSpec("serialrelay", "/a", channel=1, out=16)),
        ),
        (
            "1:reader=sim,turnstile=httprelay:http://10.0.8.2/0,relay_out=http://10.0.8.2/1,interface=eth1",
            LaneSpec(
                1, (SIM,), TurnstileSpec("httprelay", "http://10.0.8.2/0", interface="eth1", out="http://10.0.8.2/1")
            ),
        ),
        (
            "2:reader=sim,turnstile=lane:1,direction=out",
            LaneSpec(2, (SIM,), TurnstileSpec("lane", "1"), Direction.OUT, arm_of=1),
        ),
        (
            "1:reader=camera:2,roi=25/0/50/100,exposure_us=900,reader=serial:/a,on_go=1b07,on_stop=1B,turnstile=sim",
            LaneSpec(
                1,
                (
                    DeviceSpec("camera", "2", region=Region(25, 0, 50, 100), exposure_us=900),
                    DeviceSpec("serial", "/a", signals={Signal.GO: b"\x1b\x07", Signal.STOP: b"\x1b"}),
                ),
                ARM,
            ),
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
        ("1:", "lane 1: '' is none of reader="),
        ("1:reader=sim", "lane 1: name exactly one turnstile"),
        ("1:reader=sim,turnstile=sim,turnstile=sim", "lane 1: name turnstile once"),
        ("1:turnstile=sim", "1 to 8 readers .*not 0"),
        ("1:turnstile=sim" + ",reader=sim" * 9, "1 to 8 readers .*not 9"),
        ("1:reader=sim,turnstile=sim,lamp=red", "'lamp=red' is none of"),
        ("1:reader=sim,turnstile=sim,direction=up", "in or out, not 'up'"),
        ("1:reader=sim,turnstile=sim,direction=in,direction=in", "name direction once"),
        ("1:reader=nose:1,turnstile=sim", "no known kind; known are serial:PATH"),
        ("1:reader=serial,turnstile=sim", "should read reader=serial:PATH"),
        ("1:reader=sim:1,turnstile=sim", "should read reader="),
        ("1:reader=sim,turnstile=file:", "should read turnstile=file:PATH or .* sim"),
        ("1:reader=serial:/dev/ttyUSB0@7,turnstile=sim", "7 baud"),
        ("1:reader=sim,turnstile=arm:1", "lane 1: turnstile='arm:1' is of no known kind; known are file:PATH, gpio:"),
        ("1:reader=sim,turnstile=gpio:17", "names no chip: write gpio:CHIP/PIN"),
        ("1:reader=sim,turnstile=gpio:gpiochip0/x", "'x' is no relay's pin"),
        ("1:reader=sim,turnstile=gpio:gpiochip0/1024", "'1024' is no relay's pin"),
        ("1:reader=sim,turnstile=gpiozero:17:lo", "'17:lo' is no relay's pin: .* :low behind it"),
        ("1:reader=sim,turnstile=gpiozero:17,ready=GPIO4", "ready='GPIO4' should read ready=PIN, or PIN:nc or PIN:no"),
        ("1:reader=sim,turnstile=gpiozero:17,ready=4:nx", "ready='4:nx' should read"),
        ("1:reader=sim,turnstile=gpiozero:17,ready=4,ready=5", "name ready once"),
        ("1:reader=sim,turnstile=gpiozero:17,ready=4,fire=4", "a pin of their own"),
        ("1:reader=sim,turnstile=gpiozero:17,ready=17", "a pin of their own"),
        ("1:reader=sim,turnstile=gpiozero:17,passage_out=4", "passage_out alone cannot tell who passed"),
        ("1:reader=sim,turnstile=gpiozero:17,direction=out,passage_in=4", "passage_in alone cannot tell"),
        ("1:reader=sim,turnstile=gpiozero:17,relay_out=17", "a pin of their own"),
        ("1:reader=sim,turnstile=gpiozero:17,relay_out=4,ready=4", "a pin of their own"),
        ("1:reader=sim,turnstile=gpiozero:17,relay_out=x", "'x' is no relay's pin"),
        ("1:reader=sim,turnstile=serialrelay:/a#2,relay_out=2", "relay_out='2' is another channel .* from 1 to 16"),
        ("1:reader=sim,turnstile=modbusrelay:/a#2,relay_out=33", "relay_out='33' is another channel .* from 1 to 32"),
        ("1:reader=sim,turnstile=httprelay:http://10.0.8.2/0,relay_out=1,interface=e", "a URL with an IP address"),
        ("1:reader=sim,turnstile=sim,relay_out=4", "a second relay beside the first: turnstile=sim has none"),
        ("1:reader=sim,turnstile=lane:1,relay_out=4", "turnstile=lane has none"),
        ("1:reader=sim,turnstile=lane:one", "should name the lane whose arm it shares, as in lane:1"),
        ("1:reader=sim,turnstile=sim,ready=4", "only gpio and gpiozero have inputs: sim cannot have ready"),
        ("1:reader=sim,turnstile=serialrelay:/dev/ttyUSB0", "names no channel: end with # and a number from 1 to 16"),
        ("1:reader=sim,turnstile=serialrelay:/dev/ttyUSB0#0", "names no channel"),
        ("1:reader=sim,turnstile=modbusrelay:/dev/ttyUSB0#33", "a number from 1 to 32"),
        ("1:reader=sim,turnstile=serialrelay:/dev/ttyUSB0@7#1", "7 baud is no speed"),
        ("1:reader=sim,turnstile=httprelay:http://10.0.8.2/pulse", "needs interface=NAME"),
        ("1:reader=sim,turnstile=sim,interface=eth1", "an httprelay, and nothing else, needs interface=NAME"),
        ("1:reader=sim,turnstile=httprelay:http://relay/pulse,interface=eth1", "a URL with an IP address"),
        ("1:reader=sim,turnstile=httprelay:ftp://10.0.8.2/pulse,interface=eth1", "a URL with an IP address"),
        ("1:roi=0/0/100/100,reader=camera:0,turnstile=sim", "belongs behind the reader=camera:"),
        ("1:reader=sim,on_go=07,turnstile=sim", "belongs behind the reader=serial:"),
        ("1:reader=camera:0,roi=0/0/100,turnstile=sim", "should read roi=LEFT/TOP/WIDTH/HEIGHT"),
        ("1:reader=camera:0,roi=50/0/51/100,turnstile=sim", "should read roi=LEFT/TOP/WIDTH/HEIGHT"),
        ("1:reader=camera:0,roi=0/0/0/100,turnstile=sim", "should read roi=LEFT/TOP/WIDTH/HEIGHT"),
        ("1:reader=camera:0,roi=0/0/9/9,roi=0/0/9/9,turnstile=sim", "name roi once for each reader"),
        ("1:reader=camera:0,exposure_us=10,turnstile=sim", "microseconds from 100 to 1000000"),
        ("1:reader=camera:rtsp://a/b,exposure_us=1000,turnstile=sim", "rtsp://a/b exposes by its own settings"),
        ("1:reader=serial:/dev/ttyUSB0,on_go=beep,turnstile=sim", "on_go='beep' should be 1 to 64 bytes in hex"),
        ("1:reader=serial:/dev/ttyUSB0,on_go=,turnstile=sim", "on_go='' should be 1 to 64 bytes in hex"),
        ("1:reader=serial:/dev/ttyUSB0,on_rain=07,turnstile=sim", "'on_rain=07' is none of reader=…, roi=…"),
    ],
)
def test_lanes_that_are_not(text: str, words: str) -> None:
    with pytest.raises(DeviceFault, match=words):
        parse_lane(text)


TWO_WAY = "1:reader=sim,turnstile=gpiozero:17,relay_out=18"


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("2:reader=sim,turnstile=sim", "lane 3: turnstile=lane:1: there is no lane 1 with a turnstile of its own"),
        ("1:reader=sim,turnstile=sim,direction=out", "both lead out"),
        ("1:reader=sim,turnstile=gpiozero:17", "no second relay for the way out; name it there, as relay_out="),
        ("1:reader=sim,turnstile=file:/run/pulses", "no second relay for the way out"),
        (TWO_WAY + ",passage_in=4", "lane 1 needs passage_in and passage_out"),
    ],
)
def test_arms_that_cannot_be_shared(first: str, words: str) -> None:
    lanes = [parse_lane(first), parse_lane("3:reader=sim,turnstile=lane:1,direction=out")]
    with pytest.raises(DeviceFault, match=words):
        share_arms(lanes)


def test_a_lane_that_shares_an_arm_has_the_turnstile_of_the_other() -> None:
    both = share_arms([parse_lane("2:reader=sim,turnstile=lane:1,direction=out"), parse_lane(TWO_WAY + ",ready=4")])
    assert both[0].turnstile == both[1].turnstile
    assert (both[0].arm_of, both[0].turnstile.out) == (1, RelayPin(18))


def test_two_lanes_hold_one_arm() -> None:
    entry, leaving = share_arms(
        [parse_lane("1:reader=sim,turnstile=sim"), parse_lane("2:reader=sim,turnstile=lane:1,direction=out")]
    )
    first = open_lane(entry)
    second = open_lane(leaving, first)
    assert second.turnstile is first.turnstile
    assert second.simulated is not None
    second.simulated.walk("pass")
    second.turnstile.open_for(Direction.OUT, 300, {})
    until(lambda: second.turnstile.passing(Direction.OUT), what="the visitor of the other side walks out")
    for lane in (second, first):
        lane.close()


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
        lane.turnstile.open_for(Direction.IN, 300, {})


@pytest.mark.parametrize(
    ("turnstile", "fault"),
    [
        ("gpio:{0}/chip/17,passage_in=27", "cannot be had"),
        ("gpiozero:17,passage_in=27", ""),  # what is missing depends on the machine
        ("serialrelay:{0}/board#1", "plug it in"),
        ("modbusrelay:{0}/board#1", "plug it in"),
        ("httprelay:http://127.0.0.1:9/pulse,interface=eth77", "eth77"),
    ],
)
def test_a_turnstile_that_is_away_does_not_stop_the_lane(tmp_path: Path, turnstile: str, fault: str) -> None:
    lane = open_lane(parse_lane("1:reader=sim,turnstile=" + turnstile.format(tmp_path)))
    assert isinstance(lane.turnstile, WiredTurnstile)
    assert lane.turnstile.has_passage_sensor is ("passage_in" in turnstile)
    assert any(fault in sentence for sentence in lane.faults)
    with pytest.raises(DeviceFault):
        lane.turnstile.open_for(Direction.IN, 300, {})
    lane.close()


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
