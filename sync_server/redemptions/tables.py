"""Entries as the centre counts them: one row per entry that happened, with the one outcome it was given (wire.md §6).

Settlement reads: id, outcome, item_id, venue_id, occurred_at_ms, recorded_at_ms of the CLAIMED ones.
"""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import link, metadata, ms_column, word_column

OUTCOMES = (
    "CLAIMED",
    "PASS_VISIT",
    "REPEAT",
    "RETURNED",
    "CONFLICT",
    "LATE",
    "UNPROVEN",
    "UNKNOWN_PASS",
    "IMPLAUSIBLE",
)

redemption = sa.Table(
    "redemption",
    metadata,
    sa.Column("id", sa.LargeBinary(16), primary_key=True),  # first 16 bytes of SHA-256(device, incarnation, seq)
    word_column("outcome", OUTCOMES),
    link("ticket_id", "ticket.id", nullable=True, index=True),
    link("item_id", "order_item.id", nullable=True, index=True),  # set when an item's entry was told apart
    sa.Column("pass_id", sa.LargeBinary(8), index=True),
    link("venue_id", "venue.id"),
    sa.Column("device_id", sa.LargeBinary(16), nullable=False),
    ms_column("occurred_at_ms"),
    ms_column("recorded_at_ms"),
    sa.Index("ix_redemption_outcome", "outcome", "recorded_at_ms"),
    sa.Index("ix_redemption_venue", "venue_id", "occurred_at_ms"),
)
