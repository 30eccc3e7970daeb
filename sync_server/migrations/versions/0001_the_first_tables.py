"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From None to '0001'."""
    op.create_table(
        "captcha",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("answer", sa.String(length=8), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_captcha")),
    )
    with op.batch_alter_table("captcha", schema=None) as batch_op:
        batch_op.create_index("ix_captcha_address", ["address"], unique=False)
        batch_op.create_index(batch_op.f("ix_captcha_expires_at_ms"), ["expires_at_ms"], unique=False)

    op.create_table(
        "deployment",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("salt_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment")),
    )
    op.create_table(
        "device_nonce",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("nonce", sa.LargeBinary(length=16), nullable=False),
        sa.Column("forget_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "nonce", name=op.f("pk_device_nonce")),
    )
    with op.batch_alter_table("device_nonce", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_device_nonce_forget_at_ms"), ["forget_at_ms"], unique=False)

    op.create_table(
        "event_chain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_chain")),
    )
    op.create_table(
        "event_log",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("day", "seq", name=op.f("pk_event_log")),
    )
    with op.batch_alter_table("event_log", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_log_action"), ["action"], unique=False)
        batch_op.create_index(batch_op.f("ix_event_log_at_ms"), ["at_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_event_log_subject"), ["subject"], unique=False)

    op.create_table(
        "idempotency",
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("response", sa.JSON(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_idempotency")),
    )
    op.create_table(
        "key_set",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("root_public", sa.LargeBinary(length=32), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_key_set")),
    )
    op.create_table(
        "ledger_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("debits_posted_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("credits_posted_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("debits_pending_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("credits_pending_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "debits_pending_fen >= 0 AND credits_pending_fen >= 0", name=op.f("ck_ledger_account_pending")
        ),
        sa.CheckConstraint("debits_posted_fen >= 0 AND credits_posted_fen >= 0", name=op.f("ck_ledger_account_posted")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_account")),
        sa.UniqueConstraint("name", name=op.f("uq_ledger_account_name")),
    )
    with op.batch_alter_table("ledger_account", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_account_code", ["code", "owner_id"], unique=False)

    op.create_table(
        "ledger_txn",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("txn_key", sa.String(length=100), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("effective_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("resolves", sa.Uuid(), nullable=True),
        sa.Column("reverses", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["resolves"], ["ledger_txn.id"], name=op.f("fk_ledger_txn_resolves")),
        sa.ForeignKeyConstraint(["reverses"], ["ledger_txn.id"], name=op.f("fk_ledger_txn_reverses")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_txn")),
        sa.UniqueConstraint("resolves", name=op.f("uq_ledger_txn_resolves")),
        sa.UniqueConstraint("reverses", name=op.f("uq_ledger_txn_reverses")),
        sa.UniqueConstraint("txn_key", name=op.f("uq_ledger_txn_txn_key")),
    )
    op.create_table(
        "list_version",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_list_version")),
    )
    op.create_table(
        "number_series",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_number_series")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_key", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("run_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("job_key", name=op.f("uq_outbox_job_key")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(
            "ix_outbox_due",
            ["kind", "run_at_ms"],
            unique=False,
            sqlite_where=sa.text("state <> 'DONE'"),
            postgresql_where=sa.text("state <> 'DONE'"),
        )

    op.create_table(
        "party",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("org_number", sa.String(length=16), nullable=False),
        sa.Column("name_zh", sa.String(length=100), nullable=False),
        sa.Column("name_en", sa.String(length=100), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("account_ref", sa.String(length=64), nullable=False),
        sa.Column("funding", sa.String(length=32), nullable=True),
        sa.Column("payout_mode", sa.String(length=32), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_party")),
        sa.UniqueConstraint("org_number", name=op.f("uq_party_org_number")),
    )
    with op.batch_alter_table("party", schema=None) as batch_op:
        batch_op.create_index(
            "uq_party_platform",
            ["kind"],
            unique=True,
            sqlite_where=sa.text("kind = 'PLATFORM'"),
            postgresql_where=sa.text("kind = 'PLATFORM'"),
        )

    op.create_table(
        "product",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name_zh", sa.String(length=100), nullable=False),
        sa.Column("name_en", sa.String(length=100), nullable=False),
        sa.Column("dist_price_fen", sa.BigInteger(), nullable=False),
        sa.Column("validity_days", sa.Integer(), nullable=False),
        sa.Column("activation_delay_h", sa.Integer(), nullable=False),
        sa.Column("per_day", sa.Integer(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("offline_limit", sa.Integer(), nullable=False),
        sa.Column("max_unlisted_age_h", sa.Integer(), nullable=False),
        sa.Column("pay_deadline_min", sa.Integer(), nullable=False),
        sa.Column("holder_required", sa.Boolean(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("dist_price_fen > 0", name=op.f("ck_product_dist_price")),
        sa.CheckConstraint("number BETWEEN 1 AND 65535", name=op.f("ck_product_number")),
        sa.CheckConstraint(
            "validity_days > 0 AND activation_delay_h >= 0 AND pay_deadline_min > 0", name=op.f("ck_product_times")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("number", name=op.f("uq_product_number")),
    )
    op.create_table(
        "role",
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name_zh", sa.String(length=64), nullable=False),
        sa.Column("name_en", sa.String(length=64), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_role")),
    )
    op.create_table(
        "sign_in_guard",
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_try_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("locked_until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_sign_in_guard")),
    )
    with op.batch_alter_table("sign_in_guard", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sign_in_guard_last_try_at_ms"), ["last_try_at_ms"], unique=False)

    op.create_table(
        "signing_key",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("public", sa.LargeBinary(length=32), nullable=False),
        sa.Column("private_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("not_before_ms", sa.BigInteger(), nullable=False),
        sa.Column("not_after_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(state IN ('announced', 'signing')) = (private_sealed IS NOT NULL)", name=op.f("ck_signing_key_private")
        ),
        sa.CheckConstraint("id BETWEEN 1 AND 65535", name=op.f("ck_signing_key_id")),
        sa.CheckConstraint("not_before_ms < not_after_ms", name=op.f("ck_signing_key_dates")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_key")),
        sa.UniqueConstraint("public", name=op.f("uq_signing_key_public")),
    )
    with op.batch_alter_table("signing_key", schema=None) as batch_op:
        batch_op.create_index(
            "uq_signing_key_signing",
            ["purpose"],
            unique=True,
            sqlite_where=sa.text("state = 'signing'"),
            postgresql_where=sa.text("state = 'signing'"),
        )

    op.create_table(
        "external_transfer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject_key", sa.String(length=100), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("party_id", sa.Uuid(), nullable=True),
        sa.Column("account_ref", sa.String(length=64), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("provider_ref", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(state = 'SUCCEEDED') = (provider_ref IS NOT NULL)", name=op.f("ck_external_transfer_final")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_external_transfer_amount")),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_external_transfer_party_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_transfer")),
        sa.UniqueConstraint("subject_key", name=op.f("uq_external_transfer_subject_key")),
    )
    with op.batch_alter_table("external_transfer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_external_transfer_party_id"), ["party_id"], unique=False)
        batch_op.create_index("ix_external_transfer_state", ["state", "changed_at_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_external_transfer_subject_id"), ["subject_id"], unique=False)

    op.create_table(
        "fee_rule",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("party_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("bps", sa.Integer(), nullable=False),
        sa.Column("min_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("max_fen", sa.BigInteger(), nullable=True),
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("bps BETWEEN 0 AND 10000 AND min_fen >= 0", name=op.f("ck_fee_rule_rate")),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_fee_rule_party_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_fee_rule_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fee_rule")),
    )
    with op.batch_alter_table("fee_rule", schema=None) as batch_op:
        batch_op.create_index("ix_fee_rule_party", ["party_id", "kind", "valid_from_ms"], unique=False)

    op.create_table(
        "operator",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("party_id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role_code", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_operator_party_id")),
        sa.ForeignKeyConstraint(["role_code"], ["role.code"], name=op.f("fk_operator_role_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator")),
        sa.UniqueConstraint("party_id", "account", name=op.f("uq_operator_party_id_account")),
    )
    op.create_table(
        "order",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("distributor_id", sa.Uuid(), nullable=True),
        sa.Column("payment_group", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("hold", sa.String(length=32), nullable=True),
        sa.Column("pay_deadline_ms", sa.BigInteger(), nullable=False),
        sa.Column("hold_deadline_ms", sa.BigInteger(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("list_fen", sa.BigInteger(), nullable=False),
        sa.Column("discount_fen", sa.BigInteger(), nullable=False),
        sa.Column("dist_price_fen", sa.BigInteger(), nullable=False),
        sa.Column("charge_fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("paid_fen", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("buyer_phone_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("buyer_phone_index", sa.LargeBinary(length=16), nullable=True),
        sa.Column("buyer_phone_masked", sa.String(length=32), nullable=True),
        sa.Column("placed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("paid_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("issued_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind <> 'PASS' OR count = 1", name=op.f("ck_order_one_holder")),
        sa.CheckConstraint(
            "charge_fee_fen >= 0 AND paid_fen IN (0, dist_price_fen + charge_fee_fen)", name=op.f("ck_order_paid")
        ),
        sa.CheckConstraint(
            "list_fen - discount_fen = dist_price_fen AND discount_fen >= 0", name=op.f("ck_order_price")
        ),
        sa.ForeignKeyConstraint(["distributor_id"], ["party.id"], name=op.f("fk_order_distributor_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_order_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order")),
        sa.UniqueConstraint("number", name=op.f("uq_order_number")),
    )
    with op.batch_alter_table("order", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_order_buyer_phone_index"), ["buyer_phone_index"], unique=False)
        batch_op.create_index(batch_op.f("ix_order_payment_group"), ["payment_group"], unique=False)
        batch_op.create_index("ix_order_placed", ["placed_at_ms", "id"], unique=False)
        batch_op.create_index("ix_order_state", ["state", "placed_at_ms", "id"], unique=False)

    op.create_table(
        "posting",
        sa.Column("txn_id", sa.Uuid(), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("layer", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen <> 0", name=op.f("ck_posting_amount")),
        sa.ForeignKeyConstraint(["account_id"], ["ledger_account.id"], name=op.f("fk_posting_account_id")),
        sa.ForeignKeyConstraint(["txn_id"], ["ledger_txn.id"], name=op.f("fk_posting_txn_id")),
        sa.PrimaryKeyConstraint("txn_id", "leg", name=op.f("pk_posting")),
    )
    with op.batch_alter_table("posting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_posting_account_id"), ["account_id"], unique=False)

    op.create_table(
        "role_permission",
        sa.Column("role_code", sa.String(length=32), nullable=False),
        sa.Column("permission", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["role_code"], ["role.code"], name=op.f("fk_role_permission_role_code")),
        sa.PrimaryKeyConstraint("role_code", "permission", name=op.f("pk_role_permission")),
    )
    op.create_table(
        "stock",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sold", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("price_fen > 0", name=op.f("ck_stock_price")),
        sa.CheckConstraint(
            "reserved >= 0 AND sold >= 0 AND reserved + sold <= total", name=op.f("ck_stock_never_oversold")
        ),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_stock_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock")),
        sa.UniqueConstraint("product_id", "seq", name=op.f("uq_stock_product_id_seq")),
    )
    op.create_table(
        "venue",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.CheckConstraint("number BETWEEN 1 AND 65535", name=op.f("ck_venue_number")),
        sa.ForeignKeyConstraint(["id"], ["party.id"], name=op.f("fk_venue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_venue")),
        sa.UniqueConstraint("number", name=op.f("uq_venue_number")),
    )
    op.create_table(
        "device",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reads_id_numbers", sa.Boolean(), nullable=False),
        sa.Column("software", sa.String(length=100), nullable=False),
        sa.Column("enrolled_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("approved_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_seen_ms", sa.BigInteger(), nullable=True),
        sa.Column("held_epoch", sa.Integer(), nullable=True),
        sa.Column("held_version", sa.BigInteger(), nullable=True),
        sa.Column("held_key_set_version", sa.Integer(), nullable=True),
        sa.Column("waiting", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_device_venue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device")),
        sa.UniqueConstraint("public_key", name=op.f("uq_device_public_key")),
    )
    with op.batch_alter_table("device", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_device_venue_id"), ["venue_id"], unique=False)

    op.create_table(
        "feed",
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("feed_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("document_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("head", sa.LargeBinary(), nullable=True),
        sa.Column("key_set_version", sa.Integer(), nullable=False),
        sa.Column("signed_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_feed_venue_id")),
        sa.PrimaryKeyConstraint("venue_id", name=op.f("pk_feed")),
        sa.UniqueConstraint("feed_id", name=op.f("uq_feed_feed_id")),
    )
    op.create_table(
        "feed_segment",
        sa.Column("name", sa.LargeBinary(length=32), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_feed_segment_venue_id")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feed_segment")),
    )
    with op.batch_alter_table("feed_segment", schema=None) as batch_op:
        batch_op.create_index("ix_feed_segment_venue", ["venue_id", "version"], unique=False)

    op.create_table(
        "operator_session",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.id"], name=op.f("fk_operator_session_operator_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_operator_session")),
    )
    with op.batch_alter_table("operator_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_operator_session_operator_id"), ["operator_id"], unique=False)

    op.create_table(
        "order_history",
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_order_history_order_id")),
        sa.PrimaryKeyConstraint("order_id", "seq", name=op.f("pk_order_history")),
    )
    op.create_table(
        "payout",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("paid_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("total_fen >= 0", name=op.f("ck_payout_total")),
        sa.ForeignKeyConstraint(["transfer_id"], ["external_transfer.id"], name=op.f("fk_payout_transfer_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_payout_venue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout")),
        sa.UniqueConstraint("number", name=op.f("uq_payout_number")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_payout_transfer_id")),
    )
    with op.batch_alter_table("payout", schema=None) as batch_op:
        batch_op.create_index("ix_payout_state", ["state", "created_at_ms", "id"], unique=False)
        batch_op.create_index("ix_payout_venue", ["venue_id", "created_at_ms", "id"], unique=False)

    op.create_table(
        "person_product",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("person_index", sa.LargeBinary(length=16), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_person_product_order_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_person_product_product_id")),
        sa.PrimaryKeyConstraint("product_id", "person_index", name=op.f("pk_person_product")),
    )
    op.create_table(
        "product_item",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("venue_price_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("venue_price_fen >= 0", name=op.f("ck_product_item_venue_price")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_item_product_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_product_item_venue_id")),
        sa.PrimaryKeyConstraint("product_id", "venue_id", name=op.f("pk_product_item")),
    )
    op.create_table(
        "ticket",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("stock_id", sa.Uuid(), nullable=False),
        sa.Column("dist_price_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("dist_price_fen > 0", name=op.f("ck_ticket_dist_price")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_ticket_order_id")),
        sa.ForeignKeyConstraint(["stock_id"], ["stock.id"], name=op.f("fk_ticket_stock_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket")),
        sa.UniqueConstraint("number", name=op.f("uq_ticket_number")),
        sa.UniqueConstraint("order_id", "seq", name=op.f("uq_ticket_order_id_seq")),
    )
    op.create_table(
        "transfer_attempt",
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("out_no", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("provider_ref", sa.String(length=64), nullable=True),
        sa.Column("pay_url", sa.String(length=500), nullable=True),
        sa.Column("sent_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["external_transfer.id"], name=op.f("fk_transfer_attempt_transfer_id")
        ),
        sa.PrimaryKeyConstraint("transfer_id", "n", name=op.f("pk_transfer_attempt")),
        sa.UniqueConstraint("out_no", name=op.f("uq_transfer_attempt_out_no")),
    )
    with op.batch_alter_table("transfer_attempt", schema=None) as batch_op:
        batch_op.create_index(
            "uq_transfer_attempt_open",
            ["transfer_id"],
            unique=True,
            sqlite_where=sa.text("state IN ('SENT', 'UNKNOWN')"),
            postgresql_where=sa.text("state IN ('SENT', 'UNKNOWN')"),
        )
        batch_op.create_index(
            "uq_transfer_attempt_succeeded",
            ["transfer_id"],
            unique=True,
            sqlite_where=sa.text("state = 'SUCCEEDED'"),
            postgresql_where=sa.text("state = 'SUCCEEDED'"),
        )

    op.create_table(
        "venue_key",
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("in_use", sa.Boolean(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_venue_key_venue_id")),
        sa.PrimaryKeyConstraint("venue_id", "kind", "id", name=op.f("pk_venue_key")),
    )
    with op.batch_alter_table("venue_key", schema=None) as batch_op:
        batch_op.create_index(
            "uq_venue_key_in_use",
            ["venue_id", "kind"],
            unique=True,
            sqlite_where=sa.text("in_use"),
            postgresql_where=sa.text("in_use"),
        )

    op.create_table(
        "enrolment_code",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_enrolment_code_device_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_enrolment_code_venue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment_code")),
        sa.UniqueConstraint("device_id", name=op.f("uq_enrolment_code_device_id")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_enrolment_code_secret_hash")),
    )
    op.create_table(
        "entry",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("incarnation", sa.LargeBinary(length=8), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("presentation", sa.SmallInteger(), nullable=False),
        sa.Column("pass_id", sa.LargeBinary(length=8), nullable=True),
        sa.Column("ref_seq", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_entry_device_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_entry_venue_id")),
        sa.PrimaryKeyConstraint("device_id", "incarnation", "seq", name=op.f("pk_entry")),
    )
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.create_index("ix_entry_occurred", ["occurred_at_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_entry_pass_id"), ["pass_id"], unique=False)
        batch_op.create_index("ix_entry_ref", ["device_id", "incarnation", "ref_seq"], unique=False)
        batch_op.create_index("ix_entry_venue", ["venue_id", "occurred_at_ms"], unique=False)

    op.create_table(
        "forked_entry",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("incarnation", sa.LargeBinary(length=8), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_forked_entry_device_id")),
        sa.PrimaryKeyConstraint("device_id", "incarnation", "seq", "hash", name=op.f("pk_forked_entry")),
    )
    op.create_table(
        "holder",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("name_index", sa.LargeBinary(length=16), nullable=False),
        sa.Column("name_masked", sa.String(length=64), nullable=False),
        sa.Column("id_number_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("id_number_index", sa.LargeBinary(length=16), nullable=True),
        sa.Column("id_number_masked", sa.String(length=32), nullable=True),
        sa.Column("phone_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("phone_index", sa.LargeBinary(length=16), nullable=True),
        sa.Column("phone_masked", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name=op.f("fk_holder_ticket_id")),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_holder")),
    )
    with op.batch_alter_table("holder", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_holder_id_number_index"), ["id_number_index"], unique=False)
        batch_op.create_index(batch_op.f("ix_holder_name_index"), ["name_index"], unique=False)
        batch_op.create_index(batch_op.f("ix_holder_phone_index"), ["phone_index"], unique=False)

    op.create_table(
        "incarnation",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("incarnation", sa.LargeBinary(length=8), nullable=False),
        sa.Column("through_seq", sa.BigInteger(), nullable=False),
        sa.Column("highest_seq", sa.BigInteger(), nullable=False),
        sa.Column("frozen_cause", sa.String(length=200), nullable=True),
        sa.Column("frozen_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("first_seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("through_seq >= 0 AND highest_seq >= through_seq", name=op.f("ck_incarnation_progress")),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_incarnation_device_id")),
        sa.PrimaryKeyConstraint("device_id", "incarnation", name=op.f("pk_incarnation")),
    )
    op.create_table(
        "order_item",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("venue_price_fen", sa.BigInteger(), nullable=False),
        sa.Column("share_fen", sa.BigInteger(), nullable=False),
        sa.Column("payout_fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.Integer(), nullable=True),
        sa.Column("valid_to", sa.Integer(), nullable=True),
        sa.CheckConstraint("payout_fee_fen BETWEEN 0 AND venue_price_fen", name=op.f("ck_order_item_payout_fee")),
        sa.CheckConstraint("valid_from < valid_to", name=op.f("ck_order_item_validity")),
        sa.CheckConstraint(
            "venue_price_fen > 0 AND share_fen >= venue_price_fen", name=op.f("ck_order_item_venue_price")
        ),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name=op.f("fk_order_item_ticket_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_order_item_venue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_item")),
        sa.UniqueConstraint("ticket_id", "venue_id", name=op.f("uq_order_item_ticket_id_venue_id")),
    )
    with op.batch_alter_table("order_item", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_order_item_venue_id"), ["venue_id"], unique=False)

    op.create_table(
        "pass",
        sa.Column("id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("issue", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Integer(), nullable=False),
        sa.Column("not_after", sa.Integer(), nullable=False),
        sa.Column("issued_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("id_number_due", sa.Boolean(), nullable=False),
        sa.CheckConstraint("issue BETWEEN 1 AND 255", name=op.f("ck_pass_issue")),
        sa.CheckConstraint("not_before < not_after", name=op.f("ck_pass_validity")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_pass_product_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name=op.f("fk_pass_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pass")),
        sa.UniqueConstraint("number", name=op.f("uq_pass_number")),
        sa.UniqueConstraint("ticket_id", name=op.f("uq_pass_ticket_id")),
    )
    with op.batch_alter_table("pass", schema=None) as batch_op:
        batch_op.create_index(
            "ix_pass_id_number_due",
            ["issued_at_ms"],
            unique=False,
            sqlite_where=sa.text("id_number_due"),
            postgresql_where=sa.text("id_number_due"),
        )
        batch_op.create_index("ix_pass_issued", ["issued_at_ms", "id"], unique=False)

    op.create_table(
        "receipt",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("batch_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("given_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_receipt_device_id")),
        sa.PrimaryKeyConstraint("device_id", "batch_digest", name=op.f("pk_receipt")),
    )
    with op.batch_alter_table("receipt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_receipt_given_at_ms"), ["given_at_ms"], unique=False)

    op.create_table(
        "credential",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pass_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("value_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("value_index", sa.LargeBinary(length=16), nullable=False),
        sa.Column("bound_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("removed_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["pass_id"], ["pass.id"], name=op.f("fk_credential_pass_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
    )
    with op.batch_alter_table("credential", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_credential_pass_id"), ["pass_id"], unique=False)
        batch_op.create_index("ix_credential_value", ["value_index"], unique=False)
        batch_op.create_index(
            "uq_credential_live",
            ["kind", "value_index", "pass_id"],
            unique=True,
            sqlite_where=sa.text("removed_at_ms IS NULL"),
            postgresql_where=sa.text("removed_at_ms IS NULL"),
        )

    op.create_table(
        "entitlement",
        sa.Column("pass_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=True),
        sa.Column("listed_version", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["order_item.id"], name=op.f("fk_entitlement_item_id")),
        sa.ForeignKeyConstraint(["pass_id"], ["pass.id"], name=op.f("fk_entitlement_pass_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_entitlement_venue_id")),
        sa.PrimaryKeyConstraint("pass_id", "venue_id", name=op.f("pk_entitlement")),
        sa.UniqueConstraint("item_id", name=op.f("uq_entitlement_item_id")),
    )
    with op.batch_alter_table("entitlement", schema=None) as batch_op:
        batch_op.create_index(
            "ix_entitlement_unlisted",
            ["venue_id"],
            unique=False,
            sqlite_where=sa.text("listed_version IS NULL"),
            postgresql_where=sa.text("listed_version IS NULL"),
        )
        batch_op.create_index("ix_entitlement_venue", ["venue_id", "listed_version"], unique=False)

    op.create_table(
        "item_claim",
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("ref", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["order_item.id"], name=op.f("fk_item_claim_item_id")),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_item_claim")),
    )
    with op.batch_alter_table("item_claim", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_item_claim_recorded_at_ms"), ["recorded_at_ms"], unique=False)

    op.create_table(
        "pass_token",
        sa.Column("pass_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("issue", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token", sa.String(length=200), nullable=False),
        sa.Column("evidence", sa.LargeBinary(length=8), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("issued_version", sa.BigInteger(), nullable=False),
        sa.Column("signed_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["signing_key.id"], name=op.f("fk_pass_token_key_id")),
        sa.ForeignKeyConstraint(["pass_id"], ["pass.id"], name=op.f("fk_pass_token_pass_id")),
        sa.PrimaryKeyConstraint("pass_id", "issue", name=op.f("pk_pass_token")),
    )
    with op.batch_alter_table("pass_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pass_token_key_id"), ["key_id"], unique=False)

    op.create_table(
        "redemption",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=True),
        sa.Column("ticket_id", sa.Uuid(), nullable=True),
        sa.Column("item_id", sa.Uuid(), nullable=True),
        sa.Column("pass_id", sa.LargeBinary(length=8), nullable=True),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("incarnation", sa.LargeBinary(length=8), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["order_item.id"], name=op.f("fk_redemption_item_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name=op.f("fk_redemption_ticket_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_redemption_venue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redemption")),
        sa.UniqueConstraint("device_id", "incarnation", "seq", name=op.f("uq_redemption_device_id_incarnation_seq")),
    )
    with op.batch_alter_table("redemption", schema=None) as batch_op:
        batch_op.create_index(
            "ix_redemption_due",
            ["outcome", "recorded_at_ms", "id"],
            unique=False,
            sqlite_where=sa.text("outcome = 'CLAIMED' AND cleared_at_ms IS NULL"),
            postgresql_where=sa.text("outcome = 'CLAIMED' AND cleared_at_ms IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_redemption_item_id"), ["item_id"], unique=False)
        batch_op.create_index("ix_redemption_outcome", ["outcome", "recorded_at_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_redemption_pass_id"), ["pass_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_redemption_ticket_id"), ["ticket_id"], unique=False)
        batch_op.create_index("ix_redemption_venue", ["venue_id", "occurred_at_ms"], unique=False)

    op.create_table(
        "payout_line",
        sa.Column("redemption_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("payout_id", sa.Uuid(), nullable=False),
        sa.Column("gross_fen", sa.BigInteger(), nullable=False),
        sa.Column("fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("net_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "gross_fen - fee_fen = net_fen AND net_fen >= 0 AND fee_fen >= 0", name=op.f("ck_payout_line_net")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["order_item.id"], name=op.f("fk_payout_line_item_id")),
        sa.ForeignKeyConstraint(["payout_id"], ["payout.id"], name=op.f("fk_payout_line_payout_id")),
        sa.ForeignKeyConstraint(["redemption_id"], ["redemption.id"], name=op.f("fk_payout_line_redemption_id")),
        sa.PrimaryKeyConstraint("redemption_id", name=op.f("pk_payout_line")),
        sa.UniqueConstraint("item_id", name=op.f("uq_payout_line_item_id")),
    )
    with op.batch_alter_table("payout_line", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payout_line_payout_id"), ["payout_id"], unique=False)
