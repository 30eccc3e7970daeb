"""Admissions become redemptions: judged, claimed by the first of an item's rivals, and the others told apart.

Done for a whole batch by one statement per table. Whatever order batches come in, the same entries end as the same
redemptions; only which of two rivals holds an item's claim may differ (money.md I14).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from sync_server.bulk import Value, append
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.db import is_sqlite
from sync_server.gates.registry import Device
from sync_server.issuance.tables import entitlement, issued_pass
from sync_server.orders.claims import Claim, claim_items, claims_of
from sync_server.redemptions.admissions import Admission, complete_admissions, far_intent, known_passes
from sync_server.redemptions.judge import (
    KnownPass,
    Use,
    Verdict,
    judge,
    occurred_at_ms,
    outcomes_of,
    referred,
    span_of,
    step_shown,
)
from sync_server.redemptions.tables import (
    ON_AN_ITEM,
    far_outcome,
    given_back_at,
    in_journal,
    is_given_back,
    redemption,
)
from wire.far_entry import NAMES_FAR, FarEntry
from wire.messages import COUNTING, Entry, EntryKind, Outcome, redemption_id


class Judged(NamedTuple):
    """An admission with its redemption's id and what could be said of it alone."""

    id: bytes
    admission: Admission
    at_ms: int
    known: KnownPass | None
    verdict: Verdict

    @property
    def item_id(self) -> UUID | None:
        """The item whose claim decides the outcome; None when the verdict stands."""
        return None if self.known is None or self.verdict.outcome is not None else self.known.item_id

    @property
    def may_have_rivals(self) -> bool:
        """Whether what others bring of its pass matters to it: they want its item, or show the same code."""
        return self.item_id is not None or step_shown(self.admission.entry) is not None


class Counted(NamedTuple):
    """What came of new entries, by the number of the intent: outcomes that nothing moved since, and what is none."""

    outcomes: Mapping[int, Outcome]
    nothing: Set[int]


def count_admissions(
    connection: Connection,
    centre: Centre,
    device: Device,
    incarnation: bytes,
    new: Sequence[Entry],
    highest_before: int,
    now_ms: int,
) -> Counted:
    """Make redemptions of the admissions that the new entries complete, and give each its one outcome."""
    admissions = complete_admissions(connection, device.id, incarnation, new, highest_before, now_ms)
    known = known_passes(connection, centre, device, [one.entry for one in admissions])
    judged = [judge_admission(device.id, one, known.get(one.entry.pass_id or b"")) for one in admissions]
    by_item: defaultdict[UUID, list[Judged]] = defaultdict(list)
    for one in sorted(judged, key=lambda one: (one.at_ms, one.id)):
        if one.item_id is not None:
            by_item[one.item_id].append(one)
    returned = _returned(connection, device, incarnation, new, now_ms)
    given_back = {row.item_id for row in returned if row.item_id is not None}
    contested_passes = {one.known.pass_id for one in judged if one.known is not None and one.may_have_rivals}
    lock_passes(connection, contested_passes | {row.pass_id for row in returned if row.item_id is not None})
    _look_anew(connection, [row.id for row in returned])
    claims = [Claim(item, "REDEEM", first.id.hex(), first.at_ms) for item, (first, *_) in by_item.items()]
    won = claim_items(connection, claims, now_ms) if claims else set()
    winners = {by_item[item][0].id for item in won}
    rows = [redemption_row(device, one, _outcome(one, winners), now_ms) for one in judged]
    append(connection, redemption, rows)
    mark_copies(connection, {(one.admission.entry.pass_id, step_shown(one.admission.entry)) for one in judged})
    contested = {item for item, rivals in by_item.items() if item not in won or len(rivals) > 1}
    settle_outcomes(connection, contested | given_back)
    own = [one for one in judged if one.admission.incarnation == incarnation]
    outcomes = {one.admission.entry.seq: _outcome(one, winners) for one in own}
    return Counted({} if contested or given_back else outcomes, {one.seq for one in new} - outcomes.keys())


