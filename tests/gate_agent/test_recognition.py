"""Recognition: raw reads told apart; the same code held up counts once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gate_agent.recognition import HELD_LIMIT, CardTap, FlawedCode, HeldUp, NotOurs, Raw, credentials, recognise
from hardware.card_reader import CardRead
from tests.gate_agent.phones import Phone
from tests.wire import samples
from wire import credential, presentation
from wire.credential import CredentialKind
from wire.presentation import STEP_MS, ShortCode, StaticCode
from wire.reasons import Reason

CARD = CardRead("410200", "A00000001", "4102000000000001")
CODE = "GATE:472"
SHORT = presentation.short_text(samples.PASS_ID, samples.STEP, samples.PROOF)
PHONE = Phone(samples.CLAIMS, 1, samples.HOLDER)


@pytest.mark.parametrize(
    ("raw", "presentation"),
    [
        (CODE, StaticCode(CODE)),
        ("GATE:", FlawedCode("GATE:", Reason.MALFORMED)),
        ("GATE:ABC", FlawedCode("GATE:ABC", Reason.NEEDS_UPDATE)),
        (SHORT, ShortCode(samples.PASS_ID, samples.STEP, samples.PROOF)),
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
    kinds = [kind for kind, _ in credentials(read, [bytes(32)], b"salt")]
    assert kinds == [CredentialKind.CARD_IDENTIFICATION, CredentialKind.CARD_NUMBER, CredentialKind.ID_NUMBER]
    person = credential.person_hash("11010519491231002X", b"salt")
    assert dict(credentials(read, [bytes(32)], b"salt"))[CredentialKind.ID_NUMBER] == credential.id_credential(
        bytes(32), person
    )


def test_what_a_card_did_not_give_is_not_hashed() -> None:
    assert not list(credentials(CardRead("", "", ""), [bytes(32)], b"salt"))


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


def codes(count: int, phone: Phone = PHONE) -> list[str]:
    """What a phone shows one after the other."""
    return [phone.short(samples.NOW_MS + number * STEP_MS) for number in range(count)]


def test_the_next_code_of_somebody_let_in_who_still_holds_up_his_phone_is_nothing_new() -> None:
    held = HeldUp(hold_ms=1_000)
    first, second, third = codes(3)
    assert held.is_new(first, 0)
    assert held.take_up(first, 0)
    seen = [(first, 500), (second, 1_400), (second, 2_300), (PHONE.full(samples.NOW_MS), 3_200), (third, 4_100)]
    assert not any(held.is_new(code, at_ms) for code, at_ms in seen)
    assert held.is_new(third, 5_100)  # it was away for the hold: shown again


def test_the_next_code_of_somebody_who_was_not_let_in_is_new_even_if_it_was_seen_before_the_verdict() -> None:
    held = HeldUp(hold_ms=1_000)
    first, second = codes(2)
    assert held.is_new(first, 0)
    assert held.take_up(first, 1)
    assert not held.is_new(second, 5)
    held.turn_down(first)
    assert not held.is_new(first, 10)
    assert held.is_new(second, 15)


def test_a_code_that_changed_while_its_holder_waited_for_the_verdict_is_not_judged() -> None:
    held = HeldUp(hold_ms=1_000)
    first, second = codes(2)
    assert held.is_new(first, 0)
    assert held.is_new(second, 1)  # nobody had taken up the first one yet
    assert held.take_up(first, 2)
    assert not held.take_up(second, 3)


def test_somebody_elses_phone_beside_it_is_new() -> None:
    held = HeldUp(hold_ms=1_000)
    other = Phone(replace(samples.CLAIMS, pass_id=bytes(8)), 1, samples.HOLDER)
    (first, second), (theirs,) = codes(2), codes(1, other)
    assert held.take_up(first, 0)
    assert held.is_new(theirs, 1)
    assert held.take_up(theirs, 2)
    held.turn_down(theirs)
    assert not held.is_new(second, 3)


def test_what_does_not_change_by_itself_is_taken_up_whenever_it_is_new() -> None:
    held = HeldUp(hold_ms=1_000)
    raws: list[Raw] = [CODE, CARD, "hello"]
    for raw in raws:
        assert held.take_up(raw, 0)
        assert held.take_up(raw, 1)
        held.turn_down(raw)
