"""Many values at once mean the same on both databases."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.bulk import Value, among, insert_missing
from sync_server.centre import Centre
from sync_server.db import is_sqlite
from sync_server.idempotency import MAX_KEY, idempotency
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


def test_no_value_is_cut_to_the_length_of_its_column(any_centre: Centre) -> None:
    """PostgreSQL cuts what is cast to a type with a length: another key would be kept than was given."""
    row = {"actor": "a", "key": "k" * (MAX_KEY + 1), "body_hash": bytes(32), "response": None, "created_at_ms": 0}
    with any_centre.write() as connection:
        if is_sqlite(connection):  # which knows no lengths
            assert insert_missing(connection, idempotency, [row]) == 1
            assert connection.scalar(sa.select(idempotency.c.key)) == row["key"]
            return
        with pytest.raises(sa.exc.DataError, match="too long"), connection.begin_nested():
            insert_missing(connection, idempotency, [row])
        insert_missing(connection, idempotency, [{**row, "key": "k" * MAX_KEY}])
        longer = sa.select(idempotency.c.key).where(among(connection, idempotency.c.key, [row["key"]]))
        assert connection.scalars(longer).all() == []
