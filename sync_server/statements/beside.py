"""What stands beside a statement's amounts: the order, ticket, payout and reference that a ledger key is about."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import among
from sync_server.db import MAX_BIND_VALUES, batches
from sync_server.orders.tables import order, order_item, ticket
from sync_server.payments.tables import bank_voucher, external_transfer, transfer_attempt
from sync_server.settlement.pools import share_id
from sync_server.settlement.tables import payout, payout_adjustment, payout_line

# What a ledger key is about, by its first word: the id behind it names an order, an item, a redemption or a payout.
ORDERS = frozenset({"charge", "late", "pass", "fundbuy", "fundclose", "margin", "income"})
ITEMS = frozenset({"redeem", "expire", "forfeit", "refund", "clawback", "fundsell"})
REDEMPTIONS = frozenset({"honour", "visit", "returned"})
PAYOUTS = frozenset({"payout", "netting"})
BALANCE = "预存余额"
"""Stands for the provider's number where a distributor's balance at the platform paid, or was paid."""


class Paid(NamedTuple):
    """A payout's number, and the provider's or the voucher's number of what moved."""

    number: str | None
    reference: str | None


class _Bought(NamedTuple):
    order_number: str
    ticket_number: str | None
    by_balance: bool


class Beside:
    """Looked up in a few statements for the ledger keys of a party's transactions, each with its moment in ms."""

    def __init__(self, connection: Connection, kind: str, at_ms: Mapping[str, int]) -> None:
        self._kind, self._about = kind, {key: _about(key) for key in at_ms}
        self._redeemed = self._redemptions(connection)
        self._bought = self._purchases(connection)
        self._payouts = self._paid_out(connection, at_ms)
        self._references = self._moved(connection)

    def order_and_ticket(self, key: str) -> tuple[str | None, str | None]:
        bought = self._bought_with(key)
        return (None, None) if bought is None else (bought.order_number, bought.ticket_number)

    def payout_and_reference(self, key: str) -> Paid:
        """Of a venue how it is paid; of a distributor what moved to or from itself, never its venues' payouts."""
        if self._kind == "VENUE":
            paid = self._payouts.get(key, Paid(None, None))
            return Paid(paid.number, self._reference(key) or paid.reference)
        bought = self._bought_with(key)
        later = BALANCE if bought is not None and bought.by_balance else self._references.get(_given_back(key))
        return Paid(None, self._reference(key) or later)

    def _reference(self, key: str) -> str | None:
        """Of a reversal that of what it undid."""
        return self._references.get(key.removeprefix("reverse:"))

    def _ids(self, words: Collection[str]) -> list[UUID]:
        return sorted({about[1] for about in self._about.values() if about is not None and about[0] in words})

    def _redemptions(self, connection: Connection) -> dict[UUID, sa.Row[Any]]:
        """The payout lines of redemptions by their id, and of what was redeemed of items by theirs."""
        line = payout_line.c
        query = sa.select(line.redemption_id, line.item_id, line.payout_id)
        ids = [one.bytes for one in self._ids(REDEMPTIONS)]
        found = {UUID(bytes=row.redemption_id): row for row in _rows(connection, query, line.redemption_id, ids)}
        of_items = _rows(connection, query.where(line.kind == "REDEEM"), line.item_id, self._ids(ITEMS))
        return {row.item_id: row for row in of_items} | found

    def _purchases(self, connection: Connection) -> dict[UUID, _Bought]:
        """By the id of an order or an item."""
        funding = (order.c.funding == "PREPAID").label("by_balance")
        orders = sa.select(order.c.id, order.c.number, sa.null().label("ticket_number"), funding)
        items = (
            sa.select(order_item.c.id, order.c.number, ticket.c.number.label("ticket_number"), funding)
            .join(ticket, ticket.c.id == order_item.c.ticket_id)
            .join(order, order.c.id == ticket.c.order_id)
        )
        wanted = {*self._ids(ITEMS), *(row.item_id for row in self._redeemed.values() if row.item_id is not None)}
        found = [
            *_rows(connection, orders, order.c.id, self._ids(ORDERS)),
            *_rows(connection, items, order_item.c.id, sorted(wanted)),
        ]
        return {row.id: _Bought(row.number, row.ticket_number, bool(row.by_balance)) for row in found}

    def _paid_out(self, connection: Connection, at_ms: Mapping[str, int]) -> dict[str, Paid]:
        """By ledger key: the payout that it is, or that has its line."""
        adjustment = payout_adjustment.c
        shares = {share_id(key, at_ms[key]): key for key in at_ms if key.startswith("pool:")}
        pools = sa.select(adjustment.id, adjustment.payout_id)
        payout_ids = {shares[row.id]: row.payout_id for row in _rows(connection, pools, adjustment.id, sorted(shares))}
        for key, about in self._about.items():
            if about is not None and about[0] in PAYOUTS:
                payout_ids[key] = about[1]
            elif about is not None and about[1] in self._redeemed:
                payout_ids[key] = self._redeemed[about[1]].payout_id
        query = sa.select(payout.c.id, payout.c.number, external_transfer.c.provider_ref).outerjoin(
            external_transfer, external_transfer.c.id == payout.c.transfer_id
        )
        found = _rows(connection, query, payout.c.id, sorted(set(payout_ids.values())))
        paid = {row.id: Paid(row.number, row.provider_ref) for row in found}
        return {key: paid[payout_id] for key, payout_id in payout_ids.items() if payout_id in paid}

    def _moved(self, connection: Connection) -> dict[str, str | None]:
        """By ledger key: the provider's number of the transfer that it is, or of the bank's voucher."""
        found: dict[str, str | None] = {}
        keys = sorted({key.removeprefix("reverse:") for key in (*self._about, *map(_given_back, self._about))})
        for key, reference in (
            (transfer_attempt.c.undone_key, transfer_attempt.c.provider_ref),
            (external_transfer.c.subject_key, external_transfer.c.provider_ref),
            (bank_voucher.c.txn_key, bank_voucher.c.number),
        ):
            query = sa.select(key.label("key"), reference.label("reference"))
            found |= {row.key: row.reference for row in _rows(connection, query, key, keys)}
        return found

    def _bought_with(self, key: str) -> _Bought | None:
        about = self._about[key]
        if about is None:
            return None
        redeemed = self._redeemed.get(about[1]) if about[0] in REDEMPTIONS else None
        return self._bought.get(about[1] if redeemed is None else redeemed.item_id)


def _about(key: str) -> tuple[str, UUID] | None:
    """The first word of a ledger key and the id in it; "refund:late:<order>" is as "late:<order>".

    Of what was undone, and of its reversal, those of what it had been.
    """
    first, *others = key.removeprefix("reverse:").split(":")
    if first == "refund" and others[:1] == ["late"]:
        first, others = "late", others[1:]
    try:
        return first, UUID(hex=others[0])
    except (IndexError, ValueError):
        return None


def _given_back(key: str) -> str:
    """The ledger key of the refund that moves what this one says is owed; else the same."""
    first, *others = key.split(":")
    if first == "expire":
        return ":".join(["refund", *others])
    return f"{key}:refund" if first == "clawback" and len(others) == 1 else key


def _rows(
    connection: Connection, query: sa.Select[Any], column: sa.ColumnElement[Any], values: Sequence[Any]
) -> Iterator[sa.Row[Any]]:
    for some in batches(values, MAX_BIND_VALUES):
        yield from connection.execute(query.where(among(connection, column, some)))
