"""Rotating codes: their forms, sizes and proofs."""

from __future__ import annotations

import pytest
import segno
from cryptography.hazmat.primitives.asymmetric import ec

from tests.wire.samples import CLAIMS, HOLDER, PASS, PASS_ID, PASS_KEY_ID, SERVICE
from wire import base45, holder_proof, presentation, signing, token
from wire.presentation import FullCode, ShortCode, StaticCode
from wire.reasons import Reason

STEP = 119_666_666
KEY = holder_proof.public_key_of(HOLDER)
PROOF = holder_proof.sign(HOLDER, presentation.holder_message(PASS_ID, 1, STEP))
SHORT = presentation.short_text(PASS_ID, STEP, PROOF)
FULL = presentation.full_text(presentation.bind_holder(CLAIMS, PASS_KEY_ID, PASS, 1, KEY), STEP, PROOF)
STATIC = token.sign_token(CLAIMS, PASS_KEY_ID, PASS)


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
    other = holder_proof.public_key_of(ec.derive_private_key(777, ec.SECP256R1()))
    assert not holder_proof.verify(other, message, PROOF)
