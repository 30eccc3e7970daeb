"""What the active gates of one venue share: the key that encrypts their list and the key of its card hashes.

Both are made with the venue's first gate or its first list. Sealed in the database; opened to build the list, to hand
them to an approved gate, and to check a card entry's evidence.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import crypto
from sync_server.db import insert_new
from sync_server.errors import NotFoundError
from sync_server.gates.tables import VENUE_KEY_KINDS, venue_key
from wire.feed import LIST_KEY_BYTES

_FIELD = "venue_key.key_sealed"


@dataclass(frozen=True)
class VenueKey:
    """A key by its id within the venue and kind. `repr` shows nothing of it."""

    id: int
    key: bytes

    def __repr__(self) -> str:
        return f"VenueKey({self.id})"


def ensure_venue_keys(
    connection: Connection,
    value: crypto.Secrets,
    venue_id: UUID,
    now_ms: int,
    token_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> None:
    """Make the venue's first keys where it has none."""
    for kind in VENUE_KEY_KINDS:
        sealed = crypto.seal(value, _FIELD, _row(venue_id, kind, 1), token_bytes(LIST_KEY_BYTES).hex())
        row = {"venue_id": venue_id, "kind": kind, "id": 1, "key_sealed": sealed, "in_use": True}
        insert_new(venue_key, ["venue_id", "kind", "id"], [{**row, "created_at_ms": now_ms}], connection)


def list_key(connection: Connection, value: crypto.Secrets, venue_id: UUID) -> VenueKey:
    """The key that new segments of the venue's list are encrypted with."""
    return _in_use(connection, value, venue_id, "list")


def credential_key(connection: Connection, value: crypto.Secrets, venue_id: UUID) -> VenueKey:
    """The key of the venue's card hashes."""
    return _in_use(connection, value, venue_id, "credential")


def _in_use(connection: Connection, value: crypto.Secrets, venue_id: UUID, kind: str) -> VenueKey:
    row = connection.execute(
        sa.select(venue_key).where(venue_key.c.venue_id == venue_id, venue_key.c.kind == kind, venue_key.c.in_use)
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"the venue {venue_id} has no {kind} key")
    return VenueKey(row.id, bytes.fromhex(crypto.unseal(value, _FIELD, _row(venue_id, kind, row.id), row.key_sealed)))


def _row(venue_id: UUID, kind: str, key_id: int) -> str:
    return f"{venue_id}:{kind}:{key_id}"
