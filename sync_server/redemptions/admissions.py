"""From entries to admissions: which intents counted, and what the centre knows of their passes.

An intent counts when an outcome that leaves somebody inside refers to it (`passed`, `passed_assumed`, `unresolved`,
`passed_late`); until that outcome is here it waits in table `entry`, whichever of the two came first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.electronic_cards.resolving import reads_of
from sync_server.gates.journals import MAX_SEQ
from sync_server.gates.registry import Device
from sync_server.gates.venue_keys import credential_keys
from sync_server.issuance.credentials import credential_hash, open_credentials
from sync_server.issuance.tables import credential, entitlement, holder_key, issued_pass, pass_token
from sync_server.redemptions.judge import KnownPass, card_of, referred
from sync_server.redemptions.tables import entry, far_outcome, in_journal, redemption
from wire.far_entry import FarEntry, far_entry
from wire.messages import COUNTING, Entry, EntryKind, Presentation, decode_entry

ROTATING = (Presentation.SHORT, Presentation.FULL)
BY_CARD = (Presentation.CARD, Presentation.ELECTRONIC_CARD)


class Admission(NamedTuple):
    """An intent that somebody passed, or a manual entry: of which journal, and when the centre heard of it."""

    incarnation: bytes
    entry: Entry
    received_at_ms: int


def complete_admissions(
    connection: Connection, device: bytes, incarnation: bytes, new: Sequence[Entry], highest_before: int, now_ms: int
) -> list[Admission]:
    """The admissions that are complete with these new entries and were not before, those of earlier journals too."""
    intents = {one.seq: one for one in new if one.kind is EntryKind.INTENT}
    passed = {ref for one in new if one.kind in COUNTING and (ref := referred(one)) is not None}
    found = [Admission(incarnation, one, now_ms) for one in new if one.kind is EntryKind.MANUAL]
    if intents and highest_before > min(intents):  # their outcomes may have come before them
        passed |= _early_outcomes(connection, device, incarnation, intents)
    if intents:
        passed |= _far_outcomes(connection, device, incarnation) & intents.keys()
    found += [Admission(incarnation, intents[seq], now_ms) for seq in sorted(passed & intents.keys())]
    far = {of for one in new if one.kind in COUNTING and (of := far_intent(one, incarnation)) is not None}
    if elsewhere := {FarEntry(incarnation, seq) for seq in passed - intents.keys()} | far:
        found += _waiting_intents(connection, device, elsewhere)
    return found


def far_intent(one: Entry, incarnation: bytes) -> FarEntry | None:
    """The intent that an entry of this journal names in an earlier one, if there can be one of that number."""
    of = far_entry(one)
    return of if of is not None and of.incarnation != incarnation and 0 < of.seq < MAX_SEQ else None


def known_passes(
    connection: Connection, centre: Centre, device: Device, entries: Sequence[Entry]
) -> Mapping[bytes, KnownPass]:
    """The passes of these entries as they stand at the device's venue."""
    ids = sorted({one.pass_id for one in entries if one.pass_id is not None})
    if not ids:
        return {}
    phones = _phones(connection, [one.pass_id for one in entries if one.presentation in ROTATING and one.pass_id])
    by_card = {one.pass_id for one in entries if one.presentation in BY_CARD and one.pass_id is not None}
    on_line = [one for one in entries if one.presentation is Presentation.ELECTRONIC_CARD and one.evidence is not None]
    reads = reads_of(connection, device.id, {card_of(one.evidence) for one in on_line if one.evidence is not None})
    cards = _card_hashes(connection, centre, device.venue_id, by_card)
    rows = connection.execute(_PASSES, {"ids": ids, "venue_id": device.venue_id}).all()
    evidence: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for pass_id, *_, issued in rows:
        if issued is not None:
            evidence[pass_id].add(issued)
    return {
        pass_id: KnownPass(
            ticket_id=ticket_id,
            admits_here=admits_here,
            item_id=item_id,
            not_before=not_before,
            not_after=not_after,
            pass_id=pass_id,
            token_evidence=frozenset(evidence[pass_id]),
            phones=tuple(phones[pass_id]),
            card_hashes=frozenset(cards[pass_id]),
            card_reads=reads,
        )
        for pass_id, ticket_id, not_before, not_after, admits_here, item_id, _ in rows  # by place: there are many
    }


