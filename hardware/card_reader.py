"""A card reader: what a tapped card gave away of itself, or why it could not be read."""

from __future__ import annotations

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
    """One tap. A third-generation card gives a plain reader no `id_number` and no `name`."""

    area: str  # issuing area, six digits
    number: str  # card number, nine characters
    identification: str  # card identification code, hex
    id_number: str | None = field(default=None, repr=False)  # never in a log
    name: str | None = field(default=None, repr=False)
    auth: CardAuth = CardAuth.NONE


@dataclass(frozen=True, slots=True)
class CardFault:
    """A tap that gave nothing: pulled away too early, an unknown card. The sentence is for staff."""

    sentence: str


class CardReader(Device, Protocol):
    """A reader is asked again and again by one thread; what it answers is the next tap."""

    def next_read(self, timeout_s: float) -> CardRead | CardFault | None:
        """The next tap, None when nobody tapped within `timeout_s` or the reader is away or closed."""
