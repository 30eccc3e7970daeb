"""The provider's statements as they came in, what in our book each line is, and the cases that people settle."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import fen_column, id_column, link, metadata, ms_column, partial_index, partial_unique, word_column
from sync_server.parties.tables import PROVIDERS
from sync_server.payments.tables import TRANSFER_KINDS
from sync_server.reconciliation.case_states import CASE
from sync_server.reconciliation.differences import Difference

CASE_STATES = tuple(CASE.words)
ROLES = ("MOVEMENT", "FEE", "SUSPENSE", "CORRECTION")
"""What a transaction of the ledger is to a line: our movement; P13; P14; what of P14 was ours after all."""
MAX_LINE_NO = 77
SETTLED_AS = ("EXPLAINED", "OFFSET", "WRITTEN_OFF", "MATCHED")

# A day whose statement is in; it ends once the next day's is in too and nothing of both is left to judge.
statement_day = sa.Table(
    "statement_day",
    metadata,
    word_column("provider", PROVIDERS, primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),  # "2026-10-01" in the provider's calendar
    ms_column("from_ms"),
    ms_column("to_ms"),  # half-open
    ms_column("taken_at_ms"),
    ms_column("ended_at_ms", nullable=True),
)

statement_line = sa.Table(
    "statement_line",
    metadata,
    word_column("provider", PROVIDERS, primary_key=True),
    # The provider's own number of the line; one used again has "@" and the day behind it (`line_numbers`).
    sa.Column("line_no", sa.String(MAX_LINE_NO), primary_key=True),
    sa.Column("day", sa.String(10), nullable=False),  # the statement that it came with
    sa.Column("out_no", sa.String(64), index=True),  # our number, where the line has one
    sa.Column("provider_ref", sa.String(64)),
    sa.Column("kind", sa.String(32), nullable=False),  # one of ours, or the provider's word
    fen_column("amount_fen"),  # above 0: came in
    fen_column("fee_fen"),  # taken beside it
    sa.Column("account_ref", sa.String(64)),  # the other side's account
    sa.Column("original_out_no", sa.String(64)),  # REFUND: what it gives back
    ms_column("at_ms"),
    ms_column("settled_at_ms", nullable=True),  # judged, booked, its cases opened
    partial_index("ix_statement_line_waiting", "provider", "day", where="settled_at_ms IS NULL"),
)

# Each transaction of the ledger that a line stands for; their clearing postings sum to amount - fee (money.md I17).
statement_match = sa.Table(
    "statement_match",
    metadata,
    link("txn_id", "ledger_txn.id", primary_key=True),
    sa.Column("provider", sa.String(32), nullable=False),
    sa.Column("line_no", sa.String(MAX_LINE_NO), nullable=False),
    word_column("role", ROLES),
    sa.ForeignKeyConstraint(["provider", "line_no"], ["statement_line.provider", "statement_line.line_no"]),
    sa.Index("ix_statement_match_line", "provider", "line_no"),
    partial_unique("uq_statement_match_movement", "provider", "line_no", where="role = 'MOVEMENT'"),
)

recon_case = sa.Table(
    "recon_case",
    metadata,
    id_column(),
    word_column("difference", Difference),
    word_column("provider", PROVIDERS),
    # "ALIPAY:<line number>" (LINE_CHANGED: and a digest of what changed, and how many cases the line had before), our
    # number at the provider, the ledger key of a movement or a transfer, or "ALIPAY:<day>" of a whole statement.
    sa.Column("subject", sa.String(100), nullable=False),
    sa.Column("line_no", sa.String(MAX_LINE_NO)),  # of the provider's line that it is about
    fen_column("amount_fen"),  # what the clearing account moved beyond our book; 0: no money is unexplained
    sa.Column("in_suspense", sa.Boolean(), nullable=False),  # 1310 holds it
    word_column("state", CASE_STATES),
    link("owner_id", "operator.id", nullable=True),
    sa.Column("note", sa.String(500)),
    word_column("settled_as", SETTLED_AS, nullable=True),
    link("offset_by", "recon_case.id", nullable=True),
    ms_column("opened_at_ms"),
    ms_column("changed_at_ms"),
    sa.UniqueConstraint("difference", "subject"),
    sa.CheckConstraint("(state = 'RESOLVED') = (settled_as IS NOT NULL)", name="settled"),
    sa.CheckConstraint("state <> 'ASSIGNED' OR owner_id IS NOT NULL", name="owner"),
    sa.Index("ix_recon_case_state", "state", "opened_at_ms"),
    sa.Index("ix_recon_case_subject", "subject"),
)

# What a provider takes for a kind of movement, as agreed with it; without a rule no fee is judged.
provider_fee = sa.Table(
    "provider_fee",
    metadata,
    word_column("provider", PROVIDERS, primary_key=True),
    word_column("kind", TRANSFER_KINDS, primary_key=True),
    ms_column("valid_from_ms", primary_key=True),
    sa.Column("bps", sa.Integer(), nullable=False),
    fen_column("min_fen"),
    fen_column("max_fen", nullable=True),
    sa.CheckConstraint("bps >= 0 AND min_fen >= 0", name="rate"),
)
