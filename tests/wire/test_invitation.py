"""The QR code that makes a box a gate: what it carries, what is none, and that it opens nothing."""

from __future__ import annotations

import msgspec
import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import samples
from tests.wire.test_vectors import vectors
from wire import base45, messages, presentation, signing, token
from wire.invitation import MAX_TEXT_LENGTH, TooLong, invitation_text, read_invitation
from wire.reasons import Reason

ROOT = signing.public_key_of(samples.ROOT)
SECRET = bytes(range(10))
URL = "https://gates.example:8443"
TEXT = invitation_text(URL, SECRET, ROOT, b"a certificate")


def test_what_a_box_is_told() -> None:
    read = read_invitation(TEXT)
    assert read is not None
    assert (read.url, read.code.secret, read.ca) == (URL, SECRET, b"a certificate")
    assert read.code.pins(ROOT)
    assert not read.code.pins(signing.public_key_of(samples.SERVICE))


def test_one_that_was_scanned_pins_all_of_the_root_key_and_is_shown_like_one_to_type() -> None:
    typed = messages.make_enrolment_code(SECRET, ROOT)
    read = read_invitation(TEXT)
    assert read is not None
    assert read.code.root_check == signing.fingerprint(ROOT)
    assert read.code.text() == typed.text()
    assert read.code.root_check[:5] == typed.root_check


def test_it_is_read_of_the_bytes_of_the_contract() -> None:
    read = read_invitation(str(vectors()["bytes"]["enrolment.invitation"]))
    assert read is not None
    assert (read.url, read.ca) == ("https://gates.example", b"a certificate")


def test_a_ca_with_a_p256_key_fits_and_a_larger_one_is_refused_with_a_way_out() -> None:
    text = invitation_text(URL, SECRET, ROOT, bytes(480))
    assert len(text) <= MAX_TEXT_LENGTH
    assert segno.make_qr(text, error="m").mode == "alphanumeric"
    assert (read := read_invitation(text)) is not None
    assert len(read.ca) == 480
    with pytest.raises(TooLong, match="--ca"):
        invitation_text(URL, SECRET, ROOT, bytes(900))


BODY = base45.decode(TEXT.removeprefix("GATE:")) or b""


def packed(body: bytes) -> str:
    return "GATE:" + base45.encode(body)


@pytest.mark.parametrize(
    "text",
    [
        "",
        URL,
        TEXT[:-3],
        TEXT.lower(),
        TEXT + "没",
        samples.exact_bytes()["token.static"],
        packed(bytes([4 << 4 | 2]) + BODY[1:]),
        packed(BODY[:1]),
        packed(BODY[:1] + b"\x91" * 400),
        packed(BODY[:1] + msgspec.msgpack.encode([URL, SECRET, b"short"])),
        packed(BODY[:1] + msgspec.msgpack.encode([URL, b"", bytes(32)])),
        packed(BODY[:1] + msgspec.msgpack.encode([URL + "x" * 200, SECRET, bytes(32)])),
        packed(BODY + bytes(1000)),
    ],
)
def test_what_is_none(text: str) -> None:
    assert read_invitation(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert read_invitation(text) is None


def test_a_gate_is_never_opened_by_one() -> None:
    for text in (TEXT, invitation_text(URL, SECRET, ROOT, bytes(480)), packed(bytes([4 << 4 | 9]) + bytes(90))):
        assert presentation.read_presentation(text) is Reason.WRONG_PURPOSE
        assert token.read_token(text, samples.KEY_SET, token.Place(3), samples.NOW_MS) in (
            Reason.NEEDS_UPDATE,
            Reason.MALFORMED,
        )
