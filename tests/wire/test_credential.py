"""Keyed hashes and masks."""

from __future__ import annotations

import pytest

from wire import credential

KEY = bytes(32)


def test_one_person_is_one_credential_however_the_number_is_typed() -> None:
    same = {
        credential.person_hash(text, b"salt")
        for text in ("11010519491231002x", " 11010519491231002X", "１１０１０５19491231002X")
    }
    assert len(same) == 1
    assert credential.person_hash("11010519491231002X", b"other salt") not in same


def test_another_venue_knows_the_same_card_under_another_name() -> None:
    here = credential.card_credential(KEY, "410200", "A12345678")
    assert len(here) == credential.HASH_BYTES
    assert here != credential.card_credential(b"\x01" * 32, "410200", "A12345678")
    assert here != credential.card_credential(KEY, "41020", "0A12345678")
    assert here != credential.identification_credential(KEY, "410200|A12345678")


@pytest.mark.parametrize(
    ("name", "masked"), [("李花", "李*"), ("李小花", "李*花"), ("欧阳小花", "欧*花"), ("李", "李"), ("", "")]
)
def test_names(name: str, masked: str) -> None:
    assert credential.mask_name(name) == masked


def test_numbers() -> None:
    assert credential.mask_id_number("110105194912310021") == "1101**********0021"
    assert credential.mask_phone("13812341234") == "138****1234"
