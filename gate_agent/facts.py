"""What is known of what was shown: the code verified, the card looked up. Before the journal, outside any lock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gate_agent import recognition
from gate_agent.decision import Facts, Refuse, Rotating, decide
from gate_agent.pass_list import PassList
from gate_agent.recognition import CardTap, ElectronicCard, FlawedCode, NotOurs
from gate_agent.venue import ListedPass
from gate_agent.world import World
from hardware.card_reader import CardAuth, CardRead
from wire import electronic_card, presentation, token
from wire.electronic_card import Hashed
from wire.feed import HolderKey
from wire.messages import Presentation
from wire.presentation import FullCode, ShortCode, StaticCode
from wire.reasons import Reason
from wire.stranger import stranger_evidence
from wire.token import Claims

AUTH_LEVEL = {CardAuth.NONE: 0, CardAuth.PSAM: 1, CardAuth.HSM: 2}
"""As evidence tells it (wire.messages.Entry)."""
MAX_KEYS_TRIED = 3
"""Live keys of a pass (the centre allows one to three), and so signatures of phones that one code can cost."""
TOLD_ALL_THE_SAME = frozenset({Reason.EXPIRED, Reason.NOT_YET_ACTIVE, Reason.WRONG_VENUE, Reason.UNKNOWN_PRODUCT})
"""Refusals of a code before its signature was looked at, whose pass is worth naming if it is genuine."""


@dataclass(frozen=True, slots=True)
class Known:
    """Facts for the decision, and what an entry says of the presentation.

    `pass_id` is empty when it is not known; `claims` are those of a genuine code.
    """

    how: Presentation
    facts: Facts
    pass_id: bytes = b""
    evidence: bytes | None = None
    claims: Claims | None = None

    @property
    def step(self) -> int | None:
        """Of a rotating code."""
        return None if self.facts.rotating is None else self.facts.rotating.step


def find_out(shown: recognition.Recognised, world: World, leaving: bool = False) -> Known:
    """Everything that can be known of a presentation without the journal; `leaving`: at a lane out of the venue."""
    if isinstance(shown, CardTap):
        return _of_card(shown.read, world)
    if isinstance(shown, ElectronicCard):
        return _of_electronic_card(shown, world)
    if isinstance(shown, NotOurs):
        return _unproven(Presentation.NONE, Reason.NOT_OURS, shown.text, world)
    if isinstance(shown, FlawedCode):
        return _unproven(Presentation.NONE, shown.reason, shown.text, world)
    if isinstance(shown, ShortCode):
        return _of_short(shown, world, leaving)
    if isinstance(shown, FullCode):
        return _of_full(shown, world, leaving)
    return _of_static(shown, world, leaving)


def _of_static(shown: StaticCode, world: World, leaving: bool) -> Known:
    code = token.take_apart(shown.text)
    if isinstance(code, Reason):
        return _unproven(Presentation.STATIC, code, shown.text, world)
    claims, reading = code.claims, code.read(world.keys, world.place, *_judged_by(world, leaving))
    if isinstance(reading, Reason):
        if reading not in TOLD_ALL_THE_SAME or not code.is_genuine(world.keys):
            return _unproven(Presentation.STATIC, reading, shown.text, world)
        return Known(Presentation.STATIC, Facts(reading), claims.pass_id, code.evidence, claims)
    facts = Facts(reading, listed=_row_of(claims.pass_id, world))
    return Known(Presentation.STATIC, facts, claims.pass_id, code.evidence, claims)


def _of_full(code: FullCode, world: World, leaving: bool) -> Known:
    """A code that brings its key; the list's word on that key stands where the list is as new as the code's binding."""
    reading = presentation.read_full(code, world.keys, world.place, *_judged_by(world, leaving))
    if isinstance(reading, Reason):
        if reading not in TOLD_ALL_THE_SAME or not code.is_genuine(world.keys):
            return _unproven(Presentation.FULL, reading, code.text, world)
        return Known(Presentation.FULL, Facts(reading), code.pass_id, code.evidence, code.claims)
    listed = _row_of(reading.pass_id, world)
    retired = listed is not None and _has_retired(listed.holder_keys, code, world.list_version[1])
    facts = Facts(reading, listed=listed, rotating=Rotating(code.step, retired=retired))
    return Known(Presentation.FULL, facts, code.pass_id, code.evidence, reading)


def _of_short(code: ShortCode, world: World, leaving: bool) -> Known:
    """A code whose key must be in the list; one that no live key drew is told a reason and nothing of the pass."""
    listed = _row_of(code.pass_id, world)
    if listed is None:
        return _unproven(Presentation.SHORT, Reason.NOT_IN_LIST, code.text, world)
    if any(code.is_by(key.generation, key.public) for key in listed.holder_keys[:MAX_KEYS_TRIED]):
        facts = Facts(None, listed=listed, rotating=Rotating(code.step))
        return Known(Presentation.SHORT, facts, code.pass_id, code.evidence)
    verdict = decide(Facts(None, listed=listed, rotating=Rotating(code.step, False)), world.venue, world.now)
    assert isinstance(verdict, Refuse), "what no known key drew is refused by _form"
    return _unproven(Presentation.SHORT, Reason.NEEDS_FULL_CODE if leaving else verdict.reason, code.text, world)


def _has_retired(live: tuple[HolderKey, ...], code: FullCode, held_version: int) -> bool:
    """Whether the row speaks against the key: it should have it and has not, or has a newer one (wire.md §3)."""
    if HolderKey(code.generation, code.holder_key) in live:
        return False
    newest = max((key.generation for key in live), default=0)
    return code.claims.issued_version <= held_version or code.generation <= newest


def _unproven(how: Presentation, reason: Reason, text: str, world: World) -> Known:
    """Nothing is known of who showed this; its text is not kept."""
    return Known(how, Facts(reason), evidence=stranger_evidence(text, world.stranger_key))


def _row_of(pass_id: bytes, world: World) -> ListedPass | None:
    return None if world.pass_list is None else world.pass_list.find(pass_id)


def _judged_by(world: World, leaving: bool) -> tuple[int | None, frozenset[int] | None]:
    """The time and the products a code is held against; on the way out neither matters."""
    return (None, None) if leaving else (world.now.at_ms, world.products)


def _of_card(read: CardRead, world: World) -> Known:
    """The pass of a card; a person may hold several, of which the first that is not refused outright is taken."""
    unknown = Known(Presentation.CARD, Facts(None, card=read.auth))
    config = world.sync.config
    if config is None or world.pass_list is None:
        return unknown
    hashes = recognition.credentials(read, config.credential_keys, config.deployment_salt)
    return _of_hashes(hashes, AUTH_LEVEL[read.auth], unknown, world, world.pass_list)


def _of_electronic_card(card: ElectronicCard, world: World) -> Known:
    """As a card: its platform vouches for it, no less than the ministry's module does for one that is tapped."""
    how = Presentation.ELECTRONIC_CARD
    if isinstance(card.resolved, Reason):
        return _unproven(how, card.resolved, card.text, world)
    unknown = Known(how, Facts(None, card=CardAuth.HSM))
    if world.pass_list is None:
        return unknown
    return _of_hashes(card.resolved, electronic_card.AUTH_LEVEL, unknown, world, world.pass_list)


def _of_hashes(hashes: Iterable[Hashed], level: int, unknown: Known, world: World, passes: PassList) -> Known:
    """The pass that the first of these hashes finds that is in the list; `unknown` with evidence if none is."""
    for kind, hashed in hashes:
        evidence = bytes([level, kind]) + hashed
        found = [listed for pass_id in passes.passes_of_credential(hashed) if (listed := passes.find(pass_id))]
        if found:
            listed = _best(found, unknown.facts, world)
            return replace(
                unknown, facts=replace(unknown.facts, listed=listed), pass_id=listed.pass_id, evidence=evidence
            )
        if unknown.evidence is None:
            unknown = replace(unknown, evidence=evidence)
    return unknown


def _best(found: list[ListedPass], facts: Facts, world: World) -> ListedPass:
    for listed in found:
        if not isinstance(decide(replace(facts, listed=listed), world.venue, world.now), Refuse):
            return listed
    return found[0]
