"""A phone number that messages go to: how it is written, and kept: sealed, by a keyed index, masked."""

from __future__ import annotations

import re
from typing import NamedTuple
from uuid import UUID

from sync_server.crypto import Secrets, blind_index, seal
from wire.credential import mask_phone

_PHONE = re.compile(r"\+?[0-9]{6,15}")
_OF_CHINA = re.compile(r"(\+|00)86(?=1[0-9]{10}$)")


class KeptPhone(NamedTuple):
    """What a row holds of a number."""

    sealed: bytes
    blind: bytes
    masked: str


def normal_phone(text: str) -> str:
    """The one way to write a number: digits, with + and the country's where it is another than China.

    ValueError where it is none.
    """
    number = _OF_CHINA.sub("", re.sub(r"[ \-]", "", text))
    if not _PHONE.fullmatch(number) or not number.isascii():
        raise ValueError(f"{mask_phone(text[:20])!r} is no phone number: write 6 to 15 digits")
    return number


def keep_phone(secrets: Secrets, field: str, row: UUID, number: str) -> KeptPhone:
    """A number (see `normal_phone`) as column `field` ("party.contact_phone") of a row keeps it."""
    blind = blind_index(secrets, "phone", number)
    return KeptPhone(seal(secrets, field, row.bytes, number), blind, mask_phone(number))
