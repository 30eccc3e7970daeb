"""What a person does next of a transfer whose money moved, and came back: nothing brings it on by itself."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.payments.applying import has_extra
from sync_server.payments.states import STOPPED
from sync_server.payments.tables import external_transfer
from sync_server.settlement.payout_states import PAYOUT
from sync_server.settlement.tables import payout


def next_command(connection: Connection, transfer_id: UUID) -> str | None:
    """The command, without its reason; None: it is made, or nobody is owed it any more."""
    query = (
        sa.select(external_transfer, payout.c.number, payout.c.state.label("payout_state"))
        .outerjoin(payout, payout.c.transfer_id == external_transfer.c.id)
        .where(external_transfer.c.id == transfer_id)
    )
    row = connection.execute(query).one()
    if has_extra(connection, transfer_id):
        return None
    if row.state in STOPPED:
        return f"transfer resume {transfer_id}"
    if row.state == "VOID" and row.kind == "PAYOUT" and PAYOUT.next(row.payout_state, "paid") is not None:
        return f"payout again {row.number}"
    return f"transfer remit {transfer_id}" if (row.state, row.kind) == ("VOID", "REFUND") else None
