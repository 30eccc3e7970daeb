"""The gates: one-time codes, the registry of devices, their journals' progress, and the keys their venues share."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import id_column, link, metadata, ms_column, partial_unique, word_column

DEVICE_STATES = ("pending", "active", "revoked")
VENUE_KEY_KINDS = ("list", "credential")
ALARM_CAUSES = ("silent",)

enrolment_code = sa.Table(
    "enrolment_code",
    metadata,
    id_column(),
    sa.Column("secret_hash", sa.LargeBinary(32), nullable=False, unique=True),  # SHA-256; the code itself is not kept
    link("venue_id", "venue.id"),
    sa.Column("created_by", sa.String(64), nullable=False),
    ms_column("created_at_ms"),
    ms_column("expires_at_ms"),
    sa.Column("device_id", sa.LargeBinary(16), sa.ForeignKey("device.id"), unique=True),  # the box that used it
)

device = sa.Table(
    "device",
    metadata,
    sa.Column("id", sa.LargeBinary(16), primary_key=True),
    link("venue_id", "venue.id", index=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("public_key", sa.LargeBinary(32), nullable=False, unique=True),
    word_column("state", DEVICE_STATES),
    sa.Column("reads_id_numbers", sa.Boolean(), nullable=False),  # only then does its list carry ID number hashes
    sa.Column("software", sa.String(100), nullable=False),
    ms_column("enrolled_at_ms"),
    ms_column("approved_at_ms", nullable=True),
    ms_column("revoked_at_ms", nullable=True),
    ms_column("retired_at_ms", nullable=True),  # two persons wait no longer for its first batch
    ms_column("keys_changed_at_ms", nullable=True),  # when its venue got keys that it, revoked, does not know
    # What it last told us; null before its first batch.
    ms_column("last_seen_ms", nullable=True),
    sa.Column("held_epoch", sa.Integer()),
    sa.Column("held_version", sa.BigInteger()),
    sa.Column("held_key_set_version", sa.Integer()),
    sa.Column("waiting", sa.Integer()),  # entries it has not sent yet
)

# How a gate last said that it is (wire.heartbeat), as it said so.
gate_health = sa.Table(
    "gate_health",
    metadata,
    sa.Column("device_id", sa.LargeBinary(16), sa.ForeignKey("device.id"), primary_key=True),
    ms_column("told_at_ms"),
    sa.Column("told", sa.LargeBinary(), nullable=False),
)

# What of a gate calls for an operator: one row while it lasts, and again within half an hour.
gate_alarm = sa.Table(
    "gate_alarm",
    metadata,
    id_column(),
    sa.Column("device_id", sa.LargeBinary(16), sa.ForeignKey("device.id"), nullable=False),
    word_column("cause", ALARM_CAUSES),
    ms_column("since_ms"),  # when it was last well
    ms_column("raised_at_ms"),
    ms_column("cleared_at_ms", nullable=True),
    sa.Index("ix_gate_alarm_device", "device_id", "cause", "raised_at_ms"),
    partial_unique("uq_gate_alarm_open", "device_id", "cause", where="cleared_at_ms IS NULL"),
)

# Nonces of signed requests, so that none counts twice (wire.envelope.NONCE_KEPT_MS).
device_nonce = sa.Table(
    "device_nonce",
    metadata,
    sa.Column("device_id", sa.LargeBinary(16), primary_key=True),
    sa.Column("nonce", sa.LargeBinary(16), primary_key=True),
    ms_column("forget_at_ms", index=True),
)

# One journal of a device. A replaced or repaired box begins another.
incarnation = sa.Table(
    "incarnation",
    metadata,
    sa.Column("device_id", sa.LargeBinary(16), sa.ForeignKey("device.id"), primary_key=True),
    sa.Column("incarnation", sa.LargeBinary(8), primary_key=True),
    sa.Column("through_seq", sa.BigInteger(), nullable=False),  # every entry up to here is stored
    sa.Column("highest_seq", sa.BigInteger(), nullable=False),  # the highest stored; above `through_seq`: a gap
    sa.Column("frozen_cause", sa.String(200)),  # why its entries are not to be settled, null: nothing is wrong
    ms_column("frozen_at_ms", nullable=True),
    ms_column("first_seen_ms"),
    ms_column("last_seen_ms"),
    # The watermark: what the gate did before this moment is here; null: not yet known of any.
    ms_column("synced_through_ms", nullable=True),
    sa.Column("confirmed_epoch", sa.Integer()),  # the list that was held there then
    sa.Column("confirmed_version", sa.BigInteger()),
    sa.Column("supersedes", sa.LargeBinary(8)),  # the journal of this gate that it follows, empty: lost …
    sa.Column("supersedes_seq", sa.BigInteger()),  # … which ended here; null: it may go on, two persons said so
    sa.Column("closed_seq", sa.BigInteger()),  # its last entry for good, by its closing statement
    ms_column("retired_at_ms", nullable=True),  # two persons wait for it no longer
    sa.CheckConstraint("through_seq >= 0 AND highest_seq >= through_seq", name="progress"),
)

# What the active gates of a venue share: the key their list is encrypted with and the key of its card hashes.
venue_key = sa.Table(
    "venue_key",
    metadata,
    link("venue_id", "venue.id", primary_key=True),
    word_column("kind", VENUE_KEY_KINDS, primary_key=True),
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),  # u16 within venue and kind
    sa.Column("key_sealed", sa.LargeBinary(), nullable=False),
    sa.Column("in_use", sa.Boolean(), nullable=False),
    ms_column("created_at_ms"),
    partial_unique("uq_venue_key_in_use", "venue_id", "kind", where="in_use"),
)
