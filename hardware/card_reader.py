"""A card reader: what a tapped card gave away of itself, or why it could not be read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from hardware import Device


class CardAuth(StrEnum):
    """How the card proved to be the genuine one (facts.md): a card read without proof can be a copy."""

    NONE = "none"
    PSAM = "psam"
    HSM = "hsm"


@dataclass(frozen=True, slots=True)
class CardRead:
    """One tap. A third-generation card gives a plain reader no `id_number`. Nobody at a gate needs the name."""

    area: str  # issuing area, six digits
    number: str  # card number, nine characters; empty where the card has none
    identification: str  # card identification code, upper-case hex
    id_number: str | None = field(default=None, repr=False)  # never in a log
    auth: CardAuth = CardAuth.NONE


@dataclass(frozen=True, slots=True)
class CardFault:
    """A tap that gave nothing: pulled away too early, an unknown card. The sentence is for staff."""

    sentence: str


class CardReader(Device, Protocol):
    """A reader is asked again and again by one thread; what it answers is the next tap."""

    def next_read(self, timeout_s: float) -> CardRead | CardFault | None:
        """The next tap, None when nobody tapped within `timeout_s` or the reader is away or closed."""


_AREA = re.compile(r"[0-9]{6}")
_NUMBER = re.compile(r"[0-9A-Z]{0,20}")
_IDENTIFICATION = re.compile(r"[0-9A-F]{6,64}")


def card_of(
    area: str, number: str, identification: str, id_number: str = "", auth: CardAuth = CardAuth.NONE
) -> CardRead | CardFault:
    """The card that a reader told of in words, if they have the shape of one; the sentence repeats none of them."""
    area, number, identification, id_number = (
        part.strip().upper() for part in (area, number, identification, id_number)
    )
    shaped = _AREA.fullmatch(area) and _IDENTIFICATION.fullmatch(identification)
    if not shaped or not _NUMBER.fullmatch(number) or not _NUMBER.fullmatch(id_number):
        return CardFault("the reader told of a card what no card has: tap it again, or look at the reader's settings")
    return CardRead(area, number, identification, id_number or None, auth)
