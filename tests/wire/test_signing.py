"""Ed25519: all public vectors judged right, nothing raises, one kind of statement never passes as another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import signing
from wire.signing import KeyFlaw, Sealed, SealFlaw

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors"
PRIVATE = bytes(range(32))
PUBLIC = signing.public_key_of(PRIVATE)


def vectors(name: str) -> Any:
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"the public vectors {name} are not beside this checkout (../shared/vectors)")
    return json.loads(path.read_text("utf-8"))


def test_wycheproof() -> None:
    verdicts = [
        (
            test["result"],
            signing.verify(*(bytes.fromhex(part) for part in (group["publicKey"]["pk"], test["msg"], test["sig"]))),
        )
        for group in vectors("wycheproof/ed25519_test.json")["testGroups"]
        for test in group["tests"]
    ]
    assert verdicts.count(("valid", True)) == 88
    assert verdicts.count(("invalid", False)) == 63
    assert len(verdicts) == 151


def test_cctv_low_order_and_non_canonical_keys_are_refused_when_added() -> None:
    bad_keys = 0
    for vector in vectors("cctv/ed25519vectors.json"):
        flags = set(vector["flags"] or ())
        flaw = signing.check_public_key(bytes.fromhex(vector["key"]))
        if "non_canonical_A" in flags or "low_order_A" in flags:
            bad_keys += 1
            assert flaw in (KeyFlaw.NOT_CANONICAL, KeyFlaw.LOW_ORDER), vector["number"]
        elif "low_order_component_A" not in flags:
            assert flaw is None, vector["number"]
    assert bad_keys > 500


@given(st.binary(max_size=70), st.binary(max_size=40), st.binary(max_size=70))
def test_no_input_makes_verify_raise(public: bytes, message: bytes, signature: bytes) -> None:
    assert signing.verify(public, message, signature) is False


def test_wrong_types_are_not_signed_either() -> None:
    assert signing.verify(None, b"", b"") is False  # type: ignore[arg-type]
    assert signing.verify(PUBLIC, "text", bytes(64)) is False  # type: ignore[arg-type]


def test_a_signature_of_one_kind_does_not_pass_as_another() -> None:
    signature = signing.sign(PRIVATE, "receipt", 1, b"payload")
    assert signing.verify_kind(PUBLIC, "receipt", 1, b"payload", signature)
    assert not signing.verify_kind(PUBLIC, "time", 1, b"payload", signature)
    assert not signing.verify_kind(PUBLIC, "receipt", 2, b"payload", signature)


def test_a_seal_covers_its_key_id_and_payload() -> None:
    data = signing.seal("head", 1, 7, PRIVATE, b"payload")
    sealed = signing.unseal("head", 1, data)
    assert isinstance(sealed, Sealed)
    assert (sealed.key_id, sealed.payload) == (7, b"payload")
    assert sealed.is_by(PUBLIC)
    for position in range(2, len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        broken = signing.unseal("head", 1, bytes(changed))
        assert isinstance(broken, Sealed)
        assert not broken.is_by(PUBLIC), position


def test_a_seal_of_another_version_or_algorithm_needs_an_update() -> None:
    data = signing.seal("head", 1, 7, PRIVATE, b"payload")
    assert signing.unseal("head", 2, data) is SealFlaw.NEEDS_UPDATE
    assert signing.unseal("head", 1, data[:1] + b"\x02" + data[2:]) is SealFlaw.NEEDS_UPDATE
    assert signing.unseal("head", 1, data[:60]) is SealFlaw.MALFORMED


def test_keys_are_refused_by_length() -> None:
    assert signing.check_public_key(PUBLIC) is None
    assert signing.check_public_key(PUBLIC[:31]) is KeyFlaw.WRONG_LENGTH


def test_people_compare_six_characters() -> None:
    shown = signing.check_characters(PUBLIC)
    assert len(shown.replace("-", "")) == signing.CHECK_CHARACTERS
    assert shown == signing.check_characters(PUBLIC) != signing.check_characters(signing.public_key_of(bytes(32)))
