"""Worker step: what the centre knows of a pass's uses at a venue, for the gates there (wire.md §5).

A use is counted from the redemptions anew whenever one of them is added or given back, so that neither order nor
repetition of batches matters. The row says up to which entry of each journal it has counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.feed.tables import pass_use
from sync_server.gates.tables import incarnation
from sync_server.issuance.tables import entitlement
from sync_server.parties.tables import venue
from sync_server.redemptions.tables import far_outcome, is_given_back, redemption, speaks_far_of
from wire import moments
from wire.feed import Mark, UseRow
from wire.messages import Outcome

MAX_REDEMPTIONS_PER_STEP = 2_000
NO_USE = (Outcome.UNKNOWN_PASS.name,)

_JOURNAL = sa.and_(
    incarnation.c.device_id == redemption.c.device_id, incarnation.c.incarnation == redemption.c.incarnation
)
_COMPLETE = redemption.c.seq <= incarnation.c.through_seq  # what lies beyond a gap waits, or a mark would say too much


def count_uses(centre: Centre) -> int:
    """Count anew the uses of the passes with redemptions that the gates have not heard of; how many redemptions."""
    due = (
        sa.select(redemption.c.id, redemption.c.venue_id, redemption.c.pass_id)
        .join(incarnation, _JOURNAL)
        .where(redemption.c.use_counted_at_ms.is_(None), _COMPLETE)
    )
    if not centre.finds(due):
        return 0
    with centre.write() as connection:
        exclusive(connection, "redemptions.count_uses")
        rows = connection.execute(
            due.limit(MAX_REDEMPTIONS_PER_STEP).with_for_update(of=redemption, skip_locked=True)
        ).all()
        by_venue: defaultdict[UUID, set[bytes]] = defaultdict(set)
        for row in rows:
            if row.pass_id is not None:
                by_venue[row.venue_id].add(row.pass_id)
        for venue_id, pass_ids in by_venue.items():
            _write(connection, venue_id, _count(connection, venue_id, sorted(pass_ids)))
        counted = redemption.update().where(redemption.c.id.in_([row.id for row in rows]))
        connection.execute(counted.values(use_counted_at_ms=centre.now_ms()))
    return len(rows)


def _count(connection: Connection, venue_id: UUID, pass_ids: Sequence[bytes]) -> list[UseRow]:
    zone = ZoneInfo(connection.scalars(sa.select(venue.c.zone).where(venue.c.id == venue_id)).one())
    found = connection.execute(
        sa.select(redemption, incarnation.c.through_seq, is_given_back().label("given_back"))
        .join(entitlement, sa.and_(entitlement.c.pass_id == redemption.c.pass_id, entitlement.c.venue_id == venue_id))
        .join(incarnation, _JOURNAL)
        .where(redemption.c.venue_id == venue_id, redemption.c.pass_id.in_(pass_ids))
        .where(redemption.c.outcome.not_in(NO_USE), _COMPLETE)
    )
    by_pass: defaultdict[bytes, list[Any]] = defaultdict(list)
    for row in found:
        by_pass[row.pass_id].append(row)
    far = _far_marks(connection, venue_id, pass_ids)
    return [_row(pass_id, rows, far[pass_id], zone) for pass_id, rows in sorted(by_pass.items())]


def _far_marks(connection: Connection, venue_id: UUID, pass_ids: Sequence[bytes]) -> defaultdict[bytes, set[Mark]]:
    """The journals that speak of an admission in an earlier one: what a gate has of it there is counted in the row."""
    own = sa.and_(
        incarnation.c.device_id == far_outcome.c.device_id, incarnation.c.incarnation == far_outcome.c.incarnation
    )
    mine = sa.and_(redemption.c.venue_id == venue_id, redemption.c.pass_id.in_(pass_ids))
    columns = (far_outcome.c.device_id, far_outcome.c.incarnation, incarnation.c.through_seq)
    marks: defaultdict[bytes, set[Mark]] = defaultdict(set)
    rows = sa.select(redemption.c.pass_id, *columns).join(far_outcome, speaks_far_of(redemption)).join(incarnation, own)
    for row in connection.execute(rows.where(mine)):
        marks[row.pass_id].add(Mark(row.device_id, row.incarnation, row.through_seq))
    return marks


def _row(pass_id: bytes, rows: Sequence[Any], far: set[Mark], zone: ZoneInfo) -> UseRow:
    """One pass's row; days, months and years are those of its newest use."""
    marks = sorted({Mark(row.device_id, row.incarnation, row.through_seq) for row in rows} | far, key=_in_order)
    uses = sorted(row.occurred_at_ms for row in rows if not row.given_back)
    if not uses:
        return UseRow(pass_id, 0, 0, 0, tuple(marks))
    days = [moments.day_number(at_ms, zone) for at_ms in uses]
    newest = moments.date_of(days[-1])
    dates = [moments.date_of(day) for day in days]
    return UseRow(
        pass_id,
        total=len(uses),
        day=days[-1],
        on_day=days.count(days[-1]),
        marks=tuple(marks),
        in_month=sum((date.year, date.month) == (newest.year, newest.month) for date in dates),
        in_year=sum(date.year == newest.year for date in dates),
        last_ms=uses[-1],
    )


def _in_order(mark: Mark) -> tuple[bytes, bytes]:
    return mark.device, mark.incarnation


def _write(connection: Connection, venue_id: UUID, rows: Sequence[UseRow]) -> None:
    """In place of what the gates were told before."""
    if not rows:
        return
    mine = sa.and_(pass_use.c.venue_id == venue_id, pass_use.c.pass_id.in_([row.pass_id for row in rows]))
    connection.execute(pass_use.delete().where(mine))
    connection.execute(
        pass_use.insert(),
        [{"venue_id": venue_id, "pass_id": row.pass_id, "row": msgspec.msgpack.encode(row)} for row in rows],
    )
