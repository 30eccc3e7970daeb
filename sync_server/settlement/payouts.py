"""What becomes of payouts once their transfers got through, or definitely failed."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.payments.tables import external_transfer
from sync_server.settlement.tables import payout

ACTOR = "system:settlement"
MAX_PER_STEP = 500

# (payout state, transfer state) -> the payout's next state (money.md §2.4): failed from the first definite failure on,
# until a later attempt pays it; an unknown outcome changes nothing.
TRANSITIONS = {
    ("SEALED", "SUCCEEDED"): "PAID",
    ("FAILED", "SUCCEEDED"): "PAID",
    ("SEALED", "DEFINITE_FAIL"): "FAILED",
    ("SEALED", "INSUFFICIENT"): "FAILED",
}


def follow_transfers(centre: Centre) -> int:
    """Worker step: payouts whose transfer got through or definitely failed; how many changed."""
    moves = [
        sa.and_(payout.c.state == state, external_transfer.c.state == transfer_state)
        for state, transfer_state in TRANSITIONS
    ]
    moved = (
        sa.select(payout.c.id, payout.c.state, external_transfer.c.state.label("transfer_state"))
        .join(external_transfer, external_transfer.c.id == payout.c.transfer_id)
        .where(sa.or_(*moves))
    )
    if not centre.finds(moved):
        return 0
    with centre.write() as connection:
        exclusive(connection, "settlement.follow_transfers")
        found = connection.execute(moved.order_by(payout.c.id).limit(MAX_PER_STEP)).all()
        now_ms = centre.now_ms()
        for row in found:
            state = TRANSITIONS[row.state, row.transfer_state]
            paid_at_ms = now_ms if state == "PAID" else None
            connection.execute(payout.update().where(payout.c.id == row.id).values(state=state, paid_at_ms=paid_at_ms))
    return len(found)
