"""The pass token: 92 signed bytes in a QR code of version 6, and the one function that believes them (wire.md §2)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection
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


@dataclass(frozen=True, slots=True)
class Token:
    """A token taken apart, not yet believed: call `read`."""

    claims: Claims
    key_id: int
    data: bytes

    @property
    def evidence(self) -> bytes:
        """What an entry keeps to show that this very token was presented: no list contains it (wire.md §6)."""
        return hashlib.sha256(self.data).digest()[:EVIDENCE_BYTES]

    def read(
        self, keys: KeySet, place: Place, now_ms: int | None, products: Collection[int] | None = None
    ) -> Claims | Reason:
        """See `read_token`."""
        key = check_claims(self.claims, self.key_id, keys, place, now_ms, products)
        if isinstance(key, Reason):
            return key
        return self.claims if self._is_by(key) else Reason.FORGED

    def is_genuine(self, keys: KeySet) -> bool:
        """Whether a pass key of the centre signed it, whatever the dates say."""
        key = keys.find(Purpose.PASS, self.key_id, None)
        return key is not None and self._is_by(key)

    def _is_by(self, key: PublicKey) -> bool:
        claims, signature = self.data[:CLAIMS_BYTES], self.data[CLAIMS_BYTES:]
        return signing.verify_kind(key.public, KIND, VERSION, claims, signature)


def read_token(
    text: str, keys: KeySet, place: Place, now_ms: int | None, products: Collection[int] | None = None
) -> Claims | Reason:
    """The claims of a token that is good here and now, or the first reason against it.

    Cheap checks come first and the curve last, so garbage costs a look at its beginning. `now_ms` None (clock unknown)
    leaves dates to the decision; `products` None accepts any. Whether the list allows the pass is not judged here.
    """
    code = take_apart(text)
    return code if isinstance(code, Reason) else code.read(keys, place, now_ms, products)


def check_claims(
    claims: Claims, key_id: int, keys: KeySet, place: Place, now_ms: int | None, products: Collection[int] | None
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


def unverified_claims(text: str) -> Claims:
    """What a token says, for the centre that signed it. ValueError: it is no token."""
    code = take_apart(text)
    if isinstance(code, Reason):
        raise ValueError(f"no token: {code}")
    return code.claims


def evidence_of(text: str) -> bytes:
    """See `Token.evidence`. ValueError: it is no token."""
    code = take_apart(text)
    if isinstance(code, Reason):
        raise ValueError(f"no token: {code}")
    return code.evidence


def take_apart(text: str) -> Token | Reason:
    """What a text claims to be, or why it is no token."""
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
    if isinstance(found, Reason):
        return found
    key_id, claims = found
    return Token(claims, key_id, data)


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
