"""Sealing payouts: what is clawed back is kept, the rest is one transfer, and no line is ever added again (P6, P16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import Value, insert_missing
from sync_server.centre import Centre
from sync_server.db import derived_id, exclusive
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.parties.accounts import SettlementAccount, accounts_of
from sync_server.parties.tables import party, venue
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING
from sync_server.settlement.payout_states import PAYOUT
from sync_server.settlement.tables import payout, payout_adjustment
from sync_server.settlement.venue_debts import Part, note_netted, open_debts, take

ACTOR = "system:settlement"
LOCK = "settlement.payouts"
"""Whoever adds lines to payouts or seals them holds it: no line comes into a payout that is being summed up."""
MAX_PER_STEP = 200


@dataclass(frozen=True, slots=True)
class Venue:
    """How a venue is paid."""

    id: UUID
    payout_mode: str
    zone: str
    account: SettlementAccount


@dataclass(frozen=True, slots=True)
class Sum:
    """A payout that will get no more lines, and what they come to."""

    payout_id: UUID
    number: str
    venue: Venue
    total_fen: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """What became of it: the columns of its row, and the rows of table `payout_adjustment` that it gets."""

    payout_id: UUID
    changes: Mapping[str, Value]
    kept: Sequence[Mapping[str, Value]]


def seal(connection: Connection, sums: Sequence[Sum], booked: Sequence[Txn], now_ms: int) -> list[Sealed]:
    """Net what is clawed back and request the transfers, in the caller's transaction; the caller writes the rows.

    `booked` belongs to the same act (all accounts are locked in one order). The caller holds LOCK.
    """
    parts = _net(connection, sums, now_ms)
    kept = {one.payout_id: sum(part.fen for part in parts[one.payout_id]) for one in sums}
    netted = [_netting(one, kept[one.payout_id], now_ms) for one in sums if kept[one.payout_id]]
    left = {one.payout_id: one.total_fen - kept[one.payout_id] for one in sums}
    wanted = [
        transfer_of(one.payout_id, one.number, one.venue, left[one.payout_id]) for one in sums if left[one.payout_id]
    ]
    ids = transfers.request(connection, wanted, ACTOR, now_ms, posted=[*booked, *netted])
    by_payout = {each.subject_id: ids[each.subject_key] for each in wanted}
    return [
        Sealed(
            one.payout_id,
            _columns(left[one.payout_id], by_payout.get(one.payout_id), now_ms),
            [_clawed_back(one.payout_id, part) for part in parts[one.payout_id]],
        )
        for one in sums
    ]


def seal_payouts(centre: Centre) -> int:
    """Worker step: seal the payouts whose day or week is over; how many were."""
    over = _over(centre.now_ms())
    if not centre.finds(over):
        return 0
    with centre.write() as connection:
        exclusive(connection, LOCK)
        now_ms = centre.now_ms()
        return seal_open(connection, connection.execute(_over(now_ms).limit(MAX_PER_STEP)).all(), now_ms)


def seal_open(connection: Connection, rows: Sequence[sa.Row[Any]], now_ms: int) -> int:
    """Seal these OPEN payouts; how many."""
    venues = venues_of(connection, {row.venue_id for row in rows}, now_ms)
    sums = [Sum(row.id, row.number, venues[row.venue_id], row.total_fen) for row in rows]
    for one in seal(connection, sums, (), now_ms):
        connection.execute(payout.update().where(payout.c.id == one.payout_id).values(one.changes))
        insert_missing(connection, payout_adjustment, one.kept)
    return len(rows)


def venues_of(connection: Connection, venue_ids: Set[UUID], now_ms: int) -> dict[UUID, Venue]:
    """How these venues are paid now, by id."""
    accounts = accounts_of(connection, list(venue_ids), now_ms)
    query = sa.select(party.c.id, party.c.payout_mode, venue.c.zone).join(venue, venue.c.id == party.c.id)
    rows = connection.execute(query.where(party.c.id.in_(venue_ids)))
    return {row.id: Venue(*row, accounts[row.id]) for row in rows}


def payout_number(payout_id: UUID) -> str:
    """结算单号: the sortable part of the id and enough of its chance, as people can read it to each other.

    All items of an order lie in one millisecond, and may have a payout each: of 10,000, two have the same number once
    in five million times.
    """
    return f"P{payout_id.hex[:12]}{payout_id.hex[-12:]}".upper()


def transfer_of(payout_id: UUID, number: str, venue: Venue, amount_fen: int) -> transfers.Request:
    """P6, pending until the provider has paid."""
    return transfers.Request(
        kind="PAYOUT",
        subject_key=f"payout:{payout_id.hex}",
        subject_id=payout_id,
        provider=venue.account.provider,
        party_id=venue.id,
        account_ref=venue.account.account_ref,
        amount_fen=amount_fen,
        title=f"结算单 {number}",
        legs=legs((Account("2210", venue.id), amount_fen), (CLEARING[venue.account.provider], -amount_fen)),
    )


def _over(now_ms: int) -> sa.Select[Any]:
    is_open = sa.text("payout.state = 'OPEN'")  # as uq_payout_open says
    return sa.select(payout).where(is_open, payout.c.closes_at_ms <= now_ms).order_by(payout.c.id)


def _columns(total_fen: int, transfer_id: UUID | None, now_ms: int) -> dict[str, Value]:
    event = "sealed" if total_fen else "nothing_to_pay"
    return {
        "state": PAYOUT.next("OPEN", event),
        "total_fen": total_fen,
        "transfer_id": transfer_id,
        "sealed_at_ms": now_ms,
        "paid_at_ms": None if total_fen else now_ms,  # nothing to pay: nothing to wait for
    }


def _net(connection: Connection, sums: Sequence[Sum], now_ms: int) -> Mapping[UUID, Sequence[Part]]:
    """What each payout keeps back of what its venue owes: no more than it has, the oldest debt first."""
    debts = open_debts(connection, {one.venue.id for one in sums}, now_ms)
    parts = {one.payout_id: take(debts[one.venue.id], one.total_fen) for one in sums}
    note_netted(connection, [part for some in parts.values() for part in some])
    return parts


def _clawed_back(payout_id: UUID, part: Part) -> dict[str, Value]:
    adjustment_id = derived_id(payout_id, f"clawback {part.clawback_id.hex} in {payout_id.hex}")
    amounts = {"gross_fen": -part.fen, "fee_fen": 0, "net_fen": -part.fen}
    return {"id": adjustment_id, "kind": "CLAWBACK", "clawback_id": part.clawback_id, "payout_id": payout_id, **amounts}


def _netting(one: Sum, kept_fen: int, now_ms: int) -> Txn:
    """P16: what the venue owes is taken out of what it is owed."""
    sides = legs((Account("2210", one.venue.id), kept_fen), (Account("1220", one.venue.id), -kept_fen))
    return Txn(f"netting:{one.payout_id.hex}", sides, now_ms, ACTOR)
