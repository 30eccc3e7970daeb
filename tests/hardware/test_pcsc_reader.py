"""The PC/SC reader on a real pcscd: cards of three generations, cards pulled too early, readers that go."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from hardware.card_reader import LEFT_BEHIND, ONE_CARD_ONLY, PULLED, CardFault, CardRead, CardTrouble
from hardware.pcsc_reader import PcscReader
from tests.hardware.card_stack import READERS, CardStack
from tests.hardware.social_security_card import AREA, ID_NUMBER, IDENTIFICATION, NUMBER, SocialSecurityCard, files
from tests.waiting import until

pytestmark = pytest.mark.slow  # pcscd looks for cards every 0.4 s

WAIT_S = 5.0
FULL = CardRead(AREA, NUMBER, IDENTIFICATION, ID_NUMBER)
PLAIN = CardRead(AREA, NUMBER, IDENTIFICATION)


@pytest.fixture
def reader(card_stack: CardStack) -> Iterator[PcscReader]:
    """Both faces of the virtual reader, empty."""
    card_stack.await_cards(0)
    reader = PcscReader("virtual pcd")
    assert reader.fault is None
    yield reader
    reader.close()


def fault_of(reader: PcscReader) -> str | None:
    """What is wrong after one more look."""
    assert reader.next_read(0) is None
    return reader.fault


CARDS = {
    "first generation, contact": (SocialSecurityCard(1, fetches=True), FULL),
    "first generation, exact lengths": (SocialSecurityCard(1, files(b"A12345678\0"), exact_length=True), FULL),
    "second generation, contactless": (SocialSecurityCard(2), FULL),
    "second generation, selects files": (SocialSecurityCard(2, by_short_file=False), FULL),
    "second generation, 6A83": (SocialSecurityCard(2, {**files(), 0xEF06: []}), PLAIN),
    "third generation, 6982": (SocialSecurityCard(3), PLAIN),
    "third generation, everything odd": (
        SocialSecurityCard(3, by_short_file=False, by_tag=False, select_how=0, exact_length=True, fetches=True),
        PLAIN,
    ),
}


@pytest.mark.parametrize(("card", "read"), CARDS.values(), ids=CARDS)
@pytest.mark.parametrize("face", [0, 1], ids=READERS)
def test_a_card_of_each_kind(
    card_stack: CardStack, reader: PcscReader, face: int, card: SocialSecurityCard, read: CardRead
) -> None:
    with card_stack.insert(card, face):
        assert reader.next_read(WAIT_S) == read


def test_one_face_alone_by_its_whole_name(card_stack: CardStack, reader: PcscReader) -> None:
    alone = PcscReader(READERS[1])
    with card_stack.insert(SocialSecurityCard(), 0):
        assert reader.next_read(WAIT_S) == FULL
        assert alone.next_read(0) is None
        with card_stack.insert(SocialSecurityCard(), 1):
            assert alone.next_read(WAIT_S) == FULL
    alone.close()


@pytest.mark.parametrize("answers", range(4))
def test_a_card_pulled_mid_read_and_the_next_one(card_stack: CardStack, reader: PcscReader, answers: int) -> None:
    with card_stack.insert(SocialSecurityCard(), pull_after=answers):
        assert reader.next_read(WAIT_S) == PULLED
    card_stack.await_cards(0)
    assert reader.next_read(0) is None
    with card_stack.insert(SocialSecurityCard()):
        assert reader.next_read(WAIT_S) == FULL


def test_another_kind_of_card(card_stack: CardStack, reader: PcscReader) -> None:
    class BankCard(SocialSecurityCard):
        def answer(self, command: bytes) -> bytes:
            return bytes.fromhex("6A82")

    with card_stack.insert(BankCard()):
        tap = reader.next_read(WAIT_S)
    assert isinstance(tap, CardFault)
    assert "no social-security card" in tap.sentence
    assert tap.trouble is CardTrouble.FOREIGN


def test_two_cards_at_once(card_stack: CardStack, reader: PcscReader) -> None:
    with card_stack.insert(SocialSecurityCard(), 0):
        assert reader.next_read(WAIT_S) == FULL
        second = SocialSecurityCard()
        with card_stack.insert(second, 1):
            assert reader.next_read(WAIT_S) == ONE_CARD_ONLY
        assert second.heard == []


def test_a_card_that_lay_there_is_no_tap(card_stack: CardStack, reader: PcscReader) -> None:
    with card_stack.insert(SocialSecurityCard()) as card:
        assert reader.next_read(WAIT_S) == FULL
        later = PcscReader("virtual pcd")
        assert later.next_read(0.1) is None
        card.pull()
        card_stack.await_cards(0)
    with card_stack.insert(SocialSecurityCard()):
        assert later.next_read(WAIT_S) == FULL
    later.close()


def test_pcscd_ends_and_comes_back(card_stack: CardStack, reader: PcscReader) -> None:
    card_stack.stop()
    assert "systemctl start pcscd.socket" in str(fault_of(reader))
    card_stack.start()
    until(lambda: fault_of(reader) is None, what="the reader is found again")
    with card_stack.insert(SocialSecurityCard()):
        assert reader.next_read(WAIT_S) == FULL


def test_a_reader_that_is_unplugged_and_comes_back(card_stack: CardStack, reader: PcscReader) -> None:
    card_stack.stop()
    card_stack.start(plugged=False)
    until(lambda: "is not there: plug it in (there are: none)" in str(fault_of(reader)), what="the loss is noticed")
    card_stack.stop()
    card_stack.start()
    until(lambda: fault_of(reader) is None, what="it is found again")
    with card_stack.insert(SocialSecurityCard()):
        assert reader.next_read(WAIT_S) == FULL


def test_a_card_in_a_reader_that_comes_is_told_but_not_read(card_stack: CardStack) -> None:
    wrong = PcscReader("no such reader")
    assert f"(there are: {', '.join(READERS)})" in str(wrong.fault)
    wrong.close()
    late = PcscReader("virtual pcd")
    card_stack.stop()
    assert "pcscd" in str(fault_of(late))
    card_stack.start()
    card = SocialSecurityCard()
    with card_stack.insert(card):
        card_stack.await_cards(1)
        assert late.next_read(WAIT_S) == LEFT_BEHIND
        assert card.heard == []
    late.close()


def test_a_missing_library_is_a_fault_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smartcard", None)
    reader = PcscReader("any")
    assert reader.next_read(0) is None
    assert "apt-get install python3-pyscard pcscd" in str(reader.fault)
    reader.close()


def test_a_slow_card_is_given_up(card_stack: CardStack) -> None:
    clock = iter(range(100_000))
    card_stack.await_cards(0)
    reader = PcscReader("virtual pcd", lambda: float(next(clock)))
    with card_stack.insert(SocialSecurityCard()):
        tap = reader.next_read(10_000)
    assert isinstance(tap, CardFault)
    assert "not read after 2 s" in tap.sentence
    reader.close()
