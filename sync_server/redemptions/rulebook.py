"""What the centre's own checks are judged by: keys, each venue's document, the callers. Read at most once a second."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.errors import ConfigurationError
from sync_server.feed.contents import stated_by_venue
from sync_server.feed.tables import feed
from sync_server.gates import registry
from sync_server.gates.registry import Device
from sync_server.gates.venue_keys import credential_key
from sync_server.keys import key_set
from wire.feed import ProductDocument, VenueDocument
from wire.keyset import KeySet, read_key_set
from wire.token import Place

KEPT_MS = 1_000
"""How long a changed rule, a revoked key or a renamed caller may go unnoticed; passes themselves are never kept."""


@dataclass(frozen=True)
class VenueRules:
    """One venue as its gates see it; `list_version` is that of its published list."""

    place: Place
    zone: ZoneInfo
    document: VenueDocument
    products: Mapping[int, ProductDocument]
    list_version: tuple[int, int]
    credential_key: bytes
    """What card hashes, and codes that are not ours, are keyed with."""

    @property
    def asks_who_left(self) -> bool:
        """Whether a product lets nobody in again who has not left."""
        return any(product.rule.leave_first for product in self.products.values())


@dataclass(frozen=True)
class _Page:
    """Everything as read at one moment; venues and callers are added when they are first asked for."""

    read_at_ms: int
    keys: KeySet
    documents: Mapping[UUID, VenueDocument]
    venues: dict[UUID, VenueRules] = field(default_factory=dict)
    callers: dict[bytes, Device] = field(default_factory=dict)


class Rulebook:
    """Safe for many threads: one of them reads anew, the others go on with what is there."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._page: _Page | None = None
        self._reading = threading.Lock()

    @property
    def keys(self) -> KeySet:
        """The key set in force."""
        return self._look().keys

    def caller(self, device_id: bytes) -> Device | None:
        """The registry's word on a device; what acts on it looks again whether it is still active."""
        page = self._look()
        if device_id not in page.callers:
            with self._centre.read() as connection:
                found = registry.find_device(connection, device_id)
            if found is None:
                return None
            page.callers[device_id] = found
        return page.callers[device_id]

    def forget(self, device_id: bytes) -> None:
        """The registry says something else of this device by now."""
        self._look().callers.pop(device_id, None)

    def venue(self, venue_id: UUID) -> VenueRules:
        """The rules of the venue of an enrolled device."""
        page = self._look()
        if venue_id not in page.venues:
            with self._centre.read() as connection:
                page.venues[venue_id] = self._rules(connection, page.documents[venue_id], venue_id)
        return page.venues[venue_id]

    def _look(self) -> _Page:
        page, now_ms = self._page, self._centre.now_ms()
        if page is not None and abs(now_ms - page.read_at_ms) < KEPT_MS:
            return page
        if not self._reading.acquire(blocking=page is None):
            assert page is not None, "without a page everybody waits for the first"
            return page
        try:
            if self._page is page:
                self._page = self._read(now_ms)
            assert self._page is not None, "just read"
            return self._page
        finally:
            self._reading.release()

    def _read(self, now_ms: int) -> _Page:
        with self._centre.read() as connection:
            published = key_set.newest(connection)
            stated = stated_by_venue(connection, self._centre.settings)
        keys = read_key_set(published.document, published.root_public)
        if not isinstance(keys, KeySet):
            raise ConfigurationError(f"the key set {published.version} in the database is {keys}")
        return _Page(now_ms, keys, {venue_id: one.document for venue_id, one in stated.items()})

    def _rules(self, connection: Connection, document: VenueDocument, venue_id: UUID) -> VenueRules:
        version = sa.select(feed.c.epoch, feed.c.version).where(feed.c.venue_id == venue_id)
        listed = connection.execute(version).one_or_none()
        return VenueRules(
            place=Place(document.venue, frozenset(document.groups)),
            zone=ZoneInfo(document.zone),
            document=document,
            products={product.number: product for product in document.products},
            list_version=(0, 0) if listed is None else (listed.epoch, listed.version),
            credential_key=credential_key(connection, self._centre.secrets, venue_id).key,
        )
