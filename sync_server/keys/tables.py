"""The centre's keys: pairs that sign, every key set ever published, and the deployment's one salt (wire.md §1).

The root key is not here: its private half lives in a file of its own (`keys.root`), its public half in every key set.
"""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import append_only, metadata, ms_column, partial_unique, word_column
from wire.keyset import KeyState
from wire.signing import Purpose

PURPOSES = (Purpose.PASS, Purpose.LIST, Purpose.SERVICE)

signing_key = sa.Table(
    "signing_key",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),  # u16, one sequence, never reused
    word_column("purpose", PURPOSES),
    sa.Column("public", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("private_sealed", sa.LargeBinary()),  # hex, sealed for this row; destroyed when the key stops signing
    word_column("state", KeyState),
    ms_column("not_before_ms"),
    ms_column("not_after_ms"),
    ms_column("created_at_ms"),
    sa.CheckConstraint("id BETWEEN 1 AND 65535", name="id"),
    sa.CheckConstraint("not_before_ms < not_after_ms", name="dates"),
    sa.CheckConstraint("(state IN ('announced', 'signing')) = (private_sealed IS NOT NULL)", name="private"),
    partial_unique("uq_signing_key_signing", "purpose", where="state = 'signing'"),
)

# The chain of key sets: a gate that was cut off through several rotations reads on from the one it holds.
key_set = append_only(
    sa.Table(
        "key_set",
        metadata,
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("root_public", sa.LargeBinary(32), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),  # as gates fetch it, signed by the root key
        ms_column("issued_at_ms"),
    )
)

# What gates know the centre by over TLS: a server's key by its hash, a CA by its certificate too (keys.tls_pins).
tls_pin = sa.Table(
    "tls_pin",
    metadata,
    sa.Column("key_hash", sa.LargeBinary(32), primary_key=True),  # SHA-256 of the SubjectPublicKeyInfo
    sa.Column("ca", sa.LargeBinary()),  # the CA's certificate, DER; null: the server's own key
    sa.Column("said_in", sa.String(200), nullable=False),  # the file that it was read from, for people
    ms_column("pinned_at_ms"),
)

# One row: the salt of `wire.credential.person_hash`, the same at every venue and for as long as the deployment lives.
deployment = sa.Table(
    "deployment",
    metadata,
    sa.Column("id", sa.Integer(), sa.CheckConstraint("id = 1", name="one"), primary_key=True, autoincrement=False),
    sa.Column("salt_sealed", sa.LargeBinary(), nullable=False),
)
