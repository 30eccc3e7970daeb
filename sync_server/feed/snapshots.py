"""Worker step: a venue's whole list as a snapshot, built a few segments a turn while deltas go on.

Its rows are read at different moments, each no older than the version it is begun at; what changed later is in the
deltas that follow it, so whoever applies both ends with the list as it is. A building survives the worker.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.feed.contents import After, Stated, chunks, stated_by_venue, uses_of
from sync_server.feed.heads import write_head
from sync_server.feed.segments import Sealed, drop, keep, seal_chunk, seal_document, seal_uses
from sync_server.feed.tables import ROLES, feed, feed_building, feed_segment
from sync_server.gates.venue_keys import list_key
from sync_server.issuance.versions import allot_version

ROWS_PER_TURN = 5_000
"""Some tenths of a second: that long deltas wait."""
OUTGROWN_ROWS = 20_000
OUTGROWN_SHARE = 0.1
"""A snapshot is made anew when the deltas after it hold more rows than both of these allow."""
SNAPSHOT_KEPT_MS = 30 * 86_400_000
"""And when it is older: passes that ended weeks ago are in it."""


class Held(NamedTuple):
    """What a feed has in force of one role: rows, and when the first of them were sealed."""

    rows: int
    made_at_ms: int


NOTHING = Held(0, 0)


def begin_snapshot(connection: Connection, centre: Centre, venue_id: UUID) -> bool:
    """Begin the first snapshot of a venue; False when one is there or on its way. Deltas follow it at once."""
    held = connection.execute(sa.select(feed).where(feed.c.venue_id == venue_id).with_for_update()).one()
    if held.snapshot_version is not None or _is_building(connection, venue_id):
        return False
    stated = stated_by_venue(connection, centre.settings)[venue_id]
    version = _begin(connection, centre, venue_id, stated)
    values = {"version": version, "document_digest": stated.document_digest}
    connection.execute(feed.update().where(feed.c.venue_id == venue_id).values(values))
    return True


def build_snapshots(centre: Centre) -> int:
    """Begin the snapshots that are due and build a little further, the shortest first; how many are being built.

    One that cannot be built holds up no other; what failed is raised when the rest is done.
    """
    with centre.read() as connection:
        outgrown = _outgrown(connection, centre)
    for venue_id in outgrown:
        with centre.write() as connection:
            if not _is_building(connection, venue_id):
                _begin(connection, centre, venue_id, stated_by_venue(connection, centre.settings)[venue_id])
    with centre.read() as connection:
        shortest = sa.select(feed_building.c.venue_id).order_by(feed_building.c.position, feed_building.c.begun_at_ms)
        building = list(connection.scalars(shortest))
    rows_left, failures = ROWS_PER_TURN, list[Exception]()
    for venue_id in building:
        if rows_left > 0:
            try:
                rows_left -= _build_on(centre, venue_id, rows_left)
            except Exception as failure:  # of one venue alone
                failures.append(failure)
    if failures:
        raise ExceptionGroup("not every snapshot could be built", failures)
    return len(building)


def _is_building(connection: Connection, venue_id: UUID) -> bool:
    """Whether a snapshot of the venue is on its way."""
    mine = sa.select(feed_building.c.venue_id).where(feed_building.c.venue_id == venue_id)
    return connection.execute(mine).first() is not None


def _begin(connection: Connection, centre: Centre, venue_id: UUID, stated: Stated) -> int:
    version = allot_version(connection)
    connection.execute(
        feed_building.insert().values(
            venue_id=venue_id,
            version=version,
            after_pass_id=b"",
            position=0,
            basis_digest=stated.basis_digest,
            begun_at_ms=centre.now_ms(),
        )
    )
    return version


def _outgrown(connection: Connection, centre: Centre) -> list[UUID]:
    """Venues whose snapshot rests on other keys than today's (and whose first one was given up for that), or is small
    beside the deltas after it, or old: what has ended since is left out of the next one."""
    parts = (feed_segment.c.venue_id, feed_segment.c.role)
    held = sa.select(*parts, sa.func.sum(feed_segment.c.rows), sa.func.min(feed_segment.c.created_at_ms))
    in_force = held.where(feed_segment.c.dropped_at_ms.is_(None)).group_by(*parts)
    live = {(row[0], row[1]): Held(row[2], row[3]) for row in connection.execute(in_force)}
    stated = stated_by_venue(connection, centre.settings)
    unbuilt = sa.select(feed.c.venue_id, feed.c.basis_digest).where(
        feed.c.version > 0, feed.c.venue_id.not_in(sa.select(feed_building.c.venue_id))
    )
    oldest_ms = centre.now_ms() - SNAPSHOT_KEPT_MS
    due = []
    for row in connection.execute(unbuilt):
        snapshot, deltas = (live.get((row.venue_id, role), NOTHING) for role in ROLES)
        outgrown = deltas.rows > max(OUTGROWN_ROWS, OUTGROWN_SHARE * snapshot.rows)
        if outgrown or snapshot.made_at_ms < oldest_ms or row.basis_digest != stated[row.venue_id].basis_digest:
            due.append(row.venue_id)
    return due


def _build_on(centre: Centre, venue_id: UUID, rows: int) -> int:
    """The next segments of a building, of so many passes or a few more; the last of them puts it in force.

    Gives how many there were.
    """
    with centre.read() as connection:
        building = connection.execute(sa.select(feed_building).where(feed_building.c.venue_id == venue_id)).one()
        stated = stated_by_venue(connection, centre.settings)[venue_id]
        key = list_key(connection, centre.secrets, venue_id)
        sealed: list[Sealed] = []
        after, done, ended = building.after_pass_id, 0, True
        rest = chunks(connection, centre, venue_id, After(after), with_id_numbers=stated.with_id_numbers)
        for chunk in rest:
            sealed += seal_chunk(chunk, key)
            uses = uses_of(connection, venue_id, [row.pass_id for row in chunk.passes])
            sealed += seal_uses(uses, key)
            after = chunk.passes[-1].pass_id
            done += len(chunk.passes)
            if done >= rows:
                ended = False
                break
        if ended:
            sealed.append(seal_document(stated.document, key))
    with centre.write() as connection:
        mine = feed_building.c.venue_id == venue_id
        now = connection.execute(sa.select(feed_building).where(mine).with_for_update()).one_or_none()
        if now is None or (now.version, now.position) != (building.version, building.position):
            return done  # another worker was quicker
        if building.basis_digest != stated.basis_digest:  # the keys changed under it: all over again
            _abandon(connection, centre, building)
            return done
        versions = (0, building.version)
        count = keep(connection, venue_id, "SNAPSHOT", versions, sealed, centre.now_ms(), building.position)
        if ended:
            _put_in_force(connection, centre, building, stated)
        else:
            further = {"after_pass_id": after, "position": building.position + count}
            connection.execute(feed_building.update().where(mine).values(further))
    return done


def _put_in_force(connection: Connection, centre: Centre, building: sa.Row[Any], stated: Stated) -> None:
    venue_id, version, now_ms = building.venue_id, building.version, centre.now_ms()
    held = connection.execute(sa.select(feed).where(feed.c.venue_id == venue_id).with_for_update()).one()
    values = {
        "snapshot_version": version,
        "version": max(held.version, version),
        "basis_digest": stated.basis_digest,
    }
    connection.execute(feed.update().where(feed.c.venue_id == venue_id).values(values))
    old_snapshot = sa.and_(feed_segment.c.role == "SNAPSHOT", feed_segment.c.version != version)
    contained = sa.and_(feed_segment.c.role == "DELTA", feed_segment.c.version <= version)
    drop(connection, venue_id, sa.or_(old_snapshot, contained), now_ms)
    connection.execute(feed_building.delete().where(feed_building.c.venue_id == venue_id))
    write_head(connection, centre, venue_id)


def _abandon(connection: Connection, centre: Centre, building: sa.Row[Any]) -> None:
    half = sa.and_(feed_segment.c.role == "SNAPSHOT", feed_segment.c.version == building.version)
    drop(connection, building.venue_id, half, centre.now_ms())
    connection.execute(feed_building.delete().where(feed_building.c.venue_id == building.venue_id))
