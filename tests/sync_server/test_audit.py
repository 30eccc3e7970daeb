"""The event log: any row that was changed, removed or put in is found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from sync_server.audit import log
from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.db import is_sqlite

DAY_MS = 86_400_000


def write_events(centre: Centre) -> None:
    for i in range(6):
        with centre.write() as connection:
            log.record(connection, 1000 * DAY_MS + i * DAY_MS // 3, "test", "tried", f"thing {i}", {"i": i})


def without_guards(centre: Centre, statement: sa.sql.dml.UpdateBase) -> None:
    """What somebody with the database file in hand could do."""
    with centre.write() as connection:
        for what in ("update", "delete"):
            on = "" if is_sqlite(connection) else " ON event_log"
            connection.exec_driver_sql(f"DROP TRIGGER event_log__append_only_{what}{on}")
        connection.execute(statement)


def flaw(centre: Centre) -> str | None:
    with centre.read() as connection:
        return log.first_flaw(connection)


def test_an_untouched_log_is_whole(any_centre: Centre) -> None:
    assert flaw(any_centre) is None
    write_events(any_centre)
    assert flaw(any_centre) is None


@pytest.mark.parametrize("values", [{"actor": "another"}, {"detail": '{"i":9}'}, {"at_ms": 5}])
def test_a_changed_row_is_located(any_centre: Centre, values: dict[str, object]) -> None:
    write_events(any_centre)
    second = sa.and_(event_log.c.day == 1000, event_log.c.seq == 2)
    without_guards(any_centre, event_log.update().where(second).values(values))
    assert flaw(any_centre) == "event_log day 1000 seq 2"


def test_removed_rows_are_located(centre: Centre) -> None:
    write_events(centre)
    without_guards(centre, event_log.delete().where(event_log.c.day == 1001, event_log.c.seq == 1))
    assert flaw(centre) == "event_log day 1001 seq 2"


def test_rows_removed_at_the_end_are_missed(centre: Centre) -> None:
    write_events(centre)
    without_guards(centre, event_log.delete().where(event_log.c.day == 1001, event_log.c.seq == 3))
    assert "missing at the end" in str(flaw(centre))


def test_a_clock_set_back_keeps_the_order(centre: Centre) -> None:
    for at_ms in (5 * DAY_MS, 3 * DAY_MS, 6 * DAY_MS):
        with centre.write() as connection:
            log.record(connection, at_ms, "test", "tried", "x", {})
    assert flaw(centre) is None


def test_writers_side_by_side_keep_one_chain(any_centre: Centre) -> None:
    def work(writer: int) -> None:
        for i in range(10):
            with any_centre.write() as connection:
                log.record(connection, DAY_MS, f"writer {writer}", "tried", str(i), {})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert flaw(any_centre) is None
    with any_centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(event_log)) == 60
