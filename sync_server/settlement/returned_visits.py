"""A visit with an annual pass that was paid, and that staff gave back: it costs nothing after all (money.md P20, I14).

Which of the two the centre hears of first makes no difference to what is owed. Nothing of a payout is changed: what
the venue got for the visit it owes, and its next payouts keep that back as they do what is clawed back (P16).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import among
from sync_server.db import derived_id, exclusive
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.tables import ledger_txn
from sync_server.redemptions.tables import is_given_back, redemption
from sync_server.settlement.sealing import ACTOR, LOCK
from sync_server.settlement.tables import clawback, payout_line


def take_back(connection: Connection, visit_ids: Sequence[bytes], now_ms: int) -> None:
    """Book back those of these visits that were paid, and are given back since; the others are left alone."""
    paid = (
        sa.select(redemption.c.id, redemption.c.venue_id, redemption.c.occurred_at_ms, payout_line)
        .join(payout_line, payout_line.c.redemption_id == redemption.c.id)
        .outerjoin(clawback, clawback.c.redemption_id == redemption.c.id)
        .where(among(connection, redemption.c.id, visit_ids), clawback.c.id.is_(None), is_given_back())
    )
    rows = connection.execute(paid).all()
    if not rows:
        return
    exclusive(connection, LOCK)
    owed = [
        {"id": _id(row), "redemption_id": row.id, "venue_id": row.venue_id, "owed_fen": row.net_fen} for row in rows
    ]
    connection.execute(clawback.insert().values(agreed_at_ms=now_ms), owed)
    keys = [f"visit:{row.id.hex()}" for row in rows]
    query = sa.select(ledger_txn.c.txn_key, ledger_txn.c.id).where(among(connection, ledger_txn.c.txn_key, keys))
    booked = {row.txn_key: row.id for row in connection.execute(query)}
    txns = [_undone(row, booked[key], now_ms) for row, key in zip(rows, keys, strict=True)]
    book.post(connection, txns, now_ms)


def _undone(row: sa.Row[Any], booked: UUID, now_ms: int) -> book.Txn:
    sides = book.legs(
        (Account("1220", row.venue_id), row.net_fen),
        (Account("4020"), row.fee_fen),
        (Account("5040"), -row.gross_fen),
    )
    return book.Txn(f"returned:{row.id.hex()}", sides, now_ms, ACTOR, reverses=booked)


def _id(row: sa.Row[Any]) -> UUID:
    return derived_id(UUID(int=row.occurred_at_ms << 80), f"clawback {row.id.hex()}")
