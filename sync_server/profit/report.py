"""What combos earned in a month, order by order, read from the ledger (S3): the profit report 联票利润报表.

A month is the platform's, by when the book learnt of something: a month that is over never changes.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.catalog.tables import product
from sync_server.db import MAX_BIND_VALUES, batches
from sync_server.errors import NotAllowedError
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.orders.tables import order, order_item, ticket
from sync_server.redemptions.tables import redemption

# The part of an order's profit that each account of income or expense holds, by the field of OrderProfit.
PARTS = {
    "4010": "charge_fee_fen",
    "4020": "payout_fee_fen",
    "4030": "margin_fen",
    "4040": "yield_fen",
    "4050": "breakage_fen",
    "5020": "honoured_fen",
    "5030": "loss_fen",
}
# What the id is of that stands in the key of a transaction which books them (money.md §3).
_WAYS = {
    "charge": "order",
    "margin": "order",
    "fundclose": "order",
    "redeem": "item",
    "expire": "item",
    "forfeit": "item",
    "clawback": "item",
    "honour": "redemption",
    "chargeback": "redemption",
}
_KEY = re.compile(r"(?:reverse:)?([a-z]+):([0-9a-f]{32})")


class Month(NamedTuple):
    """A month as `2026-11`, and the moments [since, until) that it is in the platform's zone."""

    name: str
    since_ms: int
    until_ms: int


class OrderProfit(NamedTuple):
    """What an order brought in a month, in fen; expenses stand below 0."""

    product_id: UUID
    product_number: int
    order_number: str
    dist_price_fen: int
    charge_fee_fen: int = 0
    payout_fee_fen: int = 0
    margin_fen: int = 0
    yield_fen: int = 0
    breakage_fen: int = 0
    honoured_fen: int = 0
    loss_fen: int = 0

    @property
    def profit_fen(self) -> int:
        """All of it together."""
        return sum(getattr(self, part) for part in PARTS.values())


def month_of(name: str, zone: str) -> Month:
    """The month of a name; NotAllowedError for what is none."""
    try:
        first = datetime.strptime(name, "%Y-%m").replace(tzinfo=ZoneInfo(zone))
    except ValueError as error:
        raise NotAllowedError(f"{name!r} is not a month: write 2026-11") from error
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return Month(first.strftime("%Y-%m"), int(first.timestamp() * 1000), int(following.timestamp() * 1000))


def profit_of(connection: Connection, month: Month) -> list[OrderProfit]:
    """Every combo order that earned or cost something in a month, by product and number."""
    booked = _booked(connection, month)
    orders: dict[UUID, Any] = {}
    sums: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
    for subject, row in _orders_of(connection, booked).items():
        orders[row.id] = row
        sums[row.id].update(booked[subject])
    found = [
        OrderProfit(row.product_id, row.product_number, row.number, row.dist_price_fen, **sums[order_id])
        for order_id, row in orders.items()
    ]
    return sorted(found, key=lambda one: (one.product_number, one.order_number))


def total_of(rows: Iterable[OrderProfit]) -> dict[str, int]:
    """The sums of the parts, and of the profit."""
    rows = list(rows)
    return {name: sum(getattr(row, name) for row in rows) for name in (*PARTS.values(), "profit_fen")}


_Subject = tuple[str, UUID]
"""The first word of a key, and the id that follows it."""
_ITEMS = order_item.join(ticket, ticket.c.id == order_item.c.ticket_id).join(order, order.c.id == ticket.c.order_id)
_SOURCES: dict[str, tuple[sa.Column[Any], sa.FromClause]] = {
    "order": (order.c.id, order),
    "item": (order_item.c.id, _ITEMS),
    "redemption": (redemption.c.id, _ITEMS.join(redemption, redemption.c.item_id == order_item.c.id)),
}
_ORDER = (
    order.c.id,
    order.c.number,
    order.c.product_id,
    product.c.number.label("product_number"),
    order.c.dist_price_fen,
)


def _booked(connection: Connection, month: Month) -> Mapping[_Subject, Counter[str]]:
    """What was posted in a month to the accounts of PARTS, by the order, item or redemption that it was for.

    Ids lie in the order of time, so the month is a stretch of the primary key.
    """
    lines = (
        sa.select(ledger_txn.c.txn_key, ledger_account.c.code, posting.c.amount_fen)
        .select_from(ledger_txn.join(posting).join(ledger_account))
        .where(ledger_txn.c.id >= UUID(int=month.since_ms << 80), ledger_txn.c.id < UUID(int=month.until_ms << 80))
        .where(posting.c.layer == "posted", ledger_account.c.code.in_(list(PARTS)))
    )
    found: defaultdict[_Subject, Counter[str]] = defaultdict(Counter)
    for row in connection.execute(lines):
        key = _KEY.match(row.txn_key)
        if key is not None:
            found[key[1], UUID(hex=key[2])][PARTS[row.code]] -= row.amount_fen
    return found


def _orders_of(connection: Connection, subjects: Iterable[_Subject]) -> dict[_Subject, Any]:
    """The combo order of each subject that has one."""
    by_way: defaultdict[str, list[_Subject]] = defaultdict(list)
    for subject in subjects:
        by_way[_WAYS.get(subject[0], "")].append(subject)
    found: dict[_Subject, Any] = {}
    for way, (column, source) in _SOURCES.items():
        for part in batches(by_way[way], MAX_BIND_VALUES):
            ids = [one.bytes if way == "redemption" else one for _, one in part]
            query = (
                sa.select(column.label("subject"), *_ORDER)
                .select_from(source.join(product, product.c.id == order.c.product_id))
                .where(column.in_(ids))
            )
            rows = connection.execute(query.where(order.c.invest_basis.is_not(None)))
            there = {UUID(bytes=row.subject) if way == "redemption" else row.subject: row for row in rows}
            found |= {subject: there[subject[1]] for subject in part if subject[1] in there}
    return found
