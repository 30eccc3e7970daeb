"""The child process that talks to the centre: fetches the list, sends the entries, and waits politely when cut off."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import random
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from gate_agent import enrolment
from gate_agent.centre_client import Caller, Rest
from gate_agent.enrolment import NotEnrolled
from gate_agent.entry_push import EntryPush
from gate_agent.list_pull import ListPull
from gate_agent.photo_pull import PhotoPull
from gate_agent.sync_requests import EnrolWish, RequestKind, Requests
from gate_agent.sync_state import LOCK, LinkTrouble, RequestAnswer, Task, TroubleKind
from gate_agent.sync_store import SyncStore
from gate_agent.trusted_time import Clocks, TrustedTime, clocks_of_this_machine
from gate_agent.watchdog import Watchdog, notify
from wire.invitation import read_invitation

RETRY_GAP_S = 2.0
RETRY_BASE_S, RETRY_CEILING_S = 1.0, 8.0
"""After n failures: the gap and a random part of min(ceiling, base·2^n). So the two tasks together ask at most once a
second while the centre is away, and see within ten that it is back: no more than asking for the head costs anyway."""
NOTE_EVERY_MS = 15_000
"""How often an unchanged state of the link is written down again: a card wears out by writing."""
LOOK_AT_PARENT_EVERY_S = 0.5
ENDING_S = 2.0
SYNC_NOW_LIMIT_S = 15.0
"""How long a sync that staff asked for may take before they are told that the centre does not answer."""
LOOK_AGAIN_S = 0.1
LOOK_FOR_REQUESTS_EVERY_S = 0.3

log = logging.getLogger(__name__)


class JitteredBackoff:
    """How long to leave the centre alone after a failure: exponential, with full jitter above a fixed gap."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._failures = 0

    def next_s(self) -> float:
        """Seconds until the next attempt."""
        self._failures += 1
        ceiling_s = min(RETRY_CEILING_S, RETRY_BASE_S * 2 ** min(self._failures, 16))
        return RETRY_GAP_S + self._chance.uniform(0, ceiling_s)

    def reset(self) -> None:
        """The next failure is a first one again."""
        self._failures = 0


class Loop:
    """One task with the centre, again and again; writes down how it stands."""

    def __init__(
        self,
        task: Task,
        attempt: Callable[[], Rest | LinkTrouble],
        store: SyncStore,
        time: TrustedTime,
        chance: random.Random,
    ) -> None:
        self._task = task
        self._attempt = attempt
        self._store = store
        self._time = time
        self._backoff = JitteredBackoff(chance)
        self._noted: tuple[LinkTrouble | None, int] | None = None
        self._wake = threading.Event()
        self.turns = 0
        """Rises with every attempt that is over."""

    def run(self, stop: threading.Event, recovered: Callable[[], None]) -> None:
        """Until `stop` is set and `wake` called. `recovered` is called whenever the centre answers at last."""
        while not stop.is_set():
            was_well = self._is_well()
            pause_s = self.step()
            if self._is_well() and not was_well:
                recovered()
            self._wake.wait(pause_s)
            self._wake.clear()

    def wake(self) -> None:
        """Try now instead of waiting any longer."""
        self._wake.set()

    def step(self) -> float:
        """One attempt, whatever becomes of it; the seconds to wait before the next."""
        try:
            result = self._attempt()
        except (OSError, sqlite3.Error) as error:
            result = LinkTrouble(TroubleKind.DISK, f"{type(error).__name__}: {error}")
        pause_s = self._told(result)
        self.turns += 1
        return pause_s

    def _told(self, result: Rest | LinkTrouble) -> float:
        """Write down how it went; the pause that follows from it."""
        if isinstance(result, LinkTrouble):
            self._note(result)
            return self._backoff.next_s()
        if result.asked:
            self._backoff.reset()
            self._note(None)
        return result.pause_s

    def _is_well(self) -> bool:
        return self._noted is not None and self._noted[0] is None

    def _note(self, trouble: LinkTrouble | None) -> None:
        now = self._time.now()
        changed = self._noted is None or self._noted[0] != trouble
        if self._noted is not None and not changed and now.monotonic_ms - self._noted[1] < NOTE_EVERY_MS:
            return
        if changed:
            log.info("%s: %s", self._task, "in order" if trouble is None else f"{trouble.kind}: {trouble.detail}")
        self._noted = (trouble, now.monotonic_ms)
        with contextlib.suppress(sqlite3.Error):  # a full disk: the task is tried again all the same
            self._store.note(self._task, trouble, now.record_ms)


def run_forever(data_dir: Path) -> int:
    """What `gate-agent sync` does until SIGTERM, SIGINT or its parent's end; the exit code. The agent need not run."""
    stop, asked = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        asked.set()
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    parent = os.getppid()

    def look_at_parent() -> None:
        if os.getppid() != parent:
            end()

    with _alone(data_dir, stop, look_at_parent), closing(SyncStore(data_dir)) as store:
        _run_tasks(data_dir, store, clocks_of_this_machine(), stop, look_at_parent)
    return 0 if asked.is_set() else 1


