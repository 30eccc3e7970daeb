"""The book: accounts with their totals, transactions, and postings that are never changed (money.md §2.1, §3).

A posting lies in one of three layers. `posted` is what happened. `pending` is announced and still uncertain (a payout
under way); a later transaction that `resolves` it writes the same leg again in layer `resolved`, and, if it happened,
in `posted` too. So what is pending now = pending - resolved, and nothing is ever changed.
Sign: amount > 0 is a debit, < 0 a credit; within a transaction each layer sums to 0.
"""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import append_only, fen_column, id_column, link, metadata, ms_column, word_column
from sync_server.ledger.accounts import COVERED_CODES

LAYERS = ("posted", "pending", "resolved")
_COVERED = ", ".join(f"'{code}'" for code in COVERED_CODES)

ledger_account = sa.Table(
    "ledger_account",
    metadata,
    id_column(),
    sa.Column("name", sa.String(64), nullable=False, unique=True),  # "2110:<owner>", or "1010" without an owner
    sa.Column("code", sa.String(8), nullable=False),
    sa.Column("owner_id", sa.Uuid()),  # the party, order or item the code is kept for
    fen_column("debits_posted_fen", server_default="0"),
    fen_column("credits_posted_fen", server_default="0"),
    fen_column("debits_pending_fen", server_default="0"),
    fen_column("credits_pending_fen", server_default="0"),
    sa.CheckConstraint("debits_posted_fen >= 0 AND credits_posted_fen >= 0", name="posted"),
    sa.CheckConstraint("debits_pending_fen >= 0 AND credits_pending_fen >= 0", name="pending"),
    sa.CheckConstraint(  # what is owed is never paid twice, and what is on its way counts as paid (money.md I9)
        f"code NOT IN ({_COVERED}) OR credits_posted_fen >= debits_posted_fen + debits_pending_fen", name="covered"
    ),
    sa.Index("ix_ledger_account_code", "code", "owner_id"),
)

ledger_txn = append_only(
    sa.Table(
        "ledger_txn",
        metadata,
        id_column(),
        sa.Column("txn_key", sa.String(100), nullable=False, unique=True),  # what it is for: "redeem:<item>"
        sa.Column("body_hash", sa.LargeBinary(32), nullable=False),
        ms_column("effective_at_ms"),  # when it happened
        ms_column("recorded_at_ms"),  # when the book learnt of it
        link("resolves", "ledger_txn.id", nullable=True, unique=True),  # the pending transaction it ends
        link("reverses", "ledger_txn.id", nullable=True, unique=True),  # the transaction it corrects
        sa.Column("actor", sa.String(64), nullable=False),
    )
)

posting = append_only(
    sa.Table(
        "posting",
        metadata,
        link("txn_id", "ledger_txn.id", primary_key=True),
        sa.Column("leg", sa.Integer(), primary_key=True),
        word_column("layer", LAYERS),
        link("account_id", "ledger_account.id"),
        fen_column("amount_fen"),
        sa.CheckConstraint("amount_fen <> 0", name="amount"),
        # An account's postings are added up from this index alone (I2).
        sa.Index("ix_posting_account", "account_id", "layer", "amount_fen"),
        sqlite_with_rowid=False,  # and a transaction's from the table alone, which lies in the order of its key (I1)
    )
)
