"""Clearing: each redemption that counted is owed to its venue: its postings, and a line of a payout (`collecting`).

The work is found in the tables: a CLAIMED redemption that is not cleared, of a journal that is not frozen; and one that
lost its item and that an operator lets be paid all the same. Doing it twice is doing it once: the line's primary key is
the redemption, the ledger key is the item, the transfer's key is the payout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.bulk import change
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.orders.tables import order, order_item, ticket
from sync_server.redemptions.tables import decision, is_of_frozen_journal, redemption
from sync_server.settlement.charging_back import charge_back
from sync_server.settlement.collecting import Owed, clear, collect
from sync_server.settlement.finishing import alone, ended_orders, finish, margin
from sync_server.settlement.funds import note_sales
from sync_server.settlement.sealing import ACTOR

STEP = "settlement.clear_redemptions"
MAX_PER_STEP = 5000


def clear_redemptions(centre: Centre) -> int:
    """Worker step: clear what counted, and what an operator lets be paid, and is not cleared; how many were.

    A redemption that cannot be cleared is put aside and holds up no other.
    """
    counted, honoured = _counted(), _honoured()
    if not centre.finds(counted) and not centre.finds(honoured):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            _settle(connection, rows, now_ms)

        tried = redemption.c.id.not_in(setbacks.left_out(connection, STEP, now_ms))
        due = [
            row
            for waiting in (counted, honoured)
            for row in connection.execute(waiting.where(tried).limit(MAX_PER_STEP))
        ]
        return setbacks.act_on(connection, STEP, due, lambda row: bytes(row.redemption_id), act, now_ms)


def _counted() -> sa.Select[Any]:
    """What counted and waits."""
    waiting = sa.text(
        "redemption.outcome = 'CLAIMED' AND redemption.cleared_at_ms IS NULL"
    )  # as ix_redemption_due says
    return _query("REDEEM").where(waiting)


def _honoured() -> sa.Select[Any]:
    """What an operator lets be paid, and waits: also if it is known by now that staff had given the right back."""
    said = sa.select(decision.c.redemption_id).where(decision.c.word == "HONOURED")
    return _query("HONOUR").where(redemption.c.id.in_(said), redemption.c.cleared_at_ms.is_(None))


def _query(kind: str) -> sa.Select[Any]:
    """With an item at its venue, and from no frozen journal."""
    return (
        sa.select(
            sa.literal(kind).label("kind"),
            redemption.c.id.label("redemption_id"),
            redemption.c.item_id,
            redemption.c.venue_id,
            redemption.c.occurred_at_ms,
            order_item.c.venue_price_fen,
            order_item.c.payout_fee_fen,
            order.c.id.label("order_id"),
            order.c.invest_basis,
        )
        .join(order_item, order_item.c.id == redemption.c.item_id)
        .join(ticket, ticket.c.id == order_item.c.ticket_id)
        .join(order, order.c.id == ticket.c.order_id)
        .where(~is_of_frozen_journal())
        .order_by(redemption.c.recorded_at_ms, redemption.c.id)
    )


def _settle(connection: Connection, due: Sequence[sa.Row[Any]], now_ms: int) -> None:
    """P4, P15 and P10 posted, with P6 pending for what is sealed at once, in one call; orders that end with it."""
    alone(connection)
    owed = [_owed(row) for row in due]
    redeemed = [row for row in due if row.kind == "REDEEM"]
    note_sales(connection, redeemed)
    ended = ended_orders(connection, {row.order_id for row in redeemed})
    booked = [_booked(row, one) for row, one in zip(due, owed, strict=True)]
    earned = [txn for row in ended if (txn := margin(row, now_ms, ACTOR)) is not None]
    collect(connection, owed, [*booked, *earned], now_ms)
    charge_back(connection, [row for row in due if row.kind == "HONOUR"], now_ms)
    change(connection, redemption, {"cleared_at_ms": now_ms}, [row.redemption_id for row in due])
    finish(connection, ended, now_ms, ACTOR)


def _owed(row: sa.Row[Any]) -> Owed:
    cleared = clear(row.venue_price_fen, row.payout_fee_fen)
    return Owed(row.kind, row.venue_id, row.item_id, cleared, row.redemption_id, row.item_id)


def _booked(row: sa.Row[Any], one: Owed) -> Txn:
    """P4: out of what is held for the item. P15: out of the platform's own, for an entry that lost it."""
    honoured = row.kind == "HONOUR"
    key = f"honour:{row.redemption_id.hex()}" if honoured else f"redeem:{row.item_id.hex}"
    sides = legs(
        (Account("5020") if honoured else Account("2110", row.item_id), one.cleared.gross_fen),
        (Account("2210", row.venue_id), -one.cleared.net_fen),
        (Account("4020"), -one.cleared.fee_fen),
    )
    return Txn(key, sides, row.occurred_at_ms, ACTOR)
