"""List versions: one rising number over all venues, so that a token's `issued_version` means the same at each.

A token carries the version after the last one given out. A gate that holds an older list may therefore believe an
unlisted token for a while; one that holds this version or a newer one knows better (wire.md §5).
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.issuance.tables import list_version

BELIEVED_LISTED_ALONE = 0
"""The `issued_version` of a code that no gate believes before its list names the pass: every list is newer."""


def next_listed(connection: Connection) -> int:
    """The version under which what is issued in this transaction will be listed, or a later one.

    Holds the counter until the transaction ends: a list is numbered either before this issuance, and does not claim to
    contain it, or after it, and does.
    """
    insert_missing(connection, list_version, [{"id": 1, "last": 0}])
    last: int = connection.scalars(sa.select(list_version.c.last).with_for_update()).one()
    return last + 1


def allot_version(connection: Connection) -> int:
    """The version of a list that is about to be built."""
    insert_missing(connection, list_version, [{"id": 1, "last": 0}])
    step = list_version.update().values(last=list_version.c.last + 1).returning(list_version.c.last)
    version: int = connection.scalars(step).one()
    return version
