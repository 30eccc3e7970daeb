"""Card readers in a lane's line of settings: how they are named, what is opened, and where it is written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardware import DeviceFault
from hardware.card_reader import CardReader
from hardware.devices import open_lane, parse_lane
from hardware.pcsc_reader import PcscReader
from hardware.reader_spec import READERS, DeviceSpec
from hardware.serial_card_reader import SerialCardReader
from hardware.vendor_card_reader import VendorCardReader

SETTINGS = Path(__file__).parents[2] / "docs/settings.md"
NAMED = {
    "pcsc:ACS ACR1281 1S Dual Reader": (DeviceSpec("pcsc", "ACS ACR1281 1S Dual Reader"), PcscReader),
    "cardlib:/opt/libSSCardDriver.so": (DeviceSpec("cardlib", "/opt/libSSCardDriver.so"), VendorCardReader),
    "cardserial:/dev/ttyUSB7": (DeviceSpec("cardserial", "/dev/ttyUSB7", 115_200), SerialCardReader),
    "cardserial:/dev/ttyUSB7@9600": (DeviceSpec("cardserial", "/dev/ttyUSB7", 9600), SerialCardReader),
}


@pytest.mark.parametrize(("text", "spec", "kind"), [(text, *both) for text, both in NAMED.items()])
def test_a_card_reader_is_named_and_opened(text: str, spec: DeviceSpec, kind: type[CardReader]) -> None:
    named = parse_lane(f"1:reader={text},reader=sim,turnstile=sim")
    assert named.readers[0] == spec
    lane = open_lane(named)
    assert isinstance(lane.card_readers[0], kind)
    assert len(lane.card_readers) == 2
    lane.close()
    assert "closed" in str(lane.card_readers[0].fault)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pcsc", "should read reader=.*pcsc:NAME"),
        ("cardlib:", "should read reader=.*cardlib:PATH"),
        ("cardserial:/dev/ttyUSB7@7", "7 baud"),
        ("card:1", "no known kind; known are .*cardserial"),
    ],
)
def test_what_is_no_card_reader(text: str, words: str) -> None:
    with pytest.raises(DeviceFault, match=words):
        parse_lane(f"1:reader={text},turnstile=sim")


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_is_documented(reader: str) -> None:
    assert f"| `reader={reader}` |" in SETTINGS.read_text(encoding="utf-8")
