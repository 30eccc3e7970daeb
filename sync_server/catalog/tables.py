"""What is sold: products, the venues each opens and their price there, fee rates, and stock.

Entry rules stand on the product and are evaluated by `wire.entitlement` alone; prices and fees are frozen onto the
order when it is placed.
"""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.catalog.states import SALE
from sync_server.db import append_only, fen_column, id_column, link, metadata, ms_column, word_column

PRODUCT_KINDS = ("PASS", "SINGLE", "COMBO")
SALE_STATES = tuple(SALE.words)
INVEST_BASES = ("DIST_PRICE", "VENUE_PRICE")
"""What of a combo's money is invested: all that was paid for it, or what its venues are owed (money.md Q9)."""
FEE_KINDS = ("CHARGE", "PAYOUT")
VISIT_SETTLEMENTS = ("NONE", "PER_VISIT", "POOL")
"""What venues get for visits with an annual pass: nothing, a tariff each, a share of what a month's pool holds."""
ELIGIBILITIES = ("ANYONE", "AREAS", "LIST")
DISCOUNT_KINDS = ("RESIDENT", "SENIOR", "LISTED", "PROMOTION")

# People by name of a list that was imported 名单: by the keyed index of their ID numbers alone.
person_list = sa.Table(
    "person_list",
    metadata,
    id_column(),
    sa.Column("name", sa.String(50), nullable=False, unique=True),
    sa.Column("persons", sa.Integer(), nullable=False),
    ms_column("imported_at_ms"),
)

listed_person = sa.Table(
    "listed_person",
    metadata,
    link("list_id", "person_list.id", primary_key=True),
    sa.Column("person_index", sa.LargeBinary(16), primary_key=True),
)

product = sa.Table(
    "product",
    metadata,
    id_column(),
    sa.Column("number", sa.Integer(), nullable=False, unique=True),  # u16 of tokens and feeds (wire.md)
    word_column("kind", PRODUCT_KINDS),
    sa.Column("name_zh", sa.String(100), nullable=False),
    sa.Column("name_en", sa.String(100), nullable=False),
    fen_column("dist_price_fen"),  # distributor price of a ticket; of a pass what its stock costs unless it says else
    sa.Column("validity_days", sa.Integer(), nullable=False),  # counted from issuance, to the end of the last local day
    sa.Column("activation_delay_h", sa.Integer(), nullable=False),
    # The rule it was added with, per venue: entries a local day and in all; null: not limited.
    sa.Column("per_day", sa.Integer()),
    sa.Column("total", sa.Integer()),
    sa.Column("offline_limit", sa.Integer(), nullable=False),  # unlisted tokens a cut-off lane admits
    sa.Column("max_unlisted_age_h", sa.Integer(), nullable=False),
    sa.Column("pay_deadline_min", sa.Integer(), nullable=False),
    sa.Column("hold_deadline_h", sa.Integer(), nullable=False, server_default="24"),  # for a distributor's top-up
    sa.Column("holder_required", sa.Boolean(), nullable=False),
    word_column("sale", SALE_STATES, server_default="ON_SALE"),  # catalog.states
    sa.Column("version", sa.Integer(), nullable=False, server_default="1"),  # of its prices, in force
    sa.Column("submitted_by", sa.String(64)),  # an actor; null: nobody since the last version
    word_column("invest_basis", INVEST_BASES, nullable=True),  # combos
    # Of tickets that were not used: what becomes of the money at the end, and whether it is given back before.
    word_column("on_expiry", ("REFUND", "FORFEIT"), server_default="REFUND"),
    sa.Column("refundable", sa.Boolean(), nullable=False, server_default="1"),
    sa.Column("refund_charge_fee", sa.Boolean(), nullable=False, server_default="0"),  # it goes back with them
    # Annual passes (catalog.terms): who may buy, whom to call who may not, how early before the end of the one held.
    word_column("eligibility", ELIGIBILITIES, server_default="ANYONE"),
    sa.Column("areas", sa.String(1000)),  # prefixes of ID numbers, parted by commas
    link("person_list_id", "person_list.id", nullable=True),
    sa.Column("hotline", sa.String(32)),
    sa.Column("renewal_days", sa.Integer(), nullable=False, server_default="60"),
    sa.Column("refund_frees_stock", sa.Boolean(), nullable=False, server_default="1"),
    word_column("visit_settlement", VISIT_SETTLEMENTS, server_default="NONE"),
    ms_column("created_at_ms"),
    sa.CheckConstraint("(eligibility = 'AREAS') = (areas IS NOT NULL)", name="areas"),
    sa.CheckConstraint("(eligibility = 'LIST') = (person_list_id IS NOT NULL)", name="person_list"),
    sa.CheckConstraint("renewal_days >= 0", name="renewal_days"),
    sa.CheckConstraint("number BETWEEN 1 AND 65535", name="number"),
    sa.CheckConstraint("dist_price_fen > 0", name="dist_price"),
    sa.CheckConstraint("(kind = 'COMBO') = (invest_basis IS NOT NULL)", name="invest_basis"),
    sa.CheckConstraint("validity_days > 0 AND activation_delay_h >= 0 AND pay_deadline_min > 0", name="times"),
)

product_item = sa.Table(
    "product_item",
    metadata,
    link("product_id", "product.id", primary_key=True),
    link("venue_id", "venue.id", primary_key=True),
    fen_column("venue_price_fen"),  # owed to the venue for one redemption; 0 for a pass, whose visits cost nothing
    sa.CheckConstraint("venue_price_fen >= 0", name="venue_price"),
)

