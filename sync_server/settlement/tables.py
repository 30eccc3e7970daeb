"""What the venues are owed and paid (money.md §2.4): payouts, a line per redemption that moves money, what else counts.

A payout is OPEN while it collects, for the local day or week of its venue; then SEALED: its lines are frozen and their
sum is one transfer. What came too late for it, or turns out to be wrong, is in the next one. A payout is the sum of its
`payout_line` and of its `payout_adjustment`: `lines.all_lines()` reads both.
"""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import (
    append_only,
    fen_column,
    id_column,
    link,
    metadata,
    ms_column,
    partial_index,
    partial_unique,
    word_column,
)
from sync_server.settlement.payout_states import PAYOUT

PAYOUT_STATES = tuple(PAYOUT.words)
LINE_KINDS = ("REDEEM", "HONOUR", "VISIT")
"""The entry that ended the item; one that lost it and that an operator lets be paid all the same (P15); a visit with an
annual pass that has a tariff there (P20)."""
ADJUSTMENT_KINDS = ("POOL", "OVERPAID", "CLAWBACK")
"""A venue's part of a month's pool for visits with annual passes (P21); what it paid by bank and did not owe; what it
owes, kept back (P16)."""

payout = sa.Table(
    "payout",
    metadata,
    id_column(),
    sa.Column("number", sa.String(32), nullable=False, unique=True),  # 结算单号
    link("venue_id", "venue.id"),
    link("transfer_id", "external_transfer.id", nullable=True, unique=True),
    word_column("state", PAYOUT_STATES),
    fen_column("total_fen"),  # the sum of its lines and adjustments; of a REPLACED one what it had been
    ms_column("created_at_ms"),
    ms_column("closes_at_ms", nullable=True),  # one that collects: the end of the venue's day or week
    ms_column("sealed_at_ms", nullable=True),
    ms_column("paid_at_ms", nullable=True),
    link("replaced_by", "payout.id", nullable=True, unique=True),
    sa.Column("reason", sa.String(200)),  # why it was replaced
    sa.CheckConstraint("total_fen >= 0", name="total"),
    sa.CheckConstraint("(state = 'REPLACED') = (replaced_by IS NOT NULL)", name="replaced"),
    sa.CheckConstraint("state <> 'OPEN' OR (closes_at_ms IS NOT NULL AND sealed_at_ms IS NULL)", name="open"),
    sa.Index("ix_payout_state", "state", "created_at_ms", "id"),
    sa.Index("ix_payout_venue", "venue_id", "created_at_ms", "id"),
    partial_unique("uq_payout_open", "venue_id", where="state = 'OPEN'"),
)

payout_line = sa.Table(
    "payout_line",
    metadata,
    sa.Column("redemption_id", sa.LargeBinary(16), sa.ForeignKey("redemption.id"), primary_key=True),
    word_column("kind", LINE_KINDS, server_default="REDEEM"),
    link("item_id", "order_item.id", nullable=True, index=True),  # a visit with an annual pass has none
    link("payout_id", "payout.id", index=True),
    fen_column("gross_fen"),  # venue price; of a visit the tariff
    fen_column("fee_fen"),
    fen_column("net_fen"),
    partial_unique("uq_payout_line_redeemed", "item_id", where="kind = 'REDEEM'"),
    sa.CheckConstraint("gross_fen - fee_fen = net_fen AND net_fen >= 0 AND fee_fen >= 0", name="net"),
    sa.CheckConstraint("(kind = 'VISIT') = (item_id IS NULL)", name="item"),
)

payout_adjustment = sa.Table(
    "payout_adjustment",
    metadata,
    id_column(),
    word_column("kind", ADJUSTMENT_KINDS),
    link("clawback_id", "clawback.id", nullable=True, index=True),
    link("payout_id", "payout.id", index=True),
    fen_column("gross_fen"),
    fen_column("fee_fen"),
    fen_column("net_fen"),
    sa.CheckConstraint("gross_fen - fee_fen = net_fen AND fee_fen >= 0", name="net"),
    sa.CheckConstraint("(kind = 'CLAWBACK') = (net_fen < 0)", name="sign"),
    sa.CheckConstraint("(kind = 'CLAWBACK') = (clawback_id IS NOT NULL)", name="clawback"),
)

