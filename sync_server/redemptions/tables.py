"""Entries as the centre counts them: the gates' journals as sent, and one row per admission with its one outcome.

Settlement reads `redemption`: id, outcome, item_id, venue_id, occurred_at_ms, recorded_at_ms of the CLAIMED ones.
An `entry` is stored as it came and never changes; a `redemption` is an admission that counts (an intent that somebody
passed, or a manual one). Its outcome may still move between RETURNED, REPEAT and CONFLICT when more becomes known,
never from CLAIMED; an UNPROVEN one is counted like a proven one once an operator accepts it.
"""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import append_only, link, metadata, ms_column, partial_index, word_column
from sync_server.gates.tables import incarnation
from wire.messages import EntryKind, Outcome

OUTCOMES = tuple(Outcome.__members__)
ON_AN_ITEM = ("CLAIMED", "REPEAT", "RETURNED", "CONFLICT", "LATE")
"""Outcomes of proven admissions on an item: the claim on it, and their order in time, tell them apart."""
DECISIONS = ("ACCEPTED", "REJECTED", "HONOURED")
HONOURABLE = ("CONFLICT", "LATE")
"""Outcomes of proven admissions that lost their item: an operator may let the venue be paid all the same (P15)."""


def _journal_columns(*of_device: sa.ForeignKey) -> tuple[sa.Column[bytes], sa.Column[bytes], sa.Column[int]]:
    return (
        sa.Column("device_id", sa.LargeBinary(16), *of_device, primary_key=True),
        sa.Column("incarnation", sa.LargeBinary(8), primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
    )


# No foreign keys: whoever writes an entry has found its device in the registry, at this venue, and neither ever goes.
# PostgreSQL would look both up for every entry: 14 of the 18 ms of storing 500. `redemptions.checks` looks instead.
entry = append_only(
    sa.Table(
        "entry",
        metadata,
        *_journal_columns(),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),  # the chain's, up to and with this entry
        sa.Column(
            "body", sa.LargeBinary(), nullable=False
        ),  # MessagePack of wire.messages.Entry, as stored at the gate
        # What the body says, for questions in SQL: numbers as wire.messages names them.
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("presentation", sa.SmallInteger(), nullable=False),
        sa.Column("pass_id", sa.LargeBinary(8), index=True),
        sa.Column("ref_seq", sa.BigInteger()),  # the intent an outcome belongs to, the entry that is given back
        sa.Column("reason", sa.String(200)),
        sa.Column("venue_id", sa.Uuid(), nullable=False),
        ms_column("occurred_at_ms"),  # the gate's clock where it was believed, else when it arrived
        ms_column("received_at_ms"),
        partial_index("ix_entry_referred", "device_id", "incarnation", "ref_seq", where="ref_seq IS NOT NULL"),
        sa.Index("ix_entry_venue", "venue_id", "occurred_at_ms"),
        sa.Index("ix_entry_occurred", "occurred_at_ms"),
    )
)