def verdicts(
    connection: Connection, device: bytes, incarnation: bytes, entries: Iterable[Entry], counted: Counted
) -> tuple[tuple[int, Outcome], ...]:
    """How the admissions that these entries belong to count now, by the number of their intent.

    `counted` is what was just counted of them; the tables are asked for the others.
    """
    seqs: set[int] = set()
    for one in entries:
        if one.kind in (EntryKind.INTENT, EntryKind.MANUAL):
            seqs.add(one.seq)
        elif one.kind in COUNTING and (ref := referred(one)) is not None:
            seqs.add(ref)
    outcomes = {seq: counted.outcomes[seq] for seq in seqs & counted.outcomes.keys()}
    if others := seqs - outcomes.keys() - counted.nothing:
        rows = connection.execute(
            sa.select(redemption.c.seq, redemption.c.outcome).where(
                in_journal(redemption, device, incarnation), redemption.c.seq.in_(sorted(others))
            )
        )
        outcomes |= {row.seq: Outcome[row.outcome] for row in rows}
    return tuple(sorted(outcomes.items()))


def mark_copies(connection: Connection, codes: Set[tuple[bytes | None, int | None]]) -> None:
    """Two admissions with one and the same rotating code (pass and step; None: another kind of code): it was copied,
    and all that used it are for people to look at.
    """
    shown = {(pass_id, step) for pass_id, step in codes if pass_id is not None and step is not None}
    if not shown:
        return
    passes, steps = zip(*shown, strict=True)
    mine = sa.and_(redemption.c.pass_id.in_(set(passes)), redemption.c.step.in_(set(steps)))
    by_code: defaultdict[tuple[bytes, int], list[bytes]] = defaultdict(list)
    for row in connection.execute(sa.select(redemption.c.id, redemption.c.pass_id, redemption.c.step).where(mine)):
        by_code[row.pass_id, row.step].append(row.id)
    copied = [one for code in shown for one in by_code[code] if len(by_code[code]) > 1]
    if copied:
        connection.execute(redemption.update().where(redemption.c.id.in_(copied)).values(copied=True))


def judge_admission(device: bytes, one: Admission, known: KnownPass | None) -> Judged:
    """What can be said of an admission alone."""
    return Judged(
        id=redemption_id(device, one.incarnation, one.entry.seq),
        admission=one,
        at_ms=occurred_at_ms(one.entry, one.received_at_ms),
        known=known,
        verdict=judge(one.entry, known, span_of(one.entry, one.received_at_ms)),
    )


def redemption_row(device: Device, one: Judged, outcome: Outcome, now_ms: int) -> dict[str, Value]:
    """A row of table `redemption`."""
    return {
        "id": one.id,
        "outcome": outcome.name,
        "cause": one.verdict.cause,
        "ticket_id": None if one.known is None else one.known.ticket_id,
        "item_id": None if one.known is None else one.known.item_id,
        "pass_id": one.admission.entry.pass_id,
        "venue_id": device.venue_id,
        "device_id": device.id,
        "incarnation": one.admission.incarnation,
        "seq": one.admission.entry.seq,
        "step": step_shown(one.admission.entry),
        "occurred_at_ms": one.at_ms,
        "recorded_at_ms": now_ms,
    }


def _outcome(one: Judged, winners: Collection[bytes]) -> Outcome:
    """Who lost an item is a CONFLICT until `settle_outcomes` has looked closer."""
    return one.verdict.outcome or (Outcome.CLAIMED if one.id in winners else Outcome.CONFLICT)


def lock_passes(connection: Connection, pass_ids: Collection[bytes]) -> None:
    """In the order of their ids, so that two batches never wait for each other, and that an on-line check of one of
    them does; on SQLite a writer is alone anyway. Redemptions of theirs are locked after them, never before.
    """
    if pass_ids and not is_sqlite(connection):
        connection.execute(_LOCKED, {"pass_ids": list(pass_ids)})


_LOCKED = (
    sa.select(issued_pass.c.id)
    .where(issued_pass.c.id == sa.any_(sa.bindparam("pass_ids", type_=postgresql.ARRAY(sa.LargeBinary))))
    .order_by(issued_pass.c.id)
    .with_for_update(key_share=True)
)
"""One list, however many there are: psycopg reads a statement of many parameters anew each time."""


