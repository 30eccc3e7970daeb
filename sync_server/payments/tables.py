"""Transfers between the platform and others, each with the attempts made at the provider (money.md §2.2)."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import fen_column, id_column, link, metadata, ms_column, partial_index, partial_unique, word_column
from sync_server.parties.tables import PROVIDERS
from sync_server.payments.states import TRANSFER

INCOMING = ("CHARGE", "COLLECT")
"""An order's one payment; a CHARGE may be for a late entry, too."""
LATE_ENTRY = "chargeback:"
"""So begins the subject key of a CHARGE that is no order's: for a late entry that its distributor bears."""
AT_THE_CASHIER = ("COLLECT", "TOP_UP")
"""Somebody pays at the provider's cashier, and begins anew when it failed: nobody does it for them."""
MAX_REFERENCE_CHARACTERS = 64  # of the provider's own number
COMING_IN = (*INCOMING, "TOP_UP", "FUND_SELL", "FUND_CLOSE", "SWEEP_IN")
"""Adds to the platform's account at its provider; whatever else is moved goes out."""
COMING_BACK = ("FUND_SELL", "FUND_CLOSE", "SWEEP_IN")
"""Of these, the platform's own money, which what goes out may need."""
TRANSFER_KINDS = (*COMING_IN, "PAYOUT", "REFUND", "FUND_BUY", "SWEEP_OUT")
TRANSFER_PROVIDERS = (*PROVIDERS, "OFFLINE")
"""Where it is asked for; of an attempt, who made it. OFFLINE: a bank, outside of this system, as two persons say."""
TRANSFER_STATES = tuple(TRANSFER.words)
# EXTRA: succeeded after it was given up, beside another attempt or after its transfer had ended (P14, P18).
# RETURNED: so did this one, and what it moved came back, as a person says, or was written off by two. REVERSED: it
# succeeded in its time, and came back or never was, as two persons say.
ATTEMPT_STATES = ("SENT", "UNKNOWN", "SUCCEEDED", "DEFINITE_FAIL", "INSUFFICIENT", "EXTRA", "RETURNED", "REVERSED")
MOVED_BESIDE = ("EXTRA", "RETURNED")


def pays_an_order(kind: str, subject_key: str) -> bool:
    """Whether a transfer of this kind and key is an order's one payment, which ends with its order."""
    return kind in INCOMING and not subject_key.startswith(LATE_ENTRY)


external_transfer = sa.Table(
    "external_transfer",
    metadata,
    id_column(),
    word_column("kind", TRANSFER_KINDS),
    # Its ledger transaction: "payout:<payout>"; once that was undone "payout:<payout>:again-<attempt>".
    sa.Column("subject_key", sa.String(100), nullable=False, unique=True),
    sa.Column("subject_id", sa.Uuid(), nullable=False),  # the order, payout or item it is for
    word_column("provider", TRANSFER_PROVIDERS, server_default="ALIPAY"),
    link("party_id", "party.id", nullable=True, index=True),  # who pays or is paid; null: a visitor at the cashier
    sa.Column("account_ref", sa.String(64)),  # that party's account at the provider, frozen; FUND_…: the order's fund
    fen_column("amount_fen"),  # FUND_CLOSE: the principal
    fen_column("yield_fen", server_default="0"),  # FUND_CLOSE: what came beyond the principal, or was lost of it
    sa.Column("title", sa.String(100), nullable=False),  # what the payer or payee reads
    # REFUND: our number of the payment that it gives back; SWEEP_OUT: of its arrival at the other provider.
    sa.Column("original_out_no", sa.String(64)),
    ms_column("expires_at_ms", nullable=True),  # from then on it is cancelled at the provider, and not sent again
    word_column("state", TRANSFER_STATES),
    sa.Column("reason", sa.String(200)),  # why it failed or is unknown, in the provider's words
    sa.Column("provider_ref", sa.String(MAX_REFERENCE_CHARACTERS)),  # set with SUCCEEDED
    sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    ms_column("created_at_ms"),
    ms_column("changed_at_ms"),
    ms_column("late_told_at_ms", nullable=True),  # when somebody was promised to hear that it is not through
    sa.CheckConstraint("amount_fen > 0 OR (amount_fen = 0 AND kind = 'FUND_CLOSE')", name="some_amount"),
    sa.CheckConstraint("yield_fen = 0 OR (kind = 'FUND_CLOSE' AND amount_fen + yield_fen >= 0)", name="yield"),
    sa.CheckConstraint("(state = 'SUCCEEDED') = (provider_ref IS NOT NULL)", name="final"),
    sa.Index("ix_external_transfer_state", "state", "changed_at_ms"),
    # Two columns, else SQLite may look for one subject's transfers through all that have the state that is asked for.
    sa.Index("ix_external_transfer_subject", "subject_id", "kind"),
)

