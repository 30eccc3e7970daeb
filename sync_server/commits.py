"""One commit for many: what threads want to write at the same time goes to SQLite's disk together.

SQLite has one writer and brings every commit to the disk by itself, so small writes of many threads would wait for one
disk after the other. PostgreSQL joins commits by itself; there each work has a transaction of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.engine import Connection, Engine

from sync_server.db import is_sqlite, write

MAX_TOGETHER = 64
"""Works in one transaction; threads of a web process are fewer."""

Result = TypeVar("Result")
Work = Callable[[Connection], Result]


class SharedCommits:
    """Safe for many threads; a work must not write in another transaction meanwhile."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._joins = is_sqlite(engine)
        self._adding = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[_Job[object]] = []

    def run(self, work: Work[Result]) -> Result:
        """What `work` gives, once it is on the disk; what it raises, with nothing of it written."""
        if not self._joins:
            with write(self._engine) as connection:
                return work(connection)
        job = _Job(work)
        with self._adding:
            self._waiting.append(job)  # type: ignore[arg-type]  # each job gives its own caller its own result
        while not job.done:
            with self._turn:
                if not job.done:  # else whoever had the turn before has done it
                    with self._adding:
                        jobs, self._waiting = self._waiting[:MAX_TOGETHER], self._waiting[MAX_TOGETHER:]
                    self._carry_out(jobs)
        return job.result()

    def _carry_out(self, jobs: Sequence[_Job[object]]) -> None:
        """All in one transaction; if one fails, each in its own, so that it fails alone."""
        try:
            with write(self._engine) as connection:
                results = [job.work(connection) for job in jobs]
        except BaseException as error:  # handed to the one whose it is: works taken and left would be waited for
            if len(jobs) == 1:
                jobs[0].fail(error)
                return
            for job in jobs:
                self._carry_out([job])
            return
        for job, result in zip(jobs, results, strict=True):
            job.succeed(result)


class _Job(Generic[Result]):
    def __init__(self, work: Work[Result]) -> None:
        self.work = work
        self.done = False
        self._results: list[Result] = []
        self._error: BaseException | None = None

    def succeed(self, result: Result) -> None:
        self._results.append(result)
        self.done = True

    def fail(self, error: BaseException) -> None:
        self._error = error
        self.done = True

    def result(self) -> Result:
        if self._error is not None:
            raise self._error
        return self._results[0]