# What a venue is owed for one visit with an annual pass that is settled PER_VISIT; none: nothing.
visit_tariff = sa.Table(
    "visit_tariff",
    metadata,
    link("product_id", "product.id", primary_key=True),
    link("venue_id", "venue.id", primary_key=True),
    fen_column("tariff_fen"),
    sa.CheckConstraint("tariff_fen > 0", name="tariff"),
)

# Every version of a product's prices; the newest stands on the product and its items, too.
product_version = append_only(
    sa.Table(
        "product_version",
        metadata,
        link("product_id", "product.id", primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),  # from 1
        fen_column("dist_price_fen"),
        ms_column("changed_at_ms"),
        sa.Column("actor", sa.String(64), nullable=False),
    )
)

product_version_price = append_only(
    sa.Table(
        "product_version_price",
        metadata,
        link("product_id", "product.id", primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        link("venue_id", "venue.id", primary_key=True),
        fen_column("venue_price_fen"),
    )
)

# A venue agreed to its price in a combo.
product_agreement = append_only(
    sa.Table(
        "product_agreement",
        metadata,
        link("product_id", "product.id", primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        link("venue_id", "venue.id", primary_key=True),
        ms_column("agreed_at_ms"),
        sa.Column("actor", sa.String(64), nullable=False),
    )
)

# Entry rules that a product got after it was added; the newest version is in force (catalog.rules).
product_rule = append_only(
    sa.Table(
        "product_rule",
        metadata,
        link("product_id", "product.id", primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),  # from 1
        sa.Column("rule", sa.Text(), nullable=False),  # JSON of wire.entitlement.Rule
        ms_column("changed_at_ms"),
        sa.Column("actor", sa.String(64), nullable=False),
    )
)

# A price of an annual pass for some of its holders, or for a while 优惠; of those that hold the lowest is charged.
discount = sa.Table(
    "discount",
    metadata,
    id_column(),
    link("product_id", "product.id", index=True),
    word_column("kind", DISCOUNT_KINDS),
    fen_column("price_fen"),
    sa.Column("areas", sa.String(1000)),  # RESIDENT: prefixes of ID numbers, parted by commas
    sa.Column("min_age", sa.Integer()),  # SENIOR: full years on the day of the order
    link("person_list_id", "person_list.id", nullable=True),  # LISTED
    # PROMOTION: while it holds, half-open.
    ms_column("from_ms", nullable=True),
    ms_column("until_ms", nullable=True),
    ms_column("added_at_ms"),
    ms_column("ended_at_ms", nullable=True),
    sa.CheckConstraint("price_fen > 0", name="price"),
    sa.CheckConstraint("(kind = 'RESIDENT') = (areas IS NOT NULL)", name="areas"),
    sa.CheckConstraint("(kind = 'SENIOR') = (min_age IS NOT NULL)", name="min_age"),
    sa.CheckConstraint("(kind = 'LISTED') = (person_list_id IS NOT NULL)", name="person_list"),
    sa.CheckConstraint(
        "(kind = 'PROMOTION' AND from_ms IS NOT NULL AND until_ms IS NOT NULL AND from_ms < until_ms)"
        " OR (kind <> 'PROMOTION' AND from_ms IS NULL AND until_ms IS NULL)",
        name="dates",
    ),
)

# Where orders come from 渠道.
channel = sa.Table(
    "channel",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),  # what orders hold and operators read
    sa.Column("name_en", sa.String(64), nullable=False),
    sa.Column("position", sa.Integer(), nullable=False),  # from 1, as they are listed
    sa.Column("open", sa.Boolean(), nullable=False),  # takes orders
    # So long a refund waits at most for gates that have not heard of it.
    sa.Column("refund_hold_h", sa.Integer(), nullable=False, server_default="72"),
    sa.CheckConstraint("refund_hold_h > 0", name="refund_hold"),
)

fee_rule = sa.Table(
    "fee_rule",
    metadata,
    id_column(),
    link("party_id", "party.id"),  # the distributor of a CHARGE fee, the venue of a PAYOUT fee
    link("product_id", "product.id", nullable=True),  # null: every product of that party
    word_column("kind", FEE_KINDS),
    sa.Column("bps", sa.Integer(), nullable=False),
    fen_column("min_fen", server_default="0"),
    fen_column("max_fen", nullable=True),
    ms_column("valid_from_ms"),
    sa.CheckConstraint("bps BETWEEN 0 AND 10000 AND min_fen >= 0", name="rate"),
    sa.Index("ix_fee_rule_party", "party_id", "kind", "valid_from_ms"),
)

stock = sa.Table(
    "stock",
    metadata,
    id_column(),
    link("product_id", "product.id"),
    sa.Column("seq", sa.Integer(), nullable=False),  # rows of a product sell in this order
    fen_column("price_fen"),
    sa.Column("total", sa.Integer(), nullable=False),
    sa.Column("reserved", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("sold", sa.Integer(), nullable=False, server_default="0"),
    ms_column("created_at_ms"),
    sa.UniqueConstraint("product_id", "seq"),
    sa.CheckConstraint("reserved >= 0 AND sold >= 0 AND reserved + sold <= total", name="never_oversold"),
    sa.CheckConstraint("price_fen > 0", name="price"),
)
