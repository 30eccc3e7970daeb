"""Acts that wait for a second person, and those that were decided."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import id_column, link, metadata, ms_column, partial_unique, word_column

APPROVAL_STATES = ("REQUESTED", "CONFIRMED", "WITHDRAWN", "EXPIRED")

approval = sa.Table(
    "approval",
    metadata,
    id_column(),
    sa.Column("act", sa.String(64), nullable=False),  # approvals.Act.name
    sa.Column("subject", sa.String(100), nullable=False),  # as the event log names it
    sa.Column("reason", sa.String(500), nullable=False),
    word_column("state", APPROVAL_STATES),
    link("requested_by", "operator.id"),
    ms_column("requested_at_ms", index=True),
    ms_column("expires_at_ms"),
    link("decided_by", "operator.id", nullable=True),  # who confirmed or withdrew it
    ms_column("decided_at_ms", nullable=True),
    sa.CheckConstraint("state <> 'CONFIRMED' OR decided_by <> requested_by", name="two_persons"),
    sa.CheckConstraint("state <> 'CONFIRMED' OR decided_by IS NOT NULL", name="confirmed_by"),
    partial_unique("uq_approval_requested", "act", "subject", where="state = 'REQUESTED'"),
)
