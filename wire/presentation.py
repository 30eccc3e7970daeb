"""What a reader saw: a static code, a rotating code in its short or full form, or nothing of ours (wire.md §2, §3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from wire import base45, holder_proof, signing, token
from wire.reasons import Reason
from wire.token import Claims, CodeKind

ROTATING_VERSION = 1
STEP_MS = 15_000
HOLDER_KIND = "holder"
BOUND_KIND = "bound"
SHORT_BYTES = 77
FULL_BYTES = 195

_PROOF = struct.Struct(">8sHI")  # pass id · generation · step: what the holder signs
_SHORT = struct.Struct(">B8sI64s")
_BINDING = struct.Struct(">H33s")
_SHOWN = struct.Struct(">I64s")


@dataclass(frozen=True, slots=True)
class StaticCode:
    """The text of a signed token; `token.read_token` judges it."""

    text: str


@dataclass(frozen=True, slots=True)
class ShortCode:
    """A rotating code whose key the gate must find in its list. `step` counts 15 s since 1970."""

    pass_id: bytes
    step: int
    signature: bytes

    def is_by(self, generation: int, holder_key: bytes) -> bool:
        """Whether the holder of this live key drew the code."""
        message = holder_message(self.pass_id, generation, self.step)
        return holder_proof.verify(holder_key, message, self.signature)


@dataclass(frozen=True, slots=True)
class FullCode:
    """A rotating code that brings its key, bound to the pass by the centre. No static token is in it."""

    claims: Claims
    key_id: int
    generation: int
    holder_key: bytes
    centre_signature: bytes
    step: int
    signature: bytes

    def is_bound_by(self, pass_key: bytes) -> bool:
        """Whether the centre bound this holder key to these claims."""
        bound = _bound_bytes(self.claims, self.key_id, self.generation, self.holder_key)
        return signing.verify_kind(pass_key, BOUND_KIND, ROTATING_VERSION, bound, self.centre_signature)

    def is_by_holder(self) -> bool:
        """Whether the key it brings drew it."""
        message = holder_message(self.claims.pass_id, self.generation, self.step)
        return holder_proof.verify(self.holder_key, message, self.signature)


def holder_message(pass_id: bytes, generation: int, step: int) -> bytes:
    """What a phone signs every 15 s."""
    return signing.prefix(HOLDER_KIND, ROTATING_VERSION) + _PROOF.pack(pass_id, generation, step)


def bind_holder(claims: Claims, key_id: int, pass_private_key: bytes, generation: int, holder_key: bytes) -> bytes:
    """The centre's part of a full code: claims, generation, key, signature; the phone adds step and proof."""
    bound = _bound_bytes(claims, key_id, generation, holder_key)
    return bound + signing.sign(pass_private_key, BOUND_KIND, ROTATING_VERSION, bound)


def short_text(pass_id: bytes, step: int, signature: bytes) -> str:
    """The short code as drawn: QR version 5 at level M."""
    return token.PREFIX + base45.encode(_SHORT.pack(CodeKind.SHORT << 4 | ROTATING_VERSION, pass_id, step, signature))


def full_text(binding: bytes, step: int, signature: bytes) -> str:
    """The full code as drawn: QR version 10 at level M. `binding` comes from `bind_holder`."""
    return token.PREFIX + base45.encode(binding + _SHOWN.pack(step, signature))


def read_presentation(text: str) -> StaticCode | ShortCode | FullCode | Reason:
    """What kind of code `text` is, taken apart but not yet believed."""
    if not text.startswith(token.PREFIX):
        return Reason.NOT_OURS
    if len(text) > token.MAX_TEXT_LENGTH or not text.isascii():
        return Reason.MALFORMED
    head = base45.decode(text[len(token.PREFIX) : len(token.PREFIX) + 3])
    if head is None or len(head) != 2:
        return Reason.MALFORMED
    kind, version = head[0] >> 4, head[0] & 15
    if kind == CodeKind.STATIC:
        return StaticCode(text)
    if kind not in (CodeKind.SHORT, CodeKind.FULL) or version != ROTATING_VERSION:
        return Reason.NEEDS_UPDATE
    data = base45.decode(text[len(token.PREFIX) :])
    if data is None or len(data) != (SHORT_BYTES if kind == CodeKind.SHORT else FULL_BYTES):
        return Reason.MALFORMED
    if kind == CodeKind.SHORT:
        _, pass_id, step, signature = _SHORT.unpack(data)
        return ShortCode(pass_id, step, signature)
    return _full(data)


def _full(data: bytes) -> FullCode | Reason:
    found = token.unpack_claims(data)
    if isinstance(found, Reason):
        return found
    key_id, claims = found
    at = token.CLAIMS_BYTES
    generation, holder_key = _BINDING.unpack_from(data, at)
    at += _BINDING.size
    centre_signature = data[at : at + signing.SIGNATURE_BYTES]
    step, signature = _SHOWN.unpack_from(data, at + signing.SIGNATURE_BYTES)
    return FullCode(claims, key_id, generation, holder_key, centre_signature, step, signature)


def _bound_bytes(claims: Claims, key_id: int, generation: int, holder_key: bytes) -> bytes:
    kind_byte = CodeKind.FULL << 4 | ROTATING_VERSION
    return claims.pack(kind_byte, key_id) + _BINDING.pack(generation, holder_key)
