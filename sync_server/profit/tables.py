"""The profit of combos: agreed shares of partners, what a month brought each of them, and how it was paid (P19)."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import append_only, fen_column, link, metadata, ms_column, word_column

PAID_FROM = ("1010", "1020", "1030")
"""The platform's accounts at Alipay and Huijinbao, and its bank."""

# The newest share of a partner in a product holds; 0 ends it.
profit_share = append_only(
    sa.Table(
        "profit_share",
        metadata,
        link("product_id", "product.id", primary_key=True),
        link("partner_id", "party.id", primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),  # from 1
        sa.Column("share_bps", sa.Integer(), nullable=False),
        ms_column("agreed_at_ms"),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.CheckConstraint("share_bps BETWEEN 0 AND 10000", name="share"),
    )
)

# What a month's profit of a product brought each partner; the sum over products is booked under one key.
profit_allocation = append_only(
    sa.Table(
        "profit_allocation",
        metadata,
        sa.Column("month", sa.String(7), primary_key=True),
        link("product_id", "product.id", primary_key=True),
        link("partner_id", "party.id", primary_key=True),
        fen_column("profit_fen"),  # of the product in that month
        sa.Column("share_bps", sa.Integer(), nullable=False),
        fen_column("amount_fen"),
        ms_column("allocated_at_ms"),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.CheckConstraint("amount_fen BETWEEN 0 AND profit_fen", name="amount"),
    )
)

# A share was paid outside of this system; two persons said so, one row per request.
profit_payment = sa.Table(
    "profit_payment",
    metadata,
    link("approval_id", "approval.id", primary_key=True),
    sa.Column("month", sa.String(7), nullable=False),
    link("partner_id", "party.id"),
    fen_column("amount_fen"),
    word_column("paid_from", PAID_FROM),
    ms_column("booked_at_ms", nullable=True),
    sa.CheckConstraint("amount_fen > 0", name="amount"),
)
