"""How a lane is wired: what is seen of it, what counts as moved, what the journal keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate_agent.entries import Entries
from gate_agent.topology import NOT_TRIED, Topology, Wiring, moved, topology_of
from hardware.devices import parse_lane
from hardware.usb import UsbPlace, usb_place
from tests.wire import samples


def plug(sysfs: Path, name: str, socket: str, product: str, kind: str = "class/tty") -> None:
    """A device of the kernel's: its class link leads below the socket that knows its product."""
    below = sysfs / "devices" / socket / f"{socket}:1.0" / name
    below.mkdir(parents=True)
    for file, word in zip(("idVendor", "idProduct"), product.split(":"), strict=True):
        (sysfs / "devices" / socket / file).write_text(f"{word}\n")
    (sysfs / kind).mkdir(parents=True, exist_ok=True)
    (sysfs / kind / name).symlink_to(below)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with a scanner, a camera and a GPIO chip on USB, and a serial line of its own."""
    (tmp_path / "dev/by-path").mkdir(parents=True)
    for name in ("ttyUSB0", "ttyS0", "video0", "gpiochip4"):
        (tmp_path / "dev" / name).touch()
    (tmp_path / "dev/by-path/usb-2").symlink_to("../ttyUSB0")
    plug(tmp_path / "sys", "ttyUSB0", "1-1.2", "1a86:7523")
    plug(tmp_path / "sys", "video0", "1-1.3", "0c45:6366", "class/video4linux")
    plug(tmp_path / "sys", "gpiochip4", "1-1.4", "1a86:5523", "bus/gpio/devices")
    return tmp_path


def seen(machine: Path, lane: str) -> Topology:
    return topology_of(parse_lane(lane.replace("/dev", f"{machine}/dev")), machine / "sys")


def test_where_a_device_is_plugged_in(machine: Path) -> None:
    place = UsbPlace("1-1.2", "1a86:7523")
    assert usb_place(machine / "dev/by-path/usb-2", machine / "sys") == place
    assert str(place) == "1a86:7523 in USB socket 1-1.2"
    assert usb_place(machine / "dev/ttyS0", machine / "sys") is None
    assert usb_place(machine / "dev/ttyUSB9", machine / "sys") is None


def test_what_is_kept_of_a_lane(machine: Path) -> None:
    lane = (
        "1:reader=serial:/dev/by-path/usb-2@9600,reader=camera:/dev/video0,reader=camera:rtsp://u:secret@10.0.8.3/s,"
        "turnstile=gpio:/dev/gpiochip4/17:low,passage_in=27,ready=23:nc"
    )
    assert seen(machine, lane) == {
        "direction": "in",
        "reader 1": f"serial:{machine}/dev/by-path/usb-2",
        "reader 1 usb": "1a86:7523 in USB socket 1-1.2",
        "reader 2": f"camera:{machine}/dev/video0",
        "reader 2 usb": "0c45:6366 in USB socket 1-1.3",
        "reader 3": "camera:10.0.8.3/s",
        "turnstile": f"gpio:{machine}/dev/gpiochip4",
        "turnstile usb": "1a86:5523 in USB socket 1-1.4",
        "relay": "pin 17, on while low",
        "passage_in": "pin 27, nc",
        "ready": "pin 23, nc",
    }


USUAL = {"reader 1": "serial:/dev/a", "reader 1 usb": "1a86:7523 in USB socket 1-1.2", "fire": "pin 4, nc" + NOT_TRIED}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (USUAL, []),
        ({**USUAL, "fire": "pin 4, nc"}, []),
        ({place: told for place, told in USUAL.items() if place != "reader 1 usb"}, []),
        ({**USUAL, "reader 2 usb": "1a86:7523 in USB socket 1-1.9"}, []),
        (
            {**USUAL, "reader 1 usb": "1a86:7523 in USB socket 1-1.3"},
            ["reader 1 usb was 1a86:7523 in USB socket 1-1.2, is 1a86:7523 in USB socket 1-1.3"],
        ),
        ({**USUAL, "fire": "pin 5, nc"}, ["fire was pin 4, nc, is pin 5, nc"]),
        ({**USUAL, "ready": "pin 5, no"}, ["ready was not there, is pin 5, no"]),
        ({}, ["fire was pin 4, nc, is not there", "reader 1 was serial:/dev/a, is not there"]),
    ],
    ids=["same", "tried since", "unplugged", "plugged in since", "socket", "pin", "new input", "all gone"],
)
def test_what_has_moved(now: Topology, told: list[str]) -> None:
    assert moved(USUAL, now) == told


def test_the_journal_keeps_it(tmp_path: Path) -> None:
    entries, _ = Entries.open(tmp_path, lambda: samples.INCARNATION)
    assert entries.wiring() == {}
    with entries.transaction():
        entries.keep_wiring(1, Wiring(USUAL))
        entries.keep_wiring(2, Wiring(crossed_with=1))
        entries.keep_wiring(1, Wiring({"reader 1": "名字"}, crossed_with=2))
    entries.close()
    entries, _ = Entries.open(tmp_path, lambda: samples.INCARNATION)
    assert entries.wiring() == {1: Wiring({"reader 1": "名字"}, 2), 2: Wiring({}, 1)}
    entries.close()


@pytest.mark.parametrize(
    ("turnstile", "relay", "out"),
    [
        ("gpiozero:17,relay_out=18:low", "pin 17, on while high", "pin 18, on while low"),
        ("serialrelay:/a#1,relay_out=2", "channel 1", "channel 2"),
        (
            "httprelay:http://10.0.8.2/0,relay_out=http://admin:secret@10.0.8.2/1,interface=eth1",
            None,
            "10.0.8.2/1",
        ),
    ],
)
def test_an_arm_that_turns_both_ways_has_two_relays(machine: Path, turnstile: str, relay: str | None, out: str) -> None:
    places = seen(machine, f"1:reader=sim,turnstile={turnstile}")
    assert (places.get("relay"), places["relay out"]) == (relay, out)
