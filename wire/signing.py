"""Ed25519 as the whole product uses it: the one place that signs and verifies, with a prefix per kind of statement."""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache

from nacl import bindings
from nacl.exceptions import BadSignatureError

PRIVATE_KEY_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
CHECK_CHARACTERS = 6
EXPANDED_KEPT = 4
"""Private keys of one process that are kept ready to sign with: a centre signs with two, a gate with one."""

_FIELD_PRIME = 2**255 - 19


class Purpose(StrEnum):
    """What a key may sign; never mixed (wire.md §1). A holder's key is P-256 and lives in holder_proof."""

    ROOT = "root"
    PASS = "pass"  # noqa: S105 - the word, not a secret
    LIST = "list"
    SERVICE = "service"
    DEVICE = "device"


class Algorithm(IntEnum):
    """Signature algorithms a verifier here allows. The id stands in every signed thing, so that SM2 can be added."""

    ED25519 = 1


class KeyFlaw(StrEnum):
    """Why a public key is refused when it is added."""

    WRONG_LENGTH = "wrong_length"
    NOT_CANONICAL = "not_canonical"
    LOW_ORDER = "low_order"


class SealFlaw(StrEnum):
    """Why a sealed document is refused."""

    MALFORMED = "malformed"
    NEEDS_UPDATE = "needs_update"
    UNKNOWN_KEY = "unknown_key"
    FORGED = "forged"


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 B) over `message` is by `public_key` (32 B). Never raises: bad input is not signed."""
    try:
        if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
            return False
        bindings.crypto_sign_open(bytes(signature) + bytes(message), bytes(public_key))
    except (BadSignatureError, TypeError, ValueError):
        return False
    return True


def sign_bytes(private_key: bytes, message: bytes) -> bytes:
    """The bare signature (64 B) by a private key (its 32 B seed). Use `sign`, unless a foreign format asks for this."""
    return bindings.crypto_sign(message, _expanded(private_key))[:SIGNATURE_BYTES]


def public_key_of(private_key: bytes) -> bytes:
    """The public key (32 B) of a private key (32 B seed)."""
    return bindings.crypto_sign_seed_keypair(private_key)[0]


@lru_cache(maxsize=EXPANDED_KEPT)
def _expanded(private_key: bytes) -> bytes:
    """A private key with its public one behind it, as it is signed with; to make it takes as long as a signature."""
    return bindings.crypto_sign_seed_keypair(private_key)[1]


def prefix(kind: str, version: int) -> bytes:
    """What stands before every signed payload: nothing signed as one kind can pass as another (wire.md, head)."""
    return f"gate/{kind}/{version}".encode("ascii")


def sign(private_key: bytes, kind: str, version: int, payload: bytes) -> bytes:
    """Signature over the kind's prefix and `payload`."""
    return sign_bytes(private_key, prefix(kind, version) + payload)


def verify_kind(public_key: bytes, kind: str, version: int, payload: bytes, signature: bytes) -> bool:
    """Whether `signature` is by `public_key` over the kind's prefix and `payload`."""
    return verify(public_key, prefix(kind, version) + payload, signature)


def check_public_key(public_key: bytes) -> KeyFlaw | None:
    """Why a key must not be added, or None. Low-order keys would verify signatures that nobody made."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        return KeyFlaw.WRONG_LENGTH
    y = int.from_bytes(public_key, "little") & ((1 << 255) - 1)
    sign_bit = public_key[31] >> 7
    if y >= _FIELD_PRIME or (sign_bit and y in (1, _FIELD_PRIME - 1)):
        return KeyFlaw.NOT_CANONICAL
    if not bindings.crypto_core_ed25519_is_valid_point(public_key):
        return KeyFlaw.LOW_ORDER
    return None


def fingerprint(public_key: bytes) -> bytes:
    """SHA-256 of a public key (32 B)."""
    return hashlib.sha256(public_key).digest()


def check_characters(public_key: bytes) -> str:
    """The six characters that two people compare on two screens when a gate is enrolled, e.g. "K7Q-2MA"."""
    text = base64.b32encode(fingerprint(public_key)).decode("ascii")[:CHECK_CHARACTERS]
    return f"{text[:3]}-{text[3:]}"


# A sealed document: format 1 · algorithm 1 · key id 2 · signature 64 · payload.
_SEAL = struct.Struct(">BBH64s")
_SEAL_KEY = struct.Struct(">BH")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A document taken apart but not yet believed: call `is_by`."""

    kind: str
    version: int
    key_id: int
    signature: bytes
    payload: bytes

    def is_by(self, public_key: bytes) -> bool:
        """Whether the seal is by `public_key`; the key id is part of what is signed."""
        signed = _SEAL_KEY.pack(Algorithm.ED25519, self.key_id) + self.payload
        return verify_kind(public_key, self.kind, self.version, signed, self.signature)


def seal(kind: str, version: int, key_id: int, private_key: bytes, payload: bytes) -> bytes:
    """`payload` signed as `kind`, in the one layout that heads, receipts and times share."""
    signature = sign(private_key, kind, version, _SEAL_KEY.pack(Algorithm.ED25519, key_id) + payload)
    return _SEAL.pack(version, Algorithm.ED25519, key_id, signature) + payload


def unseal(kind: str, version: int, data: bytes) -> Sealed | SealFlaw:
    """Take a sealed document apart. Nothing in it may be used before `Sealed.is_by` said yes."""
    if len(data) < _SEAL.size:
        return SealFlaw.MALFORMED
    found_version, algorithm, key_id, signature = _SEAL.unpack_from(data)
    if found_version != version or algorithm != Algorithm.ED25519:
        return SealFlaw.NEEDS_UPDATE
    return Sealed(kind, version, key_id, signature, data[_SEAL.size :])