def _run_tasks(
    data_dir: Path, store: SyncStore, clocks: Clocks, stop: threading.Event, look_around: Callable[[], None]
) -> None:
    """List and entries in a thread each, until `stop`; a thread that fails ends all, and who started us starts anew."""
    chance = random.Random()
    time = TrustedTime(lambda: store.read().evidence, clocks)
    callers = [Caller(data_dir, store, clocks, time) for _ in range(len(Task) + 1)]
    pull = ListPull(data_dir, store, callers[0], clocks.boot_ms, chance)
    push = EntryPush(data_dir, store, callers[1], clocks.boot_ms, time)
    photos = PhotoPull(data_dir, store, callers[2])
    list_loop = Loop(Task.LIST, pull.pull_once, store, time, chance)
    entries_loop = Loop(Task.ENTRIES, push.push_once, store, time, chance)

    def keep_running(loop: Loop, other: Loop) -> None:
        try:
            loop.run(stop, other.wake)
        finally:
            stop.set()

    def keep_answering() -> None:
        requests = _requests(data_dir, store, clocks, (list_loop, entries_loop), stop)
        try:
            while not stop.wait(LOOK_FOR_REQUESTS_EVERY_S):
                with contextlib.suppress(OSError, sqlite3.Error):  # staff are told that sync does not answer
                    requests.look()
        finally:
            stop.set()

    pairs = ((list_loop, entries_loop), (entries_loop, list_loop))
    threads = [threading.Thread(target=keep_running, args=pair, daemon=True) for pair in pairs]
    threads.append(threading.Thread(target=keep_answering, daemon=True))
    threads.append(threading.Thread(target=photos.run, args=(stop,), daemon=True))
    for thread in threads:
        thread.start()
    watchdog = Watchdog({"list": lambda: list_loop.turns + pull.segments, "entries": lambda: entries_loop.turns})
    threading.Thread(target=watchdog.run, args=(stop,), name="watchdog", daemon=True).start()
    notify("READY=1")
    while not stop.wait(LOOK_AT_PARENT_EVERY_S):
        look_around()
        if store.is_displaced():
            log.error(
                "sync.db was deleted, replaced or damaged; sync ends, and who started it starts it with a new one"
            )
            stop.set()
    notify("STOPPING=1")
    for loop in (list_loop, entries_loop):
        loop.wake()
    for thread in threads:
        thread.join(ENDING_S)
    for caller in callers:
        caller.close()


def _requests(
    data_dir: Path, store: SyncStore, clocks: Clocks, loops: Sequence[Loop], stop: threading.Event
) -> Requests:
    """What staff may ask at the screen, and how it is carried out."""

    def sync_now(_body: bytes) -> RequestAnswer:
        before = [loop.turns for loop in loops]
        for loop in loops:
            loop.wake()
        for _ in range(round(SYNC_NOW_LIMIT_S / LOOK_AGAIN_S)):
            over = all(loop.turns > turns for loop, turns in zip(loops, before, strict=True))
            if over or stop.wait(LOOK_AGAIN_S):
                break
        else:
            return RequestAnswer(False, TroubleKind.UNREACHABLE)
        state = store.read()
        links = (state.list_link, state.entries_link)
        trouble = next((link.trouble for link in links if link is not None and link.trouble is not None), None)
        return RequestAnswer(True) if trouble is None else RequestAnswer(False, trouble.kind, trouble.detail)

    def enrol(body: bytes) -> RequestAnswer:
        wish, name = msgspec.msgpack.decode(body, type=EnrolWish), socket.gethostname()
        invitation = read_invitation(wish.scanned)
        if invitation is not None:
            answer = enrolment.accept(data_dir, invitation, name, clocks)
        else:
            answer = enrolment.enrol(data_dir, wish.url, wish.code, name, clocks)
        if isinstance(answer, NotEnrolled):
            return RequestAnswer(False, TroubleKind.NOT_ENROLLED, answer.say)
        for loop in loops:
            loop.wake()
        return RequestAnswer(True, TroubleKind.PENDING, answer.check)

    return Requests(data_dir, store, clocks, {RequestKind.SYNC: sync_now, RequestKind.ENROL: enrol})


@contextmanager
def _alone(data_dir: Path, stop: threading.Event, look_around: Callable[[], None]) -> Iterator[None]:
    """Only one sync at a time writes here: one that outlives its parent for a moment is waited for."""
    with (data_dir / LOCK).open("w") as lock:
        while not stop.is_set():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stop.wait(LOOK_AT_PARENT_EVERY_S)
                look_around()
            else:
                break
        yield
