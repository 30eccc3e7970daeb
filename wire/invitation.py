"""The QR code by which the admin makes a box a gate: where its centre is and how to know it (wire.md §7).

A lane's reader takes it in the local enrolment mode alone; anywhere else it is a code for another purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import base45, signing
from wire.messages import ENROLMENT_SECRET_BYTES, EnrolmentCode
from wire.token import PREFIX, CodeKind
from wire.unreadable import UNREADABLE

INVITATION_VERSION = 1
MAX_TEXT_LENGTH = 1_000
"""A scanner's line and a decoder of pictures hold 1,024 characters."""
MAX_URL_CHARACTERS = 200
FINGERPRINT_BYTES = 32
_HEAD = bytes([CodeKind.INVITATION << 4 | INVITATION_VERSION])


class _Body(msgspec.Struct, frozen=True, array_like=True):
    url: Annotated[str, Meta(max_length=MAX_URL_CHARACTERS)]
    secret: Annotated[bytes, Meta(min_length=ENROLMENT_SECRET_BYTES, max_length=ENROLMENT_SECRET_BYTES)]
    root_fingerprint: Annotated[bytes, Meta(min_length=FINGERPRINT_BYTES, max_length=FINGERPRINT_BYTES)]
    ca: bytes = b""


@dataclass(frozen=True, slots=True)
class Invitation:
    """The centre's address, the one-time code that pins its root key, and the one CA (DER) to believe over TLS.

    `ca` empty: the public ones. One scanned pins the whole fingerprint of the root key, a typed one its beginning.
    """

    url: str
    code: EnrolmentCode
    ca: bytes = b""


class TooLong(Exception):
    """An invitation that no reader would take; the sentence says what to do."""


def invitation_text(url: str, secret: bytes, root_public: bytes, ca: bytes = b"") -> str:
    """The invitation as drawn in a QR code. TooLong: as a rule for a CA with an RSA key."""
    body = _Body(url, secret, signing.fingerprint(root_public), ca)
    text = PREFIX + base45.encode(_HEAD + msgspec.msgpack.encode(body))
    if len(text) > MAX_TEXT_LENGTH or len(url) > MAX_URL_CHARACTERS:
        raise TooLong(
            f"the code would have {len(text)} characters, readers take {MAX_TEXT_LENGTH}: use a CA with a P-256 key,"
            " or give the CA's file to gate-agent enrol --ca"
        )
    return text


def read_invitation(text: str) -> Invitation | None:
    """The invitation that was scanned; None for anything else, that of a later version too."""
    if len(text) > MAX_TEXT_LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return None
    data = base45.decode(text[len(PREFIX) :])
    if data is None or data[:1] != _HEAD:
        return None
    try:
        body = msgspec.msgpack.decode(data[1:], type=_Body)
    except UNREADABLE:
        return None
    return Invitation(body.url, EnrolmentCode(body.secret, body.root_fingerprint), body.ca)
