"""A refused code that is not ours, as entries keep it: what it looked like, never what it said (wire.md §6)."""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum

_STRANGER = struct.Struct(">HB8s")


class CharacterClass(IntEnum):
    """What a refused text looked like, told without keeping it."""

    EMPTY = 0
    DIGITS = 1
    LETTERS = 2
    LINK = 3
    MIXED = 4
    BINARY = 5


def stranger_evidence(text: str, key: bytes) -> bytes:
    """A code that is not ours as length, character class and keyed hash: enough to see a repetition, never the text."""
    raw = text.encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(raw, digest_size=8, key=key[:32]).digest()
    return _STRANGER.pack(min(len(raw), 0xFFFF), _character_class(text), digest)


def _character_class(text: str) -> CharacterClass:
    if not text:
        return CharacterClass.EMPTY
    if not (text.isascii() and text.isprintable()):
        return CharacterClass.BINARY
    if "://" in text[:16]:
        return CharacterClass.LINK
    if text.isdigit():
        return CharacterClass.DIGITS
    return CharacterClass.LETTERS if text.isalpha() else CharacterClass.MIXED
