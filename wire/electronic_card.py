"""Electronic social-security cards: the shape of their codes, and what a gate asks the centre of one (wire.md §4).

Only the platform that draws these codes can read them, so a gate sends one up and is told under which keyed hashes its
own list knows the person or the card. Judged is then the pass in the list, as after the tap of a card.
"""

from __future__ import annotations

import hashlib
import re
from enum import IntEnum, StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import signing, token
from wire.credential import CredentialKind
from wire.keyset import KeySet
from wire.signing import Purpose, SealFlaw
from wire.unreadable import UNREADABLE

QUESTION_FORMAT = 1
ANSWER_KIND = "electronic-card"
ANSWER_VERSION = 1
NONCE_BYTES = 16
MAX_CODE_CHARACTERS = 256
MAX_QUESTION_BYTES = 1024
AUTH_LEVEL = 3
"""In the evidence of an entry: the platform vouched for it (wire.messages.Entry)."""
MAX_HASHES = 4
"""One person under the venue's key and the key before it; a platform may name a person and a card."""


class Characters(StrEnum):
    """What a code consists of behind its prefix."""

    DIGITS = "digits"
    ALPHANUMERIC = "alphanumeric"
    PRINTABLE = "printable"


_BODY = {
    Characters.DIGITS: re.compile(r"[0-9]*"),
    Characters.ALPHANUMERIC: re.compile(r"[0-9A-Za-z]*"),
    Characters.PRINTABLE: re.compile(r"[!-~]*"),
}


class CodeShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a platform's codes look: by this alone a gate knows one, and sends no other text anywhere.

    Lengths count the prefix too. There is always a prefix: without one the codes of payment apps would be sent up.
    """

    prefix: Annotated[str, Meta(min_length=1, max_length=32)]
    shortest: Annotated[int, Meta(ge=2, le=MAX_CODE_CHARACTERS)]
    longest: Annotated[int, Meta(ge=2, le=MAX_CODE_CHARACTERS)]
    characters: Characters

    def __post_init__(self) -> None:
        """Raises ValueError for a shape that no code can have, or that a code of ours would have."""
        if not _BODY[Characters.PRINTABLE].fullmatch(self.prefix):
            raise ValueError(f"the prefix {self.prefix!r} has other characters than printable ASCII without blanks")
        if self.prefix.startswith(token.PREFIX) or token.PREFIX.startswith(self.prefix):
            raise ValueError(f"the prefix {self.prefix!r} cannot be told from that of our own codes, {token.PREFIX!r}")
        if not len(self.prefix) < self.shortest <= self.longest:
            raise ValueError(f"lengths from {self.shortest} to {self.longest} leave no code behind the prefix")

    def fits(self, text: str) -> bool:
        """Whether `text` looks like a code of the platform."""
        if not self.shortest <= len(text) <= self.longest or not text.startswith(self.prefix):
            return False
        return _BODY[self.characters].fullmatch(text, len(self.prefix)) is not None


class Question(msgspec.Struct, frozen=True, array_like=True):
    """POST /device/v1/electronic-card: whose code is this? `nonce` is random, so that no two questions are alike."""

    format: int
    nonce: bytes
    code: str


def encode_question(code: str, nonce: bytes) -> bytes:
    """The body of the request, which the answer names by `digest_of`."""
    return msgspec.msgpack.encode(Question(QUESTION_FORMAT, nonce, code))


def read_question(body: bytes) -> Question | None:
    """None for a body that asks nothing this centre understands."""
    if len(body) > MAX_QUESTION_BYTES:
        return None
    try:
        question = msgspec.msgpack.decode(body, type=Question)
    except UNREADABLE:
        return None
    fits = len(question.nonce) == NONCE_BYTES and 0 < len(question.code) <= MAX_CODE_CHARACTERS
    return question if fits and question.format == QUESTION_FORMAT else None


def digest_of(body: bytes) -> bytes:
    """What an answer names of its question."""
    return hashlib.sha256(body).digest()


class Finding(IntEnum):
    """What became of a code."""

    FOUND = 1
    UNKNOWN = 2
    """The platform has no such code, or nobody has a pass whom it names."""
    EXPIRED = 3
    USED = 4
    """Every code is good for one question."""
    UNREACHABLE = 5
    """The platform did not answer in time, or not as it should."""


Hashed = tuple[CredentialKind, bytes]
"""A credential as the venue's list knows it."""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The centre's answer. `hashes`, with FOUND alone: one of them is in the venue's list, if the pass opens there."""

    device: bytes
    question: bytes
    finding: Finding
    hashes: Annotated[tuple[Hashed, ...], Meta(max_length=MAX_HASHES)] = ()


def sign_answer(answer: Answer, key_id: int, service_key: bytes) -> bytes:
    """The answer as the gate gets it."""
    return signing.seal(ANSWER_KIND, ANSWER_VERSION, key_id, service_key, msgspec.msgpack.encode(answer))


def read_answer(data: bytes, keys: KeySet, device: bytes, question: bytes, now_ms: int | None) -> Answer | SealFlaw:
    """The answer, if a service key sealed it for this device and this question (its digest)."""
    sealed = signing.unseal(ANSWER_KIND, ANSWER_VERSION, data)
    if isinstance(sealed, SealFlaw):
        return sealed
    key = keys.find(Purpose.SERVICE, sealed.key_id, now_ms)
    if key is None:
        return SealFlaw.UNKNOWN_KEY
    if not sealed.is_by(key.public):
        return SealFlaw.FORGED
    try:
        answer = msgspec.msgpack.decode(sealed.payload, type=Answer)
    except UNREADABLE:
        return SealFlaw.MALFORMED
    return answer if (answer.device, answer.question) == (device, question) else SealFlaw.FORGED
