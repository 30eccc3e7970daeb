"""Every line of payouts, whatever it is for: one query for statements, pages and exports."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.settlement.tables import clawback, payout_adjustment, payout_line

_AMOUNTS = ("gross_fen", "fee_fen", "net_fen")


def all_lines() -> sa.Subquery:
    """Columns payout_id, kind, redemption_id (null of adjustments), item_id (null of a VISIT, and of an adjustment that
    is no refunded visit's CLAWBACK), gross_fen, fee_fen, net_fen (below 0 of CLAWBACK). The sum of a payout's net_fen
    is its total_fen.
    """
    lines, others = payout_line.c, payout_adjustment.c
    of_redemptions = sa.select(
        lines.payout_id, lines.kind, lines.redemption_id, lines.item_id, *(lines[name] for name in _AMOUNTS)
    )
    adjustments = sa.select(
        others.payout_id,
        others.kind,
        sa.cast(sa.null(), sa.LargeBinary(16)).label("redemption_id"),
        clawback.c.item_id,
        *(others[name] for name in _AMOUNTS),
    ).select_from(payout_adjustment.outerjoin(clawback, clawback.c.id == others.clawback_id))
    return sa.union_all(of_redemptions, adjustments).subquery("line")
