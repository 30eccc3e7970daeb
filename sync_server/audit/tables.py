"""The event log: append-only, one hash chain per UTC day, each day's first row linked to the last one before it."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import append_only, metadata, ms_column

event_log = append_only(
    sa.Table(
        "event_log",
        metadata,
        sa.Column("day", sa.Integer(), primary_key=True, autoincrement=False),  # days since 1970, UTC
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),  # from 1 each day
        ms_column("at_ms", index=True),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False, index=True),
        sa.Column("subject", sa.String(100), nullable=False, index=True),
        sa.Column("detail", sa.Text(), nullable=False),  # JSON, as hashed; never a secret or an unmasked number
        sa.Column("previous_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
)

# One row, locked by every writer: where the chain stands.
event_chain = sa.Table(
    "event_chain",
    metadata,
    sa.Column("id", sa.Integer(), sa.CheckConstraint("id = 1", name="one"), primary_key=True, autoincrement=False),
    sa.Column("day", sa.Integer(), nullable=False),
    sa.Column("seq", sa.Integer(), nullable=False),
    sa.Column("head", sa.LargeBinary(32), nullable=False),
)
