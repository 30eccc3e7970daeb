"""The on-line check: what a hand-held app or an integrator asks the centre, and its signed answer (wire.md §7)."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import signing
from wire.credential import CredentialKind
from wire.keyset import KeySet
from wire.messages import MAX_WORD_CHARACTERS
from wire.reasons import Reason
from wire.signing import Purpose, SealFlaw
from wire.unreadable import UNREADABLE

REDEEM_FORMAT = 1
ANSWER_KIND = "redeem"
ANSWER_VERSION = 1
REQUEST_ID_BYTES = 16
MAX_REDEEM_BYTES = 2048
MAX_SHOWN_CHARACTERS = 500
MAX_LANE = 32_767


class ShownCard(msgspec.Struct, frozen=True, array_like=True):
    """A card as its reader read it: auth level 0 none, 1 PSAM, 2 HSM; the area only beside a card number.

    The centre makes the evidence of the entry from it, with the venue's key, and keeps no number.
    """

    auth: Annotated[int, Meta(ge=0, le=2)]
    kind: CredentialKind
    number: Annotated[str, Meta(max_length=MAX_WORD_CHARACTERS)]
    area: Annotated[str, Meta(max_length=MAX_WORD_CHARACTERS)] = ""


class Redeem(msgspec.Struct, frozen=True, array_like=True):
    """POST /device/v1/redeem: one presentation, the whole text of a code or a card, to be judged and counted at once.

    `request_id` is 16 bytes of the caller's own: the same request again is answered as before and counts nothing.
    """

    format: int
    request_id: Annotated[bytes, Meta(min_length=REQUEST_ID_BYTES, max_length=REQUEST_ID_BYTES)]
    shown: Annotated[str, Meta(max_length=MAX_SHOWN_CHARACTERS)] | ShownCard
    lane: Annotated[int, Meta(ge=0, le=MAX_LANE)] = 0
    who: Annotated[str, Meta(max_length=MAX_WORD_CHARACTERS)] | None = None
    """The member of staff who holds the device."""


class _Formatted(msgspec.Struct, array_like=True):
    """The beginning of a request of any format; what follows it is passed over."""

    format: int


class RedeemFlaw(StrEnum):
    """Why a request is not judged; nothing is written down then."""

    MALFORMED = "malformed"
    NEEDS_UPDATE = "needs_update"
    ID_REUSED = "id_reused"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Redeem)


def encode_redeem(asked: Redeem) -> bytes:
    """The body as signed."""
    return _encoder.encode(asked)


def read_redeem(body: bytes) -> Redeem | RedeemFlaw:
    """What is asked; an unknown format is told from a broken request."""
    try:
        if msgspec.msgpack.decode(body, type=_Formatted).format != REDEEM_FORMAT:
            return RedeemFlaw.NEEDS_UPDATE
        return _decoder.decode(body)
    except UNREADABLE:
        return RedeemFlaw.MALFORMED


def request_digest(body: bytes) -> bytes:
    """What an answer names: SHA-256 of the body it answers."""
    return hashlib.sha256(body).digest()


class RedeemAnswer(msgspec.Struct, frozen=True, array_like=True):
    """Admitted (`reason` None) or why not; `seq` is its entry in the journal that the centre keeps for the device.

    `remaining` admissions in all are left now, None: no limit in all; `persons` may enter on this one. Pass, product
    and masked name are told of a genuine presentation only.
    """

    device: bytes
    request_digest: bytes
    seq: int
    at_ms: int
    reason: Reason | None
    persons: int = 0
    remaining: int | None = None
    pass_id: bytes | None = None
    product: int | None = None
    name: str = ""


def sign_answer(answer: RedeemAnswer, key_id: int, service_key: bytes) -> bytes:
    """The answer as the device gets it, now and every time it asks again."""
    return signing.seal(ANSWER_KIND, ANSWER_VERSION, key_id, service_key, _encoder.encode(answer))


def read_answer(data: bytes, device: bytes, body: bytes, keys: KeySet, now_ms: int | None) -> RedeemAnswer | SealFlaw:
    """The answer to this device's request, if a service key signed it. Nobody is let in by any other."""
    sealed = signing.unseal(ANSWER_KIND, ANSWER_VERSION, data)
    if isinstance(sealed, SealFlaw):
        return sealed
    key = keys.find(Purpose.SERVICE, sealed.key_id, now_ms)
    if key is None:
        return SealFlaw.UNKNOWN_KEY
    if not sealed.is_by(key.public):
        return SealFlaw.FORGED
    try:
        answer = msgspec.msgpack.decode(sealed.payload, type=RedeemAnswer)
    except UNREADABLE:
        return SealFlaw.MALFORMED
    is_ours = answer.device == device and answer.request_digest == request_digest(body)
    return answer if is_ours else SealFlaw.FORGED
