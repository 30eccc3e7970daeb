"""From a code that a gate saw to the hashes by which its list knows the holder; and a note of it, for its entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.centre import Centre
from sync_server.crypto import blind_index
from sync_server.electronic_cards.tables import electronic_card_read
from sync_server.electronic_cards.verifier import CardHolder, EssCardVerifier
from sync_server.gates.registry import Device
from sync_server.gates.venue_keys import listed_credential_keys
from sync_server.id_numbers import person_index
from sync_server.issuance.credentials import BoundCredential, credential_hash, find_bound
from sync_server.parties.tables import venue
from wire.credential import CredentialKind
from wire.electronic_card import Finding, Hashed

READS_KEPT_MS = 90 * 86_400_000
"""An entry made cut off from the centre goes up late; after this an operator decides whether it is paid."""
MAX_FORGOTTEN_READS = 10_000


def takes_electronic_cards(connection: Connection, centre: Centre, device: Device) -> bool:
    """Whether gates of the device's venue may ask at all."""
    taken = connection.scalar(sa.select(venue.c.electronic_cards).where(venue.c.id == device.venue_id))
    return bool(taken) and centre.settings.code_shape is not None


def resolve(centre: Centre, verifier: EssCardVerifier, device: Device, code: str) -> tuple[Finding, tuple[Hashed, ...]]:
    """What becomes of a code. FOUND, with hashes: somebody who has a pass, here or elsewhere.

    The ID number that the platform tells is used to find the person's credential and then forgotten.
    """
    holder = verifier.resolve(code)  # outside any transaction
    if isinstance(holder, Finding):
        return holder, ()
    with centre.read() as connection:
        keys = listed_credential_keys(connection, centre.secrets, device.venue_id)
        hashes = tuple(
            (bound.kind, credential_hash(bound, key.key))
            for bound in _credentials_of(connection, centre, holder)
            for key in keys
        )
    if not hashes:
        return Finding.UNKNOWN, ()
    now_ms = centre.now_ms()
    rows = [{"device_id": device.id, "hash": bytes([kind]) + value, "read_at_ms": now_ms} for kind, value in hashes]
    with centre.write() as connection:
        insert_missing(connection, electronic_card_read, rows)
    return Finding.FOUND, hashes


def reads_of(connection: Connection, device_id: bytes, hashes: Collection[bytes]) -> dict[bytes, tuple[int, ...]]:
    """When each of these cards (kind ‖ hash) was resolved for this gate."""
    found: defaultdict[bytes, list[int]] = defaultdict(list)
    if hashes:
        mine = sa.and_(electronic_card_read.c.device_id == device_id, electronic_card_read.c.hash.in_(sorted(hashes)))
        for row in connection.execute(sa.select(electronic_card_read).where(mine)):
            found[row.hash].append(row.read_at_ms)
    return {card: tuple(times) for card, times in found.items()}


def forget_old_reads(centre: Centre) -> int:
    """Worker step: drop what no entry waits for any more; how many."""
    old_ms = centre.now_ms() - READS_KEPT_MS
    columns = (electronic_card_read.c.device_id, electronic_card_read.c.hash, electronic_card_read.c.read_at_ms)
    old = sa.select(*columns).where(electronic_card_read.c.read_at_ms < old_ms).limit(MAX_FORGOTTEN_READS)
    if not centre.finds(old):
        return 0
    with centre.write() as connection:
        return connection.execute(electronic_card_read.delete().where(sa.tuple_(*columns).in_(old))).rowcount


def _credentials_of(connection: Connection, centre: Centre, holder: CardHolder) -> Iterator[BoundCredential]:
    if holder.identification is not None:
        index = blind_index(centre.secrets, "card_identification", holder.identification)
        yield from find_bound(connection, centre.secrets, CredentialKind.CARD_IDENTIFICATION, index)
    if holder.id_number is not None:
        index = person_index(centre.secrets, holder.id_number)
        yield from find_bound(connection, centre.secrets, CredentialKind.ID_NUMBER, index)
