"""How an admission counts: evidence, venue and time against what the centre knows of the pass (pure; wire.md §6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from wire import moments, presentation
from wire.electronic_card import AUTH_LEVEL
from wire.messages import ClockTrust, Entry, EntryKind, Outcome, Presentation

TOLERANCE_MS = 60_000  # a trusted clock is this exact, and dates were rounded up to a minute
MAX_STEPS_OFF = 4  # as far as any gate lets a rotating code be from its own clock (wire.md §3)
NO_READS: Mapping[bytes, tuple[int, ...]] = {}
_CARD_EVIDENCE_BYTES = 18  # auth level 1 · credential kind 1 · hash 16


class Cause(StrEnum):
    """Why an admission is UNPROVEN or IMPLAUSIBLE."""

    MANUAL = "manual"
    NO_EVIDENCE = "no_evidence"
    WRONG_VENUE = "wrong_venue"
    OUTSIDE_VALIDITY = "outside_validity"


class Span(NamedTuple):
    """When something happened, UTC ms: not before `earliest_ms` (None: no telling), not after `latest_ms`."""

    earliest_ms: int | None
    latest_ms: int


class KnownPass(NamedTuple):
    """What the centre knows of a pass at one venue. Minutes since 2020, half-open."""

    ticket_id: UUID
    admits_here: bool
    item_id: UUID | None
    not_before: int
    not_after: int
    pass_id: bytes = b""
    token_evidence: frozenset[bytes] = frozenset()
    phones: tuple[tuple[int, bytes], ...] = ()
    """Generation and public key of every phone the pass ever had."""
    card_hashes: frozenset[bytes] = frozenset()
    card_reads: Mapping[bytes, tuple[int, ...]] = NO_READS
    """When electronic cards were resolved for the gate, UTC ms, by kind ‖ hash."""


class Verdict(NamedTuple):
    """An outcome with its cause. None: the pass has an item here, and the claim on it decides."""

    outcome: Outcome | None
    cause: Cause | None = None


def card_of(evidence: bytes) -> bytes:
    """Kind ‖ hash of a card, from the evidence of an entry made with it."""
    return evidence[1:]


def span_of(entry: Entry, received_at_ms: int) -> Span:
    """The centre's own time bounds what happened; the gate's clock narrows it only where the gate trusted it."""
    if entry.trust is ClockTrust.TRUSTED and entry.device_at_ms <= received_at_ms + TOLERANCE_MS:
        at_ms = min(entry.device_at_ms, received_at_ms)
        return Span(at_ms, at_ms)
    return Span(None, received_at_ms)


def occurred_at_ms(entry: Entry, received_at_ms: int) -> int:
    """The time under which an entry is shown and sorted: the gate's clock unless it was unknown or runs ahead."""
    if entry.trust is ClockTrust.UNKNOWN or not 0 <= entry.device_at_ms <= received_at_ms:
        return received_at_ms
    return entry.device_at_ms


def judge(entry: Entry, known: KnownPass | None, span: Span) -> Verdict:
    """How an admission counts, as far as it can be said of this one alone."""
    if entry.kind is EntryKind.MANUAL and entry.pass_id is None:
        return Verdict(Outcome.UNPROVEN, Cause.MANUAL)
    if known is None:
        return Verdict(Outcome.UNKNOWN_PASS)
    if not known.admits_here:
        return Verdict(Outcome.IMPLAUSIBLE, Cause.WRONG_VENUE)
    if not _overlaps(span, known):
        return Verdict(Outcome.IMPLAUSIBLE, Cause.OUTSIDE_VALIDITY)
    if entry.kind is EntryKind.MANUAL:
        return Verdict(Outcome.UNPROVEN, Cause.MANUAL)
    if not _proves(entry, known, span):
        return Verdict(Outcome.UNPROVEN, Cause.NO_EVIDENCE)
    return Verdict(None if known.item_id is not None else Outcome.PASS_VISIT)


def _overlaps(span: Span, known: KnownPass) -> bool:
    begins_ms = moments.minute_ms(known.not_before) - TOLERANCE_MS
    ends_ms = moments.minute_ms(known.not_after) + TOLERANCE_MS
    return span.latest_ms >= begins_ms and (span.earliest_ms is None or span.earliest_ms < ends_ms)


