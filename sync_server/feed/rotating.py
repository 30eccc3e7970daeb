"""Worker step: a venue whose gate was revoked gets new keys, one change at a time.

Its gates, and the answers to them, look cards up under the newest key and the one before. So a further change waits
until the list rests on the newest: a gate revoked meanwhile goes on reading what it could read anyway, for as long as a
list takes to be made, and no visitor's card is unknown to the others.
"""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.feed.tables import feed_segment
from sync_server.gates.tables import device, venue_key
from sync_server.gates.venue_keys import KNOWS_TOO_MUCH, replace_keys


def rotate_venue_keys(centre: Centre) -> int:
    """Change the keys that a revoked gate knows; of how many venues."""
    due = _due()
    if not centre.finds(due):
        return 0
    with centre.write() as connection:
        exclusive(connection, "rotate_venue_keys")
        venues = connection.scalars(due).all()
        for venue_id in venues:
            replace_keys(connection, centre.secrets, venue_id, centre.now_ms())
    return len(venues)


def _due() -> sa.Select[UUID]:
    in_use = sa.and_(venue_key.c.venue_id == device.c.venue_id, venue_key.c.kind == "list", venue_key.c.in_use)
    newest = sa.select(venue_key.c.id).where(in_use).scalar_subquery()
    rests_on_an_older = sa.exists().where(
        feed_segment.c.venue_id == device.c.venue_id,
        feed_segment.c.dropped_at_ms.is_(None),
        feed_segment.c.list_key_id < newest,
    )
    return sa.select(device.c.venue_id).where(KNOWS_TOO_MUCH, ~rests_on_an_older).distinct()
