"""Worker step: what changed in a venue's list goes to its gates as a delta, a small segment beside the snapshot.

First a version is allotted and the changed rows are marked with it, then the tables are read, then the sealed bytes are
put in place. A change in between clears the mark of its rows and is found by the next step; a crash in between leaves
marks newer than the list, which is found as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.feed.contents import Listed, Stated, chunks, stated_by_venue, use_chunks
from sync_server.feed.heads import forget_segments, open_feed, resign_heads, write_head
from sync_server.feed.segments import Sealed, drop, keep, seal_chunk, seal_document, seal_uses
from sync_server.feed.snapshots import begin_snapshot, build_snapshots
from sync_server.feed.tables import feed, feed_segment, pass_use
from sync_server.gates.venue_keys import list_key
from sync_server.issuance.tables import entitlement
from sync_server.issuance.versions import allot_version
from wire.feed import PASSES_PER_SEGMENT, VenueDocument

MAX_DELTAS = 64
"""Of one head; more are put together, as far as they fit into one segment."""
MARKED_AT_ONCE = 20_000
"""Some tenths of a second of writing."""


def publish_feeds(centre: Centre) -> int:
    """Worker step: bring every list up to date and sign the ageing heads again; how many were touched.

    A venue whose list cannot be made holds up no other venue's; what failed is raised when all the rest is done.
    """
    with centre.read() as connection:
        due = _due(connection, centre)
    works: list[Callable[[], int | None]] = [partial(publish_venue, centre, venue_id) for venue_id in due]
    works += [partial(step, centre) for step in (build_snapshots, resign_heads, forget_segments)]
    done, failures = len(due), list[Exception]()
    for work in works:
        try:
            done += work() or 0
        except Exception as failure:  # of one venue alone
            failures.append(failure)
    if failures:
        raise ExceptionGroup("not every list could be brought up to date", failures)
    return done


def publish_venue(centre: Centre, venue_id: UUID) -> None:
    """Put what changed in one venue's list into a delta; a venue without a snapshot begins with one.

    While that first one is built deltas go on as well: the first head names both, so that no gate ever gets a list
    that says of a pass what was true when its building came past it.
    """
    with centre.write() as connection:
        open_feed(connection, centre, venue_id)
    version = _mark_listed(centre, venue_id)
    with centre.write() as connection:
        if begin_snapshot(connection, centre, venue_id):
            return
    with centre.read() as connection:
        held = connection.execute(sa.select(feed).where(feed.c.venue_id == venue_id)).one()
        if held.version >= version:
            return  # another worker began later, saw our marks and was quicker
        stated = stated_by_venue(connection, centre.settings)[venue_id]
        changed_document = stated.document if held.document_digest != stated.document_digest else None
        sealed = _seal(connection, centre, venue_id, Listed(held.version, version), stated, changed_document)
    with centre.write() as connection:
        if _version(connection, venue_id) != held.version:
            return  # another worker was quicker: whatever it did not see is found by the next step
        keep(connection, venue_id, "DELTA", (held.version, version), sealed, centre.now_ms())
        values = {"version": version, "document_digest": stated.document_digest}
        connection.execute(feed.update().where(feed.c.venue_id == venue_id).values(values))
        write_head(connection, centre, venue_id)
    _merge_deltas(centre, venue_id)


def _mark_listed(centre: Centre, venue_id: UUID) -> int:
    """Mark what no list says yet with the version under which it will be listed; the last one given out.

    A large import is marked in parts, so that nobody waits for all of it, each with a version of its own: whoever is
    allotted a later one sees all marks of the earlier ones.
    """
    marked, version = MARKED_AT_ONCE, 0
    while marked == MARKED_AT_ONCE:
        with centre.write() as connection:
            version = allot_version(connection)
            marked = max(_mark_some(connection, venue_id, table, version) for table in (entitlement, pass_use))
    return version


def _mark_some(connection: Connection, venue_id: UUID, table: sa.Table, version: int) -> int:
    here = table.c.venue_id == venue_id
    some = sa.select(table.c.pass_id).where(here, table.c.listed_version.is_(None)).limit(MARKED_AT_ONCE)
    marking = table.update().where(here, table.c.pass_id.in_(some)).values(listed_version=version)
    return connection.execute(marking).rowcount


def _due(connection: Connection, centre: Centre) -> list[UUID]:
    """Venues with rows not listed as they are now, with marks newer than their list, or with another document."""
    due: set[UUID] = set()
    for table in (entitlement, pass_use):
        due |= set(connection.scalars(sa.select(table.c.venue_id).where(table.c.listed_version.is_(None)).distinct()))
        marks = sa.select(sa.func.max(table.c.listed_version)).where(table.c.venue_id == feed.c.venue_id)
        newer = sa.select(feed.c.venue_id).where(marks.scalar_subquery() > feed.c.version)
        due |= set(connection.scalars(newer))
    listed = {
        row.venue_id: row.document_digest
        for row in connection.execute(sa.select(feed.c.venue_id, feed.c.document_digest))
    }
    stated = stated_by_venue(connection, centre.settings)
    due |= {venue_id for venue_id, one in stated.items() if listed.get(venue_id) != one.document_digest}
    return [venue_id for venue_id in stated if venue_id in due]


def _seal(
    connection: Connection,
    centre: Centre,
    venue_id: UUID,
    listed: Listed,
    stated: Stated,
    document: VenueDocument | None,
) -> list[Sealed]:
    """The segments of what was listed in a span of versions; always one, so that a head can name the version."""
    key = list_key(connection, centre.secrets, venue_id)
    sealed = [] if document is None else [seal_document(document, key)]
    for chunk in chunks(connection, centre, venue_id, listed, with_id_numbers=stated.with_id_numbers):
        sealed += seal_chunk(chunk, key)
    for rows in use_chunks(connection, venue_id, listed):
        sealed += seal_uses(rows, key)
    return sealed or [seal_document(stated.document, key)]


def _version(connection: Connection, venue_id: UUID) -> int:
    """The version of the feed, which nobody else changes until the transaction ends."""
    mine = sa.select(feed.c.version).where(feed.c.venue_id == venue_id)
    version: int = connection.scalars(mine.with_for_update()).one()
    return version


def _merge_deltas(centre: Centre, venue_id: UUID) -> None:
    """Put neighbouring deltas together once a head names too many. A gate that is up to date fetches nothing anew."""
    with centre.read() as connection:
        runs = _mergeable(connection, venue_id)
        if not runs:
            return
        held = connection.execute(sa.select(feed.c.version).where(feed.c.venue_id == venue_id)).one()
        stated = stated_by_venue(connection, centre.settings)[venue_id]
        spans = [Listed(after, to, held.version) for after, to in runs]
        merged = [_seal(connection, centre, venue_id, span, stated, stated.document) for span in spans]
    with centre.write() as connection:
        if _version(connection, venue_id) != held.version or _mergeable(connection, venue_id) != runs:
            return  # another worker was quicker
        for (after, to), sealed in zip(runs, merged, strict=True):
            inside = sa.and_(feed_segment.c.after_version >= after, feed_segment.c.version <= to)
            drop(connection, venue_id, sa.and_(feed_segment.c.role == "DELTA", inside), centre.now_ms())
            keep(connection, venue_id, "DELTA", (after, to), sealed, centre.now_ms())
        write_head(connection, centre, venue_id)


def _mergeable(connection: Connection, venue_id: UUID) -> list[tuple[int, int]]:
    """Spans of versions whose deltas fit into one segment of each part; none as long as the head names few."""
    span = (feed_segment.c.after_version, feed_segment.c.version)
    deltas = connection.execute(
        sa.select(*span, sa.func.max(feed_segment.c.rows).label("rows"))
        .where(feed_segment.c.venue_id == venue_id, feed_segment.c.role == "DELTA")
        .where(feed_segment.c.dropped_at_ms.is_(None))
        .group_by(*span)
        .order_by(feed_segment.c.version)
    ).all()
    if len(deltas) <= MAX_DELTAS:
        return []
    runs: list[tuple[int, int]] = []
    after, to, rows = deltas[0]
    for delta in deltas[1:]:
        if rows + delta.rows <= PASSES_PER_SEGMENT:
            to, rows = delta.version, rows + delta.rows
        else:
            runs.append((after, to))
            after, to, rows = delta
    alone = {(delta.after_version, delta.version) for delta in deltas}
    return [run for run in [*runs, (after, to)] if run not in alone]
