"""Published lists: the signed head of each venue and the encrypted segments it names, exactly as gates fetch them."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import link, metadata, ms_column

feed = sa.Table(
    "feed",
    metadata,
    link("venue_id", "venue.id", primary_key=True),
    sa.Column("feed_id", sa.LargeBinary(16), nullable=False, unique=True),  # 128 random bits: knowing it is the key
    sa.Column("epoch", sa.Integer(), nullable=False),  # versions compare as (epoch, version)
    sa.Column("version", sa.BigInteger(), nullable=False),  # 0: nothing published yet
    sa.Column("document_digest", sa.LargeBinary(32)),  # of everything in the list that is no pass row
    sa.Column("head", sa.LargeBinary()),  # sealed, as sent
    sa.Column("key_set_version", sa.Integer(), nullable=False),  # the one that the head names
    ms_column("signed_at_ms", server_default="0"),
)

feed_segment = sa.Table(
    "feed_segment",
    metadata,
    sa.Column("name", sa.LargeBinary(32), primary_key=True),  # SHA-256 of `data`
    link("venue_id", "venue.id"),
    sa.Column("version", sa.BigInteger(), nullable=False),  # the list version that first named it
    sa.Column("data", sa.LargeBinary(), nullable=False),
    ms_column("created_at_ms"),
    sa.Index("ix_feed_segment_venue", "venue_id", "version"),
)