# A second history of one journal, from where it leaves the one in `entry`: kept, not counted. The journal is frozen,
# and its gate is told: it brings these entries again in a journal of their own.
forked_entry = append_only(
    sa.Table(
        "forked_entry",
        metadata,
        *_journal_columns(sa.ForeignKey("device.id")),
        sa.Column("hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        ms_column("received_at_ms"),
    )
)

# What became of an intent in an earlier journal of the gate (wire.far_entry); within one journal the `entry` itself
# says it.
far_outcome = append_only(
    sa.Table(
        "far_outcome",
        metadata,
        *_journal_columns(sa.ForeignKey("device.id")),  # of the entry that says it
        sa.Column("kind", sa.SmallInteger(), nullable=False),  # as in `entry`
        sa.Column("of_incarnation", sa.LargeBinary(8), nullable=False),  # the intent's journal
        sa.Column("of_seq", sa.BigInteger(), nullable=False),
        ms_column("occurred_at_ms"),
        sa.Index("ix_far_outcome_of", "device_id", "of_incarnation", "of_seq"),
    )
)

redemption = sa.Table(
    "redemption",
    metadata,
    sa.Column("id", sa.LargeBinary(16), primary_key=True),  # wire.messages.redemption_id of the intent
    word_column("outcome", OUTCOMES),
    sa.Column("cause", sa.String(32)),  # why UNPROVEN or IMPLAUSIBLE: redemptions.judge.Cause
    link("ticket_id", "ticket.id", nullable=True, index=True),
    link("item_id", "order_item.id", nullable=True, index=True),  # set when the pass has an item at this venue
    sa.Column("pass_id", sa.LargeBinary(8), index=True),
    link("venue_id", "venue.id"),
    sa.Column("device_id", sa.LargeBinary(16), nullable=False),
    sa.Column("incarnation", sa.LargeBinary(8), nullable=False),
    sa.Column("seq", sa.BigInteger(), nullable=False),
    sa.Column("step", sa.BigInteger()),  # of the rotating code that was shown
    sa.Column("copied", sa.Boolean(), nullable=False, server_default="0"),  # so was it elsewhere too
    ms_column("occurred_at_ms"),
    ms_column("recorded_at_ms"),
    # When settlement dealt with it, which alone writes it; null anew once staff give a visit with a pass back.
    ms_column("cleared_at_ms", nullable=True),
    ms_column("use_counted_at_ms", nullable=True),  # null: the gates are not told of this use yet (redemptions.uses)
    sa.UniqueConstraint("device_id", "incarnation", "seq"),
    partial_index(
        "ix_redemption_due",
        *("outcome", "recorded_at_ms", "id"),
        where="outcome = 'CLAIMED' AND cleared_at_ms IS NULL",
    ),
    partial_index(
        "ix_redemption_visit_due",
        *("recorded_at_ms", "id"),
        where="outcome = 'PASS_VISIT' AND cleared_at_ms IS NULL",
    ),
    partial_index("ix_redemption_use_due", "venue_id", "pass_id", where="use_counted_at_ms IS NULL"),
    partial_index("ix_redemption_copied", "recorded_at_ms", where="copied"),
    sa.Index("ix_redemption_outcome", "outcome", "recorded_at_ms"),
    sa.Index("ix_redemption_venue", "venue_id", "occurred_at_ms"),
)

# An operator's word on an admission that is in an inbox; said once.
decision = append_only(
    sa.Table(
        "redemption_decision",
        metadata,
        sa.Column("redemption_id", sa.LargeBinary(16), sa.ForeignKey("redemption.id"), primary_key=True),
        word_column("word", DECISIONS),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("decided_by", sa.String(64), nullable=False),
        ms_column("decided_at_ms"),
        sa.Index("ix_redemption_decision_word", "word", "redemption_id"),  # the worker looks for what is honoured
    )
)

# Receipts as sent, so that the same bytes again give the same receipt; kept `ingest.RECEIPT_KEPT_MS`.
receipt = sa.Table(
    "receipt",
    metadata,
    sa.Column("device_id", sa.LargeBinary(16), sa.ForeignKey("device.id"), primary_key=True),
    sa.Column("batch_digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    ms_column("given_at_ms", index=True),
    # What a later batch that echoes this receipt confirms; null in receipts of an earlier release.
    sa.Column("incarnation", sa.LargeBinary(8)),
    sa.Column("held_epoch", sa.Integer()),
    sa.Column("held_version", sa.BigInteger()),
)

# Answers to on-line checks as sent, so that the same request again gets the same; kept `online.ANSWER_KEPT_MS`.
redeem_answer = sa.Table(
    "redeem_answer",
    metadata,
    sa.Column("device_id", sa.LargeBinary(16), sa.ForeignKey("device.id"), primary_key=True),
    sa.Column("request_id", sa.LargeBinary(16), primary_key=True),
    sa.Column("request_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    ms_column("given_at_ms", index=True),
)


def in_journal(
    table: sa.Table, device_id: bytes | sa.ColumnElement[bytes], incarnation: bytes | sa.ColumnElement[bytes]
) -> sa.ColumnElement[bool]:
    """The rows of a table that belong to one journal of one gate."""
    return sa.and_(table.c.device_id == device_id, table.c.incarnation == incarnation)


def is_given_back(before_ms: int | None = None) -> sa.ColumnElement[bool]:
    """Whether staff gave back the right that an admission of table `redemption` used; before this moment, if given."""
    said = (entry, _gives_back_near()), (far_outcome, gives_back_far())
    if before_ms is None:
        return sa.or_(*(sa.exists().where(condition) for _, condition in said))
    return sa.or_(*(sa.exists().where(condition, table.c.occurred_at_ms < before_ms) for table, condition in said))


def is_of_frozen_journal() -> sa.ColumnElement[bool]:
    """Whether an admission of table `redemption` is of a journal that is believed no more: counted, and not paid."""
    return sa.exists().where(
        incarnation.c.device_id == redemption.c.device_id,
        incarnation.c.incarnation == redemption.c.incarnation,
        incarnation.c.frozen_cause.is_not(None),
    )


def given_back_at(which: sa.ColumnElement[bool]) -> sa.CompoundSelect[tuple[bytes, int]]:
    """The admissions of table `redemption` that were given back, with the times when; `which` of them."""
    said = (entry, _gives_back_near()), (far_outcome, gives_back_far())
    parts = [
        sa.select(redemption.c.id, table.c.occurred_at_ms).join(table, condition).where(which)
        for table, condition in said
    ]
    return sa.union_all(*parts)


def gives_back_far() -> sa.ColumnElement[bool]:
    """On `far_outcome`: by it staff gave back this admission of table `redemption`."""
    return sa.and_(speaks_far_of(redemption), far_outcome.c.kind == int(EntryKind.RETURNED))


def speaks_far_of(intent: sa.Table) -> sa.ColumnElement[bool]:
    """On `far_outcome`: it is of the intent of this row of table `redemption` or `entry`."""
    return sa.and_(
        far_outcome.c.device_id == intent.c.device_id,
        far_outcome.c.of_incarnation == intent.c.incarnation,
        far_outcome.c.of_seq == intent.c.seq,
    )


def _gives_back_near() -> sa.ColumnElement[bool]:
    return sa.and_(
        in_journal(entry, redemption.c.device_id, redemption.c.incarnation),
        entry.c.ref_seq == redemption.c.seq,
        entry.c.kind == int(EntryKind.RETURNED),
    )
