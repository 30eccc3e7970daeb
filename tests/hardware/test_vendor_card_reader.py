"""A maker's library behind the ministry's interface: what each of its codes comes to, and a library that is not one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardware.card_reader import LEFT_BEHIND, MUTE, CardAuth, CardFault, CardRead
from hardware.vendor_card_reader import CARD_FAULTS, DEVICE_FAULTS, NOT_A_CARD, VendorCardReader, understood
from tests.hardware.social_security_card import AREA, ID_NUMBER, IDENTIFICATION, NUMBER
from tests.hardware.vendor_library import VendorLibrary

TOLD = f"{AREA}|{ID_NUMBER}|{NUMBER}|{IDENTIFICATION}|䶮小花|00810088378665440700152947|3.00|20240126|20340126|0|0|"
READ = CardRead(AREA, NUMBER, IDENTIFICATION, ID_NUMBER, CardAuth.PSAM)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> VendorLibrary:
    return VendorLibrary(tmp_path_factory.mktemp("vendor"))


@pytest.fixture
def reader(library: VendorLibrary) -> VendorCardReader:
    """Plugged in, no card."""
    library.say(-2)
    reader = VendorCardReader(library.path)
    assert reader.next_read(0) is None
    assert reader.fault is None
    return reader


def test_a_card_with_a_name_beyond_gbk(library: VendorLibrary, reader: VendorCardReader) -> None:
    library.say(0, TOLD)
    assert reader.next_read(0) == READ
    assert reader.next_read(0) is None


def test_another_card_at_once_is_another_tap(library: VendorLibrary, reader: VendorCardReader) -> None:
    library.say(0, TOLD)
    assert reader.next_read(0) == READ
    library.say(0, TOLD.replace(NUMBER, "B87654321"))
    second = reader.next_read(0)
    assert isinstance(second, CardRead)
    assert second.number == "B87654321"


@pytest.mark.parametrize(("code", "fault"), CARD_FAULTS.items())
def test_what_is_wrong_with_a_card(
    library: VendorLibrary, reader: VendorCardReader, code: int, fault: CardFault
) -> None:
    library.say(code, "读卡失败")
    assert reader.next_read(0) == fault
    assert reader.next_read(0) is None, "told once"
    assert reader.fault is None
    library.say(0, TOLD)
    assert reader.next_read(0) == READ


@pytest.mark.parametrize(("code", "sentence"), DEVICE_FAULTS.items())
def test_what_is_wrong_with_the_reader(
    library: VendorLibrary, reader: VendorCardReader, code: int, sentence: str
) -> None:
    library.say(code)
    assert reader.next_read(0) is None
    assert sentence in str(reader.fault)
    library.say(0, TOLD)
    assert reader.next_read(0) == LEFT_BEHIND, "a card that lay there before the reader was"
    assert reader.fault is None
    assert reader.next_read(0) is None


def test_a_reader_that_is_unplugged_and_comes_back(library: VendorLibrary, reader: VendorCardReader) -> None:
    library.unplug()
    assert reader.next_read(0) is None
    assert "plug it in" in str(reader.fault)
    library.say(-2)
    assert reader.next_read(0) is None
    assert reader.fault is None
    library.say(0, TOLD)
    assert reader.next_read(0) == READ


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("", "install the one for this reader"),
        ("a|b|c", "install the one for this reader"),
        (TOLD.replace(AREA, "开封"), "no card has"),
        (TOLD.replace(IDENTIFICATION, "x"), "no card has"),
        (TOLD.replace(NUMBER, "'; --"), "no card has"),
        (TOLD.replace(ID_NUMBER, "1" * 40), "no card has"),
    ],
)
def test_what_is_no_card(told: str, words: str) -> None:
    fault = understood(0, told.encode("gb18030"))
    assert isinstance(fault, CardFault)
    assert words in fault.sentence
    assert ID_NUMBER not in fault.sentence


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(-2, None), (-1, NOT_A_CARD), (-4, MUTE)],
)
def test_codes(code: int, meaning: CardFault | None) -> None:
    assert understood(code, b"") == meaning


def test_an_unknown_code_is_told_with_its_number() -> None:
    fault = understood(-27266, "未找到文件".encode("gb18030"))
    assert isinstance(fault, CardFault)
    assert "-27266" in fault.sentence


def test_a_longer_card_number_and_a_card_without_id_number() -> None:
    told = TOLD.replace(NUMBER, NUMBER + "  0001").replace(ID_NUMBER, "")
    assert understood(0, told.encode("gb18030")) == CardRead(AREA, NUMBER, IDENTIFICATION, None, CardAuth.PSAM)


@pytest.mark.parametrize("content", [None, b"", b"no library at all"])
def test_a_library_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "libSSCardDriver.so"
    if content is not None:
        path.write_bytes(content)
    reader = VendorCardReader(path)
    assert reader.next_read(0) is None
    assert "cannot be loaded" in str(reader.fault)
    assert "install the one for this machine" in str(reader.fault)
    reader.close()


def test_a_library_without_the_function() -> None:
    reader = VendorCardReader(Path("libc.so.6"))
    assert reader.next_read(0) is None
    assert "iReadCardBas" in str(reader.fault)
