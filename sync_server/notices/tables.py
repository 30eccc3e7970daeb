"""What was promised to be told, the messages to each recipient, and what an installation changed about a kind."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.db import id_column, metadata, ms_column, partial_index, word_column
from sync_server.notices.kinds import KINDS
from sync_server.notices.states import MESSAGE

MESSAGE_STATES = tuple(MESSAGE.words)

# Written in the transaction of what happened; a worker finds out who is told.
notice = sa.Table(
    "notice",
    metadata,
    id_column(),
    word_column("kind", KINDS),
    sa.Column("key", sa.String(100), nullable=False),  # what happened: promised twice it is told once
    sa.Column("cause", sa.String(100), nullable=False),  # told once in half an hour to the same recipient
    sa.Column("about_id", sa.Uuid()),  # the party or order whose people are told; null: those of the platform
    sa.Column("variables", sa.Text(), nullable=False),  # JSON; no personal data
    ms_column("promised_at_ms"),
    ms_column("addressed_at_ms", nullable=True),
    sa.Column("recipients", sa.Integer()),  # how many were found; 0: nobody is there to be told
    sa.UniqueConstraint("kind", "key"),
    partial_index("ix_notice_open", "id", where="addressed_at_ms IS NULL"),
    partial_index("ix_notice_unheard", "addressed_at_ms", where="recipients = 0"),
)

# Sealed fields are bound to "message.<column>" and the row's id.
message = sa.Table(
    "message",
    metadata,
    id_column(),
    sa.Column("notice_id", sa.Uuid()),  # null: a summary, a code, or one sent again
    word_column("kind", KINDS),
    sa.Column("cause", sa.String(160), nullable=False),  # a summary's: the kind and cause it counts
    sa.Column("phone_sealed", sa.LargeBinary(), nullable=False),
    sa.Column("phone_index", sa.LargeBinary(16), nullable=False),
    sa.Column("phone_masked", sa.String(32), nullable=False),
    sa.Column("variables_sealed", sa.LargeBinary(), nullable=False),  # JSON
    word_column("state", MESSAGE_STATES),
    sa.Column("reason", sa.String(200)),  # why it is not sent, or failed
    sa.Column("sender", sa.String(16)),  # which one took it
    sa.Column("sender_ref", sa.String(64)),  # its number there
    sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
    ms_column("written_at_ms"),
    ms_column("useless_at_ms"),
    ms_column("tried_at_ms", nullable=True),  # when it was sent last
    ms_column("changed_at_ms"),
    ms_column("held_until_ms", nullable=True),  # held back: when a summary is due, while none has counted it
    sa.Column("summary_id", sa.Uuid()),  # the summary that counted it
    sa.Column("again_id", sa.Uuid()),  # the message that a person had sent again
    sa.Index("ix_message_written", "written_at_ms", "id"),
    sa.Index("ix_message_same", "phone_index", "kind", "cause", "written_at_ms"),
    partial_index("ix_message_held", "held_until_ms", where="held_until_ms IS NOT NULL"),
)

# What is not as `kinds.KINDS` has it.
message_setting = sa.Table(
    "message_setting",
    metadata,
    sa.Column("kind", sa.String(32), primary_key=True),
    sa.Column("enabled", sa.Boolean(), nullable=False, server_default="1"),
    sa.Column("template_code", sa.String(64)),  # the gateway's name of the registered text; null: none
    sa.Column("roles", sa.String(200)),  # who is told, apart by spaces; null: the roles of the kind
    ms_column("changed_at_ms"),
    sa.Column("changed_by", sa.String(64), nullable=False),
)