transfer_attempt = sa.Table(
    "transfer_attempt",
    metadata,
    link("transfer_id", "external_transfer.id", primary_key=True),
    sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("out_no", sa.String(64), nullable=False, unique=True),  # "<transfer id>-<n>", our number at the provider
    word_column("provider", TRANSFER_PROVIDERS, server_default="ALIPAY"),  # its transfer's, or OFFLINE
    word_column("state", ATTEMPT_STATES),
    sa.Column("reason", sa.String(200)),
    sa.Column("provider_ref", sa.String(MAX_REFERENCE_CHARACTERS)),
    sa.Column("pay_url", sa.String(2000)),  # COLLECT: where the visitor pays
    sa.Column("undone_key", sa.String(100)),  # REVERSED: the ledger key of what it had moved
    ms_column("sent_at_ms"),
    ms_column("changed_at_ms"),
    sa.CheckConstraint("(state = 'REVERSED') = (undone_key IS NOT NULL)", name="undone"),
    partial_unique("uq_transfer_attempt_open", "transfer_id", where="state IN ('SENT', 'UNKNOWN')"),
    partial_unique("uq_transfer_attempt_succeeded", "transfer_id", where="state = 'SUCCEEDED'"),
    partial_unique("uq_transfer_attempt_undone", "undone_key", where="undone_key IS NOT NULL"),
    partial_index("ix_transfer_attempt_extra", "transfer_id", where="state = 'EXTRA'"),
)

# 充值 by bank, below 0 what went back 退还预存款; booked once a second person confirmed. At the cashier: a TOP_UP.
bank_top_up = sa.Table(
    "bank_top_up",
    metadata,
    id_column(),
    link("distributor_id", "party.id", index=True),
    fen_column("amount_fen"),
    ms_column("asked_at_ms"),
    ms_column("booked_at_ms", nullable=True),
    sa.CheckConstraint("amount_fen <> 0", name="amount"),
)

# 手动汇款: the bank's word for a transfer that was paid outside of this system.
remittance = sa.Table(
    "remittance",
    metadata,
    id_column(),  # of the request that two persons make of it
    link("transfer_id", "external_transfer.id", index=True),
    ms_column("asked_at_ms"),
    sa.Column("n", sa.Integer()),  # the attempt that it is; null while nobody confirmed it
    sa.UniqueConstraint("transfer_id", "n"),
)

# A bank's voucher, as the request names it that two persons make of it. Once confirmed it stands for something in the
# book, and for nothing else.
bank_voucher = sa.Table(
    "bank_voucher",
    metadata,
    link("request_id", "approval.id", primary_key=True),
    sa.Column("bank", sa.String(100), nullable=False),
    sa.Column("paid_on", sa.Date(), nullable=False),  # as it says
    sa.Column("number", sa.String(64), nullable=False),
    sa.Column("file_sha256", sa.String(64)),
    # `vouchers.Voucher.key`; a letter may have several when its capitals are gone
    sa.Column("key", sa.String(700), nullable=False, index=True),
    sa.Column("txn_key", sa.String(100), unique=True),  # null while nobody confirmed it
    partial_unique("uq_bank_voucher_used", "key", where="txn_key IS NOT NULL"),
)
