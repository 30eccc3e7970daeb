"""Operators with their roles, their web sessions, open captchas, and the counters that slow guessing down.

An operator belongs to an organisation, which is a `party` (its org_number is what people type as 机构号).
"""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import id_column, link, metadata, ms_column, word_column

OPERATOR_STATES = ("ACTIVE", "DISABLED")

role = sa.Table(
    "role",
    metadata,
    sa.Column("code", sa.String(32), primary_key=True),
    sa.Column("name_zh", sa.String(64), nullable=False),
    sa.Column("name_en", sa.String(64), nullable=False),
    sa.Column("organisation", sa.String(32), nullable=False),  # the kind of party whose people may have it
    sa.Column("seeded", sa.Text()),  # the permissions that people.roles gave it last; null: 0.2.0 did, or nobody
)

role_permission = sa.Table(
    "role_permission",
    metadata,
    sa.Column("role_code", sa.String(32), sa.ForeignKey("role.code"), primary_key=True),
    sa.Column("permission", sa.String(64), primary_key=True),  # a value of people.permissions.Permission
)

operator = sa.Table(
    "operator",
    metadata,
    id_column(),
    link("party_id", "party.id"),
    sa.Column("account", sa.String(32), nullable=False),  # 帐号, lower case
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("role_code", sa.String(32), sa.ForeignKey("role.code"), nullable=False),
    word_column("state", OPERATOR_STATES),
    sa.Column("password_hash", sa.String(200), nullable=False),  # argon2id in its own notation
    sa.Column("phone_sealed", sa.LargeBinary()),  # where short messages reach this person; null: nowhere
    sa.Column("phone_masked", sa.String(32)),
    ms_column("created_at_ms"),
    sa.UniqueConstraint("party_id", "account"),
)

operator_session = sa.Table(
    "operator_session",
    metadata,
    sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),  # SHA-256 of what the cookie holds
    link("operator_id", "operator.id", index=True),
    sa.Column("address", sa.String(45), nullable=False),
    ms_column("created_at_ms"),
    ms_column("expires_at_ms"),
    ms_column("ended_at_ms", nullable=True),  # signed out, or the account was disabled
)

captcha = sa.Table(
    "captcha",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("answer", sa.String(8), nullable=False),
    sa.Column("address", sa.String(45), nullable=False),
    ms_column("expires_at_ms", index=True),
    sa.Index("ix_captcha_address", "address"),
)

# One row per account name that was typed (known or not: the row must not tell) and per address.
sign_in_guard = sa.Table(
    "sign_in_guard",
    metadata,
    sa.Column("subject", sa.String(80), primary_key=True),
    sa.Column("failures", sa.Integer(), nullable=False),  # in a row; a success or a long pause forgets them
    ms_column("last_try_at_ms", index=True),
    ms_column("locked_until_ms"),
)
