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


class CardTrouble(StrEnum):
    """The kinds of taps that gave nothing; screens have words for each."""

    UNREADABLE = "unreadable"  # what came was no card's answer
    PULLED = "pulled"  # taken away before it had answered
    TWO_CARDS = "two_cards"
    MUTE = "mute"  # a card is there and does not answer
    LEFT_BEHIND = "left_behind"  # it lay there before the reader was looked at
    FOREIGN = "foreign"  # no social-security card, or of an unknown kind
    LOCKED = "locked"  # by who issued it
    UNPROVEN = "unproven"  # it failed to prove that it is genuine
    READER = "reader"  # the reader lacks what this card needs


@dataclass(frozen=True, slots=True)
class CardFault:
    """A tap that gave nothing. The sentence is for whoever looks after the reader."""

    sentence: str
    trouble: CardTrouble = CardTrouble.UNREADABLE


ONE_CARD_ONLY = CardFault("two cards at once: one card only, please", CardTrouble.TWO_CARDS)
LEFT_BEHIND = CardFault(
    "a card was already there when the reader was switched on: take it away and tap it again", CardTrouble.LEFT_BEHIND
)
PULLED = CardFault("the card was pulled away too early: hold it still until the gate answers", CardTrouble.PULLED)
MUTE = CardFault(
    "the card does not answer: one card only, held flat or pushed in with the chip first", CardTrouble.MUTE
)
USUAL_FAULTS = {fault.trouble: fault for fault in (ONE_CARD_ONLY, LEFT_BEHIND, PULLED, MUTE)}


class CardReader(Device, Protocol):
    """A reader is asked again and again by one thread; what it answers is the next tap."""

    def next_read(self, timeout_s: float) -> CardRead | CardFault | None:
        """The next tap, None when nobody tapped within `timeout_s` or the reader is away or closed."""


_AREA = re.compile(r"[0-9]{6}")
_NUMBER = re.compile(r"[0-9A-Z]{0,20}")
_IDENTIFICATION = re.compile(r"[0-9A-F]{6,64}")


def fault_of(words: str) -> CardFault:
    """The fault that a reader tells of in `words`: the name of a CardTrouble and, or instead, words of its own."""
    name, _, more = words.strip().partition(" ")
    if name not in list(CardTrouble):
        return CardFault(words.strip() or "the card could not be read: tap it again")
    trouble = CardTrouble(name)
    return CardFault(more, trouble) if more else USUAL_FAULTS.get(trouble, CardFault(f"the card is {name}", trouble))


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
