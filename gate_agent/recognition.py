"""What a reader saw, told apart: a code of ours, a card, or nothing of ours; what is held up counts once (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hardware.card_reader import CardRead
from wire import credential
from wire.credential import CredentialKind
from wire.electronic_card import CodeShape, Hashed
from wire.presentation import FullCode, ShortCode, StaticCode, read_presentation
from wire.reasons import Reason

T = TypeVar("T")

HOLD_MS = 1_500
"""A code not seen for this long has been taken away; seen again, it is presented again."""
HELD_LIMIT = 4
"""Different codes, and holders of rotating ones, that one lane may have in view at the same time."""


@dataclass(frozen=True, slots=True)
class CardTap:
    """A card that was read. Its numbers live here and are hashed from here; they are never written anywhere."""

    read: CardRead


@dataclass(frozen=True, slots=True)
class NotOurs:
    """A text that no centre of ours wrote: a payment code, a contact, another venue's ticket."""

    text: str


@dataclass(frozen=True, slots=True)
class FlawedCode:
    """A text that begins like a code of ours and is none that can be read."""

    text: str
    reason: Reason


Resolved = tuple[Hashed, ...] | Reason
"""What the centre says of an electronic card: the hashes under which the list may know its holder, or why not."""


@dataclass(frozen=True, slots=True)
class ElectronicCard:
    """A code of an electronic social-security card, and what the centre says of it. The code is written nowhere."""

    text: str
    resolved: Resolved


Raw = str | CardRead
Recognised = StaticCode | ShortCode | FullCode | FlawedCode | CardTap | ElectronicCard | NotOurs


def recognise(raw: Raw) -> Recognised:
    """Tell a raw read apart. Nothing is believed yet: what begins like a code of ours may still be anything."""
    if isinstance(raw, CardRead):
        return CardTap(raw)
    code = read_presentation(raw)
    if isinstance(code, Reason):
        return NotOurs(raw) if code is Reason.NOT_OURS else FlawedCode(raw, code)
    return code


def electronic_code(shown: Recognised, shape: CodeShape | None) -> str | None:
    """The text that only the centre can read, if it looks as the venue says that electronic cards do (`shape`)."""
    return shown.text if shape is not None and isinstance(shown, NotOurs) and shape.fits(shown.text) else None


def credentials(
    read: CardRead, venue_keys: Sequence[bytes], deployment_salt: bytes
) -> Iterator[tuple[CredentialKind, bytes]]:
    """The hashes by which the list may know a card, under each of the venue's keys; the slow one of the ID number last.

    That one takes 50 ms.
    """
    if read.identification:
        for key in venue_keys:
            yield CredentialKind.CARD_IDENTIFICATION, credential.identification_credential(key, read.identification)
    if read.number:
        for key in venue_keys:
            yield CredentialKind.CARD_NUMBER, credential.card_credential(key, read.area, read.number)
    if read.id_number:
        person = credential.person_hash(read.id_number, deployment_salt)
        for key in venue_keys:
            yield CredentialKind.ID_NUMBER, credential.id_credential(key, person)


class HeldUp:
    """Tells one lane's new presentations from what is still held up. Times are ms of any clock that only rises.

    A phone draws another rotating code every 15 s. Whoever was let in and still stands there with it presents nothing
    new, so that nobody is counted twice, or told that his pass is used up, for not putting his phone away.
    """

    def __init__(self, hold_ms: int = HOLD_MS) -> None:
        self._hold_ms = hold_ms
        self._last_seen_ms: dict[Raw, int] = {}
        self._let_in_ms: dict[bytes, int] = {}
        """When a code of a pass that is being let in, or was, was seen last: each sight puts off its next entry."""

    def is_new(self, raw: Raw, now_ms: int) -> bool:
        """Whether `raw`, seen at `now_ms`, is a presentation of its own; each sight puts off the next one."""
        if self._goes_on(raw, now_ms):
            return False
        return not _seen_again(self._last_seen_ms, raw, now_ms, self._hold_ms)

    def forget(self, raw: Raw) -> None:
        """`raw` was not presented after all: a newer read took its place. The next sight of it is a new one."""
        self._last_seen_ms.pop(raw, None)

    def take_up(self, raw: Raw, now_ms: int) -> bool:
        """A new presentation is about to be judged. False: its holder is the one who was let in while it waited."""
        if self._goes_on(raw, now_ms):
            return False
        holder = _holder_of(raw)
        if holder is not None:
            _seen_again(self._let_in_ms, holder, now_ms, self._hold_ms)
        return True

    def turn_down(self, raw: Raw) -> None:
        """What was taken up did not let its holder in: the next code he draws is a new presentation."""
        holder = _holder_of(raw)
        if holder is not None:
            self._let_in_ms.pop(holder, None)

    def _goes_on(self, raw: Raw, now_ms: int) -> bool:
        """Whether this is a code of somebody let in who has held up his phone ever since."""
        holder = _holder_of(raw) if self._let_in_ms else None
        if holder is None or holder not in self._let_in_ms:
            return False
        if _seen_again(self._let_in_ms, holder, now_ms, self._hold_ms):
            return True
        del self._let_in_ms[holder]
        return False


def _seen_again(seen_ms: dict[T, int], what: T, now_ms: int, hold_ms: int) -> bool:
    """Note a sight of `what`; whether the one before it was so recent that it was held up in between."""
    last_ms = seen_ms.pop(what, None)
    seen_ms[what] = now_ms
    if len(seen_ms) > HELD_LIMIT:
        seen_ms.pop(next(iter(seen_ms)))
    return last_ms is not None and now_ms - last_ms < hold_ms


def _holder_of(raw: Raw) -> bytes | None:
    """The pass whose holder's phone drew a rotating code; None for everything that does not change by itself."""
    code = None if isinstance(raw, CardRead) else read_presentation(raw)
    return code.pass_id if isinstance(code, ShortCode | FullCode) else None
