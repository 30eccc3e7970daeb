"""What a reader saw, told apart: a pass code, a card, or nothing of ours; the same code held up counts once (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hardware.card_reader import CardRead
from wire import credential, token
from wire.credential import CredentialKind
from wire.presentation import StaticCode

HOLD_MS = 1_500
"""A code not seen for this long has been taken away; seen again, it is presented again."""
HELD_LIMIT = 4
"""Different codes that one lane may have in view at the same time."""


@dataclass(frozen=True, slots=True)
class CardTap:
    """A card that was read. Its numbers live here and are hashed from here; they are never written anywhere."""

    read: CardRead


@dataclass(frozen=True, slots=True)
class NotOurs:
    """A text that no centre of ours wrote: a payment code, a contact, another venue's ticket."""

    text: str


Raw = str | CardRead
Presentation = StaticCode | CardTap | NotOurs


def recognise(raw: Raw) -> Presentation:
    """Tell a raw read apart. Nothing is believed yet: what begins like a code of ours may still be anything."""
    if isinstance(raw, CardRead):
        return CardTap(raw)
    return StaticCode(raw) if raw.startswith(token.PREFIX) else NotOurs(raw)


def credentials(read: CardRead, venue_key: bytes, deployment_salt: bytes) -> Iterator[tuple[CredentialKind, bytes]]:
    """The keyed hashes by which the list may know a card, cheapest first; the one of the ID number takes 50 ms."""
    if read.identification:
        yield CredentialKind.CARD_IDENTIFICATION, credential.identification_credential(venue_key, read.identification)
    if read.number:
        yield CredentialKind.CARD_NUMBER, credential.card_credential(venue_key, read.area, read.number)
    if read.id_number:
        person = credential.person_hash(read.id_number, deployment_salt)
        yield CredentialKind.ID_NUMBER, credential.id_credential(venue_key, person)


class HeldUp:
    """Tells one lane's new presentations from codes still held up. Times are ms of any clock that only rises."""

    def __init__(self, hold_ms: int = HOLD_MS) -> None:
        self._hold_ms = hold_ms
        self._last_seen_ms: dict[Raw, int] = {}

    def is_new(self, raw: Raw, now_ms: int) -> bool:
        """Whether `raw`, seen at `now_ms`, is a presentation of its own; each sight puts off the next one."""
        last_ms = self._last_seen_ms.pop(raw, None)
        self._last_seen_ms[raw] = now_ms
        if len(self._last_seen_ms) > HELD_LIMIT:
            self._last_seen_ms.pop(next(iter(self._last_seen_ms)))
        return last_ms is None or now_ms - last_ms >= self._hold_ms

    def forget(self, raw: Raw) -> None:
        """`raw` was not presented after all: a newer read took its place. The next sight of it is a new one."""
        self._last_seen_ms.pop(raw, None)
