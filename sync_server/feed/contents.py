"""What stands in a venue's list, read from the tables: passes with cards, phones and names, its small document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from msgspec import UNSET
from sqlalchemy.engine import Connection

from sync_server.catalog.rules import rules
from sync_server.catalog.tables import product, product_item
from sync_server.centre import Centre
from sync_server.feed.tables import gate_photo, pass_use
from sync_server.gates.tables import device, venue_key
from sync_server.gates.venue_keys import credential_key
from sync_server.issuance.credentials import credential_hash, open_credentials
from sync_server.issuance.tables import credential, entitlement, holder_key, issued_pass
from sync_server.orders.tables import holder, item_claim, refund_hold
from sync_server.parties.calendars import openings
from sync_server.parties.tables import party, venue
from sync_server.settings import Settings
from wire import moments
from wire.credential import CredentialKind
from wire.entitlement import PassStatus, Stop, StopCause
from wire.feed import (
    PASSES_PER_SEGMENT,
    Credential,
    HolderKey,
    NameRow,
    PassRow,
    ProductDocument,
    UseRow,
    VenueDocument,
)

LISTED_AFTER_END_MINUTES = 7 * 24 * 60  # "expired" is a better answer than "not in the list" (wire.md §5)


class Chunk(NamedTuple):
    """The rows of one segment each."""

    passes: list[PassRow]
    names: list[NameRow]


class After(NamedTuple):
    """All passes with ids after this one, in the order of their ids."""

    pass_id: bytes = b""


class Listed(NamedTuple):
    """Passes whose newest listing is in versions (after, to], in any order.

    With `in_force`, the feed's version, also those not listed as they are now: a span that is read again after it was
    published must not lose the rows that have changed since and are not in a later delta yet.
    """

    after: int
    to: int
    in_force: int | None = None

    def condition(self, table: sa.Table, venue_id: UUID) -> sa.ColumnElement[bool]:
        """On the rows of a table that says in which version each was listed: a look into its index for each part."""
        version, here = table.c.listed_version, table.c.venue_id == venue_id
        inside = sa.and_(here, version > self.after, version <= self.to)
        if self.in_force is None:
            return inside
        return sa.or_(inside, sa.and_(here, version.is_(None)), sa.and_(here, version > self.in_force))


class Stated(NamedTuple):
    """What a venue's list says besides its passes, and digests of it.

    Another `document_digest` is published as a delta; another `basis_digest` (the keys and hashes of every row) makes
    a new snapshot.
    """

    document: VenueDocument
    with_id_numbers: bool
    """ID numbers' hashes go only to venues where a gate, or the platform of electronic cards, reads ID numbers."""
    document_digest: bytes
    basis_digest: bytes


def stated_by_venue(connection: Connection, settings: Settings) -> dict[UUID, Stated]:
    """Every venue, by eight statements however many there are: the worker asks four times a second."""
    shape = settings.code_shape
    products, opening = _products(connection), openings(connection)
    readers = set(
        connection.scalars(
            sa.select(device.c.venue_id).where(device.c.state == "active", device.c.reads_id_numbers).distinct()
        )
    )
    key_ids: defaultdict[UUID, list[tuple[str, int]]] = defaultdict(list)
    in_use = sa.select(venue_key.c.venue_id, venue_key.c.kind, venue_key.c.id).where(venue_key.c.in_use)
    for row in connection.execute(in_use.order_by(venue_key.c.kind)):
        key_ids[row.venue_id].append((row.kind, row.id))
    places = sa.select(venue, party.c.name_zh, party.c.name_en).join(party, party.c.id == venue.c.id)
    stated: dict[UUID, Stated] = {}
    for row in connection.execute(places.order_by(venue.c.number)):
        electronic_card = shape if shape is not None and row.electronic_cards else UNSET
        with_id_numbers = row.id in readers or electronic_card is not UNSET
        document = VenueDocument(
            venue=row.number,
            name_zh=row.name_zh,
            name_en=row.name_en,
            groups=(),
            zone=row.zone,
            calendar=opening[row.id],
            products=tuple(products[row.id]),
            electronic_card=electronic_card,
        )
        basis = [with_id_numbers, key_ids[row.id]]
        stated[row.id] = Stated(document, with_id_numbers, _digest(document), _digest(basis))
    return stated


