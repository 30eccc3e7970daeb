"""The pass token: 92 signed bytes in a QR code of version 6, and the one function that believes them (wire.md §2)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

from wire import base45, moments, signing
from wire.keyset import KeySet, PublicKey
from wire.reasons import Reason
from wire.signing import Algorithm, Purpose

PREFIX = "GATE:"
"""Five characters of the QR alphanumeric set; more than six would push the short code out of QR version 5."""
KIND = "pass"
VERSION = 1
TOKEN_BYTES = 92
TEXT_LENGTH = len(PREFIX) + 138
MAX_TEXT_LENGTH = 311
"""The longest text of ours is a full rotating code, QR version 10 at level M: longer is never decoded."""
EVIDENCE_BYTES = 8
PASS_ID_BYTES = 8

# kind+version · algorithm+purpose · key id · pass id · product · scope · from · until · issue · flags · issued_version
_CLAIMS = struct.Struct(">BBH8sHH3s3sBBI")
CLAIMS_BYTES = _CLAIMS.size


class CodeKind(IntEnum):
    """The upper half of a code's first byte; the lower half is the version."""

    STATIC = 1
    SHORT = 2
    FULL = 3
    INVITATION = 4
    """Not for entry: it makes a box a gate (wire.invitation)."""


class PurposeCode(IntEnum):
    """The lower half of a code's second byte: what the code is for."""

    PASS = 1


class Scope(IntEnum):
    """How the scope number is meant: this venue, any venue of a group, or whatever the list says."""

    VENUE = 0
    GROUP = 1
    LIST = 2


MAX_ISSUE = 255
_SCOPES = frozenset(Scope)
_KIND_BYTE = CodeKind.STATIC << 4 | VERSION
_PURPOSE_BYTE = Algorithm.ED25519 << 4 | PurposeCode.PASS


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: minutes since 2020 half-open; product and scope u16; issue u8; issued_version u32."""

    pass_id: bytes
    product: int
    scope_kind: Scope
    scope: int
    not_before: int
    not_after: int
    issue: int
    issued_version: int

    def pack(self, kind_byte: int, key_id: int) -> bytes:
        """The 28 bytes that are signed."""
        return _CLAIMS.pack(
            kind_byte,
            _PURPOSE_BYTE,
            key_id,
            self.pass_id,
            self.product,
            self.scope,
            self.not_before.to_bytes(3, "big"),
            self.not_after.to_bytes(3, "big"),
            self.issue,
            self.scope_kind,
            self.issued_version,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a code is shown: the venue's number and the groups it belongs to."""

    venue: int
    groups: frozenset[int] = frozenset()

    def covers(self, claims: Claims) -> bool:
        """Whether the scope includes this venue; a scope by list is left to the list."""
        if claims.scope_kind is Scope.VENUE:
            return claims.scope == self.venue
        return claims.scope_kind is Scope.LIST or claims.scope in self.groups


def sign_token(claims: Claims, key_id: int, private_key: bytes) -> str:
    """The text of the QR code. Draw it with error correction M in alphanumeric mode: QR version 6."""
    payload = claims.pack(_KIND_BYTE, key_id)
    return PREFIX + base45.encode(payload + signing.sign(private_key, KIND, VERSION, payload))


def read_token(
    text: str, keys: KeySet, place: Place, now_ms: int | None, products: frozenset[int] | None = None
) -> Claims | Reason:
    """The claims of a token that is good here and now, or the first reason against it.

    Cheap checks come first and the curve last, so garbage costs a look at its beginning. `now_ms` None (clock unknown)
    leaves dates to the decision; `products` None accepts any. Whether the list allows the pass is not judged here.
    """
    taken_apart = _take_apart(text)
    if isinstance(taken_apart, Reason):
        return taken_apart
    data, key_id, claims = taken_apart
    key = check_claims(claims, key_id, keys, place, now_ms, products)
    if isinstance(key, Reason):
        return key
    return claims if _is_signed(data, key.public) else Reason.FORGED


def check_claims(
    claims: Claims, key_id: int, keys: KeySet, place: Place, now_ms: int | None, products: frozenset[int] | None
) -> PublicKey | Reason:
    """The cheap half of believing claims: the key that must have signed them, or the first reason against them."""
    key = keys.find(Purpose.PASS, key_id, now_ms)
    if key is None:
        return Reason.UNKNOWN_KEY
    if not place.covers(claims):
        return Reason.WRONG_VENUE
    if products is not None and claims.product not in products:
        return Reason.UNKNOWN_PRODUCT
    if now_ms is not None:
        minute = moments.minute_floor(now_ms)
        if minute >= claims.not_after:
            return Reason.EXPIRED
        if minute < claims.not_before:
            return Reason.NOT_YET_ACTIVE
    return key


def signed_claims(text: str, keys: KeySet) -> Claims | None:
    """What a refused token really says, for the facts beside the reason; None when no known key signed it."""
    taken_apart = _take_apart(text)
    if isinstance(taken_apart, Reason):
        return None
    data, key_id, claims = taken_apart
    key = keys.find(Purpose.PASS, key_id, None)
    return claims if key is not None and _is_signed(data, key.public) else None


def unverified_claims(text: str) -> Claims:
    """What a token says, for the centre that signed it. ValueError: it is no token."""
    taken_apart = _take_apart(text)
    if isinstance(taken_apart, Reason):
        raise ValueError(f"no token: {taken_apart}")
    return taken_apart[2]


def evidence_of(text: str) -> bytes:
    """What an entry keeps to show that this very token was presented: no list contains it (wire.md §6)."""
    data = base45.decode(text.removeprefix(PREFIX)) or b""
    return hashlib.sha256(data).digest()[:EVIDENCE_BYTES]


def _take_apart(text: str) -> tuple[bytes, int, Claims] | Reason:
    if not text.startswith(PREFIX):
        return Reason.NOT_OURS
    if len(text) > MAX_TEXT_LENGTH or not text.isascii():
        return Reason.MALFORMED
    head = base45.decode(text[len(PREFIX) : len(PREFIX) + 3])
    if head is None or len(head) != 2:
        return Reason.MALFORMED
    if head[0] != _KIND_BYTE or head[1] >> 4 != Algorithm.ED25519:
        return Reason.NEEDS_UPDATE
    data = base45.decode(text[len(PREFIX) :])
    if data is None or len(data) != TOKEN_BYTES:
        return Reason.MALFORMED
    found = unpack_claims(data)
    return found if isinstance(found, Reason) else (data, *found)


def unpack_claims(data: bytes) -> tuple[int, Claims] | Reason:
    """Key id and claims from the first 28 bytes of a code, unverified."""
    fields = _CLAIMS.unpack_from(data)
    _, purpose, key_id, pass_id, product, scope, not_before, not_after, issue, flags, issued_version = fields
    if purpose >> 4 != Algorithm.ED25519:
        return Reason.NEEDS_UPDATE
    if purpose != _PURPOSE_BYTE:
        return Reason.WRONG_PURPOSE
    if flags not in _SCOPES:
        return Reason.NEEDS_UPDATE
    claims = Claims(
        pass_id=pass_id,
        product=product,
        scope_kind=Scope(flags),
        scope=scope,
        not_before=int.from_bytes(not_before, "big"),
        not_after=int.from_bytes(not_after, "big"),
        issue=issue,
        issued_version=issued_version,
    )
    return key_id, claims


def _is_signed(data: bytes, public_key: bytes) -> bool:
    return signing.verify_kind(public_key, KIND, VERSION, data[: _CLAIMS.size], data[_CLAIMS.size :])
