"""One commit for many threads: all of it on the disk before anybody is told, and who fails fails alone."""

from __future__ import annotations

import threading
from functools import partial

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.commits import SharedCommits, Work
from sync_server.db import is_sqlite
from sync_server.idempotency import idempotency
from tests.waiting import until

THREADS = 12


def keep(connection: Connection, key: str) -> str:
    row = {"actor": "test", "key": key, "body_hash": bytes(32), "response": None, "created_at_ms": 0}
    connection.execute(idempotency.insert(), [row])
    return key


def kept(centre: Centre) -> set[str]:
    with centre.read() as connection:
        return set(connection.scalars(sa.select(idempotency.c.key)))


def test_what_many_threads_write_is_there_once_each_is_told(any_centre: Centre) -> None:
    commits, begin = SharedCommits(any_centre.engine), threading.Barrier(THREADS)
    committed, told = list[str](), list[str]()
    sa.event.listen(any_centre.engine, "commit", lambda _: committed.append("commit"))

    def write(number: int) -> None:
        def work(connection: Connection) -> str:
            if number % 3 == 0:
                keep(connection, f"half of {number}")
                raise ValueError(f"{number} fails")
            return keep(connection, f"{number}")

        begin.wait()
        try:
            key = commits.run(work)
            assert key in kept(any_centre)
            told.append(key)
        except ValueError as error:
            told.append(f"{error}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = {f"{number}" for number in range(THREADS) if number % 3}
    assert kept(any_centre) == good
    assert set(told) == good | {f"{number} fails" for number in range(0, THREADS, 3)}
    assert len(committed) <= len(good)


def test_those_who_wait_while_one_writes_share_the_next_commit(centre: Centre) -> None:
    assert is_sqlite(centre.engine)
    commits, committed = SharedCommits(centre.engine), list[str]()
    writing, others_wait = threading.Event(), threading.Event()
    sa.event.listen(centre.engine, "commit", lambda _: committed.append("commit"))

    def first(connection: Connection) -> str:
        writing.set()
        assert others_wait.wait(30)
        return keep(connection, "first")

    def other(number: int) -> None:
        writing.wait(30)
        commits.run(lambda connection: keep(connection, f"{number}"))

    threads = [threading.Thread(target=other, args=(number,)) for number in range(THREADS)]
    threads.append(threading.Thread(target=lambda: commits.run(first)))
    for thread in threads:
        thread.start()
    until(lambda: len(commits._waiting) == THREADS)
    others_wait.set()
    for thread in threads:
        thread.join()
    assert len(committed) == 2 and len(kept(centre)) == THREADS + 1


def test_a_work_that_fails_alone_raises_what_it_raised(any_centre: Centre) -> None:
    def work(connection: Connection) -> str:
        keep(connection, "half")
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        SharedCommits(any_centre.engine).run(work)
    assert kept(any_centre) == set()


def test_a_work_that_ends_its_thread_leaves_nobody_waiting(centre: Centre) -> None:
    """The works of the others were taken with it; nobody but their own threads would ever do them."""
    commits, ended = SharedCommits(centre.engine), list[BaseException]()
    writing, others_wait = threading.Event(), threading.Event()

    def first(connection: Connection) -> str:
        writing.set()
        assert others_wait.wait(30)
        return keep(connection, "first")

    def leave(connection: Connection) -> str:
        keep(connection, "half")
        raise SystemExit

    def run(work: Work[str]) -> None:
        try:
            commits.run(work)
        except SystemExit as error:
            ended.append(error)

    works = [first, leave, *(partial(keep, key=f"{number}") for number in range(THREADS))]
    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    threads[0].start()
    assert writing.wait(30)
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(commits._waiting) == THREADS + 1)
    others_wait.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert kept(centre) == {"first", *(f"{number}" for number in range(THREADS))} and len(ended) == 1
