"""What an order's money did: what was sent to the provider for it, and where the book has it.

A payment may be of several orders that were placed together; all else is of one order, of an item of it, of a visit
that was given back, or of a late entry that its distributor bears.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import among
from sync_server.ledger.book import PENDING_SUFFIX
from sync_server.ledger.postings import POSTINGS
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.orders.tables import order_item, ticket
from sync_server.payments.tables import COMING_IN, INCOMING, MOVED_BESIDE, external_transfer, transfer_attempt
from sync_server.settlement.tables import clawback, payout_line

MAX_ATTEMPTS = 200
"""So many are looked at, the newest."""
TOGETHER = ("charge:{order}", "pass:{order}:charge", "late:{order}")
"""Of orders that are paid together these keys name the first."""
ENDINGS = ("", PENDING_SUFFIX, ":void")
GIVING_BACK = ("expire", "forfeit", "clawback", "pass")
"""Keys that begin so say what of an order is its buyer's again, and what is kept."""


class OrderMoney(NamedTuple):
    """`attempts` newest first, each with what it moves (`moved_fen`, below 0: it goes out); `txns` oldest first.

    `back_fen` is the buyer's again, arrived or not; `kept_fen` stays with the platform though nobody came.
    """

    attempts: Sequence[sa.Row[Any]]
    txns: Sequence[sa.Row[Any]]
    back_fen: int
    kept_fen: int


class _Order(NamedTuple):
    id: UUID
    payment_group: UUID
    items: Sequence[UUID]
    late_entries: Sequence[bytes]
    """They lost their item, and are paid all the same."""


def money_of(connection: Connection, order_id: UUID, payment_group: UUID) -> OrderMoney:
    """Of one order, of any kind and state."""
    items = sa.select(order_item.c.id).join(ticket, ticket.c.id == order_item.c.ticket_id)
    item_ids = connection.scalars(items.where(ticket.c.order_id == order_id)).all()
    late = sa.select(payout_line.c.redemption_id).where(payout_line.c.kind == "HONOUR")
    late_entries = connection.scalars(late.where(among(connection, payout_line.c.item_id, item_ids))).all()
    one = _Order(order_id, payment_group, item_ids, late_entries)
    attempts = _attempts(connection, one)
    txns = _txns(connection, one, attempts)
    return OrderMoney(attempts, txns, *_back_and_kept(connection, txns))


def _attempts(connection: Connection, one: _Order) -> list[sa.Row[Any]]:
    transfer = external_transfer.c
    visits = sa.select(clawback.c.id).where(among(connection, clawback.c.item_id, one.items))
    subjects = [one.id, one.payment_group, *one.items, *connection.scalars(visits)]
    subjects += [UUID(bytes=entry) for entry in one.late_entries]
    is_mine = sa.or_(transfer.subject_id != one.payment_group, transfer.kind.in_(INCOMING))
    whole_fen = transfer.amount_fen + transfer.yield_fen
    query = (
        sa.select(
            transfer_attempt,
            transfer.kind,
            transfer.subject_key,
            sa.case((transfer.kind.in_(COMING_IN), whole_fen), else_=-whole_fen).label("moved_fen"),
            ticket.c.number.label("ticket_number"),
        )
        .join(external_transfer, transfer.id == transfer_attempt.c.transfer_id)
        .outerjoin(clawback, clawback.c.id == transfer.subject_id)
        .outerjoin(order_item, order_item.c.id == sa.func.coalesce(clawback.c.item_id, transfer.subject_id))
        .outerjoin(ticket, ticket.c.id == order_item.c.ticket_id)
        .where(among(connection, transfer.subject_id, subjects))
        .order_by(transfer_attempt.c.sent_at_ms.desc(), transfer_attempt.c.n.desc())
    )
    if one.id != one.payment_group:  # all else of the first of them is its own
        query = query.where(is_mine)
    return list(connection.execute(query.limit(MAX_ATTEMPTS)))


def _txns(connection: Connection, one: _Order, attempts: Sequence[sa.Row[Any]]) -> list[sa.Row[Any]]:
    again = {attempt.subject_key for attempt in attempts}  # of what was undone another than the table's
    keys = [f"{key}{ending}" for key in sorted({*_keys(one), *again}) for ending in ENDINGS]
    keys += [f"reverse:{key}" for key in keys]
    keys += [f"double:{attempt.out_no}" for attempt in attempts if attempt.state in MOVED_BESIDE]
    earned = (  # by an annual pass, month by month
        sa.select(posting.c.txn_id)
        .join(ledger_account, ledger_account.c.id == posting.c.account_id)
        .where(ledger_account.c.code == "2510", ledger_account.c.owner_id == one.id)
    )
    by_key = sa.select(ledger_txn.c.id).where(among(connection, ledger_txn.c.txn_key, keys))
    query = sa.select(ledger_txn.c.id, ledger_txn.c.txn_key, ledger_txn.c.effective_at_ms)
    mine = query.where(ledger_txn.c.id.in_(sa.union(by_key, earned)))
    return list(connection.execute(mine.order_by(ledger_txn.c.effective_at_ms, ledger_txn.c.txn_key)))


def _keys(one: _Order) -> Iterator[str]:
    """What the book may have about an order, as its table of transactions says (`postings`)."""
    yield f"refund:late:{one.id.hex}"
    for planned in POSTINGS:
        key = planned.key
        if "{item}" in key:
            yield from (key.replace("{item}", item_id.hex) for item_id in one.items)
        elif planned.word in ("honour", "chargeback"):
            yield from (key.replace("{redemption}", entry.hex()) for entry in one.late_entries)
        elif "{order}" in key and "{month}" not in key:
            yield key.replace("{order}", (one.payment_group if key in TOGETHER else one.id).hex)


def _back_and_kept(connection: Connection, txns: Sequence[sa.Row[Any]]) -> tuple[int, int]:
    """In fen. What was paid after the order was closed is not counted: it never was the platform's."""
    own = [txn.id for txn in txns if txn.txn_key.split(":")[0] in GIVING_BACK]
    query = (
        sa.select(ledger_account.c.code == "4050", posting.c.amount_fen)
        .join(ledger_account, ledger_account.c.id == posting.c.account_id)
        .where(ledger_account.c.code.in_(("2310", "2320", "4050")))
        .where(among(connection, posting.c.txn_id, own), posting.c.layer == "posted", posting.c.amount_fen < 0)
    )
    sums = {False: 0, True: 0}
    for is_kept, amount_fen in connection.execute(query):
        sums[bool(is_kept)] -= amount_fen
    return sums[False], sums[True]
