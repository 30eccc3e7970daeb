"""Numbered statements 财务报表: what a venue or distributor was owed and paid in a period, frozen when made."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import append_only, fen_column, id_column, link, metadata, ms_column, word_column

STATEMENT_KINDS = ("VENUE", "DISTRIBUTOR")

statement = append_only(
    sa.Table(
        "statement",
        metadata,
        id_column(),
        sa.Column("number", sa.String(32), nullable=False, unique=True),  # 报表编号
        word_column("kind", STATEMENT_KINDS),
        link("party_id", "party.id"),
        sa.Column("from_day", sa.String(10), nullable=False),  # both days are in it, as the platform counts days
        sa.Column("to_day", sa.String(10), nullable=False),
        fen_column("opening_fen"),  # what the platform owed the party before the first day; below 0: the party owed
        fen_column("closing_fen"),
        sa.Column("lines", sa.Integer(), nullable=False),
        ms_column("made_at_ms"),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.UniqueConstraint("party_id", "from_day", "to_day"),
    )
)

statement_row = append_only(
    sa.Table(
        "statement_row",
        metadata,
        link("statement_id", "statement.id", primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),  # from 1
        sa.Column("txn_key", sa.String(100), nullable=False),  # the ledger's
        ms_column("at_ms"),  # when it happened; it is of the period in which the book learnt of it
        sa.Column("order_number", sa.String(32)),
        sa.Column("ticket_number", sa.String(32)),
        fen_column("price_fen", nullable=True),
        fen_column("fee_fen", nullable=True),
        fen_column("owed_fen"),  # what the platform owes the party more
        fen_column("moved_fen"),  # paid to the party; below 0: by it
        sa.Column("payout_number", sa.String(32)),
        sa.Column("provider_ref", sa.String(64)),
    )
)
