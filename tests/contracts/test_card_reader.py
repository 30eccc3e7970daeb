"""What every card reader promises, tried on every one."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hardware.card_reader import CardAuth, CardFault, CardRead, CardReader
from hardware.pcsc_reader import PcscReader
from hardware.pty_scanner import PtyScanner
from hardware.serial_card_reader import SerialCardReader
from hardware.simulated_readers import ScriptedCardReader
from hardware.timeline import History, StepTimeline
from hardware.vendor_card_reader import VendorCardReader
from tests.hardware.card_stack import CardStack, InsertedCard
from tests.hardware.social_security_card import AREA, ID_NUMBER, IDENTIFICATION, SocialSecurityCard, files
from tests.hardware.vendor_library import VendorLibrary

WAIT_S = 5.0
NUMBERS = ["A00000001", "A00000002", "A00000002"]


class Subject(ABC):
    """A card reader and the visitors before it; `auth` is the proof it can have."""

    reader: CardReader
    auth = CardAuth.NONE

    @abstractmethod
    def tap(self, number: str) -> None:
        """Hold a card to it."""

    @abstractmethod
    def tap_badly(self) -> None:
        """Hold something to it that cannot be read."""

    def take_away(self) -> None:  # noqa: B027 - most readers do not see it
        """The card goes, and the reader has seen it go."""

    def end(self) -> None:
        """Leave nothing behind."""
        self.reader.close()


class ScriptedSubject(Subject):
    def __init__(self) -> None:
        self.reader = self._scripted = ScriptedCardReader(History(StepTimeline().now_ns))

    def tap(self, number: str) -> None:
        self._scripted.tap(CardRead(AREA, number, IDENTIFICATION, ID_NUMBER))

    def tap_badly(self) -> None:
        self._scripted.tap(CardFault("the card was pulled too early"))


class SerialSubject(Subject):
    auth = CardAuth.PSAM

    def __init__(self) -> None:
        self._far_end = PtyScanner()
        self.reader = SerialCardReader(self._far_end.path)

    def tap(self, number: str) -> None:
        self._far_end.type(f"{AREA}|{number}|{IDENTIFICATION}|{ID_NUMBER}|psam")

    def tap_badly(self) -> None:
        self._far_end.type("!card pulled away")

    def end(self) -> None:
        super().end()
        self._far_end.close()


class VendorSubject(Subject):
    auth = CardAuth.PSAM

    def __init__(self, library: VendorLibrary) -> None:
        self._library = library
        self._library.say(-2)
        self.reader = VendorCardReader(library.path)
        assert self.reader.next_read(0) is None

    def tap(self, number: str) -> None:
        self._library.say(0, f"{AREA}|{ID_NUMBER}|{number}|{IDENTIFICATION}|李小花|00|3.00|20240126|20340126|0|0|")

    def tap_badly(self) -> None:
        self._library.say(-4, "卡无应答")

    def take_away(self) -> None:
        self._library.say(-2, "无卡")
        assert self.reader.next_read(0) is None


class PcscSubject(Subject):
    def __init__(self, stack: CardStack) -> None:
        self._stack = stack
        self._card: InsertedCard | None = None
        stack.await_cards(0)
        self.reader = PcscReader("Virtual PCD")

    def tap(self, number: str) -> None:
        self._card = self._stack.insert(SocialSecurityCard(content=files(number.encode())))

    def tap_badly(self) -> None:
        self._card = self._stack.insert(SocialSecurityCard(), pull_after=2)

    def take_away(self) -> None:
        if self._card is not None:
            self._card.pull()
            self._card = None
        self._stack.await_cards(0)
        assert self.reader.next_read(0) is None

    def end(self) -> None:
        if self._card is not None:
            self._card.pull()
        super().end()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> VendorLibrary:
    return VendorLibrary(tmp_path_factory.mktemp("vendor"))


MAKERS: dict[str, Callable[[pytest.FixtureRequest], Subject]] = {
    "scripted": lambda request: ScriptedSubject(),
    "serial": lambda request: SerialSubject(),
    "vendor": lambda request: VendorSubject(request.getfixturevalue("library")),
    "pcsc": lambda request: PcscSubject(request.getfixturevalue("card_stack")),
}


@pytest.fixture(params=MAKERS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    subject = MAKERS[request.param](request)
    yield subject
    subject.end()


@pytest.mark.slow
def test_each_card_is_told_once(subject: Subject) -> None:
    assert subject.reader.fault is None
    for number in NUMBERS:
        subject.tap(number)
        read = subject.reader.next_read(WAIT_S)
        assert read == CardRead(AREA, number, IDENTIFICATION, ID_NUMBER, subject.auth)
        assert subject.reader.next_read(0.05) is None, "a card that stays is one tap"
        subject.take_away()
    assert subject.reader.fault is None


@pytest.mark.slow
def test_a_bad_tap_is_told_and_does_not_hold_up_the_next(subject: Subject) -> None:
    subject.tap_badly()
    fault = subject.reader.next_read(WAIT_S)
    assert isinstance(fault, CardFault)
    assert fault.sentence
    subject.take_away()
    subject.tap("A00000003")
    read = subject.reader.next_read(WAIT_S)
    assert isinstance(read, CardRead)
    assert read.number == "A00000003"
    assert subject.reader.fault is None


@pytest.mark.slow
def test_nobody_waits_longer_than_asked(subject: Subject) -> None:
    began_s = time.monotonic()
    assert subject.reader.next_read(0.05) is None
    assert time.monotonic() - began_s < WAIT_S


def test_closing_lets_the_waiting_one_go(subject: Subject) -> None:
    answers: list[CardRead | CardFault | None] = []
    waiting = threading.Thread(target=lambda: answers.append(subject.reader.next_read(60)))
    waiting.start()
    subject.reader.close()
    waiting.join(WAIT_S)
    assert answers == [None]
    subject.reader.close()
    assert subject.reader.next_read(0) is None
    assert "closed" in str(subject.reader.fault)


def test_a_reader_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    readers: list[CardReader] = [SerialCardReader(tmp_path / "ttyUSB7"), VendorCardReader(tmp_path / "lib.so")]
    for reader in readers:
        assert reader.next_read(0) is None
        assert str(tmp_path) in str(reader.fault)
        assert ": " in str(reader.fault)
        reader.close()
