"""What of the keys has to be done in time: those that will end, and the room that is left for further ones.

Told on standard error by `sync-server keys list` and `sync-server check`.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.keys import key_set
from sync_server.keys.pairs import DAY_MS
from sync_server.keys.tables import signing_key
from wire.keyset import MAX_KEYS, KeyState
from wire.signing import Purpose

WARNED_MS = 90 * DAY_MS
"""As long as gates that are cut off may take to hear of a new key, and people to find the root key."""
LONGEST_PASS_MS = 2 * 366 * DAY_MS
"""A pass key signs nothing that outlives it: an annual pass and the one that renews it."""
ROOM_WARNED = 8


def warnings(connection: Connection, now_ms: int) -> list[str]:
    """What an operator has to do soon, and by when, one sentence each."""
    return [*_ending(connection, now_ms), *_narrow(connection)]


def _ending(connection: Connection, now_ms: int) -> Iterator[str]:
    signs = sa.select(signing_key).where(signing_key.c.state == KeyState.SIGNING).order_by(signing_key.c.id)
    for row in connection.execute(signs):
        before_ms = WARNED_MS + (LONGEST_PASS_MS if row.purpose == Purpose.PASS else 0)
        left_days = (row.not_after_ms - now_ms) // DAY_MS
        if now_ms >= row.not_after_ms:
            yield f"the {row.purpose} key {row.id} ended {-left_days} days ago: create and start a new one now"
        elif row.not_after_ms - now_ms < before_ms:
            yield f"the {row.purpose} key {row.id} ends in {left_days} days: create a new one now, and start it in time"


def _narrow(connection: Connection) -> Iterator[str]:
    changes = key_set.root_changes(connection)
    if changes > key_set.MAX_ROOT_CHANGES_TOLD - ROOM_WARNED:
        yield (
            f"the root key was changed {changes} times: gates that were cut off before the last "
            f"{key_set.MAX_ROOT_CHANGES_TOLD} changes have to be enrolled anew"
        )
    keys = len(key_set.public_keys(connection))
    if keys > MAX_KEYS - ROOM_WARNED:
        yield f"{keys} of the {MAX_KEYS} keys that a key set takes were made: do not make one without need"
