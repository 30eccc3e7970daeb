"""Second release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From '0001' to '0002'."""
    op.create_table(
        "holder_key",
        sa.Column("pass_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("public", sa.LargeBinary(length=33), nullable=False),
        sa.Column("binding", sa.LargeBinary(), nullable=True),
        sa.Column("registered_by", sa.String(length=100), nullable=False),
        sa.Column("registered_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("retired_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("generation BETWEEN 1 AND 65535", name=op.f("ck_holder_key_generation")),
        sa.ForeignKeyConstraint(["pass_id"], ["pass.id"], name=op.f("fk_holder_key_pass_id")),
        sa.PrimaryKeyConstraint("pass_id", "generation", name=op.f("pk_holder_key")),
    )
    with op.batch_alter_table("holder_key", schema=None) as batch_op:
        batch_op.create_index(
            "ix_holder_key_unbound",
            ["registered_at_ms"],
            unique=False,
            sqlite_where=sa.text("binding IS NULL AND retired_at_ms IS NULL"),
            postgresql_where=sa.text("binding IS NULL AND retired_at_ms IS NULL"),
        )
        batch_op.create_index(
            "uq_holder_key_live",
            ["pass_id", "public"],
            unique=True,
            sqlite_where=sa.text("retired_at_ms IS NULL"),
            postgresql_where=sa.text("retired_at_ms IS NULL"),
        )
