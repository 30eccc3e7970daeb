"""Doing it twice is doing it once: the answer to a request is kept under the caller's own key."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.db import metadata, ms_column
from sync_server.errors import KeyReusedError, NotAllowedError

MAX_KEY = 100

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("actor", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(MAX_KEY), primary_key=True),
    sa.Column("body_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("response", sa.JSON()),
    ms_column("created_at_ms"),
)


def once(
    connection: Connection, actor: str, key: str, body: object, now_ms: int, act: Callable[[], dict[str, Any] | None]
) -> dict[str, Any] | None:
    """Run `act` the first time this actor uses this key, and give the kept answer ever after.

    The same key with another body is a KeyReusedError. An `act` that answers None did nothing, and the key stays free.
    Runs inside the caller's transaction: an exception keeps nothing either.
    """
    if not 0 < len(key) <= MAX_KEY:
        raise NotAllowedError(f"a key has 1 to {MAX_KEY} characters, not {len(key)}: take another one")
    body_hash = sha256(msgspec.json.encode(body, order="deterministic")).digest()
    row = {"actor": actor, "key": key, "body_hash": body_hash, "response": None, "created_at_ms": now_ms}
    mine = sa.and_(idempotency.c.actor == actor, idempotency.c.key == key)
    if insert_missing(connection, idempotency, [row]):
        response = act()
        if response is None:
            connection.execute(idempotency.delete().where(mine))
        else:
            connection.execute(idempotency.update().where(mine).values(response=response))
        return response
    kept = connection.execute(sa.select(idempotency.c.body_hash, idempotency.c.response).where(mine)).one()
    if kept.body_hash != body_hash:
        raise KeyReusedError(f"the key {key!r} of {actor} was used before with another content: take a new key")
    answer: dict[str, Any] = kept.response
    return answer
