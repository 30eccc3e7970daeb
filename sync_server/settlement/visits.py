"""Visits with annual passes: by default they cost nothing; a product may owe its venues a tariff each (money.md P20).

What a product owes is looked up when a visit is cleared, and stands in its line: a change concerns what is cleared from
then on. A visit that staff give back costs nothing, whenever the centre hears of it (`returned_visits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.bulk import among, change
from sync_server.catalog.fees import fee_for
from sync_server.catalog.tables import product, visit_tariff
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.issuance.tables import issued_pass
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.redemptions.tables import is_given_back, is_of_frozen_journal, redemption
from sync_server.settlement.collecting import Owed, clear, collect
from sync_server.settlement.returned_visits import take_back
from sync_server.settlement.sealing import ACTOR

STEP = "settlement.clear_visits"
MAX_PER_STEP = 5_000


def clear_visits(centre: Centre) -> int:
    """Worker step: clear the visits that are not cleared, most of them for nothing; how many were."""
    waiting = _waiting()
    if not centre.finds(waiting):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            _clear(connection, rows, now_ms)

        tried = redemption.c.id.not_in(setbacks.left_out(connection, STEP, now_ms))
        mine = waiting.where(tried).limit(MAX_PER_STEP).with_for_update(of=redemption, skip_locked=True)
        due = connection.scalars(mine).all()  # asked about once they are locked: who gives one back writes it, too
        return setbacks.act_on(connection, STEP, _visits(connection, due), lambda row: bytes(row.id), act, now_ms)


def _waiting() -> sa.Select[Any]:
    """From no frozen journal, as with tickets."""
    is_due = sa.text("redemption.outcome = 'PASS_VISIT' AND redemption.cleared_at_ms IS NULL")  # as its index says
    in_order = redemption.c.recorded_at_ms, redemption.c.id
    return sa.select(redemption.c.id).where(is_due, ~is_of_frozen_journal()).order_by(*in_order)


def _visits(connection: Connection, ids: Sequence[bytes]) -> Sequence[sa.Row[Any]]:
    """What is owed for each of these: a tariff, or nothing (null)."""
    tariff = sa.and_(
        product.c.visit_settlement == "PER_VISIT",
        visit_tariff.c.product_id == product.c.id,
        visit_tariff.c.venue_id == redemption.c.venue_id,
        ~is_given_back(),
    )
    query: sa.Select[Any] = (
        sa.select(
            redemption.c.id,
            redemption.c.venue_id,
            redemption.c.occurred_at_ms,
            issued_pass.c.product_id,
            visit_tariff.c.tariff_fen,
        )
        .select_from(redemption)
        .join(issued_pass, issued_pass.c.id == redemption.c.pass_id)
        .join(product, product.c.id == issued_pass.c.product_id)
        .outerjoin(visit_tariff, tariff)
        .where(among(connection, redemption.c.id, ids))
        .order_by(redemption.c.recorded_at_ms, redemption.c.id)
    )
    return connection.execute(query).all()


def _clear(connection: Connection, rows: Sequence[sa.Row[Any]], now_ms: int) -> None:
    @cache
    def fee_fen(venue_id: UUID, product_id: UUID, tariff_fen: int) -> int:
        return fee_for(connection, "PAYOUT", venue_id, product_id, tariff_fen, now_ms)

    paid = [row for row in rows if row.tariff_fen is not None]
    owed = [
        Owed(
            "VISIT",
            row.venue_id,
            UUID(int=row.occurred_at_ms << 80),
            clear(row.tariff_fen, fee_fen(row.venue_id, row.product_id, row.tariff_fen)),
            row.id,
        )
        for row in paid
    ]
    booked = [_booked(row, one) for row, one in zip(paid, owed, strict=True)]
    if owed:
        collect(connection, owed, booked, now_ms)
    take_back(connection, [row.id for row in rows if row.tariff_fen is None], now_ms)
    change(connection, redemption, {"cleared_at_ms": now_ms}, [row.id for row in rows])


def _booked(row: sa.Row[Any], one: Owed) -> Txn:
    """P20."""
    sides = legs(
        (Account("5040"), one.cleared.gross_fen),
        (Account("2210", row.venue_id), -one.cleared.net_fen),
        (Account("4020"), -one.cleared.fee_fen),
    )
    return Txn(f"visit:{row.id.hex()}", sides, row.occurred_at_ms, ACTOR)
