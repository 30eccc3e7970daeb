"""The outbox hands out each row to one worker at a time; an answered key answers the same again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server import outbox
from sync_server.centre import Centre
from sync_server.errors import KeyReusedError
from sync_server.idempotency import once

NOW_MS = 1_790_000_000_000


def test_each_row_is_claimed_by_one_worker(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        for i in range(60):
            outbox.promise(connection, "send", UUID(int=i), NOW_MS)
            outbox.promise(connection, "send", UUID(int=i), NOW_MS)

    def work(_worker: int) -> list[UUID]:
        mine: list[UUID] = []
        while True:
            with any_centre.write() as connection:
                jobs = outbox.claim(connection, "send", NOW_MS, limit=5)
            if not jobs:
                return mine
            mine += [job.subject_id for job in jobs]

    with ThreadPoolExecutor(4) as pool:
        claimed = [subject for mine in pool.map(work, range(4)) for subject in mine]
    assert sorted(claimed) == [UUID(int=i) for i in range(60)]


@pytest.mark.postgres
def test_no_plan_of_the_database_leases_more_than_were_asked_for(postgres_copy: str) -> None:
    engine = sa.create_engine(postgres_copy, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for i in range(6):
            outbox.promise(connection, "send", UUID(int=i), NOW_MS + i)
    with engine.begin() as connection:
        for other_way in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize"):
            connection.exec_driver_sql(f"SET LOCAL enable_{other_way} = off")  # as figures of the table may decide
        assert len(outbox.claim(connection, "send", NOW_MS + 100, limit=1)) == 1


def test_rows_wait_for_their_time_and_come_back_to_life(any_centre: Centre) -> None:
    subject = UUID(int=1)
    with any_centre.write() as connection:
        outbox.promise(connection, "send", subject, NOW_MS + 10)
        assert outbox.claim(connection, "send", NOW_MS) == []
        assert outbox.claim(connection, "another", NOW_MS + 10) == []
        outbox.promise(connection, "send", subject, NOW_MS + 50)  # later than it stands: changes nothing
        (job,) = outbox.claim(connection, "send", NOW_MS + 10)
        assert outbox.finish(connection, job, None)
        assert outbox.claim(connection, "send", NOW_MS + 10**9) == []
        outbox.promise(connection, "send", subject, NOW_MS)
        (again,) = outbox.claim(connection, "send", NOW_MS)
        assert (again.attempts, again.fence) == (1, 1)
        assert not outbox.finish(connection, job, None)  # the first is gone: it takes nothing from the second
        assert connection.execute(sa.select(outbox.outbox.c.id)).all() == [(again.id,)]


def test_the_same_key_gives_the_same_answer_and_another_body_is_refused(any_centre: Centre) -> None:
    calls: list[int] = []

    def act() -> dict[str, object]:
        calls.append(1)
        return {"order": len(calls)}

    for _ in range(2):
        with any_centre.write() as connection:
            assert once(connection, "shop", "k1", {"a": 1}, NOW_MS, act) == {"order": 1}
    with pytest.raises(KeyReusedError, match="'k1' of shop"), any_centre.write() as connection:
        once(connection, "shop", "k1", {"a": 2}, NOW_MS, act)
    with any_centre.write() as connection:
        assert once(connection, "another", "k1", {"a": 2}, NOW_MS, act) == {"order": 2}


def test_a_key_that_did_nothing_stays_free(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        assert once(connection, "shop", "k1", 1, NOW_MS, lambda: None) is None
        assert once(connection, "shop", "k1", 2, NOW_MS, lambda: {"ok": 1}) == {"ok": 1}