# What a venue owes: by the word of two persons for a visit that was refunded to the buyer after it was paid (P16), or
# for a payout that was made twice; for a visit with an annual pass that its staff gave back after it was cleared (P20).
clawback = sa.Table(
    "clawback",
    metadata,
    id_column(),  # the subject of its refund
    link("item_id", "order_item.id", nullable=True, unique=True),
    link("case_id", "recon_case.id", nullable=True, unique=True),
    sa.Column("redemption_id", sa.LargeBinary(16), sa.ForeignKey("redemption.id"), unique=True),
    link("venue_id", "venue.id"),
    fen_column("owed_fen"),  # what the venue had got for it
    fen_column("netted_fen", server_default="0"),  # kept back of its payouts since
    fen_column("ended_fen", server_default="0"),  # paid by bank or written off since
    ms_column("agreed_at_ms"),
    sa.CheckConstraint("netted_fen >= 0 AND ended_fen >= 0 AND netted_fen + ended_fen <= owed_fen", name="owed"),
    sa.CheckConstraint(
        "(item_id IS NULL OR case_id IS NULL)"
        " AND (redemption_id IS NULL) = (item_id IS NOT NULL OR case_id IS NOT NULL)",
        name="what_for",
    ),
    partial_index("ix_clawback_open", "venue_id", "agreed_at_ms", where="netted_fen + ended_fen < owed_fen"),
)

# An end of what a party owes that two persons asked for and confirmed: paid by bank, or given up.
debt_end = sa.Table(
    "debt_end",
    metadata,
    id_column(),  # of the request that two persons make of it
    link("party_id", "party.id", index=True),
    fen_column("amount_fen"),
    fen_column("beyond_fen", server_default="0"),  # so much of it was not owed, and is in a payout as OVERPAID
    ms_column("asked_at_ms"),
    ms_column("booked_at_ms", nullable=True),
    sa.CheckConstraint("amount_fen > 0 AND beyond_fen >= 0 AND beyond_fen <= amount_fen", name="amount"),
)

# What a person gave the venues of an annual pass for a month's visits (POOL); booked once.
visit_pool = append_only(
    sa.Table(
        "visit_pool",
        metadata,
        link("product_id", "product.id", primary_key=True),
        sa.Column("month", sa.String(7), primary_key=True),  # "2026-10", by the platform's zone
        fen_column("amount_fen"),
        sa.Column("visits", sa.Integer(), nullable=False),
        sa.Column("booked_by", sa.String(64), nullable=False),
        ms_column("booked_at_ms"),
        sa.CheckConstraint("amount_fen > 0 AND visits > 0", name="amount"),
    )
)

# The tariffs that one person asked for, for visits with an annual pass (PER_VISIT); another one agrees to them.
visit_tariff_asked = append_only(
    sa.Table(
        "visit_tariff_asked",
        metadata,
        link("approval_id", "approval.id", primary_key=True),
        link("venue_id", "venue.id", primary_key=True),
        fen_column("tariff_fen"),
        sa.CheckConstraint("tariff_fen > 0", name="tariff"),
    )
)

# How far the income of annual passes is booked: the newest month, and the last order of it (settlement.income).
income_month = sa.Table(
    "income_month",
    metadata,
    sa.Column("month", sa.String(7), primary_key=True),  # "2026-10", by the platform's zone
    sa.Column("end_minute", sa.Integer(), nullable=False),  # since 2020-01-01T00:00Z (wire.md)
    link("after_order_id", "order.id", nullable=True),  # null: none yet
    ms_column("done_at_ms", nullable=True),
)

# What a visited venue of a combo is owed is taken out of the order's fund (settlement.funds), whenever it was bought.
fund_sale = sa.Table(
    "fund_sale",
    metadata,
    link("item_id", "order_item.id", primary_key=True),
    link("order_id", "order.id", index=True),
    link("transfer_id", "external_transfer.id", nullable=True, unique=True),  # null: it is still to be asked for
    fen_column("amount_fen"),  # venue price
    partial_index("ix_fund_sale_due", "item_id", where="transfer_id IS NULL"),
)
