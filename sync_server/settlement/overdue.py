"""Money that is still not through: transfers, after 20 h what could not be issued and is not back, after 30 days debts,
after a day what is left of a distributor's balance that no order of its own uses any more.

Nothing is given up for that (money.md Q4): it is tried on, and somebody is told once of each.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.money import yuan
from sync_server.notices.promising import Promise, promise
from sync_server.orders.tables import order, order_history
from sync_server.parties.tables import party
from sync_server.payments import telling
from sync_server.payments.tables import external_transfer
from sync_server.settlement.debts import debts

NOT_ISSUED_AFTER_MS = 20 * 3_600_000
"""The visitor was told that the money is back within 24 hours (money.md Q19)."""
DEBT_AFTER_MS = 30 * 86_400_000
"""So long a venue's payouts, or a distributor's top-ups, are waited for to bring in what it owes."""
BALANCE_AFTER_MS = 86_400_000
"""So long more of it may come: what is given back of orders that were paid from it, before its distributor stopped."""
HOUR_MS = 3_600_000
MAX_TOLD = 1_000
PURPOSES = {"NOT_ISSUED": "出票失败退款", "DEBT": "欠款", "BALANCE": "预存款退还"}


class Overdue(NamedTuple):
    """`what` is the transfer's kind, NOT_ISSUED for what was paid and not issued, DEBT for what a party owes, or
    BALANCE for what it is to be paid back; `id` of the transfer, order or party.
    """

    what: str
    id: UUID
    amount_fen: int
    since_ms: int
    state: str
    reason: str | None

    def hours(self, now_ms: int) -> int:
        return (now_ms - self.since_ms) // HOUR_MS


def overdue(connection: Connection, now_ms: int, late_after_h: int) -> list[Overdue]:
    """All that is late, the oldest first."""
    rows = connection.execute(_late(now_ms, late_after_h).limit(MAX_TOLD))
    late = [*(Overdue(*row) for row in rows), *_told_here(connection, now_ms)]
    return sorted(late, key=lambda one: (one.since_ms, one.id.bytes))


def tell_overdue(centre: Centre) -> int:
    """Job: promise that somebody is told of money that is not back, and of debts; how many were new.

    Once of each, and once of the oldest debt of a party. Of transfers that are late `payments.telling` tells.
    """
    with centre.read() as connection:
        late = _told_here(connection, centre.now_ms())
    if not late:
        return 0
    with centre.write() as connection:
        now_ms = centre.now_ms()
        return promise(connection, now_ms, *(_promise(one, now_ms) for one in late))


def _told_here(connection: Connection, now_ms: int) -> list[Overdue]:
    unissued = (_given_up(now_ms), _undecided(now_ms))
    late = [Overdue(*row) for query in unissued for row in connection.execute(query.limit(MAX_TOLD))]
    owed = [one for one in debts(connection) if one.since_ms <= now_ms - DEBT_AFTER_MS]
    late += [one for one in _left(connection) if one.since_ms <= now_ms - BALANCE_AFTER_MS]
    return [*late, *(Overdue("DEBT", one.party_id, one.amount_fen, one.since_ms, "OWED", one.name_zh) for one in owed)]


def _left(connection: Connection) -> list[Overdue]:
    """What distributors who do not pay in before have on their balances, each since it was more than nothing."""
    totals = ledger_account.c
    balance_fen = totals.credits_posted_fen - totals.debits_posted_fen
    left_fen = balance_fen - totals.debits_pending_fen
    query = sa.select(party.c.id, party.c.name_zh, totals.id, balance_fen, left_fen)
    stopped = query.join(party, party.c.id == totals.owner_id).where(
        party.c.funding != "PREPAID", totals.code == "2010"
    )
    rows = connection.execute(stopped.where(left_fen > 0).order_by(party.c.id).limit(MAX_TOLD)).all()
    return [
        Overdue("BALANCE", party_id, left_fen, _since_ms(connection, account_id, balance_fen), "LEFT", name_zh)
        for party_id, name_zh, account_id, balance_fen, left_fen in rows
    ]


def _since_ms(connection: Connection, account_id: UUID, balance_fen: int) -> int:
    """Back through what was posted until there was nothing."""
    since_ms = 0
    lines = sa.select(ledger_txn.c.recorded_at_ms, posting.c.amount_fen).join(posting)
    mine = lines.where(posting.c.account_id == account_id, posting.c.layer == "posted")
    for line in connection.execute(mine.order_by(ledger_txn.c.id.desc())):
        since_ms = line.recorded_at_ms
        balance_fen += line.amount_fen
        if balance_fen <= 0:
            break
    return since_ms


def _late(now_ms: int, late_after_h: int) -> sa.Select[Any]:
    transfer = external_transfer.c
    return (
        sa.select(
            transfer.kind, transfer.id, transfer.amount_fen, transfer.created_at_ms, transfer.state, transfer.reason
        )
        .where(telling.late(now_ms, late_after_h))
        .order_by(transfer.created_at_ms)
    )


def _undecided(now_ms: int) -> sa.Select[Any]:
    """Tickets that were paid, and are neither issued nor given back: a person has to (`settlement.unissued`)."""
    paid = sa.and_(order.c.kind == "TICKET", order.c.state == "PAID")
    why = sa.literal("未出票，也未退款")
    return (
        sa.select(sa.literal("NOT_ISSUED"), order.c.id, order.c.paid_fen, order.c.paid_at_ms, order.c.state, why)
        .where(paid, order.c.paid_at_ms <= now_ms - NOT_ISSUED_AFTER_MS)
        .order_by(order.c.paid_at_ms)
    )


def _given_up(now_ms: int) -> sa.Select[Any]:
    """What could not be issued and whose money is not back."""
    failed = sa.and_(order_history.c.order_id == order.c.id, order_history.c.event == "issue_failed")
    refund = sa.and_(external_transfer.c.subject_id == order.c.id, external_transfer.c.kind == "REFUND")
    return (
        sa.select(
            sa.literal("NOT_ISSUED"),
            order.c.id,
            order.c.paid_fen,
            order_history.c.at_ms,
            order.c.state,
            external_transfer.c.reason,
        )
        .join(order_history, failed)
        .outerjoin(external_transfer, refund)
        .where(order.c.state.in_(("ISSUE_FAILED", "REFUNDING", "REFUND_FAILED")))
        .where(order_history.c.at_ms <= now_ms - NOT_ISSUED_AFTER_MS)
        .order_by(order_history.c.at_ms)
    )


def _promise(one: Overdue, now_ms: int) -> Promise:
    variables = {
        "purpose": PURPOSES[one.what],
        "amount": yuan(one.amount_fen),
        "hours": one.hours(now_ms),
        "reason": one.reason or "通道没有结果",
    }
    return Promise("transfer_late", f"{one.what.lower()}:{one.id}:{one.since_ms}", variables)
