"""What was presented at an on-line check: read and verified as far as it can be without the tables (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sync_server.redemptions.rulebook import VenueRules
from wire import presentation, stranger, token
from wire.keyset import KeySet
from wire.messages import Presentation
from wire.presentation import FullCode, ShortCode, StaticCode
from wire.reasons import Reason
from wire.redeem import ShownCard
from wire.token import Claims

TOLD_ALL_THE_SAME = frozenset({Reason.EXPIRED, Reason.NOT_YET_ACTIVE, Reason.WRONG_VENUE, Reason.UNKNOWN_PRODUCT})
"""Refusals of a code before its signature was looked at, whose pass is worth naming if it is genuine."""


class Phone(NamedTuple):
    """A holder key the pass ever had; only a live one draws codes that open."""

    generation: int
    public: bytes
    live: bool


@dataclass(frozen=True)
class Shown:
    """A presentation. `reading` is what reading the code came to, None for a card and for a short code.

    `pass_id` is empty where the code names none, or none that is worth believing.
    """

    how: Presentation
    pass_id: bytes = b""
    evidence: bytes | None = None
    reading: Claims | Reason | None = None
    rotating: ShortCode | FullCode | None = None
    card: ShownCard | None = None

    @property
    def issue(self) -> int | None:
        """The issue number that the code claims; a short code and a card claim none."""
        return self.reading.issue if isinstance(self.reading, Claims) else None

    def drawn_by(self, phones: Iterable[Phone]) -> Phone | None:
        """The phone of the pass that drew this rotating code."""
        if isinstance(self.rotating, FullCode):
            wanted = (self.rotating.generation, self.rotating.holder_key)
            return next((phone for phone in phones if phone[:2] == wanted), None)
        if self.rotating is None:
            return None
        live_first = sorted(phones, key=lambda phone: (not phone.live, -phone.generation))
        return next((phone for phone in live_first if self.rotating.is_by(phone.generation, phone.public)), None)


def read_shown(shown: str | ShownCard, keys: KeySet, rules: VenueRules, now_ms: int) -> Shown:
    """Everything that the presentation says by itself, at this venue and now."""
    if isinstance(shown, ShownCard):
        return Shown(Presentation.CARD, card=shown)
    code = presentation.read_presentation(shown)
    if isinstance(code, ShortCode):
        return Shown(Presentation.SHORT, code.pass_id, code.evidence, rotating=code)
    if isinstance(code, FullCode):
        return _of_full(code, shown, keys, rules, now_ms)
    if isinstance(code, StaticCode):
        return _of_static(shown, keys, rules, now_ms)
    return unproven(Presentation.NONE, shown, rules, code)


def unproven(how: Presentation, text: str, rules: VenueRules, reason: Reason | None = None) -> Shown:
    """Nothing is known of who showed this; its text is not kept."""
    return Shown(how, evidence=stranger.stranger_evidence(text, rules.credential_key), reading=reason)


def _of_static(text: str, keys: KeySet, rules: VenueRules, now_ms: int) -> Shown:
    code = token.take_apart(text)
    if isinstance(code, Reason):
        return unproven(Presentation.STATIC, text, rules, code)
    reading = code.read(keys, rules.place, now_ms, rules.products)
    if isinstance(reading, Reason) and not (reading in TOLD_ALL_THE_SAME and code.is_genuine(keys)):
        return unproven(Presentation.STATIC, text, rules, reading)
    return Shown(Presentation.STATIC, code.claims.pass_id, code.evidence, reading)


def _of_full(code: FullCode, text: str, keys: KeySet, rules: VenueRules, now_ms: int) -> Shown:
    reading = presentation.read_full(code, keys, rules.place, now_ms, rules.products)
    if isinstance(reading, Reason) and not (reading in TOLD_ALL_THE_SAME and code.is_genuine(keys)):
        return unproven(Presentation.FULL, text, rules, reading)
    return Shown(Presentation.FULL, code.pass_id, code.evidence, reading, code)
