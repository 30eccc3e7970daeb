"""What becomes of payouts once their transfers got through, or definitely failed."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.payments.tables import external_transfer
from sync_server.settlement.payout_states import EVENTS, PAYOUT
from sync_server.settlement.tables import payout

ACTOR = "system:settlement"
MAX_PER_STEP = 500

TRANSITIONS = {
    (state, told): after
    for state in PAYOUT.words
    for told, event in EVENTS.items()
    if (after := PAYOUT.next(state, event)) is not None
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
        moving: defaultdict[str, list[UUID]] = defaultdict(list)
        for row in found:
            moving[TRANSITIONS[row.state, row.transfer_state]].append(row.id)
        for state, ids in moving.items():
            paid_at_ms = now_ms if state == "PAID" else None
            mine = payout.update().where(payout.c.id.in_(ids))
            connection.execute(mine.values(state=state, paid_at_ms=paid_at_ms))
    return len(found)
