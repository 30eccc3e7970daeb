"""What the active gates of one venue share: the key that encrypts their list and the key of its card hashes.

Both are made with the venue's first gate or its first list, and changed when one of its gates is revoked. Sealed in the
database; opened to build the list, to hand them to an approved gate, and to check a card entry's evidence.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import crypto
from sync_server.audit.log import record
from sync_server.bulk import insert_missing
from sync_server.errors import NotFoundError
from sync_server.gates.tables import VENUE_KEY_KINDS, device, venue_key
from wire.feed import LIST_KEY_BYTES

LISTED_CREDENTIAL_KEYS = 2
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
        insert_missing(connection, venue_key, [{**row, "created_at_ms": now_ms}])


def list_key(connection: Connection, value: crypto.Secrets, venue_id: UUID) -> VenueKey:
    """The key that new segments of the venue's list are encrypted with."""
    return _in_use(connection, value, venue_id, "list")


def credential_key(connection: Connection, value: crypto.Secrets, venue_id: UUID) -> VenueKey:
    """The key of the venue's card hashes."""
    return _in_use(connection, value, venue_id, "credential")


def list_keys(connection: Connection, value: crypto.Secrets, venue_id: UUID, ids: Collection[int]) -> list[VenueKey]:
    """The keys that open the venue's segments, by their ids."""
    return _open(connection, value, venue_id, "list", venue_key.c.id.in_(ids))


def credential_keys(connection: Connection, value: crypto.Secrets, venue_id: UUID) -> list[VenueKey]:
    """Every key that card hashes of the venue were ever made with, newest first."""
    return _open(connection, value, venue_id, "credential", sa.true())


def listed_credential_keys(connection: Connection, value: crypto.Secrets, venue_id: UUID) -> list[VenueKey]:
    """The keys that the venue's list may rest on, newest first: until it is made anew, that is the one before.

    No further one is made before that (`feed.rotating`).
    """
    return credential_keys(connection, value, venue_id)[:LISTED_CREDENTIAL_KEYS]


KNOWS_TOO_MUCH = sa.and_(
    device.c.state == "revoked", device.c.approved_at_ms.is_not(None), device.c.keys_changed_at_ms.is_(None)
)
"""A revoked gate whose venue has had no new keys since. Which gates that is stands in the registry, not in times: no
clock that was set back leaves a gate its keys."""


def replace_keys(connection: Connection, value: crypto.Secrets, venue_id: UUID, now_ms: int) -> None:
    """Give a venue new keys, which its revoked gates never learn; its list is to be made anew with them."""
    for kind in VENUE_KEY_KINDS:
        mine = sa.and_(venue_key.c.venue_id == venue_id, venue_key.c.kind == kind)
        newest: int = connection.scalars(sa.select(sa.func.max(venue_key.c.id)).where(mine)).one()
        connection.execute(venue_key.update().where(mine).values(in_use=False))
        sealed = crypto.seal(value, _FIELD, _row(venue_id, kind, newest + 1), secrets.token_bytes(LIST_KEY_BYTES).hex())
        row = {"venue_id": venue_id, "kind": kind, "id": newest + 1, "key_sealed": sealed, "in_use": True}
        connection.execute(venue_key.insert().values(**row, created_at_ms=now_ms))
    known = device.update().where(device.c.venue_id == venue_id, KNOWS_TOO_MUCH)
    connection.execute(known.values(keys_changed_at_ms=now_ms))
    record(connection, now_ms, "system:gates", "venue.keys_rotated", f"venue:{venue_id}", {})


def _open(
    connection: Connection, value: crypto.Secrets, venue_id: UUID, kind: str, which: sa.ColumnElement[bool]
) -> list[VenueKey]:
    mine = sa.select(venue_key).where(venue_key.c.venue_id == venue_id, venue_key.c.kind == kind, which)
    return [
        VenueKey(row.id, bytes.fromhex(crypto.unseal(value, _FIELD, _row(venue_id, kind, row.id), row.key_sealed)))
        for row in connection.execute(mine.order_by(venue_key.c.id.desc()))
    ]


def _in_use(connection: Connection, value: crypto.Secrets, venue_id: UUID, kind: str) -> VenueKey:
    found = _open(connection, value, venue_id, kind, venue_key.c.in_use)
    if not found:
        raise NotFoundError(f"the venue {venue_id} has no {kind} key")
    return found[0]


def _row(venue_id: UUID, kind: str, key_id: int) -> str:
    return f"{venue_id}:{kind}:{key_id}"