def _proves(entry: Entry, known: KnownPass, span: Span) -> bool:
    """Whether the gate shows that the code or card was really there: no list contains what it shows."""
    if not entry.evidence:
        return False
    if entry.presentation is Presentation.STATIC:
        return entry.evidence in known.token_evidence
    if entry.presentation is Presentation.CARD:
        return entry.evidence[0] != AUTH_LEVEL and _is_of_card(entry.evidence, known)
    if entry.presentation is Presentation.ELECTRONIC_CARD:
        return _was_resolved(entry.evidence, known, span)
    if entry.presentation in (Presentation.SHORT, Presentation.FULL):
        return _was_drawn(entry.evidence, known, span)
    return False


def _is_of_card(evidence: bytes, known: KnownPass) -> bool:
    return len(evidence) == _CARD_EVIDENCE_BYTES and card_of(evidence) in known.card_hashes


def _was_resolved(evidence: bytes, known: KnownPass, span: Span) -> bool:
    """Whether this centre told the gate of such a card of the pass, and about then."""
    if evidence[0] != AUTH_LEVEL or not _is_of_card(evidence, known):
        return False
    earliest_ms = 0 if span.earliest_ms is None else span.earliest_ms - TOLERANCE_MS
    reads_ms = known.card_reads.get(card_of(evidence), ())
    return any(earliest_ms <= read_ms <= span.latest_ms + TOLERANCE_MS for read_ms in reads_ms)


def _was_drawn(evidence: bytes, known: KnownPass, span: Span) -> bool:
    """Whether a phone of the pass drew this code, and about then: a proof of yesterday shows nobody today."""
    if len(evidence) != presentation.EVIDENCE_BYTES:
        return False
    step = presentation.step_of(evidence)
    if step > presentation.step_at(span.latest_ms) + MAX_STEPS_OFF:
        return False
    if span.earliest_ms is not None and step < presentation.step_at(span.earliest_ms) - MAX_STEPS_OFF:
        return False
    return any(presentation.proves(evidence, known.pass_id, *phone) for phone in known.phones)


class Use(NamedTuple):
    """A proven admission on an item, or the staff giving one back; in the order of time."""

    at_ms: int
    given_back: bool
    id: bytes


def next_outcome(uses_allowed: int | None, repeats: int, returned: int, given_back: int) -> Outcome:
    """What `outcomes_of` would say of one more proven admission, later than all others on an item already redeemed."""
    if given_back > returned:
        return Outcome.RETURNED
    return Outcome.REPEAT if uses_allowed is None or repeats + 1 < uses_allowed else Outcome.CONFLICT


def referred(entry: Entry) -> int | None:
    """The number of the entry that this one speaks of; None where a gate names none that came before it.

    An outcome of what is still to come would count or not by how a journal is cut into batches.
    """
    return entry.ref_seq if entry.ref_seq is not None and 0 < entry.ref_seq < entry.seq else None


def step_shown(entry: Entry) -> int | None:
    """The step of the rotating code that an admission shows."""
    rotating = entry.presentation in (Presentation.SHORT, Presentation.FULL)
    proof = entry.evidence if rotating else None
    return presentation.step_of(proof) if proof is not None and len(proof) == presentation.EVIDENCE_BYTES else None


def outcomes_of(
    claim_kind: str, claim_ref: str, uses_allowed: int | None, uses: Iterable[Use]
) -> Mapping[bytes, Outcome]:
    """The outcome of every proven admission on an item that was claimed, whatever order they came in.

    With a claim of another kind than REDEEM all are LATE. Else, in the order of time: the first is CLAIMED; one after
    staff gave the right back is RETURNED; one that the product's count of entries (`uses_allowed`, None: no limit)
    still allows is REPEAT; any other is CONFLICT. Where another than the first holds the claim, because it was
    committed before the first one arrived, these two change places.
    """
    in_time = sorted(uses)
    if claim_kind != "REDEEM":
        return {use.id: Outcome.LATE for use in in_time if not use.given_back}
    outcomes: dict[bytes, Outcome] = {}
    given_back, repeats = 0, 0
    for use in in_time:
        if use.given_back:
            given_back += 1
        elif not outcomes:
            outcomes[use.id] = Outcome.CLAIMED
        elif given_back:
            given_back -= 1
            outcomes[use.id] = Outcome.RETURNED
        elif uses_allowed is None or repeats + 1 < uses_allowed:
            repeats += 1
            outcomes[use.id] = Outcome.REPEAT
        else:
            outcomes[use.id] = Outcome.CONFLICT
    first, holder = next(iter(outcomes)), bytes.fromhex(claim_ref)
    outcomes[first], outcomes[holder] = outcomes[holder], outcomes[first]
    return outcomes
