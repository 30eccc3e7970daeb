"""A device's signature over a request, and the centre's signed time over the reply (wire.md §6, §7)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from wire import signing
from wire.keyset import KeySet
from wire.messages import DEVICE_BYTES
from wire.signing import Purpose, SealFlaw

REQUEST_KIND = "request"
TIME_KIND = "time"
VERSION = 1
NONCE_BYTES = 16
WINDOW_MS = 5 * 60 * 1000
"""How far a request's time may lie from the centre's; outside it the centre answers 401 with its signed time."""
MAX_AT_MS = 1 << 62
NONCE_KEPT_MS = 2 * WINDOW_MS
DEVICE_HEADER = "Gate-Device"
TIME_HEADER = "Gate-Time"
NONCE_HEADER = "Gate-Nonce"
SIGNATURE_HEADER = "Gate-Signature"
ENVELOPE_HEADERS = (DEVICE_HEADER, TIME_HEADER, NONCE_HEADER, SIGNATURE_HEADER)
CLOCK_HEADER = "Gate-Clock"

_TIME = struct.Struct(f">Q{NONCE_BYTES}s")


class EnvelopeFlaw(StrEnum):
    """Why a request is not believed."""

    MALFORMED = "malformed"
    OUTSIDE_WINDOW = "outside_window"
    FORGED = "forged"


@dataclass(frozen=True, slots=True)
class Envelope:
    """The four headers, taken apart but not yet believed."""

    device: bytes
    at_ms: int
    nonce: bytes
    signature: bytes


def sign_request(
    private_key: bytes, device: bytes, method: str, path: str, body: bytes, now_ms: int, nonce: bytes
) -> dict[str, str]:
    """The headers of a request. `path` has its query; `body` is what goes over the wire; `nonce` 16 random bytes."""
    signed = _signed_part(device, method, path, body, now_ms, nonce)
    signature = signing.sign(private_key, REQUEST_KIND, VERSION, signed)
    return {
        DEVICE_HEADER: device.hex(),
        TIME_HEADER: str(now_ms),
        NONCE_HEADER: nonce.hex(),
        SIGNATURE_HEADER: base64.b64encode(signature).decode("ascii"),
    }


def read_envelope(headers: Mapping[str, str]) -> Envelope | EnvelopeFlaw:
    """Take the headers apart, to find the device's key by its id."""
    try:
        envelope = Envelope(
            device=bytes.fromhex(headers.get(DEVICE_HEADER, "")),
            at_ms=int(headers.get(TIME_HEADER, "")),
            nonce=bytes.fromhex(headers.get(NONCE_HEADER, "")),
            signature=base64.b64decode(headers.get(SIGNATURE_HEADER, ""), validate=True),
        )
    except (ValueError, binascii.Error):
        return EnvelopeFlaw.MALFORMED
    sizes = (len(envelope.device), len(envelope.nonce), len(envelope.signature))
    fits = sizes == (DEVICE_BYTES, NONCE_BYTES, signing.SIGNATURE_BYTES) and 0 <= envelope.at_ms < MAX_AT_MS
    return envelope if fits else EnvelopeFlaw.MALFORMED


def check_request(
    envelope: Envelope, public_key: bytes, method: str, path: str, body: bytes, now_ms: int
) -> EnvelopeFlaw | None:
    """Why a request is not believed, or None. The signature comes first; replay is the caller's to see."""
    signed = _signed_part(envelope.device, method, path, body, envelope.at_ms, envelope.nonce)
    if not signing.verify_kind(public_key, REQUEST_KIND, VERSION, signed, envelope.signature):
        return EnvelopeFlaw.FORGED
    return EnvelopeFlaw.OUTSIDE_WINDOW if abs(envelope.at_ms - now_ms) > WINDOW_MS else None


def sign_time(now_ms: int, nonce: bytes, key_id: int, service_key: bytes) -> str:
    """The reply header that tells a gate the time; `nonce` is the request's own."""
    sealed = signing.seal(TIME_KIND, VERSION, key_id, service_key, _TIME.pack(now_ms, nonce))
    return base64.b64encode(sealed).decode("ascii")


def read_time(header: str, nonce: bytes, keys: KeySet) -> int | SealFlaw:
    """The centre's time in UTC ms, if it answers this very request. Whether it came fast enough the caller knows."""
    try:
        sealed = signing.unseal(TIME_KIND, VERSION, base64.b64decode(header, validate=True))
    except (ValueError, binascii.Error):
        return SealFlaw.MALFORMED
    if isinstance(sealed, SealFlaw):
        return sealed
    if len(sealed.payload) != _TIME.size:
        return SealFlaw.MALFORMED
    at_ms, answered = _TIME.unpack(sealed.payload)
    key = keys.find(Purpose.SERVICE, sealed.key_id, int(at_ms))
    if key is None:
        return SealFlaw.UNKNOWN_KEY
    return int(at_ms) if sealed.is_by(key.public) and answered == nonce else SealFlaw.FORGED


def _signed_part(device: bytes, method: str, path: str, body: bytes, at_ms: int, nonce: bytes) -> bytes:
    digest = hashlib.sha256(body).digest()
    return device + nonce + at_ms.to_bytes(8, "big", signed=True) + digest + f"{method} {path}".encode()
