"""A venue's published list, read as a gate reads it: whole, or by the deltas after the one it holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from sync_server.feed.publishing import publish_feeds
from sync_server.feed.tables import feed, feed_segment
from sync_server.gates.venue_keys import list_key
from sync_server.keys import key_set
from tests.sync_server.town import Town
from wire.feed import (
    Head,
    NameRow,
    PassRow,
    UseRow,
    VenueDocument,
    open_segment,
    read_head,
)
from wire.keyset import KeySet, read_key_set


@dataclass
class Fetched:
    """A venue's list as a gate reads it: the snapshot, then the deltas in order. `refs` names every segment read."""

    head: Head
    passes: dict[bytes, PassRow] = field(default_factory=dict)
    names: dict[bytes, NameRow] = field(default_factory=dict)
    uses: dict[bytes, UseRow] = field(default_factory=dict)
    documents: list[VenueDocument] = field(default_factory=list)


def fetch(town: Town, venue: str = "bridge", after: Fetched | None = None) -> Fetched:
    """The list anew, or with `after` as a gate that holds that list goes on: by the newer deltas alone."""
    centre = town.centre
    with centre.read() as connection:
        row = connection.execute(sa.select(feed).where(feed.c.venue_id == town.venues[venue])).one()
        published = key_set.newest(connection)
        keys = read_key_set(published.document, published.root_public)
        assert isinstance(keys, KeySet)
        head = read_head(row.head, keys, row.feed_id)
        assert isinstance(head, Head), head
        fetched = Fetched(head)
        refs = [*head.snapshot, *head.deltas]
        if after is not None:
            assert after.head.version >= head.snapshot_version, "the gap needs the snapshot"
            fetched = Fetched(head, dict(after.passes), dict(after.names), dict(after.uses), list(after.documents))
            refs = [ref for ref in head.deltas if ref.version > after.head.version]
        versions = [head.snapshot_version, *(ref.version for ref in head.deltas)]
        assert versions == sorted(versions) and versions[-1] == head.version
        for ref in refs:
            stored = connection.execute(sa.select(feed_segment).where(feed_segment.c.name == ref.name)).one()
            key = list_key(connection, centre.secrets, town.venues[venue])
            opened = open_segment(stored.data, ref.name, {key.id: key.key})
            assert isinstance(opened, tuple), opened
            for item in opened[1]:
                if isinstance(item, PassRow):
                    fetched.passes[item.pass_id] = item
                elif isinstance(item, NameRow):
                    fetched.names[item.pass_id] = item
                elif isinstance(item, UseRow):
                    fetched.uses[item.pass_id] = item
                elif isinstance(item, VenueDocument):
                    fetched.documents.append(item)
    return fetched


def compact(town: Town, venue: str = "bridge") -> None:
    """Have the venue's snapshot made anew."""
    with town.centre.write() as connection:
        changed = feed.update().where(feed.c.venue_id == town.venues[venue])
        connection.execute(changed.values(basis_digest=bytes(32)))
    publish_feeds(town.centre)
