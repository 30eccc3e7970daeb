"""Rotating codes: their forms, sizes and proofs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import segno
from cryptography.hazmat.primitives.asymmetric import ec

from tests.wire.samples import CLAIMS, HOLDER, KEY_SET, NOW_MS, PASS, PASS_ID, PASS_KEY_ID, SERVICE, STEP
from tests.wire.test_vectors import vectors
from wire import base45, holder_proof, moments, presentation, signing, token
from wire.presentation import FullCode, ShortCode, StaticCode
from wire.reasons import Reason
from wire.token import Claims, Place

HERE = Place(3)
KEY = holder_proof.public_key_of(HOLDER)
PROOF = holder_proof.sign(HOLDER, presentation.holder_message(PASS_ID, 1, STEP))
SHORT = presentation.short_text(PASS_ID, STEP, PROOF)
FULL = presentation.full_text(presentation.bind_holder(CLAIMS, PASS_KEY_ID, PASS, 1, KEY), STEP, PROOF)
STATIC = token.sign_token(CLAIMS, PASS_KEY_ID, PASS)
OTHER = ec.derive_private_key(777, ec.SECP256R1())


def test_the_short_form() -> None:
    code = presentation.read_presentation(SHORT)
    assert isinstance(code, ShortCode)
    assert (code.pass_id, code.step) == (PASS_ID, STEP)
    assert code.is_by(1, KEY)
    assert not code.is_by(2, KEY)
    assert not ShortCode(code.pass_id, STEP + 1, code.signature).is_by(1, KEY)


def test_the_full_form() -> None:
    code = presentation.read_presentation(FULL)
    assert isinstance(code, FullCode)
    assert (code.claims, code.generation, code.holder_key, code.step) == (CLAIMS, 1, KEY, STEP)
    assert code.is_bound_by(signing.public_key_of(PASS))
    assert not code.is_bound_by(signing.public_key_of(SERVICE))
    assert code.is_by_holder()


def full(claims: Claims = CLAIMS, key_id: int = PASS_KEY_ID, signer: bytes = PASS, proof: bytes = PROOF) -> FullCode:
    binding = presentation.bind_holder(claims, key_id, signer, 1, KEY)
    code = presentation.read_presentation(presentation.full_text(binding, STEP, proof))
    assert isinstance(code, FullCode)
    return code


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (full(key_id=77, signer=SERVICE), Reason.UNKNOWN_KEY),
        (full(replace(CLAIMS, scope=4), signer=SERVICE), Reason.WRONG_VENUE),
        (full(replace(CLAIMS, product=8), signer=SERVICE), Reason.UNKNOWN_PRODUCT),
        (full(replace(CLAIMS, not_after=moments.minute_floor(NOW_MS)), signer=SERVICE), Reason.EXPIRED),
        (full(replace(CLAIMS, not_before=moments.minute_floor(NOW_MS) + 1), signer=SERVICE), Reason.NOT_YET_ACTIVE),
        (full(signer=SERVICE), Reason.FORGED),
        (full(proof=PROOF[:32] + PROOF[:32]), Reason.FORGED),
    ],
)
def test_a_full_code_is_refused_for_what_is_cheap_before_any_signature(code: FullCode, reason: Reason) -> None:
    assert presentation.read_full(code, KEY_SET, HERE, NOW_MS, frozenset({7})) is reason
    assert presentation.read_full(full(), KEY_SET, HERE, NOW_MS, frozenset({7})) == CLAIMS


def test_whether_a_refused_full_code_is_genuine() -> None:
    assert full(replace(CLAIMS, not_after=CLAIMS.not_before)).is_genuine(KEY_SET)
    assert not full(signer=SERVICE).is_genuine(KEY_SET)
    assert not full(key_id=77).is_genuine(KEY_SET)
    assert not full(proof=bytes(64)).is_genuine(KEY_SET)


@pytest.mark.parametrize("text", [SHORT, FULL])
def test_a_code_read_is_the_code_drawn(text: str) -> None:
    code = presentation.read_presentation(text)
    assert isinstance(code, ShortCode | FullCode)
    assert (code.text, code.pass_id) == (text, PASS_ID)


def test_evidence_proves_one_step_of_one_holder_of_one_pass() -> None:
    """The same bytes that vectors.json pins, for whoever else checks them."""
    pinned = {name: str(value) for name, value in vectors()["bytes"].items()}
    evidence, key = bytes.fromhex(pinned["rotating.evidence"]), bytes.fromhex(pinned["rotating.holder_key"])
    assert len(evidence) == presentation.EVIDENCE_BYTES
    assert presentation.step_of(evidence) == STEP == presentation.step_at(NOW_MS)
    assert presentation.proves(evidence, PASS_ID, 1, key)
    assert not presentation.proves(evidence, PASS_ID, 2, key)
    assert not presentation.proves(evidence, bytes(8), 1, key)
    assert not presentation.proves((STEP + 1).to_bytes(4, "big") + evidence[4:], PASS_ID, 1, key)
    assert not presentation.proves(evidence, PASS_ID, 1, holder_proof.public_key_of(OTHER))
    for wrong in (b"", evidence[:-1], evidence + b"\0", bytes(68)):
        assert not presentation.proves(wrong, PASS_ID, 1, key)
    for form in ("rotating.short", "rotating.full"):
        code = presentation.read_presentation(pinned[form])
        assert isinstance(code, ShortCode | FullCode)
        assert code.evidence == evidence


def test_the_full_form_contains_no_usable_static_token() -> None:
    data = base45.decode(FULL.removeprefix(token.PREFIX)) or b""
    static = base45.decode(STATIC.removeprefix(token.PREFIX)) or b""
    assert static[28:] not in data
    assert data[0] != static[0]


def test_a_static_code_is_told_apart() -> None:
    assert presentation.read_presentation(STATIC) == StaticCode(STATIC)


@pytest.mark.parametrize(("text", "version"), [(STATIC, 6), (SHORT, 5), (FULL, 10)])
def test_qr_versions_at_level_m(text: str, version: int) -> None:
    assert segno.make_qr(text, error="m", boost_error=False).version == version


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", Reason.NOT_OURS),
        (token.PREFIX, Reason.MALFORMED),
        (SHORT[:-1], Reason.MALFORMED),
        (FULL[:-3], Reason.MALFORMED),
        (FULL + "0" * 100, Reason.MALFORMED),
        (token.PREFIX + base45.encode(bytes([0x2F]) + bytes(76)), Reason.NEEDS_UPDATE),
        (token.PREFIX + base45.encode(bytes([0x51]) + bytes(76)), Reason.NEEDS_UPDATE),
        (token.PREFIX + base45.encode(bytes([0x31, 0x12]) + bytes(193)), Reason.WRONG_PURPOSE),
    ],
)
def test_what_is_no_rotating_code(text: str, reason: Reason) -> None:
    assert presentation.read_presentation(text) is reason


def test_a_proof_counts_in_its_low_form_only() -> None:
    message = presentation.holder_message(PASS_ID, 1, STEP)
    twin = PROOF[:32] + (holder_proof.ORDER - int.from_bytes(PROOF[32:], "big")).to_bytes(32, "big")
    assert holder_proof.verify(KEY, message, PROOF)
    assert not holder_proof.verify(KEY, message, twin)
    assert not holder_proof.verify(KEY, message, PROOF[:63])
    assert not holder_proof.verify(b"\x02" + b"\xff" * 32, message, PROOF)
    assert not holder_proof.verify(KEY, message, bytes(64))
    assert not holder_proof.verify(holder_proof.public_key_of(OTHER), message, PROOF)
