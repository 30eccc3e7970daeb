"""Admissions that a person has to look at, as data: conflicts, entries without proof, entries that cannot be true.

Each row says who, where, when, which list the gate held, what it showed, who the other side is, what it would cost
whom, and what was decided. Pages of rows are read by two statements, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.gates.tables import device
from sync_server.issuance.tables import issued_pass
from sync_server.orders.tables import holder, item_claim, order, order_item, ticket
from sync_server.parties.tables import party, venue
from sync_server.redemptions.tables import decision, entry, redemption
from wire.messages import decode_entry

MAX_ROWS = 100
"""Of one page."""


class Inbox(StrEnum):
    """Where a row is; an entry of a pass nobody issued lies with what cannot be true."""

    CONFLICT = "conflict"
    UNPROVEN = "unproven"
    IMPLAUSIBLE = "implausible"


OUTCOMES_OF = {
    Inbox.CONFLICT: ("CONFLICT", "LATE"),
    Inbox.UNPROVEN: ("UNPROVEN",),
    Inbox.IMPLAUSIBLE: ("IMPLAUSIBLE", "UNKNOWN_PASS"),
}


class Liability(StrEnum):
    """Who bears an entry unless an operator decides otherwise (money.md §2.3)."""

    VENUE = "venue"
    DISTRIBUTOR = "distributor"
    PLATFORM = "platform"


class Side(NamedTuple):
    """One admission as its gate told it. Times UTC ms; the list is (epoch, version)."""

    redemption_id: bytes
    outcome: str
    gate: str
    device_id: bytes
    lane: int
    at_ms: int
    received_at_ms: int
    clock: str
    list_held: tuple[int, int]
    presentation: str
    evidence: bytes | None
    reason: str | None
    who: str | None


class Row(NamedTuple):
    """One admission in an inbox. `others` are those it stands against: the entry that was counted, or the copies.

    `ended_as`: how its item ended, None while nothing ended it or where there is no item.
    """

    side: Side
    inbox: Inbox
    cause: str | None
    copied: bool
    venue: int
    venue_name: str
    pass_number: str | None
    holder: str | None
    venue_price_fen: int | None
    ended_as: str | None
    liability: Liability
    decided: str | None
    decided_by: str | None
    decided_at_ms: int | None
    decision_reason: str | None
    others: tuple[Side, ...]


class Wanted(NamedTuple):
    """Which rows: of one inbox, or of all; open or decided ones; of one venue; older than a row seen before."""

    inbox: Inbox | None = None
    decided: bool | None = False
    venue_number: int | None = None
    before: tuple[int, bytes] | None = None
    """`recorded_at_ms` and id of the last row of the page before."""
    limit: int = MAX_ROWS


class Page(NamedTuple):
    """Rows, newest first, and where the next page begins; None: there is none."""

    rows: list[Row]
    next: tuple[int, bytes] | None


def in_inbox(inbox: Inbox | None) -> sa.ColumnElement[bool]:
    """The condition on table `redemption`; what an operator accepted stays to be seen where it was."""
    inboxes = list(Inbox) if inbox is None else [inbox]
    by_outcome = redemption.c.outcome.in_([outcome for each in inboxes for outcome in OUTCOMES_OF[each]])
    also: list[sa.ColumnElement[bool]] = [redemption.c.copied] if Inbox.CONFLICT in inboxes else []
    if Inbox.UNPROVEN in inboxes:
        said = decision.alias("said")
        also.append(sa.exists().where(said.c.redemption_id == redemption.c.id, said.c.word == "ACCEPTED"))
    return sa.or_(by_outcome, *also)


def look(connection: Connection, wanted: Wanted) -> Page:
    """One page of an inbox."""
    query = _query().where(in_inbox(wanted.inbox))
    if wanted.decided is not None:
        query = query.where(decision.c.word.is_not(None) if wanted.decided else decision.c.word.is_(None))
    if wanted.venue_number is not None:
        query = query.where(venue.c.number == wanted.venue_number)
    if wanted.before is not None:
        query = query.where(sa.tuple_(redemption.c.recorded_at_ms, redemption.c.id) < sa.tuple_(*wanted.before))
    limit = min(max(wanted.limit, 1), MAX_ROWS)
    newest_first = query.order_by(redemption.c.recorded_at_ms.desc(), redemption.c.id.desc()).limit(limit + 1)
    found = connection.execute(newest_first).all()
    rows = found[:limit]
    last = (rows[-1].recorded_at_ms, rows[-1].id) if len(found) > limit else None
    others = _others(connection, rows)
    return Page([_row(one, others) for one in rows], last)


def find(connection: Connection, redemption_id: bytes) -> Row | None:
    """One row of any inbox, decided or not."""
    query = _query().where(in_inbox(None), redemption.c.id == redemption_id)
    rows = connection.execute(query).all()
    return _row(rows[0], _others(connection, rows)) if rows else None


def proposed_liability(outcome: str, ended_as: str | None, by_distributor: bool) -> Liability:
    """A refund that overtook an entry is borne by whoever asked for it; for what was kept of an expired ticket the
    platform stands; a venue bears what its own gates let in twice, without proof, or without a right.
    """
    if outcome != "LATE":
        return Liability.VENUE
    return Liability.DISTRIBUTOR if ended_as == "REFUND" and by_distributor else Liability.PLATFORM


def _query() -> sa.Select[Any]:
    return (
        _sides()
        .add_columns(
            redemption.c.cause,
            redemption.c.copied,
            redemption.c.recorded_at_ms,
            venue.c.number.label("venue"),
            party.c.name_zh.label("venue_name"),
            issued_pass.c.number.label("pass_number"),
            holder.c.name_masked,
            order_item.c.venue_price_fen,
            item_claim.c.kind.label("ended_as"),
            order.c.distributor_id,
            decision,
        )
        .join(venue, venue.c.id == redemption.c.venue_id)
        .join(party, party.c.id == venue.c.id)
        .outerjoin(issued_pass, issued_pass.c.id == redemption.c.pass_id)
        .outerjoin(holder, holder.c.ticket_id == redemption.c.ticket_id)
        .outerjoin(order_item, order_item.c.id == redemption.c.item_id)
        .outerjoin(item_claim, item_claim.c.item_id == redemption.c.item_id)
        .outerjoin(ticket, ticket.c.id == redemption.c.ticket_id)
        .outerjoin(order, order.c.id == ticket.c.order_id)
        .outerjoin(decision, decision.c.redemption_id == redemption.c.id)
    )


def _sides() -> sa.Select[Any]:
    its_entry = sa.and_(*(entry.c[name] == redemption.c[name] for name in ("device_id", "incarnation", "seq")))
    columns = ("id", "outcome", "item_id", "pass_id", "step", "device_id", "occurred_at_ms")
    return (
        sa.select(
            *(redemption.c[name] for name in columns),
            entry.c.body,
            entry.c.received_at_ms,
            device.c.name.label("gate"),
        )
        .select_from(redemption)
        .join(entry, its_entry)
        .join(device, device.c.id == redemption.c.device_id)
    )


Key = tuple[str, UUID | tuple[bytes, int]]


def _others(connection: Connection, rows: Sequence[sa.Row[Any]]) -> dict[Key, list[Side]]:
    """The counted entry on each item of these rows, and every entry made with a copied code, by one statement."""
    items = {row.item_id for row in rows if row.outcome == "CONFLICT"}
    codes = {(row.pass_id, row.step) for row in rows if row.copied}
    if not items and not codes:
        return {}
    counted = sa.and_(redemption.c.item_id.in_(items), redemption.c.outcome == "CLAIMED")
    same_code = sa.and_(redemption.c.copied, redemption.c.pass_id.in_({pass_id for pass_id, _ in codes}))
    found: dict[Key, list[Side]] = {}
    for row in connection.execute(_sides().where(sa.or_(counted, same_code)).order_by(redemption.c.occurred_at_ms)):
        if row.item_id in items and row.outcome == "CLAIMED":
            found.setdefault(("item", row.item_id), []).append(_side(row))
        if (row.pass_id, row.step) in codes:
            found.setdefault(("code", (row.pass_id, row.step)), []).append(_side(row))
    return found


def _row(row: sa.Row[Any], others: dict[Key, list[Side]]) -> Row:
    against = others.get(("item", row.item_id), []) if row.outcome == "CONFLICT" else []
    if row.copied:
        against = against + others.get(("code", (row.pass_id, row.step)), [])
    return Row(
        side=_side(row),
        inbox=_inbox(row),
        cause=row.cause,
        copied=row.copied,
        venue=row.venue,
        venue_name=row.venue_name,
        pass_number=row.pass_number,
        holder=row.name_masked,
        venue_price_fen=row.venue_price_fen,
        ended_as=row.ended_as,
        liability=proposed_liability(row.outcome, row.ended_as, row.distributor_id is not None),
        decided=row.word,
        decided_by=row.decided_by,
        decided_at_ms=row.decided_at_ms,
        decision_reason=row.reason,
        others=tuple(dict.fromkeys(side for side in against if side.redemption_id != row.id)),
    )


def _inbox(row: sa.Row[Any]) -> Inbox:
    by_outcome = next((inbox for inbox, outcomes in OUTCOMES_OF.items() if row.outcome in outcomes), None)
    return by_outcome or (Inbox.UNPROVEN if row.word == "ACCEPTED" else Inbox.CONFLICT)


def _side(row: sa.Row[Any]) -> Side:
    told = decode_entry(row.body)
    return Side(
        redemption_id=row.id,
        outcome=row.outcome,
        gate=row.gate,
        device_id=row.device_id,
        lane=told.lane,
        at_ms=row.occurred_at_ms,
        received_at_ms=row.received_at_ms,
        clock=told.trust.name,
        list_held=(told.list_epoch, told.list_version),
        presentation=told.presentation.name,
        evidence=told.evidence,
        reason=told.reason,
        who=told.who,
    )
