"""The alarm of wire.md §6: a venue whose share of unproven or last-hour entries departs from what is usual there."""

from __future__ import annotations

import statistics
from collections import defaultdict
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.issuance.tables import issued_pass
from sync_server.parties.tables import venue
from sync_server.redemptions.judge import Cause
from sync_server.redemptions.tables import redemption
from wire.moments import EPOCH_MS, MINUTE_MS

DAY_MS = 86_400_000
LAST_HOUR_MS = 3_600_000
DAYS_BEFORE = 28
FEWEST_ENTRIES = 20
"""Of a day that is to say anything."""
FEWEST_DAYS = 3
FACTOR = 3.0
MARGIN = 0.05
"""A share departs when it is both so many times the median and so much above it."""


class What(StrEnum):
    """Entries that came without proof, whatever was decided since; entries of tickets in their last hour."""

    UNPROVEN = "unproven"
    LAST_HOUR = "last_hour"


class Unusual(NamedTuple):
    """A venue's last 24 hours against the median of the days before."""

    venue: int
    what: What
    share: float
    median: float
    entries: int


def unusual_shares(connection: Connection, now_ms: int) -> list[Unusual]:
    """Every venue that is to be looked at; a venue without enough days behind it has no median yet."""
    shares: defaultdict[tuple[int, What], dict[int, tuple[float, int]]] = defaultdict(dict)
    for row in connection.execute(_days(now_ms)):
        if row.entries >= FEWEST_ENTRIES:
            shares[row.number, What.UNPROVEN][row.ago] = row.unproven / row.entries, row.entries
        if row.tickets >= FEWEST_ENTRIES:
            shares[row.number, What.LAST_HOUR][row.ago] = row.last_hour / row.tickets, row.tickets
    found = []
    for (number, what), by_day in sorted(shares.items()):
        before = [share for ago, (share, _) in by_day.items() if ago > 0]
        if 0 not in by_day or len(before) < FEWEST_DAYS:
            continue
        share, entries = by_day[0]
        median = statistics.median(before)
        if share > median + MARGIN and share > median * FACTOR:
            found.append(Unusual(number, what, share, median, entries))
    return found


def _days(now_ms: int) -> sa.Select[tuple[int, int, int, int, int, int]]:
    """Entries by venue and by how many spans of 24 hours ago they happened."""
    ago = ((now_ms - redemption.c.occurred_at_ms) // DAY_MS).label("ago")
    unproven = redemption.c.cause.in_((Cause.MANUAL, Cause.NO_EVIDENCE))
    is_ticket = redemption.c.item_id.is_not(None)
    ends_ms = issued_pass.c.not_after * sa.literal(MINUTE_MS, sa.BigInteger()) + EPOCH_MS
    late = sa.and_(is_ticket, redemption.c.occurred_at_ms >= ends_ms - LAST_HOUR_MS)

    def number_of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((condition, 1), else_=0))

    return (
        sa.select(
            venue.c.number,
            ago,
            sa.func.count().label("entries"),
            number_of(unproven).label("unproven"),
            number_of(is_ticket).label("tickets"),
            number_of(late).label("last_hour"),
        )
        .select_from(redemption)
        .join(venue, venue.c.id == redemption.c.venue_id)
        .outerjoin(issued_pass, issued_pass.c.id == redemption.c.pass_id)
        .where(redemption.c.occurred_at_ms.between(now_ms - (DAYS_BEFORE + 1) * DAY_MS + 1, now_ms))
        .group_by(venue.c.number, sa.literal_column("ago"))
    )
