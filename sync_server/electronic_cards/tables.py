"""Which electronic cards were resolved for which gate: what proves the entries made with them."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import metadata, ms_column

# Written before the gate is answered, kept `resolving.READS_KEPT_MS`. Nothing of who it was but the venue's own hash.
electronic_card_read = sa.Table(
    "electronic_card_read",
    metadata,
    sa.Column("device_id", sa.LargeBinary(16), sa.ForeignKey("device.id"), primary_key=True),
    sa.Column("hash", sa.LargeBinary(17), primary_key=True),  # credential kind 1 B ‖ keyed hash 16 B, as in evidence
    ms_column("read_at_ms", primary_key=True, autoincrement=False, index=True),
)