def _digest(said: object) -> bytes:
    return sha256(msgspec.msgpack.encode(said)).digest()


def _products(connection: Connection) -> defaultdict[UUID, list[ProductDocument]]:
    """The products of each venue as its gates treat them."""
    found: defaultdict[UUID, list[ProductDocument]] = defaultdict(list)
    in_force = rules(connection)
    rows = connection.execute(
        sa.select(product, product_item.c.venue_id)
        .join(product_item, product_item.c.product_id == product.c.id)
        .order_by(product.c.number)
    )
    for row in rows:
        found[row.venue_id].append(
            ProductDocument(
                number=row.number,
                kind=row.kind,
                name_zh=row.name_zh,
                name_en=row.name_en,
                rule=in_force[row.id],
                offline_limit=row.offline_limit,
                max_unlisted_age_h=row.max_unlisted_age_h,
            )
        )
    return found


def chunks(
    connection: Connection, centre: Centre, venue_id: UUID, which: After | Listed, *, with_id_numbers: bool
) -> Iterator[Chunk]:
    """The passes of the venue that a gate may still be shown, PASSES_PER_SEGMENT at a time.

    One whose money for this venue was asked back is revoked here, and nowhere else.
    Suspended and revoked ones stay in: leaving a row out would say less than the code itself still says.
    """
    kinds = [kind for kind in CredentialKind if with_id_numbers or kind is not CredentialKind.ID_NUMBER]
    key = credential_key(connection, centre.secrets, venue_id).key
    ended_before = moments.minute_floor(centre.now_ms()) - LISTED_AFTER_END_MINUTES
    given_back = sa.or_(
        sa.and_(item_claim.c.item_id.is_(None), refund_hold.c.item_id.is_not(None)), item_claim.c.kind != "REDEEM"
    )
    shown = (
        sa.select(
            issued_pass,
            product.c.number.label("product"),
            holder.c.name_masked,
            given_back.label("given_back_here"),
            refund_hold.c.requested_at_ms,
        )
        .join(entitlement, entitlement.c.pass_id == issued_pass.c.id)
        .outerjoin(item_claim, item_claim.c.item_id == entitlement.c.item_id)
        .outerjoin(refund_hold, refund_hold.c.item_id == entitlement.c.item_id)
        .join(product, product.c.id == issued_pass.c.product_id)
        .outerjoin(holder, holder.c.ticket_id == issued_pass.c.ticket_id)
        .where(issued_pass.c.not_after > ended_before)
    )
    pages = (
        _after(connection, shown, venue_id, which)
        if isinstance(which, After)
        else _listed(connection, shown.where(which.condition(entitlement, venue_id)))
    )
    for rows in pages:
        ids = [row.id for row in rows]
        cards, phones = _cards(connection, centre, ids, kinds, key), _phones(connection, ids)
        photos = _photos(connection, venue_id, ids)
        yield Chunk(
            [
                PassRow(
                    pass_id=row.id,
                    product=row.product,
                    status=PassStatus.REVOKED if row.given_back_here else PassStatus[row.status],
                    not_before=row.not_before,
                    not_after=row.not_after,
                    lowest_issue=row.issue,
                    credentials=cards.get(row.id, ()),
                    holder_keys=phones.get(row.id, ()),
                )
                for row in rows
            ],
            [NameRow(row.id, row.number, row.name_masked or "", photos.get(row.id, b""), _stop(row)) for row in rows],
        )


def _stop(row: sa.Row[Any]) -> Stop | None:
    """Why a pass is stopped; not known of those that were before release 0.3.0, nor of tickets that ended."""
    if row.given_back_here and row.requested_at_ms is not None:
        return Stop(StopCause.CANCELLED, moments.minute_floor(row.requested_at_ms))
    return None if row.stop_cause is None else Stop(row.stop_cause, row.stopped_at)


