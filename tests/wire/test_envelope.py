"""A device's signed request and the signed time of the reply."""

from __future__ import annotations

import pytest

from tests.wire.samples import DEVICE, DEVICE_ID, KEY_SET, LIST, LIST_KEY_ID, NOW_MS, PASS, SERVICE, SERVICE_KEY_ID
from wire import envelope, signing
from wire.envelope import Envelope, EnvelopeFlaw
from wire.signing import SealFlaw

PUBLIC = signing.public_key_of(DEVICE)
NONCE = bytes(range(16))
PATH = "/device/v1/entries"


def headers() -> dict[str, str]:
    return envelope.sign_request(DEVICE, DEVICE_ID, "POST", PATH, b"body", NOW_MS, NONCE)


def check(
    method: str = "POST", path: str = PATH, body: bytes = b"body", now_ms: int = NOW_MS, public: bytes = PUBLIC
) -> EnvelopeFlaw | None:
    read = envelope.read_envelope(headers())
    assert isinstance(read, Envelope)
    return envelope.check_request(read, public, method, path, body, now_ms)


def test_a_request_is_believed_as_it_was_sent_only() -> None:
    assert check() is None
    assert check(method="GET") is EnvelopeFlaw.FORGED
    assert check(path=PATH + "?x=1") is EnvelopeFlaw.FORGED
    assert check(body=b"Body") is EnvelopeFlaw.FORGED
    assert check(public=signing.public_key_of(PASS)) is EnvelopeFlaw.FORGED


def test_the_window_is_five_minutes_either_way() -> None:
    assert check(now_ms=NOW_MS + envelope.WINDOW_MS) is None
    assert check(now_ms=NOW_MS + envelope.WINDOW_MS + 1) is EnvelopeFlaw.OUTSIDE_WINDOW
    assert check(now_ms=NOW_MS - envelope.WINDOW_MS - 1) is EnvelopeFlaw.OUTSIDE_WINDOW


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (envelope.DEVICE_HEADER, "00"),
        (envelope.DEVICE_HEADER, "zz" * 16),
        (envelope.TIME_HEADER, "soon"),
        (envelope.TIME_HEADER, "-1"),
        (envelope.TIME_HEADER, "9" * 20),
        (envelope.NONCE_HEADER, ""),
        (envelope.SIGNATURE_HEADER, "AAAA"),
        (envelope.SIGNATURE_HEADER, "not base64!"),
    ],
)
def test_headers_that_are_none(name: str, value: str) -> None:
    assert envelope.read_envelope({**headers(), name: value}) is EnvelopeFlaw.MALFORMED
    assert envelope.read_envelope({}) is EnvelopeFlaw.MALFORMED


@pytest.mark.parametrize("change", [{"device": bytes(16)}, {"nonce": bytes(16)}, {"at_ms": NOW_MS + 1}])
def test_every_header_is_signed(change: dict[str, object]) -> None:
    read = envelope.read_envelope(headers())
    assert isinstance(read, Envelope)
    parts = {"device": read.device, "at_ms": read.at_ms, "nonce": read.nonce, "signature": read.signature, **change}
    altered = Envelope(**parts)  # type: ignore[arg-type]
    assert envelope.check_request(altered, PUBLIC, "POST", PATH, b"body", NOW_MS) is EnvelopeFlaw.FORGED


def test_the_signed_time_answers_one_request() -> None:
    header = envelope.sign_time(NOW_MS, NONCE, SERVICE_KEY_ID, SERVICE)
    assert envelope.read_time(header, NONCE, KEY_SET) == NOW_MS
    assert envelope.read_time(header, bytes(16), KEY_SET) is SealFlaw.FORGED
    assert (
        envelope.read_time(envelope.sign_time(NOW_MS, NONCE, LIST_KEY_ID, LIST), NONCE, KEY_SET) is SealFlaw.UNKNOWN_KEY
    )
    assert (
        envelope.read_time(envelope.sign_time(NOW_MS, NONCE, SERVICE_KEY_ID, LIST), NONCE, KEY_SET) is SealFlaw.FORGED
    )
    assert envelope.read_time("not base64!", NONCE, KEY_SET) is SealFlaw.MALFORMED
    assert envelope.read_time("", NONCE, KEY_SET) is SealFlaw.MALFORMED
