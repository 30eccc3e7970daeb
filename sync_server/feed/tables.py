"""Published lists: the signed head of each venue and the encrypted segments it names, exactly as gates fetch them."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import link, metadata, ms_column, partial_index, word_column

ROLES = ("SNAPSHOT", "DELTA")

feed = sa.Table(
    "feed",
    metadata,
    link("venue_id", "venue.id", primary_key=True),
    sa.Column("feed_id", sa.LargeBinary(16), nullable=False, unique=True),  # 128 random bits: knowing it is the key
    sa.Column("epoch", sa.Integer(), nullable=False),  # versions compare as (epoch, version)
    sa.Column("version", sa.BigInteger(), nullable=False),  # 0: nothing begun yet
    sa.Column("snapshot_version", sa.BigInteger()),  # of the snapshot that the deltas follow; null: none yet
    sa.Column("basis_digest", sa.LargeBinary(32)),  # of what every row of that snapshot rests on: the venue's keys
    sa.Column("document_digest", sa.LargeBinary(32)),  # of the venue's document as published
    sa.Column("head", sa.LargeBinary()),  # sealed, as sent
    sa.Column("key_set_version", sa.Integer(), nullable=False),  # the one that the head names
    ms_column("signed_at_ms", server_default="0"),
)

# Uses of a pass at a venue as its gates hear of them, written by `redemptions.uses`; no `listed_version`: not yet told.
pass_use = sa.Table(
    "pass_use",
    metadata,
    link("venue_id", "venue.id", primary_key=True),
    sa.Column("pass_id", sa.LargeBinary(8), sa.ForeignKey("pass.id"), primary_key=True),
    sa.Column("row", sa.LargeBinary(), nullable=False),  # MessagePack of wire.feed.UseRow
    sa.Column("listed_version", sa.BigInteger()),
    sa.Index("ix_pass_use_listed", "venue_id", "listed_version"),
    partial_index("ix_pass_use_unlisted", "venue_id", where="listed_version IS NULL"),
)

# Copies of holders' photos for one venue's gates (wire.photo), served by their names.
gate_photo = sa.Table(
    "gate_photo",
    metadata,
    sa.Column("name", sa.LargeBinary(16), primary_key=True),
    link("venue_id", "venue.id"),
    sa.Column("pass_id", sa.LargeBinary(8), sa.ForeignKey("pass.id"), nullable=False),
    sa.Column("key_id", sa.Integer(), nullable=False),
    sa.Column("data", sa.LargeBinary(), nullable=False),
    sa.UniqueConstraint("venue_id", "pass_id"),
)

feed_segment = sa.Table(
    "feed_segment",
    metadata,
    sa.Column("name", sa.LargeBinary(32), primary_key=True),  # SHA-256 of `data`
    link("venue_id", "venue.id"),
    word_column("role", ROLES, server_default="SNAPSHOT"),
    sa.Column("after_version", sa.BigInteger(), nullable=False, server_default="0"),  # a delta leads from here …
    sa.Column("version", sa.BigInteger(), nullable=False),  # … to here; of a snapshot the version it was begun at
    sa.Column("position", sa.Integer(), nullable=False, server_default="0"),  # its place among those of its version
    sa.Column("rows", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("list_key_id", sa.Integer(), nullable=False, server_default="1"),  # of the venue's key that opens it
    sa.Column("data", sa.LargeBinary(), nullable=False),
    ms_column("created_at_ms"),
    ms_column("dropped_at_ms", nullable=True),  # since when no head names it
    sa.Index("ix_feed_segment_venue", "venue_id", "version"),
    partial_index("ix_feed_segment_dropped", "dropped_at_ms", where="dropped_at_ms IS NOT NULL"),
)

# A snapshot that is being built, a few segments a turn; deltas go on meanwhile.
feed_building = sa.Table(
    "feed_building",
    metadata,
    link("venue_id", "venue.id", primary_key=True),
    sa.Column("version", sa.BigInteger(), nullable=False),  # the list that it will be as new as, at least
    sa.Column("after_pass_id", sa.LargeBinary(8), nullable=False),  # passes up to this one are in its segments
    sa.Column("position", sa.Integer(), nullable=False),  # of its next segment
    sa.Column("basis_digest", sa.LargeBinary(32), nullable=False),
    ms_column("begun_at_ms"),
)
