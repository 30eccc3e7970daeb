"""Who takes part: the platform, venues and when they are open, distributors; the numbers the centre never reuses."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import append_only, id_column, link, metadata, ms_column, partial_index, partial_unique, word_column

PARTY_KINDS = ("PLATFORM", "VENUE", "DISTRIBUTOR", "PARTNER")
PROVIDERS = ("ALIPAY", "HUIJINBAO")
FUNDINGS = ("DIRECT_DEBIT", "PREPAID")
LATE_LIABILITIES = ("PLATFORM", "DISTRIBUTOR", "VENUE")
"""Who bears an entry that comes to light after its ticket was refunded at the hold's deadline (money.md §2.3)."""
PAYOUT_MODES = ("PER_REDEMPTION", "DAILY", "WEEKLY")
ACCOUNT_RESTS_MS = 24 * 3_600_000
"""So long a new settlement account waits, confirmed, before money goes there (money.md §4)."""

party = sa.Table(
    "party",
    metadata,
    id_column(),
    word_column("kind", PARTY_KINDS),
    sa.Column("org_number", sa.String(16), nullable=False, unique=True),  # 机构号: what its people sign in with
    sa.Column("name_zh", sa.String(100), nullable=False),
    sa.Column("name_en", sa.String(100), nullable=False),
    word_column("provider", PROVIDERS),
    sa.Column("account_ref", sa.String(64), nullable=False),  # its account at that provider
    word_column("funding", FUNDINGS, nullable=True),  # distributors: how they pay for orders
    # Distributors that paid in: whether their held orders go on by themselves once the balance covers them.
    sa.Column("goes_on_after_top_up", sa.Boolean(), nullable=False, server_default="0"),
    word_column("payout_mode", PAYOUT_MODES, nullable=True),  # venues: when they are paid
    # Whom short messages go to 联系人; sealed, see parties.contacts.
    sa.Column("contact_name_sealed", sa.LargeBinary()),
    sa.Column("contact_phone_sealed", sa.LargeBinary()),
    sa.Column("contact_phone_masked", sa.String(32)),
    word_column("late_liability", LATE_LIABILITIES, server_default="PLATFORM"),  # of the tickets a distributor sold
    ms_column("created_at_ms"),
    partial_unique("uq_party_platform", "kind", where="kind = 'PLATFORM'"),
)

venue = sa.Table(
    "venue",
    metadata,
    link("id", "party.id", primary_key=True),
    sa.Column("number", sa.Integer(), nullable=False, unique=True),  # u16 of tokens and feeds (wire.md)
    sa.Column("zone", sa.String(64), nullable=False),
    # Whether its gates take codes of electronic social-security cards 电子社保卡.
    sa.Column("electronic_cards", sa.Boolean(), nullable=False, server_default="0"),
    # Whether its staff see holders' photos, and under which of its list keys those copies were made (feed.photos).
    sa.Column("photos", sa.Boolean(), nullable=False, server_default="0"),
    sa.Column("photos_made_with", sa.Integer()),  # null: there are none
    sa.CheckConstraint("number BETWEEN 1 AND 65535", name="number"),
)

# Hours and closed days of a venue; the newest version is in force.
venue_calendar = append_only(
    sa.Table(
        "venue_calendar",
        metadata,
        link("venue_id", "venue.id", primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),  # from 1
        sa.Column("calendar", sa.Text(), nullable=False),  # JSON of wire.calendar.Calendar, without closures
        ms_column("changed_at_ms"),
        sa.Column("actor", sa.String(64), nullable=False),
    )
)

# A sudden closure: minutes since 2020 (UTC), half-open, as it was announced; lifted, it holds no longer.
venue_closure = sa.Table(
    "venue_closure",
    metadata,
    id_column(),
    link("venue_id", "venue.id"),
    sa.Column("since_minute", sa.Integer(), nullable=False),
    sa.Column("until_minute", sa.Integer()),  # null: until it is lifted
    sa.Column("cause", sa.String(40), nullable=False),
    ms_column("announced_at_ms"),
    sa.Column("announced_by", sa.String(64), nullable=False),
    ms_column("lifted_at_ms", nullable=True),
    sa.Column("lifted_by", sa.String(64)),
    sa.CheckConstraint("until_minute IS NULL OR until_minute > since_minute", name="span"),
    partial_index("ix_venue_closure_standing", "venue_id", where="lifted_at_ms IS NULL"),
)

# Where a party's money goes from a moment on 结算账户; until its first such row, the account it registered with.
settlement_account = sa.Table(
    "settlement_account",
    metadata,
    id_column(),  # of the request that two persons make of it
    link("party_id", "party.id", index=True),
    word_column("provider", PROVIDERS),
    sa.Column("account_ref", sa.String(64), nullable=False),
    ms_column("asked_at_ms"),
    ms_column("confirmed_at_ms", nullable=True),
    ms_column("used_from_ms", nullable=True),
    ms_column("stopped_at_ms", nullable=True),  # somebody objected before it was used
    sa.CheckConstraint("stopped_at_ms < used_from_ms", name="stopped"),
    sa.CheckConstraint("(confirmed_at_ms IS NULL) = (used_from_ms IS NULL)", name="confirmed"),
    sa.CheckConstraint(f"used_from_ms >= confirmed_at_ms + {ACCOUNT_RESTS_MS}", name="rests"),
)

# The last number given out of each series ("venue", "product"); allotted numbers are never reused.
number_series = sa.Table(
    "number_series",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("last", sa.Integer(), nullable=False),
)
