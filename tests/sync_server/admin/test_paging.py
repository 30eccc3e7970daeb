"""Keyset paging over both databases: every row once, in order, there and back, whatever the address says."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.admin.paging import PAGE_ROWS, keyset_page
from sync_server.audit import log
from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.outbox import outbox

ROWS = PAGE_ROWS * 2 + 5


def test_every_row_comes_once_there_and_back(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        for n in range(ROWS):
            log.record(connection, any_centre.now_ms(), "a", "b", str(n), {})
        query, columns = sa.select(event_log.c.subject), (event_log.c.day, event_log.c.seq)
        walked, page = [], keyset_page(connection, query, columns, {})
        assert page.newer is None
        pages = [page]
        while page.older:
            page = keyset_page(connection, query, columns, page.older)
            pages.append(page)
        walked = [int(row.subject) for one in pages for row in one.rows]
        assert walked == list(reversed(range(ROWS)))
        for one in reversed(pages[:-1]):
            assert page.newer is not None
            page = keyset_page(connection, query, columns, page.newer)
            assert [row.subject for row in page.rows] == [row.subject for row in one.rows]
        assert page.newer is None


def test_rows_of_one_moment_are_told_apart_by_their_id(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        for n in range(PAGE_ROWS + 3):
            row = {"id": any_centre.new_id(), "job_key": f"k{n}", "kind": "k", "subject_id": any_centre.new_id()}
            connection.execute(outbox.insert().values(**row, run_at_ms=7, state="WAITING"))
        query, columns = sa.select(outbox.c.job_key), (outbox.c.run_at_ms, outbox.c.id)
        first = keyset_page(connection, query, columns, {})
        assert first.older is not None
        second = keyset_page(connection, query, columns, first.older)
        keys = [row.job_key for row in [*first.rows, *second.rows]]
        assert len(set(keys)) == len(keys) == PAGE_ROWS + 3


def test_a_place_that_makes_no_sense_is_page_one(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        log.record(connection, any_centre.now_ms(), "a", "b", "only", {})
        columns = (event_log.c.day, event_log.c.seq)
        for place in ("", "1", "x.y", "1.2.3", "9" * 40 + ".1", "-1.'; DROP TABLE", "١.١x"):
            page = keyset_page(connection, sa.select(event_log.c.subject), columns, {"before": place})
            assert [row.subject for row in page.rows] == ["only"], place
