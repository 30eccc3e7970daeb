"""What a distributor's balance owes before any order is paid from it: late entries that it bears, not charged yet."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.orders.tables import charge_back

DUE = sa.text("charge_back.charged_at_ms IS NULL AND charge_back.given_up_at_ms IS NULL")  # as ix_charge_back_due says


def owed_fen(connection: Connection, distributor_id: UUID) -> int:
    """How much that is in all, by what is committed now."""
    return connection.scalars(owed_by(sa.literal(distributor_id, sa.Uuid()))).one()


def owed_by(distributor_id: sa.ColumnElement[UUID | None]) -> sa.Select[int]:
    """The same for each row of a query."""
    all_of_it = sa.func.coalesce(sa.cast(sa.func.sum(charge_back.c.amount_fen), sa.BigInteger), 0)
    return sa.select(all_of_it).where(DUE, charge_back.c.distributor_id == distributor_id)