def _after(
    connection: Connection, shown: sa.Select[Any], venue_id: UUID, which: After
) -> Iterator[Sequence[sa.Row[Any]]]:
    """A walk along the ids, each page found by itself: nobody reads a million rows to begin with the last ones."""
    here = entitlement.c.venue_id == venue_id
    page = shown.where(here).order_by(entitlement.c.pass_id).limit(PASSES_PER_SEGMENT)
    after = which.pass_id
    while rows := connection.execute(page.where(entitlement.c.pass_id > after)).all():
        yield rows
        after = rows[-1].id


def _listed(connection: Connection, wanted: sa.Select[Any]) -> Iterator[Sequence[sa.Row[Any]]]:
    """One statement, which no order keeps from its index, read page by page."""
    return connection.execute(wanted, execution_options={"yield_per": PASSES_PER_SEGMENT}).partitions()


def use_chunks(connection: Connection, venue_id: UUID, listed: Listed) -> Iterator[list[UseRow]]:
    """The uses listed in a span of versions, PASSES_PER_SEGMENT at a time; those of a snapshot come with its passes."""
    for rows in _listed(connection, sa.select(pass_use.c.row).where(listed.condition(pass_use, venue_id))):
        yield [msgspec.msgpack.decode(row.row, type=UseRow) for row in rows]


def uses_of(connection: Connection, venue_id: UUID, pass_ids: Sequence[bytes]) -> list[UseRow]:
    """The uses of these passes at the venue, as far as there are any."""
    mine = sa.and_(pass_use.c.venue_id == venue_id, pass_use.c.pass_id.in_(pass_ids))
    packed = connection.scalars(sa.select(pass_use.c.row).where(mine).order_by(pass_use.c.pass_id))
    return [msgspec.msgpack.decode(row, type=UseRow) for row in packed]


def _cards(
    connection: Connection, centre: Centre, pass_ids: Sequence[bytes], kinds: Iterable[CredentialKind], key: bytes
) -> dict[bytes, tuple[Credential, ...]]:
    """The cards of these passes, as the venue's gates know them."""
    wanted = sa.and_(
        credential.c.pass_id.in_(pass_ids),
        credential.c.kind.in_([kind.name for kind in kinds]),
        credential.c.removed_at_ms.is_(None),
    )
    found: defaultdict[bytes, list[Credential]] = defaultdict(list)
    for bound in open_credentials(connection, centre.secrets, wanted):
        found[bound.pass_id].append(Credential(bound.kind, credential_hash(bound, key)))
    return {pass_id: tuple(cards) for pass_id, cards in found.items()}


def _photos(connection: Connection, venue_id: UUID, pass_ids: Sequence[bytes]) -> dict[bytes, bytes]:
    """The names of these passes' photos as far as the venue's gates may have them."""
    mine = sa.and_(gate_photo.c.venue_id == venue_id, gate_photo.c.pass_id.in_(pass_ids))
    return {
        row.pass_id: row.name
        for row in connection.execute(sa.select(gate_photo.c.pass_id, gate_photo.c.name).where(mine))
    }


def _phones(connection: Connection, pass_ids: Sequence[bytes]) -> dict[bytes, tuple[HolderKey, ...]]:
    """The live holder keys of these passes."""
    live = sa.and_(holder_key.c.pass_id.in_(pass_ids), holder_key.c.retired_at_ms.is_(None))
    found: defaultdict[bytes, list[HolderKey]] = defaultdict(list)
    rows = sa.select(holder_key.c.pass_id, holder_key.c.generation, holder_key.c.public).where(live)
    for row in connection.execute(rows.order_by(holder_key.c.pass_id, holder_key.c.generation)):
        found[row.pass_id].append(HolderKey(row.generation, row.public))
    return {pass_id: tuple(keys) for pass_id, keys in found.items()}