def _returned(
    connection: Connection, device: Device, incarnation: bytes, new: Sequence[Entry], now_ms: int
) -> Sequence[Any]:
    """The counted admissions that the new entries give back, or name in another journal, which is kept."""
    seqs = {ref for one in new if one.kind is EntryKind.RETURNED and (ref := referred(one)) is not None}
    named = [one for one in new if one.kind in NAMES_FAR]
    far = [(one, of) for one in named if (of := far_intent(one, incarnation)) is not None]
    if not seqs and not far:
        return ()
    near = sa.and_(in_journal(redemption, device.id, incarnation), redemption.c.seq.in_(sorted(seqs)))
    append(connection, far_outcome, [_far_row(device, incarnation, *each, now_ms) for each in far])
    place = sa.tuple_(redemption.c.incarnation, redemption.c.seq)
    mine = sa.or_(near, sa.and_(redemption.c.device_id == device.id, place.in_([of for _, of in far])))
    return connection.execute(sa.select(redemption.c.id, redemption.c.item_id, redemption.c.pass_id).where(mine)).all()


def _look_anew(connection: Connection, ids: Sequence[bytes]) -> None:
    """The gates are told again of the uses of these passes; settlement looks again at visits that are given back."""
    if ids:
        returned = sa.and_(redemption.c.outcome == Outcome.PASS_VISIT.name, is_given_back())
        cleared = sa.case((returned, sa.null()), else_=redemption.c.cleared_at_ms)
        again = {"use_counted_at_ms": None, "cleared_at_ms": cleared}
        connection.execute(redemption.update().where(redemption.c.id.in_(ids)).values(again))


def _far_row(device: Device, incarnation: bytes, one: Entry, of: FarEntry, now_ms: int) -> dict[str, Value]:
    return {
        "device_id": device.id,
        "incarnation": incarnation,
        "seq": one.seq,
        "kind": int(one.kind),
        "of_incarnation": of.incarnation,
        "of_seq": of.seq,
        "occurred_at_ms": occurred_at_ms(one, now_ms),
    }


def settle_outcomes(connection: Connection, items: Collection[UUID]) -> None:
    """Say of every proven admission on these items what it is, from all that the tables know by now."""
    if not items:
        return
    claims = claims_of(connection, list(items))
    allowed = _uses_allowed(connection, items)
    uses: defaultdict[UUID, list[Use]] = defaultdict(list)
    said: dict[bytes, str] = {}
    for row in _on_items(connection, items):
        uses[row.item_id].append(Use(row.occurred_at_ms, given_back=False, id=row.id))
        said[row.id] = row.outcome
    for row in _given_back(connection, items):
        uses[row.item_id].append(Use(row.occurred_at_ms, given_back=True, id=row.id))
    changes: defaultdict[str, list[bytes]] = defaultdict(list)
    for item, claim in claims.items():
        for row_id, outcome in outcomes_of(claim.kind, claim.ref, allowed[item], uses[item]).items():
            if said[row_id] != outcome.name:
                changes[outcome.name].append(row_id)
    for name, ids in changes.items():
        connection.execute(redemption.update().where(redemption.c.id.in_(ids)).values(outcome=name))


def _on_items(connection: Connection, items: Collection[UUID]) -> Sequence[Any]:
    return connection.execute(
        sa.select(redemption.c.item_id, redemption.c.id, redemption.c.occurred_at_ms, redemption.c.outcome).where(
            redemption.c.item_id.in_(items), redemption.c.outcome.in_(ON_AN_ITEM)
        )
    ).all()


def _given_back(connection: Connection, items: Collection[UUID]) -> Sequence[Any]:
    """Each admission on these items that staff gave back, once, at the time they first did so."""
    on_items = sa.and_(redemption.c.item_id.in_(items), redemption.c.outcome.in_(ON_AN_ITEM))
    said = given_back_at(on_items).subquery("said")
    return connection.execute(
        sa.select(redemption.c.item_id, said.c.id, sa.func.min(said.c.occurred_at_ms).label("occurred_at_ms"))
        .join(redemption, redemption.c.id == said.c.id)
        .group_by(redemption.c.item_id, said.c.id)
    ).all()


def _uses_allowed(connection: Connection, items: Collection[UUID]) -> dict[UUID, int | None]:
    """How many entries the product of each item allows at its venue in all."""
    rows = connection.execute(
        sa.select(entitlement.c.item_id, product.c.total)
        .join(issued_pass, issued_pass.c.id == entitlement.c.pass_id)
        .join(product, product.c.id == issued_pass.c.product_id)
        .where(entitlement.c.item_id.in_(items))
    )
    return {row.item_id: row.total for row in rows}