def _passes() -> sa.Select[Any]:
    """Passes as they stand at a venue, a row for each of their tokens; made once, as every batch asks it."""
    here = sa.and_(entitlement.c.pass_id == issued_pass.c.id, entitlement.c.venue_id == sa.bindparam("venue_id"))
    return (
        sa.select(
            issued_pass.c.id,
            issued_pass.c.ticket_id,
            issued_pass.c.not_before,
            issued_pass.c.not_after,
            entitlement.c.pass_id.is_not(None).label("admits_here"),
            entitlement.c.item_id,
            pass_token.c.evidence,
        )
        .outerjoin(pass_token, pass_token.c.pass_id == issued_pass.c.id)
        .outerjoin(entitlement, here)
        .where(issued_pass.c.id.in_(sa.bindparam("ids", expanding=True)))
    )


_PASSES = _passes()


def _early_outcomes(connection: Connection, device: bytes, incarnation: bytes, intents: Collection[int]) -> set[int]:
    refs = sa.select(entry.c.ref_seq).where(
        in_journal(entry, device, incarnation),
        entry.c.ref_seq.in_(sorted(intents)),
        entry.c.kind.in_([int(kind) for kind in COUNTING]),
    )
    return {ref for ref in connection.scalars(refs) if ref is not None}


def _far_outcomes(connection: Connection, device: bytes, incarnation: bytes) -> set[int]:
    """The intents of this journal after which somebody passed as a later one says: few, of whatever is here yet."""
    return set(connection.scalars(_FAR_OUTCOMES, {"device": device, "journal": incarnation}))


_FAR_OUTCOMES = sa.select(far_outcome.c.of_seq).where(
    far_outcome.c.device_id == sa.bindparam("device"),
    far_outcome.c.of_incarnation == sa.bindparam("journal"),
    far_outcome.c.kind.in_([int(kind) for kind in COUNTING]),
)
"""Made once, as every batch asks it."""


def _waiting_intents(connection: Connection, device: bytes, intents: Collection[FarEntry]) -> list[Admission]:
    """Intents stored before, whose outcome is only here now, and that do not count yet."""
    own = sa.and_(redemption.c.incarnation == entry.c.incarnation, redemption.c.seq == entry.c.seq)
    counted = sa.exists().where(redemption.c.device_id == device, own)
    seqs: defaultdict[bytes, list[int]] = defaultdict(list)
    for one in sorted(intents):
        seqs[one.incarnation].append(one.seq)
    mine = [in_journal(entry, device, each) & entry.c.seq.in_(of_it) for each, of_it in seqs.items()]
    rows = connection.execute(
        sa.select(entry.c.incarnation, entry.c.body, entry.c.received_at_ms).where(
            sa.or_(*mine), entry.c.kind == int(EntryKind.INTENT), ~counted
        )
    )
    return [Admission(row.incarnation, decode_entry(row.body), row.received_at_ms) for row in rows]


def _phones(connection: Connection, pass_ids: Collection[bytes]) -> defaultdict[bytes, list[tuple[int, bytes]]]:
    """Generation and key of each phone these passes ever had, newest first: each is tried, and one try costs 0.1 ms."""
    found: defaultdict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    if pass_ids:
        keys = sa.select(holder_key.c.pass_id, holder_key.c.generation, holder_key.c.public)
        mine = holder_key.c.pass_id.in_(sorted(set(pass_ids)))
        for row in connection.execute(keys.where(mine).order_by(holder_key.c.generation.desc())):
            found[row.pass_id].append((row.generation, row.public))
    return found


def _card_hashes(
    connection: Connection, centre: Centre, venue_id: UUID, pass_ids: Collection[bytes]
) -> defaultdict[bytes, set[bytes]]:
    """Kind and hash of each card ever bound to these passes, as the venue's gates know it."""
    hashes: defaultdict[bytes, set[bytes]] = defaultdict(set)
    if pass_ids:
        keys = credential_keys(connection, centre.secrets, venue_id)  # an entry may be older than the newest of them
        for bound in open_credentials(connection, centre.secrets, credential.c.pass_id.in_(sorted(pass_ids))):
            hashes[bound.pass_id] |= {bytes([bound.kind]) + credential_hash(bound, key.key) for key in keys}
    return hashes
