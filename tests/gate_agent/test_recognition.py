"""Recognition: raw reads told apart; the same code held up counts once."""

from __future__ import annotations

import pytest

from gate_agent.recognition import HELD_LIMIT, CardTap, HeldUp, NotOurs, Raw, credentials, recognise
from hardware.card_reader import CardRead
from wire import credential
from wire.credential import CredentialKind
from wire.presentation import StaticCode

CARD = CardRead("410200", "A00000001", "4102000000000001")
CODE = "GATE:ABC"


@pytest.mark.parametrize(
    ("raw", "presentation"),
    [
        (CODE, StaticCode(CODE)),
        ("GATE:", StaticCode("GATE:")),
        ("gate:abc", NotOurs("gate:abc")),
        ("", NotOurs("")),
        (" " + CODE, NotOurs(" " + CODE)),
        ("https://pay.example/1", NotOurs("https://pay.example/1")),
        (CARD, CardTap(CARD)),
    ],
)
def test_a_raw_read_is_told_apart(raw: str | CardRead, presentation: object) -> None:
    assert recognise(raw) == presentation


def test_a_card_is_looked_up_by_its_own_numbers_before_its_holders() -> None:
    read = CardRead("410200", "A00000001", "4102000000000001", id_number="11010519491231002x")
    kinds = [kind for kind, _ in credentials(read, bytes(32), b"salt")]
    assert kinds == [CredentialKind.CARD_IDENTIFICATION, CredentialKind.CARD_NUMBER, CredentialKind.ID_NUMBER]
    person = credential.person_hash("11010519491231002X", b"salt")
    assert dict(credentials(read, bytes(32), b"salt"))[CredentialKind.ID_NUMBER] == credential.id_credential(
        bytes(32), person
    )


def test_what_a_card_did_not_give_is_not_hashed() -> None:
    assert not list(credentials(CardRead("", "", ""), bytes(32), b"salt"))


def test_held_up_counts_once_until_it_was_away_for_the_hold() -> None:
    held = HeldUp(hold_ms=1_000)
    seen = [(0, True), (900, False), (1_800, False), (2_799, False), (3_799, True), (3_800, False)]
    assert [held.is_new(CODE, at_ms) for at_ms, _ in seen] == [new for _, new in seen]


def test_another_code_between_does_not_make_it_new() -> None:
    held = HeldUp(hold_ms=1_000)
    raws: list[Raw] = [CODE, CARD, CODE, CARD]
    assert [held.is_new(raw, at_ms) for at_ms, raw in enumerate(raws)] == [True, True, False, False]


def test_only_so_many_codes_are_remembered() -> None:
    held = HeldUp(hold_ms=1_000)
    for number in range(HELD_LIMIT + 1):
        assert held.is_new(f"GATE:{number}", 0)
    assert held.is_new("GATE:0", 1)
    assert not held.is_new(f"GATE:{HELD_LIMIT}", 1)


def test_a_read_that_another_one_displaced_is_new_at_its_next_sight() -> None:
    held = HeldUp(hold_ms=1_000)
    assert held.is_new("a code", 0)
    held.forget("a code")
    assert held.is_new("a code", 100)
    assert not held.is_new("a code", 200)
