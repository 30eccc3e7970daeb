"""Clearing: each redemption that counted becomes a payout line, its postings and a transfer to its venue, at once.

The work is found in the tables: a CLAIMED redemption that is not cleared, of a journal that is not frozen; and one that
lost its item and that an operator lets be paid all the same. Doing it
twice is doing it once: the line's primary key is the redemption, the ledger key is the item, the transfer's key is the
payout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.centre import Centre
from sync_server.db import derived_id, exclusive
from sync_server.gates.tables import incarnation
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.orders.tables import order_item
from sync_server.parties.tables import party
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING
from sync_server.redemptions.tables import HONOURABLE, decision, redemption
from sync_server.settlement.finishing import ended_orders, finish, margin
from sync_server.settlement.tables import payout, payout_line

ACTOR = "system:settlement"
STEP = "settlement.clear_redemptions"
MAX_PER_STEP = 500


class Cleared(NamedTuple):
    """Who gets what of one redemption, in fen: net = gross - fee."""

    gross_fen: int
    fee_fen: int
    net_fen: int


def clear(venue_price_fen: int, payout_fee_fen: int) -> Cleared:
    """Pure. Both amounts were frozen onto the item when its order was placed."""
    if not 0 <= payout_fee_fen <= venue_price_fen:
        raise ValueError(f"a fee of {payout_fee_fen} fen cannot be kept of {venue_price_fen} fen")
    return Cleared(venue_price_fen, payout_fee_fen, venue_price_fen - payout_fee_fen)


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
    """What an operator lets be paid, and waits."""
    said = sa.exists().where(decision.c.redemption_id == redemption.c.id, decision.c.word == "HONOURED")
    return _query("HONOUR").where(said, redemption.c.outcome.in_(HONOURABLE), redemption.c.cleared_at_ms.is_(None))


def _query(kind: str) -> sa.Select[Any]:
    """With an item at its venue, and from no frozen journal."""
    frozen = sa.exists().where(
        incarnation.c.device_id == redemption.c.device_id,
        incarnation.c.incarnation == redemption.c.incarnation,
        incarnation.c.frozen_cause.is_not(None),
    )
    return (
        sa.select(
            sa.literal(kind).label("kind"),
            redemption.c.id.label("redemption_id"),
            redemption.c.item_id,
            redemption.c.venue_id,
            redemption.c.occurred_at_ms,
            order_item.c.venue_price_fen,
            order_item.c.payout_fee_fen,
            party.c.provider,
            party.c.account_ref,
        )
        .join(order_item, order_item.c.id == redemption.c.item_id)
        .join(party, party.c.id == redemption.c.venue_id)
        .where(~frozen)
        .order_by(redemption.c.recorded_at_ms, redemption.c.id)
    )


def _settle(connection: Connection, due: Sequence[sa.Row[Any]], now_ms: int) -> None:
    """One sealed payout per redemption (payout mode PER_REDEMPTION); P4, P15 and P10 posted, P6 pending in one call."""
    lines, payouts, booked, wanted = [], [], [], []
    for row in due:
        cleared = clear(row.venue_price_fen, row.payout_fee_fen)
        payout_id = derived_id(row.item_id, f"payout of redemption {row.redemption_id.hex()}")
        number = payout_number(payout_id)
        lines.append(
            {
                "redemption_id": row.redemption_id,
                "kind": row.kind,
                "item_id": row.item_id,
                "payout_id": payout_id,
                **cleared._asdict(),
            }
        )
        payouts.append(
            {
                "id": payout_id,
                "number": number,
                "venue_id": row.venue_id,
                "state": "SEALED" if cleared.net_fen else "PAID",  # nothing to pay: nothing to wait for
                "total_fen": cleared.net_fen,
                "created_at_ms": now_ms,
                "paid_at_ms": None if cleared.net_fen else now_ms,
            }
        )
        booked.append(_owed(row, cleared))
        if cleared.net_fen:
            wanted.append(_transfer(row, payout_id, number, cleared.net_fen))
    connection.execute(payout.insert(), payouts)
    connection.execute(payout_line.insert(), lines)
    cleared_ids = [row.redemption_id for row in due]
    connection.execute(redemption.update().where(redemption.c.id.in_(cleared_ids)).values(cleared_at_ms=now_ms))
    ended = ended_orders(connection, [row.item_id for row in due if row.kind == "REDEEM"])
    earned = [txn for row in ended if (txn := margin(connection, row, now_ms, ACTOR)) is not None]
    ids = transfers.request(connection, wanted, ACTOR, now_ms, posted=[*booked, *earned])
    finish(connection, ended, now_ms, ACTOR)
    link = payout.update().where(payout.c.id == sa.bindparam("payout")).values(transfer_id=sa.bindparam("transfer"))
    if wanted:
        pairs = [{"payout": one.subject_id, "transfer": ids[one.subject_key]} for one in wanted]
        connection.execute(link, pairs)


def _owed(row: sa.Row[Any], cleared: Cleared) -> Txn:
    """P4: out of what is held for the item. P15: out of the platform's own, for an entry that lost it."""
    honoured = row.kind == "HONOUR"
    key = f"honour:{row.redemption_id.hex()}" if honoured else f"redeem:{row.item_id.hex}"
    sides = legs(
        (Account("5020") if honoured else Account("2110", row.item_id), cleared.gross_fen),
        (Account("2210", row.venue_id), -cleared.net_fen),
        (Account("4020"), -cleared.fee_fen),
    )
    return Txn(key, sides, row.occurred_at_ms, ACTOR)


def _transfer(row: sa.Row[Any], payout_id: UUID, number: str, net_fen: int) -> transfers.Request:
    """P6, pending until the provider has paid."""
    return transfers.Request(
        kind="PAYOUT",
        subject_key=f"payout:{payout_id.hex}",
        subject_id=payout_id,
        provider=row.provider,
        party_id=row.venue_id,
        account_ref=row.account_ref,
        amount_fen=net_fen,
        title=f"结算单 {number}",
        legs=legs((Account("2210", row.venue_id), net_fen), (CLEARING[row.provider], -net_fen)),
    )


def payout_number(payout_id: UUID) -> str:
    """结算单号: the sortable part of the id and enough of its chance, as people can read it to each other."""
    return f"P{payout_id.hex[:12]}{payout_id.hex[-8:]}".upper()
