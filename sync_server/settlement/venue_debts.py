"""What venues owe for visits that were refunded at their cost, or were paid twice (1220): the oldest is taken first."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals.approvals import Act
from sync_server.approvals.tables import approval
from sync_server.db import derived_id
from sync_server.people.permissions import Permission
from sync_server.settlement.tables import clawback, debt_end

REPAY = Act("debt.repay", Permission.TRANSFERS_REMIT)
"""A venue paid by bank what it owes, or a part, as two persons say (`settlement.repaying`)."""
OPEN = sa.text("clawback.netted_fen + clawback.ended_fen < clawback.owed_fen")  # as ix_clawback_open says


class Part(NamedTuple):
    """So much of one claw-back."""

    clawback_id: UUID
    fen: int


def open_debts(
    connection: Connection, venue_ids: Collection[UUID], now_ms: int, agreed_until_ms: int | None = None
) -> defaultdict[UUID, deque[Part]]:
    """What each venue still owes, or of what was agreed until then, the oldest first; locked.

    Without what it is said to have paid by bank while that waits for its second person: it is owed no more, or again.
    """
    mine = sa.select(clawback).where(OPEN, clawback.c.venue_id.in_(venue_ids))
    if agreed_until_ms is not None:
        mine = mine.where(clawback.c.agreed_at_ms <= agreed_until_ms)
    debts: defaultdict[UUID, deque[Part]] = defaultdict(deque)
    for row in connection.execute(mine.order_by(clawback.c.agreed_at_ms, clawback.c.id).with_for_update()):
        debts[row.venue_id].append(Part(row.id, row.owed_fen - row.netted_fen - row.ended_fen))
    for asked in _said_repaid(connection, debts, now_ms) if debts else ():  # after the lock, which who asks takes too
        take(debts[asked.party_id], asked.amount_fen)
    return debts


def owed_fen(connection: Connection, venue_id: UUID) -> int:
    """What a venue owes in all, also what it is said to have paid by bank."""
    left_fen = sa.func.coalesce(sa.func.sum(clawback.c.owed_fen - clawback.c.netted_fen - clawback.c.ended_fen), 0)
    return int(connection.execute(sa.select(left_fen).where(OPEN, clawback.c.venue_id == venue_id)).scalar_one())


def take(debts: deque[Part], fen: int) -> list[Part]:
    """Take up to so much out of a venue's debts; what was taken of each."""
    taken = []
    while debts and fen:
        owed = debts.popleft()
        part = Part(owed.clawback_id, min(owed.fen, fen))
        taken.append(part)
        fen -= part.fen
        if part.fen < owed.fen:
            debts.appendleft(Part(owed.clawback_id, owed.fen - part.fen))
    return taken


def owe(connection: Connection, venue_id: UUID, case_id: UUID, amount_fen: int, now_ms: int) -> None:
    """From now on a venue owes what it was paid twice; the caller books it."""
    new = {"id": derived_id(case_id, f"clawback {case_id.hex}"), "case_id": case_id, "venue_id": venue_id}
    connection.execute(clawback.insert().values(**new, owed_fen=amount_fen, agreed_at_ms=now_ms))


def note_netted(connection: Connection, parts: Sequence[Part]) -> None:
    """These were kept back of payouts."""
    _add(connection, clawback.c.netted_fen, parts)


def note_ended(connection: Connection, parts: Sequence[Part]) -> None:
    """These ended by the word of two persons (`settlement.repaying`, `debts`)."""
    _add(connection, clawback.c.ended_fen, parts)


def _said_repaid(connection: Connection, venue_ids: Collection[UUID], now_ms: int) -> list[sa.Row[Any]]:
    said = (
        sa.select(debt_end.c.party_id, debt_end.c.amount_fen)
        .join(approval, approval.c.id == debt_end.c.id)
        .where(debt_end.c.party_id.in_(venue_ids), approval.c.act == REPAY.name)
        .where(approval.c.state == "REQUESTED", approval.c.expires_at_ms > now_ms)
    )
    return list(connection.execute(said))


def _add(connection: Connection, column: sa.Column[int], parts: Sequence[Part]) -> None:
    for part in parts:
        mine = clawback.update().where(clawback.c.id == part.clawback_id)
        connection.execute(mine.values({column: column + part.fen}))
