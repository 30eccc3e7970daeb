"""What a reader saw: a static code, a rotating code in its short or full form, or nothing of ours (wire.md §2, §3)."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass

from wire import base45, holder_proof, signing, token
from wire.keyset import KeySet
from wire.reasons import Reason
from wire.signing import Purpose
from wire.token import Claims, CodeKind, Place

ROTATING_VERSION = 1
STEP_MS = 15_000
HOLDER_KIND = "holder"
BOUND_KIND = "bound"
SHORT_BYTES = 77
FULL_BYTES = 195
EVIDENCE_BYTES = 68

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

    @property
    def text(self) -> str:
        """The code as drawn."""
        return short_text(self.pass_id, self.step, self.signature)

    @property
    def evidence(self) -> bytes:
        """What an entry keeps of it, for `proves`."""
        return _SHOWN.pack(self.step, self.signature)

    def is_by(self, generation: int, holder_key: bytes) -> bool:
        """Whether the holder of this live key drew the code."""
        return proves(self.evidence, self.pass_id, generation, holder_key)


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

    @property
    def pass_id(self) -> bytes:
        """Of its claims."""
        return self.claims.pass_id

    @property
    def text(self) -> str:
        """The code as drawn."""
        bound = _bound_bytes(self.claims, self.key_id, self.generation, self.holder_key)
        return full_text(bound + self.centre_signature, self.step, self.signature)

    @property
    def evidence(self) -> bytes:
        """What an entry keeps of it, for `proves`."""
        return _SHOWN.pack(self.step, self.signature)

    def is_bound_by(self, pass_key: bytes) -> bool:
        """Whether the centre bound this holder key to these claims."""
        bound = _bound_bytes(self.claims, self.key_id, self.generation, self.holder_key)
        return signing.verify_kind(pass_key, BOUND_KIND, ROTATING_VERSION, bound, self.centre_signature)

    def is_by_holder(self) -> bool:
        """Whether the key it brings drew it."""
        return proves(self.evidence, self.claims.pass_id, self.generation, self.holder_key)

    def is_genuine(self, keys: KeySet) -> bool:
        """Whether a pass key of the centre bound its holder key and that one drew it, whatever the dates say."""
        key = keys.find(Purpose.PASS, self.key_id, None)
        return key is not None and self.is_bound_by(key.public) and self.is_by_holder()


def proves(evidence: bytes, pass_id: bytes, generation: int, holder_key: bytes) -> bool:
    """Whether an entry's evidence, step u32 ‖ signature 64 B, shows that this holder's phone drew a code for the pass.

    Gate and centre ask this and nothing else. The step, `step_of(evidence)`, is the caller's to judge.
    """
    if len(evidence) != EVIDENCE_BYTES:
        return False
    step, signature = _SHOWN.unpack(evidence)
    return holder_proof.verify(holder_key, holder_message(pass_id, generation, step), signature)


def step_of(evidence: bytes) -> int:
    """The step in which the code of this evidence (EVIDENCE_BYTES long) was drawn."""
    return int.from_bytes(evidence[:4], "big")


def step_at(at_ms: int) -> int:
    """The step that runs at `at_ms` (UTC ms)."""
    return at_ms // STEP_MS


def holder_message(pass_id: bytes, generation: int, step: int) -> bytes:
    """What a phone signs every 15 s."""
    return signing.prefix(HOLDER_KIND, ROTATING_VERSION) + _PROOF.pack(pass_id, generation, step)


def bind_holder(claims: Claims, key_id: int, pass_private_key: bytes, generation: int, holder_key: bytes) -> bytes:
    """The centre's part of a full code: claims, generation, key, signature; the phone adds step and proof.

    The claims are the token's but for `issued_version`: here the list version that first carries this holder key. A
    gate whose list is as new and has not got the key takes it for retired.
    """
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
    head = base45.decode(text[len(token.PREFIX) : len(token.PREFIX) + 3])
    if head is None or len(head) != 2:
        return Reason.MALFORMED
    kind, version = head[0] >> 4, head[0] & 15
    if kind == CodeKind.INVITATION:
        return Reason.WRONG_PURPOSE
    if len(text) > token.MAX_TEXT_LENGTH or not text.isascii():
        return Reason.MALFORMED
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


def read_full(
    code: FullCode, keys: KeySet, place: Place, now_ms: int | None, products: Collection[int] | None = None
) -> Claims | Reason:
    """As `token.read_token`: the claims of a full code that is good here and now, or the first reason against it.

    Whether the list has the holder key retired, and whether the step is of now, is not judged here.
    """
    key = token.check_claims(code.claims, code.key_id, keys, place, now_ms, products)
    if isinstance(key, Reason):
        return key
    return code.claims if code.is_bound_by(key.public) and code.is_by_holder() else Reason.FORGED


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
