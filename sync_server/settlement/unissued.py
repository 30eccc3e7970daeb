"""A paid ticket order that could not be issued goes back whole, its charge fee too, by the word of a person.

It is never done by itself: what issuing lacks (a key that lasts, say) can be given, and the tickets may be sold on.
Who was told that it fails (`jobs.long_setbacks`) decides. Annual passes go back by themselves (`pass_refunds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.catalog import stock
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.issuance import issuing
from sync_server.money import shares_of
from sync_server.orders.claims import UNISSUED
from sync_server.orders.progress import GIVE_UP_ISSUING_MS, advance, stock_counts
from sync_server.orders.tables import order, order_item
from sync_server.orders.telling import tell_not_issued
from sync_server.settlement.giving_back import end_items, unclaimed_items

MAX_REASON_CHARACTERS = 200
MINUTE_MS = 60_000


def give_back(connection: Connection, number: str, reason: str, now_ms: int, actor: str) -> int:
    """Give all that was paid for a ticket order back, instead of issuing it; how much.

    NotAllowedError: it is not paid, was issued meanwhile, or is tried for less than an hour.
    """
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON_CHARACTERS:
        raise NotAllowedError(f"a refund needs a reason of 1 to {MAX_REASON_CHARACTERS} characters")
    mine = sa.and_(order.c.number == number, order.c.kind == "TICKET")
    row = connection.execute(sa.select(order).where(mine).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"no ticket order has the number {number!r}")
    if row.state != "PAID":
        raise NotAllowedError(f"order {number} is {row.state}: only one that is paid and not issued goes back so")
    if (left_ms := row.paid_at_ms + GIVE_UP_ISSUING_MS - now_ms) > 0:
        raise NotAllowedError(f"order {number} is still being issued: try again in {-(-left_ms // MINUTE_MS)} minutes")
    advance(connection, row, "issue_failed", now_ms, actor, reason=text)
    setbacks.forget(connection, issuing.STEP, [row.id.bytes])
    stock.take_back(connection, stock_counts(connection, row.id))  # before accounts: `lock_stock`
    items = unclaimed_items().where(order.c.id == row.id).order_by(order_item.c.id)
    _give_all_of_the_fee(connection, row, connection.execute(items).all())
    end_items(connection, connection.execute(items).all(), UNISSUED, now_ms, actor)
    tell_not_issued(connection, row, now_ms)
    return int(row.paid_fen)


def _give_all_of_the_fee(connection: Connection, row: sa.Row[Any], items: Sequence[sa.Row[Any]]) -> None:
    """Whatever its product says of the fee: nothing was sold for it."""
    parts = shares_of(row.charge_fee_fen, [item.share_fen for item in items])
    part = order_item.update().where(order_item.c.id == sa.bindparam("item")).values(fee_back_fen=sa.bindparam("part"))
    named = [{"item": item.item_id, "part": part_fen} for item, part_fen in zip(items, parts, strict=True)]
    connection.execute(part, named)
