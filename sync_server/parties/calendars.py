"""When venues are open: hours and closed days in versions that are never changed, and sudden closures.

What gates and visitors are told of a venue is `opening_of`; who judges by it is `wire.entitlement`. A calendar that a
gate would not take is refused here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit.log import record
from sync_server.db import new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.parties.tables import venue, venue_calendar, venue_closure
from wire import moments
from wire.calendar import MAX_CAUSE_CHARACTERS, MAX_CLOSURES, Calendar, Closure, DayRange, Hours

ALWAYS = Calendar()
MAX_AHEAD_MS = 366 * moments.DAY_MS
"""A closure begins and ends within so long: what is known earlier is a closed day."""


def openings(connection: Connection) -> defaultdict[UUID, Calendar]:
    """When each venue is open, by two statements however many there are; always, of whom nothing was said."""
    found: defaultdict[UUID, Calendar] = defaultdict(Calendar)
    newest = sa.select(venue_calendar.c.venue_id, sa.func.max(venue_calendar.c.version)).group_by(
        venue_calendar.c.venue_id
    )
    key = sa.tuple_(venue_calendar.c.venue_id, venue_calendar.c.version)
    for row in connection.execute(sa.select(venue_calendar).where(key.in_(newest))):
        found[row.venue_id] = msgspec.json.decode(row.calendar, type=Calendar)
    shut: defaultdict[UUID, list[Closure]] = defaultdict(list)
    for row in connection.execute(_latest_last(sa.select(venue_closure))):
        shut[row.venue_id].append(Closure(row.since_minute, row.until_minute, row.cause))
    for venue_id, closures in shut.items():
        found[venue_id] = msgspec.structs.replace(found[venue_id], closures=tuple(closures[-MAX_CLOSURES:]))
    return found


def opening_of(connection: Connection, venue_id: UUID) -> Calendar:
    """When one venue is open."""
    return openings(connection)[venue_id]


def version_of(connection: Connection, venue_id: UUID) -> int:
    """The number of its calendar's newest version; 0: it has none."""
    mine = sa.select(sa.func.max(venue_calendar.c.version)).where(venue_calendar.c.venue_id == venue_id)
    return connection.scalar(mine) or 0


def versions(connection: Connection, venue_id: UUID, limit: int) -> Sequence[sa.Row[Any]]:
    """Its calendars, the newest first."""
    mine = sa.select(venue_calendar).where(venue_calendar.c.venue_id == venue_id)
    return connection.execute(mine.order_by(venue_calendar.c.version.desc()).limit(limit)).all()


def set_calendar(
    connection: Connection,
    venue_id: UUID,
    now_ms: int,
    actor: str,
    *,
    hours: tuple[Hours, ...] | None = None,
    closed_days: tuple[DayRange, ...] | None = None,
    after_version: int | None = None,
) -> int:
    """Change hours, closed days or both; the version that is in force now. What is the same makes no version.

    NotAllowedError when it is not `after_version` any more: somebody else changed it meanwhile.
    """
    _lock(connection, venue_id)
    version = version_of(connection, venue_id)
    if after_version is not None and version != after_version:
        raise NotAllowedError(f"the calendar was changed meanwhile: it is at version {version}, not {after_version}")
    before = msgspec.structs.replace(opening_of(connection, venue_id), closures=())
    after = Calendar(
        before.hours if hours is None else hours, before.closed_days if closed_days is None else closed_days
    )
    if after == before:
        return version
    text = msgspec.json.encode(after).decode()
    msgspec.json.decode(text, type=Calendar)  # more than gates take is a ValidationError here, not at the gate
    row = {"venue_id": venue_id, "version": version + 1, "calendar": text, "changed_at_ms": now_ms, "actor": actor}
    connection.execute(venue_calendar.insert().values(row))
    detail = {"version": version + 1, "hours": len(after.hours), "closed_days": len(after.closed_days)}
    record(connection, now_ms, actor, "venue.calendar", f"venue:{venue_id}", detail)
    return version + 1


