"""The social-security card, byte by byte: what is asked of it, and what each of its answers means."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.card_reader import CardAuth, CardFault, CardRead
from hardware.social_card import MAX_COMMANDS, MAX_RESPONSE_BYTES, converse
from tests.hardware.social_security_card import (
    AREA,
    ID_NUMBER,
    IDENTIFICATION,
    NUMBER,
    SocialSecurityCard,
    files,
    record,
)

SELECT = "00A404000F7378312E73682EC9E7BBE1B1A3D5CF"
FULL = CardRead(AREA, NUMBER, IDENTIFICATION, ID_NUMBER)
PLAIN = CardRead(AREA, NUMBER, IDENTIFICATION)
R01 = "0110410200D15600000500152947B297502C"
R07 = "0709413132333435363738"
R08 = "0812313130313035313934393132333130303258"


def replayed(trace: Iterable[tuple[str, str]]) -> CardRead | CardFault:
    """What comes of a conversation that must go exactly so."""
    lines = iter(trace)

    def transmit(command: bytes) -> bytes:
        asked, answered = next(lines)
        assert command.hex().upper() == asked
        return bytes.fromhex(answered)

    result = converse(transmit)
    assert list(lines) == [], "it ended too early"
    return result


FOUR = [
    (SELECT, "6F00 9000"),
    ("00B2012C12", R01 + "9000"),
    ("00B2072C0B", R07 + "9000"),
    ("00B2013414", R08 + "9000"),
]


def test_four_commands_are_enough() -> None:
    assert replayed(FOUR) == FULL
    assert FULL.auth is CardAuth.NONE


TRACES = {
    "third generation": ([*FOUR[:3], ("00B2013414", "6982")], PLAIN),
    "61xx, as contact cards answer": (
        [
            (SELECT, "6102"), ("00C0000002", "6F00 9000"),
            ("00B2012C12", "6112"), ("00C0000012", R01 + "9000"),
            ("00B2072C0B", "610B"), ("00C000000B", R07 + "9000"),
            ("00B2013414", "6114"), ("00C0000014", R08 + "9000"),
        ],
        FULL,
    ),
    "61xx in two parts": (
        [
            FOUR[0],
            ("00B2012C12", R01[:16] + "610A"), ("00C000000A", R01[16:] + "9000"),
            *FOUR[2:],
        ],
        FULL,
    ),
    "6Cxx: longer records than usual": (
        [
            *FOUR[:2],
            ("00B2072C0B", "6C0D"), ("00B2072C0D", "070B 413132333435363738 2000 9000"),
            FOUR[3],
        ],
        FULL,
    ),
    "6700: any length then": (
        [FOUR[0], ("00B2012C12", "6700"), ("00B2012C00", R01 + "9000"), *FOUR[2:]],
        FULL,
    ),
    "6282: the card had less": ([*FOUR[:2], ("00B2072C0B", "070141 6282"), FOUR[3]],
        CardRead(AREA, "A", IDENTIFICATION, ID_NUMBER)),
    "by tag in a selected file": (
        [
            FOUR[0], ("00B2012C12", "6B00"),
            ("00A4020002EF05", "9000"), ("00B2010012", R01 + "9000"), ("00B207000B", R07 + "9000"),
            ("00A4020002EF06", "9000"), ("00B2080014", R08 + "9000"),
        ],
        FULL,
    ),
    "by position, selected the other way": (
        [
            FOUR[0], ("00B2012C12", "6A82"),
            ("00A4020002EF05", "6A86"), ("00A4000002EF05", "9000"),
            ("00B2010012", "6A83"), ("00B2010412", R01 + "9000"), ("00B207040B", R07 + "9000"),
            ("00A4020002EF06", "6A86"), ("00A4000002EF06", "6982"),
        ],
        PLAIN,
    ),
    "no ID number on it": ([*FOUR[:3], ("00B2013414", "6A83")], PLAIN),
    "an empty ID number": ([*FOUR[:3], ("00B2013414", "0812" + "00" * 18 + "9000")], PLAIN),
    "records in another order": (
        [
            *FOUR[:2], ("00B2072C0B", "0604 20340126 9000"),
            ("00A4020002EF05", "9000"), ("00B207000B", R07 + "9000"),
            ("00A4020002EF06", "9000"), ("00B2080014", R08 + "9000"),
        ],
        FULL,
    ),
    "no card number on it": (
        [*FOUR[:2], ("00B2072C0B", "6A83"), FOUR[3]],
        CardRead(AREA, "", IDENTIFICATION, ID_NUMBER),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("trace", "result"), TRACES.values(), ids=TRACES)
def test_a_conversation(trace: list[tuple[str, str]], result: CardRead) -> None:
    assert replayed(trace) == result


FAULTS = {
    "another kind of card": ([(SELECT, "6A82")], "no social-security card"),
    "a card that knows nothing": ([(SELECT, "6D00")], "no social-security card"),
    "locked for good": ([(SELECT, "9303")], "locked"),
    "locked": ([(SELECT, "6A81")], "locked"),
    "the application is locked": ([(SELECT, "6F00 6283")], "locked"),
    "keeps the identification to itself": ([FOUR[0], ("00B2012C12", "6982"), *FOUR[2:]], "unknown kind"),
    "no status": ([(SELECT, "90")], "answered 1 bytes"),
    "too much": ([(SELECT, "00" * MAX_RESPONSE_BYTES + "9000")], "answered 260 bytes"),
    "never ends": ([(SELECT, "6102"), *[("00C0000002", "6102")] * 3], "come to an end"),
    "always another length": (
        [FOUR[0], ("00B2012C12", "6C13"), ("00B2012C13", "6C12"), ("00B2012C12", "6C13"), ("00B2012C13", "6C12")],
        "come to an end",
    ),
    "half a record": ([FOUR[0], ("00B2012C12", R01[:-4] + "9000")], "shorter than it says"),
    "no area": ([FOUR[0], ("00B2012C12", "0110AB" + R01[6:] + "9000"), *FOUR[2:]], "begin with an area"),
    "no text": ([*FOUR[:2], ("00B2072C0B", "0702 8130 9000"), FOUR[3]], "no text"),
}


@pytest.mark.parametrize(("trace", "words"), FAULTS.values(), ids=FAULTS)
def test_a_card_that_cannot_be_read_says_why(trace: list[tuple[str, str]], words: str) -> None:
    result = replayed(trace)
    assert isinstance(result, CardFault)
    assert words in result.sentence


HABITS = [
    SocialSecurityCard(version, by_short_file=short, by_tag=tag, select_how=how, exact_length=exact, fetches=fetches)
    for version in (1, 2, 3)
    for short in (True, False)
    for tag in (True, False)
    for how in (0x02, 0x00)
    for exact in (True, False)
    for fetches in (True, False)
]


@pytest.mark.parametrize("card", HABITS)
def test_every_mix_of_habits_is_read(card: SocialSecurityCard) -> None:
    assert converse(card.answer) == (PLAIN if card.version == 3 else FULL)
    if card.by_short_file and not card.fetches:
        assert len(card.heard) == 4


def test_the_least_obliging_card_stays_below_the_limit() -> None:
    content = files(number=b"A12345678\0\0", id_number=ID_NUMBER.encode() + b"\0")
    card = SocialSecurityCard(
        2, content, by_short_file=False, by_tag=False, select_how=0x00, exact_length=True, fetches=True
    )
    assert converse(card.answer) == FULL
    assert len(card.heard) == 16 < MAX_COMMANDS


def test_a_card_that_talks_without_end_is_given_up() -> None:
    heard: list[bytes] = []

    def answer(command: bytes) -> bytes:
        heard.append(command)
        return bytes.fromhex("9000" if command[1] == 0xA4 or len(heard) % 4 == 0 else "6C01")

    result = converse(answer)
    assert isinstance(result, CardFault)
    assert len(heard) <= MAX_COMMANDS


@pytest.mark.parametrize(
    ("padded", "number"),
    [
        (b"A12345678", "A12345678"),
        (b"A12345678\x00\x00", "A12345678"),
        (b"A1234\xff\xff\xff\xff", "A1234"),
        (b"  A1234  ", "A1234"),
        ("豫A1234".encode("gbk"), "豫A1234"),
        ("䶮A1".encode("gb18030"), "䶮A1"),
    ],
)
def test_padding_and_letters(padded: bytes, number: str) -> None:
    result = converse(SocialSecurityCard(content=files(number=padded)).answer)
    assert isinstance(result, CardRead)
    assert result.number == number


@given(st.lists(st.binary(max_size=40), max_size=MAX_COMMANDS + 1))
def test_no_answers_make_it_fail_or_ask_for_more_than_reading(answers: list[bytes]) -> None:
    left = iter(answers)
    asked: list[int] = []

    def transmit(command: bytes) -> bytes:
        asked.append(command[1])
        return next(left, bytes.fromhex("9000"))

    result = converse(transmit)
    assert isinstance(result, CardRead | CardFault)
    assert len(asked) <= MAX_COMMANDS
    assert set(asked) <= {0xA4, 0xB2, 0xC0}, "never VERIFY: a wrong PIN counts towards locking the card"


def test_the_numbers_are_in_no_sentence_and_no_representation() -> None:
    assert ID_NUMBER not in repr(FULL)
    broken = converse(SocialSecurityCard(content={**files(), 0xEF05: [record(0x01, b"\xab" * 16)]}).answer)
    assert isinstance(broken, CardFault)
    assert "ab" * 3 not in broken.sentence.lower()
