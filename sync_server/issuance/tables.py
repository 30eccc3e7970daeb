"""What was issued: one pass per ticket, its signed tokens, the venues it opens, the cards and phones bound to it.

The lists of the venues are made from these tables alone. Whoever changes what a gate must know of a pass sets
`entitlement.listed_version` to null in the same transaction (`issuance.passes.relist`); the feed finds the work there.
"""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import append_only, id_column, link, metadata, ms_column, partial_index, partial_unique, word_column
from sync_server.issuance.pass_states import STORED
from wire.entitlement import StopCause

PASS_STATUSES = STORED
STOP_CAUSES = tuple(StopCause)
CREDENTIAL_KINDS = ("ID_NUMBER", "CARD_NUMBER", "CARD_IDENTIFICATION")

# Dates derive WAITING, ACTIVE and EXPIRED (money.md §2.6); `status` says only what a person decided, in the words of
# wire.entitlement.PassStatus.
issued_pass = sa.Table(
    "pass",
    metadata,
    sa.Column("id", sa.LargeBinary(8), primary_key=True),  # unguessable; the only thing duplicates are judged by
    sa.Column("number", sa.String(32), nullable=False, unique=True),  # 票号, what people read out
    link("ticket_id", "ticket.id", unique=True),
    link("product_id", "product.id"),
    word_column("status", PASS_STATUSES),
    sa.Column("issue", sa.Integer(), nullable=False),  # the lowest issue number that gates accept
    # Minutes since 2020-01-01T00:00Z (wire.md), half-open.
    sa.Column("not_before", sa.Integer(), nullable=False),
    sa.Column("not_after", sa.Integer(), nullable=False),
    ms_column("issued_at_ms"),
    # Of a suspended or revoked one, for the gates' staff: why, in the words of wire.feed.StopCause, and since when.
    word_column("stop_cause", STOP_CAUSES, nullable=True),
    sa.Column("stopped_at", sa.Integer()),
    # The holder's ID number is still to become a credential (credentials.bind_id_numbers).
    sa.Column("id_number_due", sa.Boolean(), nullable=False),
    sa.CheckConstraint("issue BETWEEN 1 AND 255", name="issue"),
    sa.CheckConstraint("not_before < not_after", name="validity"),
    sa.Index("ix_pass_issued", "issued_at_ms", "id"),
    partial_index("ix_pass_id_number_due", "issued_at_ms", where="id_number_due"),
)

# Every code a pass ever had: the newest is shown, the older ones still prove entries made with them.
pass_token = append_only(
    sa.Table(
        "pass_token",
        metadata,
        sa.Column("pass_id", sa.LargeBinary(8), sa.ForeignKey("pass.id"), primary_key=True),
        sa.Column("issue", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("token", sa.String(200), nullable=False),
        sa.Column("evidence", sa.LargeBinary(8), nullable=False),  # wire.token.evidence_of(token)
        sa.Column("key_id", sa.Integer(), sa.ForeignKey("signing_key.id"), nullable=False, index=True),
        sa.Column("issued_version", sa.BigInteger(), nullable=False),
        ms_column("signed_at_ms"),
    )
)

entitlement = sa.Table(
    "entitlement",
    metadata,
    sa.Column("pass_id", sa.LargeBinary(8), sa.ForeignKey("pass.id"), primary_key=True),
    link("venue_id", "venue.id", primary_key=True),
    link("item_id", "order_item.id", nullable=True, unique=True),  # what an entry there ends; null for annual passes
    sa.Column("listed_version", sa.BigInteger()),  # the list version that says it as it is now; null: not yet said
    sa.Index("ix_entitlement_venue", "venue_id", "listed_version"),
    sa.Index("ix_entitlement_walk", "venue_id", "pass_id"),  # the passes of a venue in the order of their ids
    partial_index("ix_entitlement_unlisted", "venue_id", where="listed_version IS NULL"),
)

# One row of one thing: the last list version given out, rising over all venues, so that a token's `issued_version`
# means the same at each of them.
list_version = sa.Table(
    "list_version",
    metadata,
    sa.Column("id", sa.Integer(), sa.CheckConstraint("id = 1", name="one"), primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger(), nullable=False),
)

# Numbers by which a card finds its pass. Sealed as hex; an ID number only as its person hash (wire.md §4).
credential = sa.Table(
    "credential",
    metadata,
    id_column(),
    sa.Column("pass_id", sa.LargeBinary(8), sa.ForeignKey("pass.id"), nullable=False, index=True),
    word_column("kind", CREDENTIAL_KINDS),
    sa.Column("value_sealed", sa.LargeBinary(), nullable=False),
    sa.Column("value_index", sa.LargeBinary(16), nullable=False),
    ms_column("bound_at_ms"),
    ms_column("removed_at_ms", nullable=True),
    sa.Index("ix_credential_value", "value_index"),
    partial_unique("uq_credential_live", "kind", "value_index", "pass_id", where="removed_at_ms IS NULL"),
)

# The holder's photo, sealed as a JPEG in base64. Null: forgotten, and the copies for the gates are still to go.
pass_photo = sa.Table(
    "pass_photo",
    metadata,
    sa.Column("pass_id", sa.LargeBinary(8), sa.ForeignKey("pass.id"), primary_key=True),
    sa.Column("id", sa.Uuid(), nullable=False),  # another one with every picture
    sa.Column("photo_sealed", sa.LargeBinary()),
    sa.Column("delete_at_minute", sa.Integer(), nullable=False, index=True),  # some days after the pass ends
    ms_column("put_at_ms"),
    sa.Column("due", sa.Boolean(), nullable=False),  # the gates' copies are to be made or removed (feed.photos)
    partial_index("ix_pass_photo_due", "put_at_ms", where="due"),
)

# Phones that may draw rotating codes for a pass (wire.md §3). Retired keys stay: they prove the entries made with them.
holder_key = sa.Table(
    "holder_key",
    metadata,
    sa.Column("pass_id", sa.LargeBinary(8), sa.ForeignKey("pass.id"), primary_key=True),
    sa.Column("generation", sa.Integer(), primary_key=True, autoincrement=False),  # only rises
    sa.Column("public", sa.LargeBinary(33), nullable=False),
    sa.Column("binding", sa.LargeBinary()),  # claims, generation and key under the pass key; null: not yet signed
    sa.Column("bound_by", sa.Integer(), sa.ForeignKey("signing_key.id")),  # that pass key
    sa.Column("registered_by", sa.String(100), nullable=False),
    ms_column("registered_at_ms"),
    ms_column("used_at_ms"),  # when the phone last asked; the least recently used one makes room
    ms_column("retired_at_ms", nullable=True),
    sa.CheckConstraint("generation BETWEEN 1 AND 65535", name="generation"),
    partial_unique("uq_holder_key_live", "pass_id", "public", where="retired_at_ms IS NULL"),
    partial_index("ix_holder_key_bound_by", "bound_by", where="retired_at_ms IS NULL"),
    partial_index("ix_holder_key_unbound", "registered_at_ms", where="binding IS NULL AND retired_at_ms IS NULL"),
)
