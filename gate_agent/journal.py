"""The journal thread: every lane's facts, verdict and entry in one durable commit, and lanes that wait share it."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from gate_agent.entries import Entries

GROUP_LIMIT = 64
"""Works that share one commit."""
WAITING_LIMIT = 512
"""Works that wait for the thread: far more than lanes could bring; beyond it nothing more is taken."""
STOP_LIMIT_S = 5.0

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Entries], T]


@dataclass(frozen=True, slots=True)
class CannotRecord:
    """The disk did not take it: nothing was written, nothing may open. The sentence is for staff."""

    sentence: str


@dataclass(frozen=True, slots=True)
class _Waiting:
    work: Work[Any]
    answer: Future[Any]


class Journal:
    """The only writer of entries.db. Works run one after the other, each seeing what the ones before it appended.

    A work reads facts and appends entries; it must not wait for anything. It never reaches the network or a device.
    """

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(WAITING_LIMIT)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._closed = False
        self._lock = threading.Lock()
        self.trouble: str | None = None
        """Why the newest commit failed, for staff; None after one that went well."""
        self.commits = 0
        """Rises with every commit."""

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def perform(self, work: Work[T]) -> T | CannotRecord:
        """What `work` returned, once everything it appended is on disk; what it raised is raised here."""
        waiting = self._put(work)
        result: T | CannotRecord = CannotRecord("the journal does not keep up") if waiting is None else waiting.result()
        return result

    def post(self, work: Work[object]) -> None:
        """Have `work` done without waiting: for what may be lost when the disk is full, never for an admission."""
        answer = self._put(work)
        if answer is not None:
            answer.add_done_callback(_report)

    def close(self) -> None:
        """Finish what waits, then let go of the file."""
        with self._lock:  # whatever comes from now on is answered at once, and nobody waits for a thread that ended
            self._closed = True
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(STOP_LIMIT_S)
        while not self._waiting.empty():
            waiting = self._waiting.get_nowait()
            if waiting is not None:
                waiting.answer.set_result(CannotRecord("the gate is being stopped"))
        self._entries.close()

    def _put(self, work: Work[T]) -> Future[T | CannotRecord] | None:
        waiting = _Waiting(work, Future())
        with self._lock:
            if self._closed:
                return None
            try:
                self._waiting.put_nowait(waiting)
            except queue.Full:
                return None
        return waiting.answer

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, last = self._group(first)
            self._commit(group)
            if last:
                return

    def _group(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        """Everything that waits now, up to GROUP_LIMIT; True when the journal closes after it."""
        group = [first]
        while len(group) < GROUP_LIMIT:
            try:
                waiting = self._waiting.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                return group, True
            group.append(waiting)
        return group, False

    def _commit(self, group: list[_Waiting]) -> None:
        """One transaction for the group. Answers are given only after it is on disk."""
        answers: list[tuple[Future[Any], Any, Exception | None]] = []
        try:
            with self._entries.transaction():
                answers.extend((waiting.answer, *self._do(waiting.work)) for waiting in group)
        except sqlite3.Error as error:
            self.trouble = f"nothing can be written to {self._entries.path.name}: {error}"
            answers = [(waiting.answer, CannotRecord(self.trouble), None) for waiting in group]
        else:
            self.trouble = None
            self.commits += 1
        for answer, result, fault in answers:
            if fault is None:
                answer.set_result(result)
            else:
                answer.set_exception(fault)

    def _do(self, work: Work[Any]) -> tuple[Any, Exception | None]:
        try:
            with self._entries.part():
                return work(self._entries), None
        except sqlite3.Error:
            raise
        except Exception as fault:  # one lane's mistake is that lane's answer and nobody else's
            return None, fault


def _report(answer: Future[Any]) -> None:
    """Nobody waits for a posted work: what it raised is at least seen."""
    fault = answer.exception()
    if fault is not None:
        log.error("a posted entry was not written: %r", fault)