def close(
    connection: Connection,
    venue_id: UUID,
    cause: str,
    now_ms: int,
    actor: str,
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> UUID:
    """Close a venue from now, or a later minute, on: until a minute, or until it is reopened. The closure's id."""
    _lock(connection, venue_id)
    begins_ms = now_ms if since_ms is None else since_ms
    if not cause or len(cause) > MAX_CAUSE_CHARACTERS or not cause.isprintable():
        raise NotAllowedError(f"a closure needs a cause of 1 to {MAX_CAUSE_CHARACTERS} characters on one line")
    if moments.minute_floor(begins_ms) < moments.minute_floor(now_ms) or (until_ms or begins_ms + 1) <= begins_ms:
        raise NotAllowedError("a closure begins now or later and ends after that")
    if max(begins_ms, until_ms or 0) > now_ms + MAX_AHEAD_MS:
        raise NotAllowedError("a closure begins and ends within a year: name what is later as closed days")
    if len(closures(connection, venue_id, now_ms)) >= MAX_CLOSURES:
        raise NotAllowedError(f"the venue has {MAX_CLOSURES} closures that are not over: reopen one first")
    closure_id = new_id(now_ms)
    until = None if until_ms is None else moments.minute_ceil(until_ms)
    span = {"since_minute": moments.minute_floor(begins_ms), "until_minute": until, "cause": cause}
    row = {"id": closure_id, "venue_id": venue_id, **span, "announced_at_ms": now_ms, "announced_by": actor}
    connection.execute(venue_closure.insert().values(row))
    record(connection, now_ms, actor, "venue.close", f"venue:{venue_id}", {"closure": str(closure_id), **span})
    return closure_id


def reopen(connection: Connection, closure_id: UUID, now_ms: int, actor: str) -> None:
    """A closure that is not over holds no longer, or never will."""
    mine = venue_closure.c.id == closure_id
    found = connection.execute(sa.select(venue_closure).where(mine).with_for_update()).one_or_none()
    if found is None:
        raise NotFoundError(f"no closure has the id {closure_id}")
    if found.lifted_at_ms is not None:
        raise NotAllowedError("the closure was lifted already")
    if found.until_minute is not None and found.until_minute <= moments.minute_floor(now_ms):
        raise NotAllowedError("the closure is over already")
    connection.execute(venue_closure.update().where(mine).values(lifted_at_ms=now_ms, lifted_by=actor))
    record(connection, now_ms, actor, "venue.reopen", f"venue:{found.venue_id}", {"closure": str(closure_id)})


def closures(connection: Connection, venue_id: UUID, now_ms: int) -> Sequence[sa.Row[Any]]:
    """Those of a venue that are not over, the next one first."""
    over = sa.or_(venue_closure.c.until_minute.is_(None), venue_closure.c.until_minute > moments.minute_floor(now_ms))
    mine = sa.select(venue_closure).where(
        venue_closure.c.venue_id == venue_id, venue_closure.c.lifted_at_ms.is_(None), over
    )
    return connection.execute(mine.order_by(venue_closure.c.since_minute, venue_closure.c.id)).all()


def _latest_last(query: sa.Select[Any]) -> sa.Select[Any]:
    """Closures that were not lifted, those that last longest behind the others: with too many, the first are over."""
    return query.where(venue_closure.c.lifted_at_ms.is_(None)).order_by(
        venue_closure.c.until_minute.is_(None), venue_closure.c.until_minute, venue_closure.c.id
    )


def _lock(connection: Connection, venue_id: UUID) -> None:
    """Nobody else changes this venue's calendar until the transaction ends."""
    if connection.execute(sa.select(venue.c.id).where(venue.c.id == venue_id).with_for_update()).one_or_none() is None:
        raise NotFoundError(f"no venue has the id {venue_id}")
