"""A row that fails for an hour is told of once; what is not tried any more is neither told of nor kept."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server import setbacks
from sync_server.centre import Centre
from sync_server.jobs.long_setbacks import TOLD_AFTER_MS, forget_ended_setbacks, tell_long_setbacks
from sync_server.notices.tables import notice
from tests.sync_server.conftest import Clock

STEP = "issuance.issue_paid_orders"
NOBODY = ValueError("张三 has no key")


def fails(centre: Centre, subject: bytes, error: Exception = NOBODY) -> None:
    with centre.write() as connection:
        setbacks.put_aside(connection, STEP, subject, error, centre.now_ms())


def told(centre: Centre) -> list[str]:
    with centre.read() as connection:
        return list(connection.scalars(sa.select(notice.c.variables).where(notice.c.kind == "setback")))


def test_what_fails_for_an_hour_is_told_of_once_and_names_nobody(centre: Centre, clock: Clock) -> None:
    fails(centre, b"a" * 16)
    clock.pass_ms(TOLD_AFTER_MS - 1)
    fails(centre, b"a" * 16)
    fails(centre, b"b" * 16)
    assert (tell_long_setbacks(centre), told(centre)) == (0, [])
    clock.pass_ms(1)
    assert tell_long_setbacks(centre) == 1
    assert told(centre) == ['{"step": "issuance.issue_paid_orders", "hours": "1", "error": "ValueError"}']
    clock.pass_ms(1000)
    fails(centre, b"a" * 16)
    assert tell_long_setbacks(centre) == 0
    with centre.write() as connection:  # done, and fails anew: that is news
        setbacks.forget(connection, STEP, [b"a" * 16, b"b" * 16])
    fails(centre, b"a" * 16)
    clock.pass_ms(TOLD_AFTER_MS)
    assert (tell_long_setbacks(centre), len(told(centre))) == (1, 2)


def test_what_is_not_tried_any_more_is_not_told_of_and_is_forgotten_after_a_day(centre: Centre, clock: Clock) -> None:
    fails(centre, b"a" * 16)
    clock.pass_ms(setbacks.FIRST_PAUSE_MS + setbacks.MAX_PAUSE_MS)
    assert tell_long_setbacks(centre) == 0
    clock.pass_ms(setbacks.NO_MORE_TRIED_MS - setbacks.MAX_PAUSE_MS)
    assert forget_ended_setbacks(centre) == 0
    clock.pass_ms(1)
    fails(centre, b"b" * 16)
    assert forget_ended_setbacks(centre) == 1
    with centre.read() as connection:
        assert [one.subject for one in setbacks.listed(connection)] == ["62" * 16]
