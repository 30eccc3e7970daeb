"""Money that is still not through: what goes out after a day, what could not be issued and is not back after 20 h.

Nothing is given up for that (money.md Q4): it is tried on, and somebody is told once of each.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.money import yuan
from sync_server.notices.promising import Promise, promise
from sync_server.orders.tables import order, order_history
from sync_server.payments.states import TRANSFER
from sync_server.payments.tables import external_transfer
from sync_server.payments.telling import LATE_AFTER_MS, looked_after

NOT_ISSUED_AFTER_MS = 20 * 3_600_000
"""The visitor was told that the money is back within 24 hours (money.md Q19)."""
HOUR_MS = 3_600_000
MAX_TOLD = 1_000
UNDER_WAY = tuple(state for state in TRANSFER.words if state not in ("SUCCEEDED", "VOID"))


class Overdue(NamedTuple):
    """`what` is the transfer's kind, or NOT_ISSUED for a refund that a visitor waits for; `id` of transfer or order."""

    what: str
    id: UUID
    amount_fen: int
    since_ms: int
    state: str
    reason: str | None

    def hours(self, now_ms: int) -> int:
        return (now_ms - self.since_ms) // HOUR_MS


def overdue(connection: Connection, now_ms: int) -> list[Overdue]:
    """All that is late, the oldest first."""
    queries = _late(now_ms), _not_issued(now_ms)
    late = [Overdue(*row) for query in queries for row in connection.execute(query.limit(MAX_TOLD))]
    return sorted(late, key=lambda one: (one.since_ms, one.id.bytes))


def tell_not_issued(centre: Centre) -> int:
    """Job: promise that somebody is told of a visitor's money that is not back, once of each; how many were new.

    Of transfers that are late `payments.telling` tells.
    """
    with centre.read() as connection:
        late = [Overdue(*row) for row in connection.execute(_not_issued(centre.now_ms()).limit(MAX_TOLD))]
    if not late:
        return 0
    with centre.write() as connection:
        now_ms = centre.now_ms()
        return promise(connection, now_ms, *(_promise(one, now_ms) for one in late))


def _late(now_ms: int) -> sa.Select[Any]:
    transfer = external_transfer.c
    return (
        sa.select(
            transfer.kind, transfer.id, transfer.amount_fen, transfer.created_at_ms, transfer.state, transfer.reason
        )
        .where(looked_after(), transfer.state.in_(UNDER_WAY))
        .where(transfer.created_at_ms <= now_ms - LATE_AFTER_MS)
        .order_by(transfer.created_at_ms)
    )


def _not_issued(now_ms: int) -> sa.Select[Any]:
    """Annual passes that could not be issued and whose money is not back."""
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
        "purpose": "出票失败退款",
        "amount": yuan(one.amount_fen),
        "hours": one.hours(now_ms),
        "reason": one.reason or "通道没有结果",
    }
    return Promise("transfer_late", f"order:{one.id}:not_issued", variables)
