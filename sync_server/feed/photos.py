"""Copies of holders' photos for the gates of venues that show them: made, remade under new keys, removed."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.crypto import derive_key
from sync_server.db import exclusive
from sync_server.feed.tables import gate_photo
from sync_server.gates.tables import venue_key
from sync_server.issuance.passes import relist
from sync_server.issuance.photos import picture_of
from sync_server.issuance.tables import entitlement, pass_photo
from sync_server.parties.tables import venue
from wire.photo import NAME_BYTES, NONCE_BYTES, photo_name, seal_photo

MAX_PASSES_PER_STEP = 100


def photo_key(centre: Centre, venue_id: UUID, key_id: int) -> bytes:
    """What opens a venue's photos that were made while it had this list key; a revoked gate never learns the next."""
    return derive_key(centre.secrets, f"photos of {venue_id} under list key {key_id}")


def photo_keys(connection: Connection, centre: Centre, venue_id: UUID) -> tuple[tuple[int, bytes], ...]:
    """The keys of all photos that a venue's gates may hold now, by their ids; none where it shows none."""
    made_with = sa.select(gate_photo.c.key_id).where(gate_photo.c.venue_id == venue_id).distinct()
    ids = connection.scalars(made_with.order_by(gate_photo.c.key_id))
    return tuple((key_id, photo_key(centre, venue_id, key_id)) for key_id in ids)


def photo_named(connection: Connection, name: bytes) -> bytes | None:
    """The bytes of a photo as sent, or None."""
    if len(name) != NAME_BYTES:
        return None
    return connection.scalar(sa.select(gate_photo.c.data).where(gate_photo.c.name == name))


def prepare_photos(centre: Centre) -> int:
    """Worker step: make the copies that are due and remove those that are not to be; how many passes were looked at."""
    with centre.read() as connection:
        changed = connection.execute(_changed_venues().limit(1)).first()
        due = connection.execute(_due().limit(1)).first()
    if changed is None and due is None:
        return 0
    with centre.write() as connection:
        exclusive(connection, "prepare_photos")
        for row in connection.execute(_changed_venues()).all():
            _make_due(connection, row.id, row.wanted)
        passes = list(connection.scalars(_due()))
        for pass_id in passes:
            _prepare(connection, centre, pass_id)
        relist(connection, passes)
    return len(passes) + (0 if changed is None else 1)


def _changed_venues() -> sa.Select[Any]:
    """Venues that began or ceased to show photos, or have another list key, since their copies were made."""
    current = sa.select(venue_key.c.id).where(
        venue_key.c.venue_id == venue.c.id, venue_key.c.kind == "list", venue_key.c.in_use
    )
    wanted = sa.case((venue.c.photos, current.scalar_subquery()), else_=None).label("wanted")
    return sa.select(venue.c.id, wanted).where(wanted.is_distinct_from(venue.c.photos_made_with))


def _make_due(connection: Connection, venue_id: UUID, wanted: int | None) -> None:
    """All of a venue's photos are looked at again."""
    here = sa.select(entitlement.c.pass_id).where(entitlement.c.venue_id == venue_id)
    connection.execute(pass_photo.update().where(pass_photo.c.pass_id.in_(here)).values(due=True))
    connection.execute(venue.update().where(venue.c.id == venue_id).values(photos_made_with=wanted))


def _due() -> sa.Select[Any]:
    due = sa.select(pass_photo.c.pass_id).where(pass_photo.c.due)
    return due.order_by(pass_photo.c.put_at_ms).limit(MAX_PASSES_PER_STEP)


def _prepare(connection: Connection, centre: Centre, pass_id: bytes) -> None:
    """One pass's copies made anew at every venue that shows photos; a photo that was forgotten goes whole."""
    connection.execute(gate_photo.delete().where(gate_photo.c.pass_id == pass_id))
    picture = picture_of(connection, centre.secrets, pass_id)
    mine = pass_photo.c.pass_id == pass_id
    if picture is None:
        connection.execute(pass_photo.delete().where(mine))
        return
    shown_at = (
        sa.select(venue.c.id, venue.c.photos_made_with)
        .join(entitlement, entitlement.c.venue_id == venue.c.id)
        .where(entitlement.c.pass_id == pass_id, venue.c.photos_made_with.is_not(None))
    )
    for row in connection.execute(shown_at).all():
        key = photo_key(centre, row.id, row.photos_made_with)
        data = seal_photo(picture, pass_id, row.photos_made_with, key, secrets.token_bytes(NONCE_BYTES))
        values = {"name": photo_name(data), "venue_id": row.id, "pass_id": pass_id, "data": data}
        connection.execute(gate_photo.insert().values(key_id=row.photos_made_with, **values))
    connection.execute(pass_photo.update().where(mine).values(due=False))
