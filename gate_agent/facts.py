"""What is known of what was shown: the code verified, the card looked up. Before the journal, outside any lock."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gate_agent import recognition
from gate_agent.decision import Facts, Refuse, decide
from gate_agent.pass_list import ListedPass
from gate_agent.recognition import CardTap, NotOurs
from gate_agent.world import World
from hardware.card_reader import CardAuth, CardRead
from wire import messages, token
from wire.messages import Presentation
from wire.presentation import StaticCode
from wire.reasons import Reason
from wire.token import Claims

AUTH_LEVEL = {CardAuth.NONE: 0, CardAuth.PSAM: 1, CardAuth.HSM: 2}
"""As evidence tells it (wire.messages.Entry)."""
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


def find_out(shown: recognition.Presentation, world: World, leaving: bool = False) -> Known:
    """Everything that can be known of a presentation without the journal; `leaving`: at a lane out of the venue."""
    if isinstance(shown, CardTap):
        return _of_card(shown.read, world)
    if isinstance(shown, NotOurs):
        return Known(
            Presentation.NONE,
            Facts(Reason.NOT_OURS),
            evidence=messages.stranger_evidence(shown.text, world.stranger_key),
        )
    return _of_code(shown, world, leaving)


def _of_code(code: StaticCode, world: World, leaving: bool) -> Known:
    at_ms, products = (None, None) if leaving else (world.now.at_ms, world.products)
    reading = token.read_token(code.text, world.keys, world.place, at_ms, products)
    claims: Claims | None
    if isinstance(reading, Claims):
        claims, listed = reading, None if world.pass_list is None else world.pass_list.find(reading.pass_id)
    else:
        claims, listed = (token.signed_claims(code.text, world.keys) if reading in TOLD_ALL_THE_SAME else None), None
    facts = Facts(reading, listed=listed)
    if claims is None:
        return Known(Presentation.STATIC, facts, evidence=messages.stranger_evidence(code.text, world.stranger_key))
    return Known(Presentation.STATIC, facts, claims.pass_id, token.evidence_of(code.text), claims)


def _of_card(read: CardRead, world: World) -> Known:
    """The pass of a card; a person may hold several, of which the first that is not refused outright is taken."""
    unknown = Known(Presentation.CARD, Facts(None, card=read.auth))
    config = world.sync.config
    if config is None or world.pass_list is None:
        return unknown
    for kind, hashed in recognition.credentials(read, config.credential_key, config.deployment_salt):
        evidence = bytes([AUTH_LEVEL[read.auth], kind]) + hashed
        found = [
            listed
            for pass_id in world.pass_list.passes_of_credential(hashed)
            if (listed := world.pass_list.find(pass_id))
        ]
        if found:
            listed = _best(found, unknown.facts, world)
            return Known(Presentation.CARD, replace(unknown.facts, listed=listed), listed.pass_id, evidence)
        if unknown.evidence is None:
            unknown = replace(unknown, evidence=evidence)
    return unknown


def _best(found: list[ListedPass], facts: Facts, world: World) -> ListedPass:
    for listed in found:
        if not isinstance(decide(replace(facts, listed=listed), world.venue, world.now), Refuse):
            return listed
    return found[0]
