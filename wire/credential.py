"""Cards without names: keyed hashes of ID and card numbers, and the masks under which people are shown (wire.md §4)."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from enum import IntEnum

HASH_BYTES = 16
SCRYPT_N = 2**14
_SCRYPT_R, _SCRYPT_P = 8, 1
_SCRYPT_MEMORY_BYTES = 64 * 1024 * 1024


class CredentialKind(IntEnum):
    """Which number of a card was hashed."""

    ID_NUMBER = 1
    CARD_NUMBER = 2
    CARD_IDENTIFICATION = 3


def normal_id_number(number: str) -> str:
    """An ID number as it is hashed: NFKC, no spaces, upper-case X (facts.md, people's data)."""
    return "".join(unicodedata.normalize("NFKC", number).split()).upper()


def person_hash(id_number: str, deployment_salt: bytes) -> bytes:
    """The slow half for an ID number, once per person at the centre: whoever holds a box pays this per guess."""
    return hashlib.scrypt(
        normal_id_number(id_number).encode(),
        salt=deployment_salt,
        n=SCRYPT_N,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        maxmem=_SCRYPT_MEMORY_BYTES,
        dklen=32,
    )


def id_credential(venue_key: bytes, person: bytes) -> bytes:
    """An ID number as one venue's gates know it; `person` is its `person_hash`."""
    return _keyed(venue_key, CredentialKind.ID_NUMBER, person)


def card_credential(venue_key: bytes, area: str, card_number: str) -> bytes:
    """Area code and card number as one venue's gates know them: what a plain read of a third-generation card gives."""
    return _keyed(venue_key, CredentialKind.CARD_NUMBER, f"{area}|{card_number}".encode())


def identification_credential(venue_key: bytes, identification: str) -> bytes:
    """A card identification code as one venue's gates know it."""
    return _keyed(venue_key, CredentialKind.CARD_IDENTIFICATION, identification.encode())


def _keyed(venue_key: bytes, kind: CredentialKind, value: bytes) -> bytes:
    return hmac.digest(venue_key, bytes([kind]) + value, "sha256")[:HASH_BYTES]


def mask_name(name: str) -> str:
    """李花 → 李*, 李小花 → 李*花: the first character, one star, the last if there are three or more."""
    if len(name) < 2:
        return name
    return name[0] + "*" + (name[-1] if len(name) > 2 else "")


def mask_id_number(number: str) -> str:
    """First four and last four characters."""
    return number if len(number) < 9 else number[:4] + "*" * (len(number) - 8) + number[-4:]


def mask_phone(phone: str) -> str:
    """138****1234."""
    return phone if len(phone) < 8 else phone[:3] + "****" + phone[-4:]
