"""What the venues are owed and paid: payouts, and one line per redemption that moves money (money.md §2.4).

A payout is SEALED when it is made (lines frozen, one transfer), then PAID, or FAILED with its transfer's reason until a
later attempt pays it.
"""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import fen_column, id_column, link, metadata, ms_column, partial_unique, word_column
from sync_server.settlement.payout_states import PAYOUT

PAYOUT_STATES = tuple(PAYOUT.words)
LINE_KINDS = ("REDEEM", "HONOUR")
"""The entry that ended the item, or one that lost it and that an operator lets be paid all the same (P15)."""

payout = sa.Table(
    "payout",
    metadata,
    id_column(),
    sa.Column("number", sa.String(32), nullable=False, unique=True),  # 结算单号
    link("venue_id", "venue.id"),
    link("transfer_id", "external_transfer.id", nullable=True, unique=True),
    word_column("state", PAYOUT_STATES),
    fen_column("total_fen"),  # the sum of its lines' net_fen
    ms_column("created_at_ms"),
    ms_column("paid_at_ms", nullable=True),
    sa.CheckConstraint("total_fen >= 0", name="total"),
    sa.Index("ix_payout_state", "state", "created_at_ms", "id"),
    sa.Index("ix_payout_venue", "venue_id", "created_at_ms", "id"),
)

payout_line = sa.Table(
    "payout_line",
    metadata,
    sa.Column("redemption_id", sa.LargeBinary(16), sa.ForeignKey("redemption.id"), primary_key=True),
    word_column("kind", LINE_KINDS, server_default="REDEEM"),
    link("item_id", "order_item.id", index=True),
    link("payout_id", "payout.id", index=True),
    fen_column("gross_fen"),  # venue price
    fen_column("fee_fen"),
    fen_column("net_fen"),
    partial_unique("uq_payout_line_redeemed", "item_id", where="kind = 'REDEEM'"),
    sa.CheckConstraint("gross_fen - fee_fen = net_fen AND net_fen >= 0 AND fee_fen >= 0", name="net"),
)
