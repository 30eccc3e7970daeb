"""Transfers between the platform and others, each with the attempts made at the provider (money.md §2.2)."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import fen_column, id_column, link, metadata, ms_column, partial_unique, word_column

TRANSFER_KINDS = ("CHARGE", "COLLECT", "PAYOUT")
TRANSFER_STATES = ("CREATED", "SENT", "UNKNOWN", "SUCCEEDED", "DEFINITE_FAIL", "INSUFFICIENT")
ATTEMPT_STATES = ("SENT", "UNKNOWN", "SUCCEEDED", "DEFINITE_FAIL", "INSUFFICIENT")

external_transfer = sa.Table(
    "external_transfer",
    metadata,
    id_column(),
    word_column("kind", TRANSFER_KINDS),
    sa.Column("subject_key", sa.String(100), nullable=False, unique=True),  # its ledger transaction: "payout:<payout>"
    sa.Column("subject_id", sa.Uuid(), nullable=False, index=True),  # the order or payout it is for
    link("party_id", "party.id", nullable=True, index=True),  # who pays or is paid; null: a visitor at the cashier
    sa.Column("account_ref", sa.String(64)),  # that party's account at the provider, frozen
    fen_column("amount_fen"),
    sa.Column("title", sa.String(100), nullable=False),  # what the payer or payee reads
    word_column("state", TRANSFER_STATES),
    sa.Column("reason", sa.String(200)),  # why it failed or is unknown, in the provider's words
    sa.Column("provider_ref", sa.String(64)),  # set with SUCCEEDED
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    ms_column("created_at_ms"),
    ms_column("changed_at_ms"),
    sa.CheckConstraint("amount_fen > 0", name="amount"),
    sa.CheckConstraint("(state = 'SUCCEEDED') = (provider_ref IS NOT NULL)", name="final"),
    sa.Index("ix_external_transfer_state", "state", "changed_at_ms"),
)

transfer_attempt = sa.Table(
    "transfer_attempt",
    metadata,
    link("transfer_id", "external_transfer.id", primary_key=True),
    sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("out_no", sa.String(64), nullable=False, unique=True),  # "<transfer id>-<n>", our number at the provider
    word_column("state", ATTEMPT_STATES),
    sa.Column("reason", sa.String(200)),
    sa.Column("provider_ref", sa.String(64)),
    sa.Column("pay_url", sa.String(500)),  # COLLECT: where the visitor pays
    ms_column("sent_at_ms"),
    ms_column("changed_at_ms"),
    partial_unique("uq_transfer_attempt_open", "transfer_id", where="state IN ('SENT', 'UNKNOWN')"),
    partial_unique("uq_transfer_attempt_succeeded", "transfer_id", where="state = 'SUCCEEDED'"),
)
