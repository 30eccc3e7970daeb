"""The journal thread: every lane's facts, verdict and entry in one durable commit, and lanes that wait share it.

A disk may not answer at all. Who waits gives up after PATIENCE_S; what was given up before the thread came to it is not
done, and what reaches the disk all the same is taken back in the next commit, before anybody else's work.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gate_agent.disk import PRIMARY_CODE
from gate_agent.entries import Entries

GROUP_LIMIT = 64
"""Works that share one commit."""
WAITING_LIMIT = 512
"""Works that wait for the thread: far more than lanes could bring; beyond it nothing more is taken."""
PATIENCE_S = 2.0
"""How long anybody waits for a commit: a card busy with itself may take a second, a visitor is kept for no more."""
STOP_LIMIT_S = 5.0
FOR_PEOPLE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY})
"""What a disk answers that only people can mend; a new start would only take the screens down."""

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Entries], T]


@dataclass(frozen=True, slots=True)
class CannotRecord:
    """The disk did not take it: nothing was written that stands, nothing may open. The sentence is for staff."""

    sentence: str
    for_people: bool = False
    """Only people can mend it: the disk is full or read-only."""


@dataclass(frozen=True, slots=True)
class _Done:
    """A work that was done, not yet on disk: what it returned or raised, and the entries it appended."""

    result: Any
    fault: Exception | None = None
    after_seq: int = 0
    through_seq: int = 0


@dataclass(slots=True)
class _Waiting:
    """A work and where its one answer is put, unless it was given up before."""

    work: Work[Any]
    answer: queue.SimpleQueue[_Done] = field(default_factory=queue.SimpleQueue)
    given_up: bool = False


class Journal:
    """The only writer of entries.db. Works run one after the other, each seeing what the ones before it appended.

    A work reads facts and appends entries; it must not wait for anything. It never reaches the network or a device.
    """

    def __init__(self, entries: Entries, patience_s: float = PATIENCE_S) -> None:
        self._entries = entries
        self._patience_s = patience_s
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()  # in C: a lane waits for no less code
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._closed = False
        self._lock = threading.Lock()
        self._refusal: CannotRecord | None = None
        self._hangs = False
        self._given_up: list[tuple[int, int]] = []
        self.turns = 0
        """Rises with every group of works, whatever the disk says to it."""
        self.commits = 0
        """Rises with every commit."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be recorded now, for staff; None while all is well."""
        refusal = self._refusal
        return self._entries.displaced() if refusal is None else refusal.sentence

    @property
    def idle(self) -> bool:
        """Whether nobody waits and the disk answers: a moment for what has time."""
        return self._waiting.empty() and self._refusal is None

    def is_displaced(self) -> bool:
        """Whether the file was deleted or replaced under us: only a new start makes a new one."""
        return self._entries.displaced() is not None

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def perform(self, work: Work[T]) -> T | CannotRecord:
        """What `work` returned, once everything it appended is on disk; what it raised is raised here.

        CannotRecord after PATIENCE_S, and at once while the disk goes on not answering: then the work is not done, or
        what it appended is taken back (`Entries.take_back`).
        """
        refusal = self._refusal
        if self._hangs and refusal is not None:
            return refusal
        waiting = self._put(work)
        if waiting is None:
            return CannotRecord("the journal does not keep up")
        try:
            done = waiting.answer.get(timeout=self._patience_s)
        except queue.Empty:
            done = self._give_up(waiting)
        if done.fault is not None:
            raise done.fault
        answer: T | CannotRecord = done.result
        return answer

    def post(self, work: Work[object]) -> None:
        """Have `work` done without waiting: for what may be lost when the disk is full, never for an admission."""
        self._put(_seen(work))

    def close(self) -> None:
        """Finish what waits, then let go of the file; a disk that does not answer is not waited for longer."""
        with self._lock:  # whatever comes from now on is answered at once, and nobody waits for a thread that ended
            self._closed = True
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(STOP_LIMIT_S)
        while not self._waiting.empty():
            waiting = self._waiting.get_nowait()
            if waiting is not None:
                waiting.answer.put(_Done(CannotRecord("the gate is being stopped")))
        if not self._thread.is_alive():
            self._entries.close()

    def _put(self, work: Work[Any]) -> _Waiting | None:
        waiting = _Waiting(work)
        with self._lock:
            if self._closed or self._waiting.qsize() >= WAITING_LIMIT:
                return None
            self._waiting.put(waiting)
        return waiting

    def _give_up(self, waiting: _Waiting) -> _Done:
        """The wait is over: the answer if it came at this very moment, else the work is withdrawn."""
        with self._lock:
            if not waiting.answer.empty():
                return waiting.answer.get()
            waiting.given_up = self._hangs = True
            self._refusal = CannotRecord(f"{self._entries.path.name}: the disk does not answer")
            return _Done(self._refusal)

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, last = self._group(first)
            self._commit(group)
            if self._given_up:
                self._commit([])
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
        done: list[tuple[_Waiting, _Done]] = []
        refusal = None if (displaced := self._entries.displaced()) is None else CannotRecord(displaced)
        if refusal is None:
            try:
                with self._entries.transaction():
                    for after_seq, through_seq in self._given_up:
                        self._entries.take_back(after_seq, through_seq)
                    done = [(waiting, self._do(waiting.work)) for waiting in group if not waiting.given_up]
            except sqlite3.Error as error:
                for_people = error.sqlite_errorcode & PRIMARY_CODE in FOR_PEOPLE
                sentence = f"nothing can be written to {self._entries.path.name}: {error}"
                refusal = CannotRecord(sentence, for_people)
        if refusal is not None:
            done = [(waiting, _Done(refusal)) for waiting in group]
        self._answer(done, refusal)

    def _answer(self, done: list[tuple[_Waiting, _Done]], refusal: CannotRecord | None) -> None:
        """Give the answers; of who waits no longer, what was appended is taken back with the next commit."""
        with self._lock:
            self._hangs, self._refusal = False, refusal
            self.turns += 1
            if refusal is None:
                self.commits += 1
                self._given_up.clear()
            for waiting, one in done:
                if not waiting.given_up:
                    waiting.answer.put(one)
                elif one.through_seq > one.after_seq:
                    self._given_up.append((one.after_seq, one.through_seq))

    def _do(self, work: Work[Any]) -> _Done:
        after_seq = self._entries.last_seq
        try:
            with self._entries.part():
                result = work(self._entries)
        except sqlite3.Error:
            raise
        except Exception as fault:  # one lane's mistake is that lane's answer and nobody else's
            return _Done(None, fault)
        return _Done(result, None, after_seq, self._entries.last_seq)


def _seen(work: Work[T]) -> Work[T]:
    """Nobody waits for a posted work: what it raises is at least seen."""

    def seen(entries: Entries) -> T:
        try:
            return work(entries)
        except sqlite3.Error:  # the disk's, which is everybody's trouble
            raise
        except Exception:  # whatever it is: logged here, since nobody waits for the answer, and raised on
            log.exception("a posted entry was not written")
            raise

    return seen
