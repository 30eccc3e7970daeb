"""What stands in a venue's list, read from the tables: its passes with their cards, their names, its small document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import crypto
from sync_server.catalog.tables import product, product_item
from sync_server.gates.tables import device
from sync_server.issuance.credentials import BoundCredential, credential_hash, open_credentials
from sync_server.issuance.tables import credential, entitlement, issued_pass
from sync_server.orders.tables import holder, ticket
from sync_server.parties.tables import party, venue
from wire import moments
from wire.credential import CredentialKind
from wire.entitlement import PassStatus, Rule
from wire.feed import PASSES_PER_SEGMENT, Credential, NameRow, PassRow, ProductDocument, VenueDocument

LISTED_AFTER_END_MINUTES = 7 * 24 * 60  # "expired" is a better answer than "not in the list" (wire.md §5)


class Chunk(NamedTuple):
    """The rows of one segment each, in the order of the pass ids."""

    passes: list[PassRow]
    names: list[NameRow]


@dataclass(frozen=True)
class CardKeys:
    """How cards become hashes at this venue; ID numbers only where a gate reads them (wire.md §4)."""

    credential_key: bytes
    with_id_numbers: bool


def venue_document(connection: Connection, venue_id: UUID) -> VenueDocument:
    """The venue and the products it opens to."""
    place = connection.execute(
        sa.select(venue.c.number, venue.c.zone, party.c.name_zh, party.c.name_en)
        .join(party, party.c.id == venue.c.id)
        .where(venue.c.id == venue_id)
    ).one()
    products = connection.execute(
        sa.select(product)
        .join(product_item, product_item.c.product_id == product.c.id)
        .where(product_item.c.venue_id == venue_id)
        .order_by(product.c.number)
    )
    return VenueDocument(
        venue=place.number,
        name_zh=place.name_zh,
        name_en=place.name_en,
        groups=(),
        zone=place.zone,
        products=tuple(
            ProductDocument(
                number=row.number,
                kind=row.kind,
                name_zh=row.name_zh,
                name_en=row.name_en,
                rule=Rule(per_day=row.per_day, total=row.total),
                offline_limit=row.offline_limit,
                max_unlisted_age_h=row.max_unlisted_age_h,
            )
            for row in products
        ),
    )


def reads_id_numbers(connection: Connection, venue_id: UUID) -> bool:
    """Whether an active gate of the venue has a reader for ID numbers."""
    found = sa.select(device.c.id).where(
        device.c.venue_id == venue_id, device.c.state == "active", device.c.reads_id_numbers
    )
    return connection.execute(found.limit(1)).first() is not None


def chunks(
    connection: Connection, secrets: crypto.Secrets, venue_id: UUID, keys: CardKeys, now_ms: int
) -> Iterator[Chunk]:
    """Every pass of the venue that a gate may still be shown, PASSES_PER_SEGMENT at a time.

    Suspended and revoked ones stay in: leaving a row out would say less than the code itself still says.
    """
    after = b""
    ended_before = moments.minute_floor(now_ms) - LISTED_AFTER_END_MINUTES
    listed = (
        sa.select(
            issued_pass, product.c.number.label("product"), ticket.c.number.label("ticket_number"), holder.c.name_masked
        )
        .join(entitlement, entitlement.c.pass_id == issued_pass.c.id)
        .join(product, product.c.id == issued_pass.c.product_id)
        .join(ticket, ticket.c.id == issued_pass.c.ticket_id)
        .outerjoin(holder, holder.c.ticket_id == issued_pass.c.ticket_id)
        .where(entitlement.c.venue_id == venue_id, issued_pass.c.not_after > ended_before)
        .order_by(issued_pass.c.id)
        .limit(PASSES_PER_SEGMENT)
    )
    while rows := connection.execute(listed.where(issued_pass.c.id > after)).all():
        cards = _cards(connection, secrets, rows[0].id, rows[-1].id, keys)
        yield Chunk(
            [
                PassRow(
                    pass_id=row.id,
                    product=row.product,
                    status=PassStatus[row.status],
                    not_before=row.not_before,
                    not_after=row.not_after,
                    lowest_issue=row.issue,
                    credentials=cards.get(row.id, ()),
                )
                for row in rows
            ],
            [NameRow(row.id, row.ticket_number, row.name_masked or "") for row in rows],
        )
        after = rows[-1].id


def _cards(
    connection: Connection, secrets: crypto.Secrets, first: bytes, last: bytes, keys: CardKeys
) -> dict[bytes, tuple[Credential, ...]]:
    kinds = [kind.name for kind in CredentialKind if keys.with_id_numbers or kind is not CredentialKind.ID_NUMBER]
    wanted = sa.and_(
        credential.c.pass_id.between(first, last), credential.c.kind.in_(kinds), credential.c.removed_at_ms.is_(None)
    )
    found: defaultdict[bytes, list[BoundCredential]] = defaultdict(list)
    for item in open_credentials(connection, secrets, wanted):
        found[item.pass_id].append(item)
    return {
        pass_id: tuple(Credential(item.kind, credential_hash(item, keys.credential_key)) for item in items)
        for pass_id, items in found.items()
    }
