"""Writing and verifying the event log: each row's hash covers the row and the hash before it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit.tables import event_chain, event_log
from sync_server.bulk import insert_missing
from sync_server.errors import NotAllowedError

DAY_MS = 86_400_000
FIRST_HASH = bytes(32)
MAX_DETAIL_CHARACTERS = 4_000
COMMAND_LINE = "command-line"
"""The actor of what somebody did with `sync-server` on the machine itself."""


def record(
    connection: Connection, now_ms: int, actor: str, action: str, subject: str, detail: Mapping[str, object]
) -> None:
    """Write one event in the acting transaction. `detail` must hold nothing secret and no unmasked personal data."""
    text = msgspec.json.encode(detail, order="deterministic").decode()
    if len(text) > MAX_DETAIL_CHARACTERS:
        raise NotAllowedError(
            f"the log of {action} takes {MAX_DETAIL_CHARACTERS} characters and would have {len(text)}: say it shorter"
        )
    first = {"id": 1, "day": 0, "seq": 0, "head": FIRST_HASH}
    insert_missing(connection, event_chain, [first])
    chain = connection.execute(sa.select(event_chain).with_for_update()).one()
    day = max(now_ms // DAY_MS, chain.day)  # a clock set back stays in the day it had reached
    seq = chain.seq + 1 if day == chain.day else 1
    row = {"day": day, "seq": seq, "at_ms": now_ms, "actor": actor, "action": action, "subject": subject}
    digest = _hash(chain.head, [*row.values(), text])
    connection.execute(event_log.insert().values(**row, detail=text, previous_hash=chain.head, hash=digest))
    connection.execute(event_chain.update().values(day=day, seq=seq, head=digest))


def first_flaw(connection: Connection) -> str | None:
    """Walk the whole chain; the first row that was changed, removed or put in, or None."""
    head, count = FIRST_HASH, 0
    for row in connection.execute(sa.select(event_log).order_by(event_log.c.day, event_log.c.seq)):
        body = [row.day, row.seq, row.at_ms, row.actor, row.action, row.subject, row.detail]
        if row.previous_hash != head or row.hash != _hash(head, body):
            return f"event_log day {row.day} seq {row.seq}"
        head, count = row.hash, count + 1
    chain = connection.execute(sa.select(event_chain)).one_or_none()
    if (chain.head if chain else FIRST_HASH) != head:
        return f"event_log after its row {count}: rows are missing at the end"
    return None


def _hash(previous: bytes, body: list[object]) -> bytes:
    return sha256(previous + msgspec.json.encode(body)).digest()
