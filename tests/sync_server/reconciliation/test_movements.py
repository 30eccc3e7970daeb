"""Our side of reconciliation, read from the tables: which days have ended."""

from __future__ import annotations

from datetime import date, timedelta

from sync_server.centre import Centre
from sync_server.reconciliation.movements import ended_days
from sync_server.reconciliation.statements_in import bounds, take_in
from tests.sync_server.conftest import START_MS

MONDAY = date(2026, 9, 14)


def days(*after: int) -> list[date]:
    return [MONDAY + timedelta(days=each) for each in after]


def test_a_day_has_ended_once_its_own_and_the_next_days_statement_of_that_provider_are_in(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        for provider, taken in (("ALIPAY", days(4, 2, 1, 0)), ("HUIJINBAO", days(3, 5))):
            for day in taken:
                take_in(connection, provider, day, [], START_MS)
        assert ended_days(connection, "ALIPAY") == [bounds(day) for day in days(0, 1)]
        assert ended_days(connection, "HUIJINBAO") == []
        take_in(connection, "ALIPAY", MONDAY + timedelta(days=3), [], START_MS)
        assert ended_days(connection, "ALIPAY") == [bounds(day) for day in days(0, 1, 2, 3)]
