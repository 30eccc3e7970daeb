"""The centre's web process as it would be if it took batches in row by row: the peer of P9, for the benchmark alone.

`python -m benchmarks.row_by_row --database … run`. All else is the same: HTTP, signatures, judging, one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import bulk
from sync_server.centre import Centre
from sync_server.cli import main
from sync_server.gates.registry import Device
from sync_server.orders import claims
from sync_server.redemptions import admissions, counting, journal
from sync_server.redemptions.judge import KnownPass
from wire.messages import Entry

all_at_once = bulk.insert_missing
all_known = admissions.known_passes


def append(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, bulk.Value]]) -> None:
    """A statement a row."""
    for row in rows:
        connection.execute(table.insert(), row)


def insert_missing(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, bulk.Value]]) -> int:
    """A statement a row."""
    return sum(all_at_once(connection, table, [row]) for row in rows)


def known_passes(
    connection: Connection, centre: Centre, device: Device, entries: Sequence[Entry]
) -> Mapping[bytes, KnownPass]:
    """A look for each entry."""
    return {found: known for one in entries for found, known in all_known(connection, centre, device, [one]).items()}


INSTEAD = (
    (counting, "append", append),
    (journal, "append", append),
    (claims, "insert_missing", insert_missing),
    (counting, "known_passes", known_passes),
)

if __name__ == "__main__":
    for module, name, work in INSTEAD:
        setattr(module, name, work)
    main()
