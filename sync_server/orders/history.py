"""An order's whole history, as operators read it: one row per event, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import Value, among, append
from sync_server.orders.tables import order_history


def add(
    connection: Connection,
    order_id: UUID,
    event: str,
    state: str,
    now_ms: int,
    actor: str,
    reason: str | None = None,
) -> None:
    """Write down what happened and the state it led to; the caller holds the order's row."""
    last = connection.scalar(sa.select(sa.func.max(order_history.c.seq)).where(order_history.c.order_id == order_id))
    row = {"order_id": order_id, "seq": (last or 0) + 1, "event": event, "state": state, "at_ms": now_ms}
    connection.execute(order_history.insert().values(**row, actor=actor, reason=reason))


def add_to_all(
    connection: Connection, order_ids: Sequence[UUID], event: str, state: str, now_ms: int, actor: str
) -> None:
    """The same event of many orders, by few statements."""
    last = sa.select(order_history.c.order_id, sa.func.max(order_history.c.seq).label("seq"))
    mine = last.where(among(connection, order_history.c.order_id, order_ids)).group_by(order_history.c.order_id)
    seqs = {row.order_id: row.seq for row in connection.execute(mine)}
    rows: list[dict[str, Value]] = [
        {"order_id": order_id, "seq": seqs.get(order_id, 0) + 1, "event": event, "state": state}
        for order_id in order_ids
    ]
    append(connection, order_history, [{**row, "at_ms": now_ms, "actor": actor} for row in rows])
