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
        "channel",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("name_en", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("refund_hold_h", sa.Integer(), server_default="72", nullable=False),
        sa.CheckConstraint("refund_hold_h > 0", name=op.f("ck_channel_refund_hold")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_channel")),
    )
    op.create_table(
        "job_slot",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("slot_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("worker", sa.String(length=100), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("free_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("done", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.CheckConstraint("state IN ('RUNNING', 'DONE', 'FAILED')", name=op.f("ck_job_slot_state_word_09a54a")),
        sa.PrimaryKeyConstraint("name", "slot_ms", name=op.f("pk_job_slot")),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("notice_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=160), nullable=False),
        sa.Column("phone_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(length=16), nullable=False),
        sa.Column("phone_masked", sa.String(length=32), nullable=False),
        sa.Column("variables_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("sender", sa.String(length=16), nullable=True),
        sa.Column("sender_ref", sa.String(length=64), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("written_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("useless_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("tried_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("held_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("summary_id", sa.Uuid(), nullable=True),
        sa.Column("again_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('insufficient_balance', 'charge_lacks', 'platform_balance', 'payout_failed', 'refund_failed', 'transfer_late', 'transfer_odd', 'recon_case', 'no_statement', 'setback', 'gate_offline', 'low_stock', 'account_changed', 'contact_changed', 'not_issued', 'issued', 'refunded', 'sign_in_code', 'summary')",
            name=op.f("ck_message_kind_word_cea8b0"),
        ),
        sa.CheckConstraint(
            "state IN ('WAITING', 'SENDING', 'SENT', 'DELIVERED', 'FAILED', 'SUPPRESSED')",
            name=op.f("ck_message_state_word_503295"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
    )
    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.create_index(
            "ix_message_held",
            ["held_until_ms"],
            unique=False,
            sqlite_where=sa.text("held_until_ms IS NOT NULL"),
            postgresql_where=sa.text("held_until_ms IS NOT NULL"),
        )
        batch_op.create_index("ix_message_same", ["phone_index", "kind", "cause", "written_at_ms"], unique=False)
        batch_op.create_index("ix_message_written", ["written_at_ms", "id"], unique=False)

    op.create_table(
        "message_setting",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="1", nullable=False),
        sa.Column("template_code", sa.String(length=64), nullable=True),
        sa.Column("roles", sa.String(length=200), nullable=True),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_message_setting")),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("cause", sa.String(length=100), nullable=False),
        sa.Column("about_id", sa.Uuid(), nullable=True),
        sa.Column("variables", sa.Text(), nullable=False),
        sa.Column("promised_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("addressed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("recipients", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('insufficient_balance', 'charge_lacks', 'platform_balance', 'payout_failed', 'refund_failed', 'transfer_late', 'transfer_odd', 'recon_case', 'no_statement', 'setback', 'gate_offline', 'low_stock', 'account_changed', 'contact_changed', 'not_issued', 'issued', 'refunded', 'sign_in_code', 'summary')",
            name=op.f("ck_notice_kind_word_cea8b0"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("kind", "key", name=op.f("uq_notice_kind_key")),
    )
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.create_index(
            "ix_notice_open",
            ["id"],
            unique=False,
            sqlite_where=sa.text("addressed_at_ms IS NULL"),
            postgresql_where=sa.text("addressed_at_ms IS NULL"),
        )
        batch_op.create_index(
            "ix_notice_unheard",
            ["addressed_at_ms"],
            unique=False,
            sqlite_where=sa.text("recipients = 0"),
            postgresql_where=sa.text("recipients = 0"),
        )

    op.create_table(
        "person_list",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("persons", sa.Integer(), nullable=False),
        sa.Column("imported_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_list")),
        sa.UniqueConstraint("name", name=op.f("uq_person_list_name")),
    )
    op.create_table(
        "provider_fee",
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("bps", sa.Integer(), nullable=False),
        sa.Column("min_fen", sa.BigInteger(), nullable=False),
        sa.Column("max_fen", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('CHARGE', 'COLLECT', 'TOP_UP', 'FUND_SELL', 'FUND_CLOSE', 'SWEEP_IN', 'PAYOUT', 'REFUND', 'FUND_BUY', 'SWEEP_OUT')",
            name=op.f("ck_provider_fee_kind_word_2b01f5"),
        ),
        sa.CheckConstraint("provider IN ('ALIPAY', 'HUIJINBAO')", name=op.f("ck_provider_fee_provider_word_ca1c66")),
        sa.CheckConstraint("bps >= 0 AND min_fen >= 0", name=op.f("ck_provider_fee_rate")),
        sa.PrimaryKeyConstraint("provider", "kind", "valid_from_ms", name=op.f("pk_provider_fee")),
    )
    op.create_table(
        "setback",
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.LargeBinary(length=16), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("again_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("told_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("step", "subject", name=op.f("pk_setback")),
    )
    op.create_table(
        "statement_day",
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=False),
        sa.Column("taken_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("provider IN ('ALIPAY', 'HUIJINBAO')", name=op.f("ck_statement_day_provider_word_ca1c66")),
        sa.PrimaryKeyConstraint("provider", "day", name=op.f("pk_statement_day")),
    )
    op.create_table(
        "statement_line",
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("line_no", sa.String(length=77), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("out_no", sa.String(length=64), nullable=True),
        sa.Column("provider_ref", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("account_ref", sa.String(length=64), nullable=True),
        sa.Column("original_out_no", sa.String(length=64), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("settled_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("provider IN ('ALIPAY', 'HUIJINBAO')", name=op.f("ck_statement_line_provider_word_ca1c66")),
        sa.PrimaryKeyConstraint("provider", "line_no", name=op.f("pk_statement_line")),
    )
    with op.batch_alter_table("statement_line", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_statement_line_out_no"), ["out_no"], unique=False)
        batch_op.create_index(
            "ix_statement_line_waiting",
            ["provider", "day"],
            unique=False,
            sqlite_where=sa.text("settled_at_ms IS NULL"),
            postgresql_where=sa.text("settled_at_ms IS NULL"),
        )

    op.create_table(
        "tls_pin",
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("ca", sa.LargeBinary(), nullable=True),
        sa.Column("said_in", sa.String(length=200), nullable=False),
        sa.Column("pinned_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_tls_pin")),
    )
    op.create_table(
        "bank_top_up",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("distributor_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("asked_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("booked_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount_fen <> 0", name=op.f("ck_bank_top_up_amount")),
        sa.ForeignKeyConstraint(["distributor_id"], ["party.id"], name=op.f("fk_bank_top_up_distributor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_top_up")),
    )
    with op.batch_alter_table("bank_top_up", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bank_top_up_distributor_id"), ["distributor_id"], unique=False)

    op.create_table(
        "debt_end",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("party_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("beyond_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("asked_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("booked_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "amount_fen > 0 AND beyond_fen >= 0 AND beyond_fen <= amount_fen", name=op.f("ck_debt_end_amount")
        ),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_debt_end_party_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_debt_end")),
    )
    with op.batch_alter_table("debt_end", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_debt_end_party_id"), ["party_id"], unique=False)

    op.create_table(
        "listed_person",
        sa.Column("list_id", sa.Uuid(), nullable=False),
        sa.Column("person_index", sa.LargeBinary(length=16), nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["person_list.id"], name=op.f("fk_listed_person_list_id")),
        sa.PrimaryKeyConstraint("list_id", "person_index", name=op.f("pk_listed_person")),
    )
    op.create_table(
        "settlement_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("party_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("account_ref", sa.String(length=64), nullable=False),
        sa.Column("asked_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("used_from_ms", sa.BigInteger(), nullable=True),
        sa.Column("stopped_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "provider IN ('ALIPAY', 'HUIJINBAO')", name=op.f("ck_settlement_account_provider_word_ca1c66")
        ),
        sa.CheckConstraint(
            "(confirmed_at_ms IS NULL) = (used_from_ms IS NULL)", name=op.f("ck_settlement_account_confirmed")
        ),
        sa.CheckConstraint("stopped_at_ms < used_from_ms", name=op.f("ck_settlement_account_stopped")),
        sa.CheckConstraint("used_from_ms >= confirmed_at_ms + 86400000", name=op.f("ck_settlement_account_rests")),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_settlement_account_party_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlement_account")),
    )
    with op.batch_alter_table("settlement_account", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_settlement_account_party_id"), ["party_id"], unique=False)

    op.create_table(
        "statement",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("party_id", sa.Uuid(), nullable=False),
        sa.Column("from_day", sa.String(length=10), nullable=False),
        sa.Column("to_day", sa.String(length=10), nullable=False),
        sa.Column("opening_fen", sa.BigInteger(), nullable=False),
        sa.Column("closing_fen", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("made_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.CheckConstraint("kind IN ('VENUE', 'DISTRIBUTOR')", name=op.f("ck_statement_kind_word_76b1a7")),
        sa.ForeignKeyConstraint(["party_id"], ["party.id"], name=op.f("fk_statement_party_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement")),
        sa.UniqueConstraint("number", name=op.f("uq_statement_number")),
        sa.UniqueConstraint("party_id", "from_day", "to_day", name=op.f("uq_statement_party_id_from_day_to_day")),
    )
    op.create_table(
        "statement_match",
        sa.Column("txn_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("line_no", sa.String(length=77), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.CheckConstraint(
            "role IN ('MOVEMENT', 'FEE', 'SUSPENSE', 'CORRECTION')", name=op.f("ck_statement_match_role_word_ee771d")
        ),
        sa.ForeignKeyConstraint(
            ["provider", "line_no"],
            ["statement_line.provider", "statement_line.line_no"],
            name=op.f("fk_statement_match_provider_line_no"),
        ),
        sa.ForeignKeyConstraint(["txn_id"], ["ledger_txn.id"], name=op.f("fk_statement_match_txn_id")),
        sa.PrimaryKeyConstraint("txn_id", name=op.f("pk_statement_match")),
    )
    with op.batch_alter_table("statement_match", schema=None) as batch_op:
        batch_op.create_index("ix_statement_match_line", ["provider", "line_no"], unique=False)
        batch_op.create_index(
            "uq_statement_match_movement",
            ["provider", "line_no"],
            unique=True,
            sqlite_where=sa.text("role = 'MOVEMENT'"),
            postgresql_where=sa.text("role = 'MOVEMENT'"),
        )

    op.create_table(
        "approval",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("act", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("requested_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state <> 'CONFIRMED' OR decided_by <> requested_by", name=op.f("ck_approval_two_persons")),
        sa.CheckConstraint("state <> 'CONFIRMED' OR decided_by IS NOT NULL", name=op.f("ck_approval_confirmed_by")),
        sa.CheckConstraint(
            "state IN ('REQUESTED', 'CONFIRMED', 'WITHDRAWN', 'EXPIRED')", name=op.f("ck_approval_state_word_509501")
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["operator.id"], name=op.f("fk_approval_decided_by")),
        sa.ForeignKeyConstraint(["requested_by"], ["operator.id"], name=op.f("fk_approval_requested_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
    )
    with op.batch_alter_table("approval", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_approval_requested_at_ms"), ["requested_at_ms"], unique=False)
        batch_op.create_index(
            "uq_approval_requested",
            ["act", "subject"],
            unique=True,
            sqlite_where=sa.text("state = 'REQUESTED'"),
            postgresql_where=sa.text("state = 'REQUESTED'"),
        )

    op.create_table(
        "discount",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("areas", sa.String(length=1000), nullable=True),
        sa.Column("min_age", sa.Integer(), nullable=True),
        sa.Column("person_list_id", sa.Uuid(), nullable=True),
        sa.Column("from_ms", sa.BigInteger(), nullable=True),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("added_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(kind = 'LISTED') = (person_list_id IS NOT NULL)", name=op.f("ck_discount_person_list")),
        sa.CheckConstraint(
            "(kind = 'PROMOTION' AND from_ms IS NOT NULL AND until_ms IS NOT NULL AND from_ms < until_ms) OR (kind <> 'PROMOTION' AND from_ms IS NULL AND until_ms IS NULL)",
            name=op.f("ck_discount_dates"),
        ),
        sa.CheckConstraint("(kind = 'RESIDENT') = (areas IS NOT NULL)", name=op.f("ck_discount_areas")),
        sa.CheckConstraint("(kind = 'SENIOR') = (min_age IS NOT NULL)", name=op.f("ck_discount_min_age")),
        sa.CheckConstraint(
            "kind IN ('RESIDENT', 'SENIOR', 'LISTED', 'PROMOTION')", name=op.f("ck_discount_kind_word_b10287")
        ),
        sa.CheckConstraint("price_fen > 0", name=op.f("ck_discount_price")),
        sa.ForeignKeyConstraint(["person_list_id"], ["person_list.id"], name=op.f("fk_discount_person_list_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_discount_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discount")),
    )
    with op.batch_alter_table("discount", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_discount_product_id"), ["product_id"], unique=False)

    op.create_table(
        "feed_building",
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("after_pass_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("basis_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("begun_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_feed_building_venue_id")),
        sa.PrimaryKeyConstraint("venue_id", name=op.f("pk_feed_building")),
    )
    op.create_table(
        "product_agreement",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("agreed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_agreement_product_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_product_agreement_venue_id")),
        sa.PrimaryKeyConstraint("product_id", "version", "venue_id", name=op.f("pk_product_agreement")),
    )
    op.create_table(
        "product_rule",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_rule_product_id")),
        sa.PrimaryKeyConstraint("product_id", "version", name=op.f("pk_product_rule")),
    )
    op.create_table(
        "product_version",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("dist_price_fen", sa.BigInteger(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_version_product_id")),
        sa.PrimaryKeyConstraint("product_id", "version", name=op.f("pk_product_version")),
    )
    op.create_table(
        "product_version_price",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("venue_price_fen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_version_price_product_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_product_version_price_venue_id")),
        sa.PrimaryKeyConstraint("product_id", "version", "venue_id", name=op.f("pk_product_version_price")),
    )
    op.create_table(
        "profit_allocation",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("profit_fen", sa.BigInteger(), nullable=False),
        sa.Column("share_bps", sa.Integer(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("allocated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.CheckConstraint("amount_fen BETWEEN 0 AND profit_fen", name=op.f("ck_profit_allocation_amount")),
        sa.ForeignKeyConstraint(["partner_id"], ["party.id"], name=op.f("fk_profit_allocation_partner_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_profit_allocation_product_id")),
        sa.PrimaryKeyConstraint("month", "product_id", "partner_id", name=op.f("pk_profit_allocation")),
    )
    op.create_table(
        "profit_share",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("share_bps", sa.Integer(), nullable=False),
        sa.Column("agreed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.CheckConstraint("share_bps BETWEEN 0 AND 10000", name=op.f("ck_profit_share_share")),
        sa.ForeignKeyConstraint(["partner_id"], ["party.id"], name=op.f("fk_profit_share_partner_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_profit_share_product_id")),
        sa.PrimaryKeyConstraint("product_id", "partner_id", "seq", name=op.f("pk_profit_share")),
    )
    op.create_table(
        "recon_case",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("difference", sa.String(length=32), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("line_no", sa.String(length=77), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("in_suspense", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("settled_as", sa.String(length=32), nullable=True),
        sa.Column("offset_by", sa.Uuid(), nullable=True),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(state = 'RESOLVED') = (settled_as IS NOT NULL)", name=op.f("ck_recon_case_settled")),
        sa.CheckConstraint(
            "difference IN ('FOREIGN', 'REFUND_WITHOUT_ORIGINAL', 'REFUND_OUTSIDE', 'DOUBLE_LINE', 'PAID_UNKNOWN', 'PAID_AFTER_FAILURE', 'PAID_AFTER_VOID', 'PAID_LATE', 'DOUBLE_PAID', 'MISSING_HERE', 'SIGN_WRONG', 'AMOUNT_OFF', 'KIND_WRONG', 'PARTY_WRONG', 'FEE_UNEXPECTED', 'FEE_OFF', 'DATE_OFF', 'LINE_CHANGED', 'NUMBER_TWICE', 'NO_STATEMENT', 'MISSING_THERE', 'STILL_OPEN', 'CUT_OFF', 'VOIDED')",
            name=op.f("ck_recon_case_difference_word_512263"),
        ),
        sa.CheckConstraint("provider IN ('ALIPAY', 'HUIJINBAO')", name=op.f("ck_recon_case_provider_word_ca1c66")),
        sa.CheckConstraint(
            "settled_as IN ('EXPLAINED', 'OFFSET', 'WRITTEN_OFF', 'MATCHED')",
            name=op.f("ck_recon_case_settled_as_word_2d67fa"),
        ),
        sa.CheckConstraint("state <> 'ASSIGNED' OR owner_id IS NOT NULL", name=op.f("ck_recon_case_owner")),
        sa.CheckConstraint("state IN ('OPEN', 'ASSIGNED', 'RESOLVED')", name=op.f("ck_recon_case_state_word_087ba7")),
        sa.ForeignKeyConstraint(["offset_by"], ["recon_case.id"], name=op.f("fk_recon_case_offset_by")),
        sa.ForeignKeyConstraint(["owner_id"], ["operator.id"], name=op.f("fk_recon_case_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recon_case")),
        sa.UniqueConstraint("difference", "subject", name=op.f("uq_recon_case_difference_subject")),
    )
    with op.batch_alter_table("recon_case", schema=None) as batch_op:
        batch_op.create_index("ix_recon_case_state", ["state", "opened_at_ms"], unique=False)
        batch_op.create_index("ix_recon_case_subject", ["subject"], unique=False)

    op.create_table(
        "remittance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["transfer_id"], ["external_transfer.id"], name=op.f("fk_remittance_transfer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remittance")),
        sa.UniqueConstraint("transfer_id", "n", name=op.f("uq_remittance_transfer_id_n")),
    )
    with op.batch_alter_table("remittance", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_remittance_transfer_id"), ["transfer_id"], unique=False)

    op.create_table(
        "statement_row",
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("txn_key", sa.String(length=100), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("order_number", sa.String(length=32), nullable=True),
        sa.Column("ticket_number", sa.String(length=32), nullable=True),
        sa.Column("price_fen", sa.BigInteger(), nullable=True),
        sa.Column("fee_fen", sa.BigInteger(), nullable=True),
        sa.Column("owed_fen", sa.BigInteger(), nullable=False),
        sa.Column("moved_fen", sa.BigInteger(), nullable=False),
        sa.Column("payout_number", sa.String(length=32), nullable=True),
        sa.Column("provider_ref", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["statement_id"], ["statement.id"], name=op.f("fk_statement_row_statement_id")),
        sa.PrimaryKeyConstraint("statement_id", "n", name=op.f("pk_statement_row")),
    )
    op.create_table(
        "venue_calendar",
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_venue_calendar_venue_id")),
        sa.PrimaryKeyConstraint("venue_id", "version", name=op.f("pk_venue_calendar")),
    )
    op.create_table(
        "venue_closure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("since_minute", sa.Integer(), nullable=False),
        sa.Column("until_minute", sa.Integer(), nullable=True),
        sa.Column("cause", sa.String(length=40), nullable=False),
        sa.Column("announced_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("announced_by", sa.String(length=64), nullable=False),
        sa.Column("lifted_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("lifted_by", sa.String(length=64), nullable=True),
        sa.CheckConstraint("until_minute IS NULL OR until_minute > since_minute", name=op.f("ck_venue_closure_span")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_venue_closure_venue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_venue_closure")),
    )
    with op.batch_alter_table("venue_closure", schema=None) as batch_op:
        batch_op.create_index(
            "ix_venue_closure_standing",
            ["venue_id"],
            unique=False,
            sqlite_where=sa.text("lifted_at_ms IS NULL"),
            postgresql_where=sa.text("lifted_at_ms IS NULL"),
        )

    op.create_table(
        "visit_pool",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("visits", sa.Integer(), nullable=False),
        sa.Column("booked_by", sa.String(length=64), nullable=False),
        sa.Column("booked_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen > 0 AND visits > 0", name=op.f("ck_visit_pool_amount")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_visit_pool_product_id")),
        sa.PrimaryKeyConstraint("product_id", "month", name=op.f("pk_visit_pool")),
    )
    op.create_table(
        "visit_tariff",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("tariff_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("tariff_fen > 0", name=op.f("ck_visit_tariff_tariff")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_visit_tariff_product_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_visit_tariff_venue_id")),
        sa.PrimaryKeyConstraint("product_id", "venue_id", name=op.f("pk_visit_tariff")),
    )
    op.create_table(
        "bank_voucher",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("bank", sa.String(length=100), nullable=False),
        sa.Column("paid_on", sa.Date(), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=True),
        sa.Column("key", sa.String(length=700), nullable=False),
        sa.Column("txn_key", sa.String(length=100), nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["approval.id"], name=op.f("fk_bank_voucher_request_id")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_bank_voucher")),
        sa.UniqueConstraint("txn_key", name=op.f("uq_bank_voucher_txn_key")),
    )
    with op.batch_alter_table("bank_voucher", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bank_voucher_key"), ["key"], unique=False)
        batch_op.create_index(
            "uq_bank_voucher_used",
            ["key"],
            unique=True,
            sqlite_where=sa.text("txn_key IS NOT NULL"),
            postgresql_where=sa.text("txn_key IS NOT NULL"),
        )

    op.create_table(
        "electronic_card_read",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=17), nullable=False),
        sa.Column("read_at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_electronic_card_read_device_id")),
        sa.PrimaryKeyConstraint("device_id", "hash", "read_at_ms", name=op.f("pk_electronic_card_read")),
    )
    with op.batch_alter_table("electronic_card_read", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_electronic_card_read_read_at_ms"), ["read_at_ms"], unique=False)

    op.create_table(
        "far_outcome",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("incarnation", sa.LargeBinary(length=8), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("of_incarnation", sa.LargeBinary(length=8), nullable=False),
        sa.Column("of_seq", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_far_outcome_device_id")),
        sa.PrimaryKeyConstraint("device_id", "incarnation", "seq", name=op.f("pk_far_outcome")),
    )
    with op.batch_alter_table("far_outcome", schema=None) as batch_op:
        batch_op.create_index("ix_far_outcome_of", ["device_id", "of_incarnation", "of_seq"], unique=False)

    op.create_table(
        "gate_alarm",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("raised_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("cause IN ('silent')", name=op.f("ck_gate_alarm_cause_word_e1f28c")),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_gate_alarm_device_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_alarm")),
    )
    with op.batch_alter_table("gate_alarm", schema=None) as batch_op:
        batch_op.create_index("ix_gate_alarm_device", ["device_id", "cause", "raised_at_ms"], unique=False)
        batch_op.create_index(
            "uq_gate_alarm_open",
            ["device_id", "cause"],
            unique=True,
            sqlite_where=sa.text("cleared_at_ms IS NULL"),
            postgresql_where=sa.text("cleared_at_ms IS NULL"),
        )

    op.create_table(
        "gate_health",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("told_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_gate_health_device_id")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_gate_health")),
    )
    op.create_table(
        "income_month",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("end_minute", sa.Integer(), nullable=False),
        sa.Column("after_order_id", sa.Uuid(), nullable=True),
        sa.Column("done_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["after_order_id"], ["order.id"], name=op.f("fk_income_month_after_order_id")),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_income_month")),
    )
    op.create_table(
        "issue_application",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("applied_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("applied_by", sa.String(length=64), nullable=False),
        sa.Column("decided_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.CheckConstraint("(state = 'APPLIED') = (decided_at_ms IS NULL)", name=op.f("ck_issue_application_decided")),
        sa.CheckConstraint("state <> 'REFUSED' OR reason IS NOT NULL", name=op.f("ck_issue_application_reason")),
        sa.CheckConstraint(
            "state IN ('APPLIED', 'RUN', 'REFUSED', 'LAPSED')", name=op.f("ck_issue_application_state_word_a99902")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_issue_application_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_issue_application")),
    )
    with op.batch_alter_table("issue_application", schema=None) as batch_op:
        batch_op.create_index("ix_issue_application_state", ["state", "applied_at_ms", "id"], unique=False)
        batch_op.create_index(
            "uq_issue_application_open",
            ["order_id"],
            unique=True,
            sqlite_where=sa.text("state = 'APPLIED'"),
            postgresql_where=sa.text("state = 'APPLIED'"),
        )

    op.create_table(
        "person_renewal",
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("person_index", sa.LargeBinary(length=16), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_person_renewal_order_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_person_renewal_product_id")),
        sa.PrimaryKeyConstraint("product_id", "person_index", name=op.f("pk_person_renewal")),
    )
    with op.batch_alter_table("person_renewal", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_renewal_order_id"), ["order_id"], unique=False)

    op.create_table(
        "profit_payment",
        sa.Column("approval_id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("paid_from", sa.String(length=32), nullable=False),
        sa.Column("booked_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "paid_from IN ('1010', '1020', '1030')", name=op.f("ck_profit_payment_paid_from_word_d86d09")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_profit_payment_amount")),
        sa.ForeignKeyConstraint(["approval_id"], ["approval.id"], name=op.f("fk_profit_payment_approval_id")),
        sa.ForeignKeyConstraint(["partner_id"], ["party.id"], name=op.f("fk_profit_payment_partner_id")),
        sa.PrimaryKeyConstraint("approval_id", name=op.f("pk_profit_payment")),
    )
    op.create_table(
        "redeem_answer",
        sa.Column("device_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("request_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("given_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_redeem_answer_device_id")),
        sa.PrimaryKeyConstraint("device_id", "request_id", name=op.f("pk_redeem_answer")),
    )
    with op.batch_alter_table("redeem_answer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_redeem_answer_given_at_ms"), ["given_at_ms"], unique=False)

    op.create_table(
        "visit_tariff_asked",
        sa.Column("approval_id", sa.Uuid(), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("tariff_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("tariff_fen > 0", name=op.f("ck_visit_tariff_asked_tariff")),
        sa.ForeignKeyConstraint(["approval_id"], ["approval.id"], name=op.f("fk_visit_tariff_asked_approval_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_visit_tariff_asked_venue_id")),
        sa.PrimaryKeyConstraint("approval_id", "venue_id", name=op.f("pk_visit_tariff_asked")),
    )
    op.create_table(
        "fund_sale",
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("transfer_id", sa.Uuid(), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["order_item.id"], name=op.f("fk_fund_sale_item_id")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_fund_sale_order_id")),
        sa.ForeignKeyConstraint(["transfer_id"], ["external_transfer.id"], name=op.f("fk_fund_sale_transfer_id")),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_fund_sale")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_fund_sale_transfer_id")),
    )
    with op.batch_alter_table("fund_sale", schema=None) as batch_op:
        batch_op.create_index(
            "ix_fund_sale_due",
            ["item_id"],
            unique=False,
            sqlite_where=sa.text("transfer_id IS NULL"),
            postgresql_where=sa.text("transfer_id IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_fund_sale_order_id"), ["order_id"], unique=False)

    op.create_table(
        "gate_photo",
        sa.Column("name", sa.LargeBinary(length=16), nullable=False),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("pass_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("key_id", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["pass_id"], ["pass.id"], name=op.f("fk_gate_photo_pass_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_gate_photo_venue_id")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_gate_photo")),
        sa.UniqueConstraint("venue_id", "pass_id", name=op.f("uq_gate_photo_venue_id_pass_id")),
    )
    op.create_table(
        "holder_key",
        sa.Column("pass_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("public", sa.LargeBinary(length=33), nullable=False),
        sa.Column("binding", sa.LargeBinary(), nullable=True),
        sa.Column("bound_by", sa.Integer(), nullable=True),
        sa.Column("registered_by", sa.String(length=100), nullable=False),
        sa.Column("registered_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("retired_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("generation BETWEEN 1 AND 65535", name=op.f("ck_holder_key_generation")),
        sa.ForeignKeyConstraint(["bound_by"], ["signing_key.id"], name=op.f("fk_holder_key_bound_by")),
        sa.ForeignKeyConstraint(["pass_id"], ["pass.id"], name=op.f("fk_holder_key_pass_id")),
        sa.PrimaryKeyConstraint("pass_id", "generation", name=op.f("pk_holder_key")),
    )
    with op.batch_alter_table("holder_key", schema=None) as batch_op:
        batch_op.create_index(
            "ix_holder_key_bound_by",
            ["bound_by"],
            unique=False,
            sqlite_where=sa.text("retired_at_ms IS NULL"),
            postgresql_where=sa.text("retired_at_ms IS NULL"),
        )
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

    op.create_table(
        "pass_photo",
        sa.Column("pass_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("photo_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("delete_at_minute", sa.Integer(), nullable=False),
        sa.Column("put_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["pass_id"], ["pass.id"], name=op.f("fk_pass_photo_pass_id")),
        sa.PrimaryKeyConstraint("pass_id", name=op.f("pk_pass_photo")),
    )
    with op.batch_alter_table("pass_photo", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pass_photo_delete_at_minute"), ["delete_at_minute"], unique=False)
        batch_op.create_index(
            "ix_pass_photo_due",
            ["put_at_ms"],
            unique=False,
            sqlite_where=sa.text("due"),
            postgresql_where=sa.text("due"),
        )

    op.create_table(
        "pass_use",
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("pass_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("row", sa.LargeBinary(), nullable=False),
        sa.Column("listed_version", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["pass_id"], ["pass.id"], name=op.f("fk_pass_use_pass_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_pass_use_venue_id")),
        sa.PrimaryKeyConstraint("venue_id", "pass_id", name=op.f("pk_pass_use")),
    )
    with op.batch_alter_table("pass_use", schema=None) as batch_op:
        batch_op.create_index("ix_pass_use_listed", ["venue_id", "listed_version"], unique=False)
        batch_op.create_index(
            "ix_pass_use_unlisted",
            ["venue_id"],
            unique=False,
            sqlite_where=sa.text("listed_version IS NULL"),
            postgresql_where=sa.text("listed_version IS NULL"),
        )

    op.create_table(
        "refund_hold",
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("requested_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=False),
        sa.Column("list_epoch", sa.Integer(), nullable=True),
        sa.Column("list_version", sa.BigInteger(), nullable=True),
        sa.Column("ended_as", sa.String(length=32), nullable=True),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("ended_as IN ('CONFIRMED', 'REFUSED')", name=op.f("ck_refund_hold_ended_as_word_abf2e5")),
        sa.CheckConstraint("(ended_as IS NULL) = (ended_at_ms IS NULL)", name=op.f("ck_refund_hold_ended")),
        sa.CheckConstraint("(list_epoch IS NULL) = (list_version IS NULL)", name=op.f("ck_refund_hold_list")),
        sa.ForeignKeyConstraint(["item_id"], ["order_item.id"], name=op.f("fk_refund_hold_item_id")),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_refund_hold")),
    )
    with op.batch_alter_table("refund_hold", schema=None) as batch_op:
        batch_op.create_index(
            "ix_refund_hold_open",
            ["requested_at_ms"],
            unique=False,
            sqlite_where=sa.text("ended_as IS NULL"),
            postgresql_where=sa.text("ended_as IS NULL"),
        )

    op.create_table(
        "charge_back",
        sa.Column("redemption_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("distributor_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("honoured_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("charged_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("given_up_at_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_charge_back_amount")),
        sa.CheckConstraint("charged_at_ms IS NULL OR given_up_at_ms IS NULL", name=op.f("ck_charge_back_ended")),
        sa.ForeignKeyConstraint(["distributor_id"], ["party.id"], name=op.f("fk_charge_back_distributor_id")),
        sa.ForeignKeyConstraint(["redemption_id"], ["redemption.id"], name=op.f("fk_charge_back_redemption_id")),
        sa.PrimaryKeyConstraint("redemption_id", name=op.f("pk_charge_back")),
    )
    with op.batch_alter_table("charge_back", schema=None) as batch_op:
        batch_op.create_index(
            "ix_charge_back_due",
            ["distributor_id", "honoured_at_ms"],
            unique=False,
            sqlite_where=sa.text("charged_at_ms IS NULL AND given_up_at_ms IS NULL"),
            postgresql_where=sa.text("charged_at_ms IS NULL AND given_up_at_ms IS NULL"),
        )

    op.create_table(
        "clawback",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=True),
        sa.Column("case_id", sa.Uuid(), nullable=True),
        sa.Column("redemption_id", sa.LargeBinary(length=16), nullable=True),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        sa.Column("owed_fen", sa.BigInteger(), nullable=False),
        sa.Column("netted_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("ended_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("agreed_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(item_id IS NULL OR case_id IS NULL) AND (redemption_id IS NULL) = (item_id IS NOT NULL OR case_id IS NOT NULL)",
            name=op.f("ck_clawback_what_for"),
        ),
        sa.CheckConstraint(
            "netted_fen >= 0 AND ended_fen >= 0 AND netted_fen + ended_fen <= owed_fen", name=op.f("ck_clawback_owed")
        ),
        sa.ForeignKeyConstraint(["case_id"], ["recon_case.id"], name=op.f("fk_clawback_case_id")),
        sa.ForeignKeyConstraint(["item_id"], ["order_item.id"], name=op.f("fk_clawback_item_id")),
        sa.ForeignKeyConstraint(["redemption_id"], ["redemption.id"], name=op.f("fk_clawback_redemption_id")),
        sa.ForeignKeyConstraint(["venue_id"], ["venue.id"], name=op.f("fk_clawback_venue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clawback")),
        sa.UniqueConstraint("case_id", name=op.f("uq_clawback_case_id")),
        sa.UniqueConstraint("item_id", name=op.f("uq_clawback_item_id")),
        sa.UniqueConstraint("redemption_id", name=op.f("uq_clawback_redemption_id")),
    )
    with op.batch_alter_table("clawback", schema=None) as batch_op:
        batch_op.create_index(
            "ix_clawback_open",
            ["venue_id", "agreed_at_ms"],
            unique=False,
            sqlite_where=sa.text("netted_fen + ended_fen < owed_fen"),
            postgresql_where=sa.text("netted_fen + ended_fen < owed_fen"),
        )

    op.create_table(
        "redemption_decision",
        sa.Column("redemption_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("word", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.Column("decided_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "word IN ('ACCEPTED', 'REJECTED', 'HONOURED')", name=op.f("ck_redemption_decision_word_word_8024d0")
        ),
        sa.ForeignKeyConstraint(
            ["redemption_id"], ["redemption.id"], name=op.f("fk_redemption_decision_redemption_id")
        ),
        sa.PrimaryKeyConstraint("redemption_id", name=op.f("pk_redemption_decision")),
    )
    with op.batch_alter_table("redemption_decision", schema=None) as batch_op:
        batch_op.create_index("ix_redemption_decision_word", ["word", "redemption_id"], unique=False)

    op.create_table(
        "payout_adjustment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("clawback_id", sa.Uuid(), nullable=True),
        sa.Column("payout_id", sa.Uuid(), nullable=False),
        sa.Column("gross_fen", sa.BigInteger(), nullable=False),
        sa.Column("fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("net_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'CLAWBACK') = (clawback_id IS NOT NULL)", name=op.f("ck_payout_adjustment_clawback")
        ),
        sa.CheckConstraint("(kind = 'CLAWBACK') = (net_fen < 0)", name=op.f("ck_payout_adjustment_sign")),
        sa.CheckConstraint(
            "kind IN ('POOL', 'OVERPAID', 'CLAWBACK')", name=op.f("ck_payout_adjustment_kind_word_350db4")
        ),
        sa.CheckConstraint("gross_fen - fee_fen = net_fen AND fee_fen >= 0", name=op.f("ck_payout_adjustment_net")),
        sa.ForeignKeyConstraint(["clawback_id"], ["clawback.id"], name=op.f("fk_payout_adjustment_clawback_id")),
        sa.ForeignKeyConstraint(["payout_id"], ["payout.id"], name=op.f("fk_payout_adjustment_payout_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_adjustment")),
    )
    with op.batch_alter_table("payout_adjustment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payout_adjustment_clawback_id"), ["clawback_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_payout_adjustment_payout_id"), ["payout_id"], unique=False)

    with op.batch_alter_table("credential", schema=None) as batch_op:
        batch_op.create_check_constraint(
            batch_op.f("ck_credential_kind_word_fbbc0e"), "kind IN ('ID_NUMBER', 'CARD_NUMBER', 'CARD_IDENTIFICATION')"
        )

    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.create_check_constraint(batch_op.f("ck_deployment_one"), "id = 1")

    with op.batch_alter_table("device", schema=None) as batch_op:
        batch_op.add_column(sa.Column("retired_at_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("keys_changed_at_ms", sa.BigInteger(), nullable=True))
        batch_op.create_check_constraint(
            batch_op.f("ck_device_state_word_b0cd8b"), "state IN ('pending', 'active', 'revoked')"
        )

    with op.batch_alter_table("entitlement", schema=None) as batch_op:
        batch_op.create_index("ix_entitlement_walk", ["venue_id", "pass_id"], unique=False)

    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_entry_ref"))
        batch_op.create_index(
            "ix_entry_referred",
            ["device_id", "incarnation", "ref_seq"],
            unique=False,
            sqlite_where=sa.text("ref_seq IS NOT NULL"),
            postgresql_where=sa.text("ref_seq IS NOT NULL"),
        )
        batch_op.drop_constraint(batch_op.f("fk_entry_device_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_entry_venue_id"), type_="foreignkey")

    with op.batch_alter_table("event_chain", schema=None) as batch_op:
        batch_op.create_check_constraint(batch_op.f("ck_event_chain_one"), "id = 1")

    with op.batch_alter_table("external_transfer", schema=None) as batch_op:
        batch_op.add_column(sa.Column("provider", sa.String(length=32), server_default="ALIPAY", nullable=False))
        batch_op.add_column(sa.Column("yield_fen", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("original_out_no", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("expires_at_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("late_told_at_ms", sa.BigInteger(), nullable=True))
        batch_op.drop_index(batch_op.f("ix_external_transfer_subject_id"))
        batch_op.create_index("ix_external_transfer_subject", ["subject_id", "kind"], unique=False)
        batch_op.drop_constraint(batch_op.f("ck_external_transfer_amount"), type_="check")
        batch_op.create_check_constraint(
            batch_op.f("ck_external_transfer_kind_word_2b01f5"),
            "kind IN ('CHARGE', 'COLLECT', 'TOP_UP', 'FUND_SELL', 'FUND_CLOSE', 'SWEEP_IN', 'PAYOUT', 'REFUND', 'FUND_BUY', 'SWEEP_OUT')",
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_external_transfer_provider_word_789e6f"), "provider IN ('ALIPAY', 'HUIJINBAO', 'OFFLINE')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_external_transfer_some_amount"), "amount_fen > 0 OR (amount_fen = 0 AND kind = 'FUND_CLOSE')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_external_transfer_state_word_ec9f33"),
            "state IN ('CREATED', 'SENT', 'UNKNOWN', 'SUCCEEDED', 'DEFINITE_FAIL', 'INSUFFICIENT', 'VOID')",
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_external_transfer_yield"),
            "yield_fen = 0 OR (kind = 'FUND_CLOSE' AND amount_fen + yield_fen >= 0)",
        )

    with op.batch_alter_table("fee_rule", schema=None) as batch_op:
        batch_op.create_check_constraint(batch_op.f("ck_fee_rule_kind_word_eaadec"), "kind IN ('CHARGE', 'PAYOUT')")

    with op.batch_alter_table("feed", schema=None) as batch_op:
        batch_op.add_column(sa.Column("snapshot_version", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("basis_digest", sa.LargeBinary(length=32), nullable=True))

    with op.batch_alter_table("feed_segment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("role", sa.String(length=32), server_default="SNAPSHOT", nullable=False))
        batch_op.add_column(sa.Column("after_version", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("position", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("rows", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("list_key_id", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("dropped_at_ms", sa.BigInteger(), nullable=True))
        batch_op.create_index(
            "ix_feed_segment_dropped",
            ["dropped_at_ms"],
            unique=False,
            sqlite_where=sa.text("dropped_at_ms IS NOT NULL"),
            postgresql_where=sa.text("dropped_at_ms IS NOT NULL"),
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_feed_segment_role_word_01c715"), "role IN ('SNAPSHOT', 'DELTA')"
        )

    with op.batch_alter_table("incarnation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("synced_through_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("confirmed_epoch", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("confirmed_version", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("supersedes", sa.LargeBinary(length=8), nullable=True))
        batch_op.add_column(sa.Column("supersedes_seq", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("closed_seq", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("retired_at_ms", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("item_claim", schema=None, table_kwargs={"sqlite_with_rowid": False}) as batch_op:
        batch_op.create_index(
            "ix_item_claim_unused",
            ["item_id"],
            unique=False,
            sqlite_where=sa.text("kind <> 'REDEEM'"),
            postgresql_where=sa.text("kind <> 'REDEEM'"),
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_item_claim_kind_word_24596f"), "kind IN ('REDEEM', 'REFUND', 'FORFEIT')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_item_claim_ref"),
            "kind = 'REDEEM' OR ref = 'expired' OR (kind = 'REFUND' AND ref IN ('requested', 'unissued'))",
        )

    with op.batch_alter_table("ledger_account", schema=None) as batch_op:
        batch_op.create_check_constraint(
            batch_op.f("ck_ledger_account_covered"),
            "code NOT IN ('2010', '2110', '2120', '2210', '2310', '2320', '2410', '2510') OR credits_posted_fen >= debits_posted_fen + debits_pending_fen",
        )

    with op.batch_alter_table("list_version", schema=None) as batch_op:
        batch_op.create_check_constraint(batch_op.f("ck_list_version_one"), "id = 1")

    with op.batch_alter_table("operator", schema=None) as batch_op:
        batch_op.add_column(sa.Column("phone_sealed", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("phone_masked", sa.String(length=32), nullable=True))
        batch_op.create_check_constraint(batch_op.f("ck_operator_state_word_cb691e"), "state IN ('ACTIVE', 'DISABLED')")

    with op.batch_alter_table("order", schema=None) as batch_op:
        batch_op.add_column(sa.Column("funding", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("hold_deadline_h", sa.Integer(), server_default="24", nullable=False))
        batch_op.add_column(sa.Column("discount_reason", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("sub_channel", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("starts_at_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("cancelled_at_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("product_version", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("invest_basis", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("invested_at_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("fund_closed_at_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("breakage", sa.Boolean(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("first_end", sa.Integer(), nullable=True))
        batch_op.create_index(
            "ix_order_all_ended",
            ["id"],
            unique=False,
            sqlite_where=sa.text("state IN ('ISSUED', 'ISSUE_FAILED') AND kind = 'TICKET' AND first_end IS NULL"),
            postgresql_where=sa.text("state IN ('ISSUED', 'ISSUE_FAILED') AND kind = 'TICKET' AND first_end IS NULL"),
        )
        batch_op.create_index(
            "ix_order_first_end",
            ["first_end"],
            unique=False,
            sqlite_where=sa.text("first_end IS NOT NULL"),
            postgresql_where=sa.text("first_end IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_order_fund_ended",
            ["id"],
            unique=False,
            sqlite_where=sa.text("invested_at_ms IS NOT NULL AND fund_closed_at_ms IS NULL AND first_end IS NULL"),
            postgresql_where=sa.text("invested_at_ms IS NOT NULL AND fund_closed_at_ms IS NULL AND first_end IS NULL"),
        )
        batch_op.create_index(
            "ix_order_to_invest",
            ["id"],
            unique=False,
            sqlite_where=sa.text("issued_at_ms IS NOT NULL AND invest_basis IS NOT NULL AND invested_at_ms IS NULL"),
            postgresql_where=sa.text(
                "issued_at_ms IS NOT NULL AND invest_basis IS NOT NULL AND invested_at_ms IS NULL"
            ),
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_order_discount"), "(discount_fen > 0) = (discount_reason IS NOT NULL)"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_order_discount_reason_word_b10287"),
            "discount_reason IN ('RESIDENT', 'SENIOR', 'LISTED', 'PROMOTION')",
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_order_funding_word_ba1fff"), "funding IN ('DIRECT_DEBIT', 'PREPAID')"
        )
        batch_op.create_check_constraint(batch_op.f("ck_order_hold_word_d97334"), "hold IN ('INSUFFICIENT')")
        batch_op.create_check_constraint(
            batch_op.f("ck_order_invest_basis_word_09e92d"), "invest_basis IN ('DIST_PRICE', 'VENUE_PRICE')"
        )
        batch_op.create_check_constraint(batch_op.f("ck_order_invested"), "kind <> 'PASS' OR invest_basis IS NULL")
        batch_op.create_check_constraint(batch_op.f("ck_order_kind_word_528049"), "kind IN ('TICKET', 'PASS')")
        batch_op.create_check_constraint(
            batch_op.f("ck_order_state_word_6d18f3"),
            "state IN ('PENDING_PAYMENT', 'PAID', 'ISSUE_FAILED', 'ISSUED', 'COMPLETED', 'CLOSED_UNPAID', 'CLOSED_REFUNDED', 'PAY_FAILED', 'CANCELLED', 'TIMED_OUT', 'ISSUING', 'REFUNDING', 'REFUNDED', 'REFUND_FAILED')",
        )

    with op.batch_alter_table("order_item", schema=None) as batch_op:
        batch_op.add_column(sa.Column("fee_back_fen", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("on_expiry", sa.String(length=32), server_default="REFUND", nullable=False))
        batch_op.add_column(sa.Column("refundable", sa.Boolean(), server_default="1", nullable=False))
        batch_op.create_check_constraint(batch_op.f("ck_order_item_fee_back"), "fee_back_fen >= 0")
        batch_op.create_check_constraint(
            batch_op.f("ck_order_item_on_expiry_word_801f32"), "on_expiry IN ('REFUND', 'FORFEIT')"
        )

    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_outbox_due"), sqlite_where=sa.text("state <> 'DONE'"))
        batch_op.create_index("ix_outbox_kind", ["kind", "run_at_ms"], unique=False)
        batch_op.create_check_constraint(batch_op.f("ck_outbox_state_word_d699b6"), "state IN ('WAITING', 'LEASED')")

    with op.batch_alter_table("party", schema=None) as batch_op:
        batch_op.add_column(sa.Column("goes_on_after_top_up", sa.Boolean(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("contact_name_sealed", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("contact_phone_sealed", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("contact_phone_masked", sa.String(length=32), nullable=True))
        batch_op.add_column(
            sa.Column("late_liability", sa.String(length=32), server_default="PLATFORM", nullable=False)
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_party_funding_word_ba1fff"), "funding IN ('DIRECT_DEBIT', 'PREPAID')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_party_kind_word_c636c9"), "kind IN ('PLATFORM', 'VENUE', 'DISTRIBUTOR', 'PARTNER')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_party_late_liability_word_3b8bba"), "late_liability IN ('PLATFORM', 'DISTRIBUTOR', 'VENUE')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_party_payout_mode_word_15620b"), "payout_mode IN ('PER_REDEMPTION', 'DAILY', 'WEEKLY')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_party_provider_word_ca1c66"), "provider IN ('ALIPAY', 'HUIJINBAO')"
        )

    with op.batch_alter_table("pass", schema=None) as batch_op:
        batch_op.add_column(sa.Column("stop_cause", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("stopped_at", sa.Integer(), nullable=True))
        batch_op.create_check_constraint(
            batch_op.f("ck_pass_status_word_ae5150"), "status IN ('ACTIVE', 'SUSPENDED', 'REVOKED', 'NOT_BOUND')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_pass_stop_cause_word_bd112e"),
            "stop_cause IN ('lost', 'requested', 'review', 'cancelled', 'other')",
        )

    with op.batch_alter_table("payout", schema=None) as batch_op:
        batch_op.add_column(sa.Column("closes_at_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("sealed_at_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("replaced_by", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("reason", sa.String(length=200), nullable=True))
        batch_op.create_index(
            "uq_payout_open",
            ["venue_id"],
            unique=True,
            sqlite_where=sa.text("state = 'OPEN'"),
            postgresql_where=sa.text("state = 'OPEN'"),
        )
        batch_op.create_unique_constraint(batch_op.f("uq_payout_replaced_by"), ["replaced_by"])
        batch_op.create_foreign_key(batch_op.f("fk_payout_replaced_by"), "payout", ["replaced_by"], ["id"])
        batch_op.create_check_constraint(
            batch_op.f("ck_payout_open"), "state <> 'OPEN' OR (closes_at_ms IS NOT NULL AND sealed_at_ms IS NULL)"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_payout_replaced"), "(state = 'REPLACED') = (replaced_by IS NOT NULL)"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_payout_state_word_cb7395"), "state IN ('OPEN', 'SEALED', 'PAID', 'FAILED', 'REPLACED')"
        )

    with op.batch_alter_table("payout_line", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(length=32), server_default="REDEEM", nullable=False))
        batch_op.alter_column("item_id", existing_type=sa.CHAR(length=32), nullable=True)
        batch_op.drop_constraint(batch_op.f("uq_payout_line_item_id"), type_="unique")
        batch_op.create_index(batch_op.f("ix_payout_line_item_id"), ["item_id"], unique=False)
        batch_op.create_index(
            "uq_payout_line_redeemed",
            ["item_id"],
            unique=True,
            sqlite_where=sa.text("kind = 'REDEEM'"),
            postgresql_where=sa.text("kind = 'REDEEM'"),
        )
        batch_op.create_check_constraint(batch_op.f("ck_payout_line_item"), "(kind = 'VISIT') = (item_id IS NULL)")
        batch_op.create_check_constraint(
            batch_op.f("ck_payout_line_kind_word_2e8fd0"), "kind IN ('REDEEM', 'HONOUR', 'VISIT')"
        )

    with op.batch_alter_table("posting", schema=None, table_kwargs={"sqlite_with_rowid": False}) as batch_op:
        batch_op.drop_index(batch_op.f("ix_posting_account_id"))
        batch_op.create_index("ix_posting_account", ["account_id", "layer", "amount_fen"], unique=False)
        batch_op.create_check_constraint(
            batch_op.f("ck_posting_layer_word_265a6f"), "layer IN ('posted', 'pending', 'resolved')"
        )

    with op.batch_alter_table("product", schema=None) as batch_op:
        batch_op.add_column(sa.Column("hold_deadline_h", sa.Integer(), server_default="24", nullable=False))
        batch_op.add_column(sa.Column("sale", sa.String(length=32), server_default="ON_SALE", nullable=False))
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("submitted_by", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("invest_basis", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("on_expiry", sa.String(length=32), server_default="REFUND", nullable=False))
        batch_op.add_column(sa.Column("refundable", sa.Boolean(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("refund_charge_fee", sa.Boolean(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("eligibility", sa.String(length=32), server_default="ANYONE", nullable=False))
        batch_op.add_column(sa.Column("areas", sa.String(length=1000), nullable=True))
        batch_op.add_column(sa.Column("person_list_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("hotline", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("renewal_days", sa.Integer(), server_default="60", nullable=False))
        batch_op.add_column(sa.Column("refund_frees_stock", sa.Boolean(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("visit_settlement", sa.String(length=32), server_default="NONE", nullable=False))
        batch_op.create_foreign_key(batch_op.f("fk_product_person_list_id"), "person_list", ["person_list_id"], ["id"])
        batch_op.create_check_constraint(
            batch_op.f("ck_product_areas"), "(eligibility = 'AREAS') = (areas IS NOT NULL)"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_product_eligibility_word_690af6"), "eligibility IN ('ANYONE', 'AREAS', 'LIST')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_product_invest_basis"), "(kind = 'COMBO') = (invest_basis IS NOT NULL)"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_product_invest_basis_word_09e92d"), "invest_basis IN ('DIST_PRICE', 'VENUE_PRICE')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_product_kind_word_da0534"), "kind IN ('PASS', 'SINGLE', 'COMBO')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_product_on_expiry_word_801f32"), "on_expiry IN ('REFUND', 'FORFEIT')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_product_person_list"), "(eligibility = 'LIST') = (person_list_id IS NOT NULL)"
        )
        batch_op.create_check_constraint(batch_op.f("ck_product_renewal_days"), "renewal_days >= 0")
        batch_op.create_check_constraint(
            batch_op.f("ck_product_sale_word_595f4e"), "sale IN ('DRAFT', 'IN_REVIEW', 'ON_SALE', 'OFF_SALE')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_product_visit_settlement_word_b9c330"), "visit_settlement IN ('NONE', 'PER_VISIT', 'POOL')"
        )

    with op.batch_alter_table("receipt", schema=None) as batch_op:
        batch_op.add_column(sa.Column("incarnation", sa.LargeBinary(length=8), nullable=True))
        batch_op.add_column(sa.Column("held_epoch", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("held_version", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("redemption", schema=None) as batch_op:
        batch_op.add_column(sa.Column("step", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("copied", sa.Boolean(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("use_counted_at_ms", sa.BigInteger(), nullable=True))
        batch_op.create_index(
            "ix_redemption_copied",
            ["recorded_at_ms"],
            unique=False,
            sqlite_where=sa.text("copied"),
            postgresql_where=sa.text("copied"),
        )
        batch_op.create_index(
            "ix_redemption_use_due",
            ["venue_id", "pass_id"],
            unique=False,
            sqlite_where=sa.text("use_counted_at_ms IS NULL"),
            postgresql_where=sa.text("use_counted_at_ms IS NULL"),
        )
        batch_op.create_index(
            "ix_redemption_visit_due",
            ["recorded_at_ms", "id"],
            unique=False,
            sqlite_where=sa.text("outcome = 'PASS_VISIT' AND cleared_at_ms IS NULL"),
            postgresql_where=sa.text("outcome = 'PASS_VISIT' AND cleared_at_ms IS NULL"),
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_redemption_outcome_word_98e595"),
            "outcome IN ('CLAIMED', 'PASS_VISIT', 'REPEAT', 'RETURNED', 'CONFLICT', 'LATE', 'UNPROVEN', 'UNKNOWN_PASS', 'IMPLAUSIBLE')",
        )

    with op.batch_alter_table("role", schema=None) as batch_op:
        batch_op.add_column(sa.Column("seeded", sa.Text(), nullable=True))

    with op.batch_alter_table("signing_key", schema=None) as batch_op:
        batch_op.create_check_constraint(
            batch_op.f("ck_signing_key_purpose_word_7583c2"), "purpose IN ('pass', 'list', 'service')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_signing_key_state_word_21537c"),
            "state IN ('announced', 'signing', 'verify-only', 'revoked')",
        )

    with op.batch_alter_table("transfer_attempt", schema=None) as batch_op:
        batch_op.add_column(sa.Column("provider", sa.String(length=32), server_default="ALIPAY", nullable=False))
        batch_op.add_column(sa.Column("undone_key", sa.String(length=100), nullable=True))
        batch_op.alter_column(
            "pay_url", existing_type=sa.VARCHAR(length=500), type_=sa.String(length=2000), existing_nullable=True
        )
        batch_op.create_index(
            "ix_transfer_attempt_extra",
            ["transfer_id"],
            unique=False,
            sqlite_where=sa.text("state = 'EXTRA'"),
            postgresql_where=sa.text("state = 'EXTRA'"),
        )
        batch_op.create_index(
            "uq_transfer_attempt_undone",
            ["undone_key"],
            unique=True,
            sqlite_where=sa.text("undone_key IS NOT NULL"),
            postgresql_where=sa.text("undone_key IS NOT NULL"),
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_transfer_attempt_provider_word_789e6f"), "provider IN ('ALIPAY', 'HUIJINBAO', 'OFFLINE')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_transfer_attempt_state_word_64a767"),
            "state IN ('SENT', 'UNKNOWN', 'SUCCEEDED', 'DEFINITE_FAIL', 'INSUFFICIENT', 'EXTRA', 'RETURNED', 'REVERSED')",
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_transfer_attempt_undone"), "(state = 'REVERSED') = (undone_key IS NOT NULL)"
        )

    with op.batch_alter_table("venue", schema=None) as batch_op:
        batch_op.add_column(sa.Column("electronic_cards", sa.Boolean(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("photos", sa.Boolean(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("photos_made_with", sa.Integer(), nullable=True))

    with op.batch_alter_table("venue_key", schema=None) as batch_op:
        batch_op.create_check_constraint(batch_op.f("ck_venue_key_kind_word_a14a3e"), "kind IN ('list', 'credential')")
