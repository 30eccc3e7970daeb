"""Many values at once mean the same on both databases."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.bulk import Value, among, insert_missing
from sync_server.centre import Centre
from sync_server.notices.tables import notice
from sync_server.setbacks import setback

ID = UUID(int=7)


@pytest.mark.parametrize(
    ("column", "value", "other"),
    [
        (notice.c.id, ID, UUID(int=8)),
        (notice.c.key, "a,b{}\"'", "a"),
        (notice.c.promised_at_ms, 1 << 40, 0),
        (setback.c.subject, b"\x00\xff", b""),
    ],
)
def test_a_column_is_one_of_many_values(
    any_centre: Centre, column: sa.Column[object], value: Value, other: Value
) -> None:
    told: dict[str, Value] = {
        "kind": "low_stock",
        "key": "a,b{}\"'",
        "cause": "c",
        "variables": "{}",
        "promised_at_ms": 1 << 40,
    }
    put_aside: dict[str, Value] = {
        "step": "s",
        "subject": b"\x00\xff",
        "reason": "",
        "times": 1,
        "first_at_ms": 0,
        "again_at_ms": 0,
    }
    with any_centre.write() as connection:
        insert_missing(connection, notice, [{"id": ID, **told}])
        insert_missing(connection, setback, [put_aside])
        found = sa.select(sa.func.count()).select_from(column.table)
        for values, count in (([other, value], 1), ([other] * 2000, 0), ([], 0)):
            assert connection.scalar(found.where(among(connection, column, values))) == count
