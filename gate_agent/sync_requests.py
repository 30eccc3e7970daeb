"""What staff ask of sync at the screen: a row in entries.db, which sync carries out and answers in sync.db."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from enum import StrEnum
from pathlib import Path

import msgspec

from gate_agent.disk import read_only
from gate_agent.journal import CannotRecord, Journal
from gate_agent.journal_files import NAME
from gate_agent.sync_state import RequestAnswer, SyncView
from gate_agent.sync_store import SyncStore
from gate_agent.trusted_time import Clocks
from gate_agent.world import BOOT_CHARACTERS, World

ID_BYTES = 8
GOOD_FOR_MS = 60_000
"""A request is carried out only so long after it was made: nobody stands at the screen any more."""
ANSWER_LIMIT_S = 20.0
LOOK_EVERY_S = 0.1

_NEW = "SELECT id, kind, body FROM request WHERE boot = ? AND boot_ms > ? ORDER BY number"


class RequestKind(StrEnum):
    """What can be asked."""

    SYNC = "sync"
    ENROL = "enrol"


class EnrolWish(msgspec.Struct, frozen=True, array_like=True):
    """The body of an enrolment: the centre's address and the one-time code it shows, or the QR code that was read."""

    url: str
    code: str
    scanned: str = ""


Carry = Callable[[bytes], RequestAnswer]


def ask(journal: Journal, sync: SyncView, kind: RequestKind, body: bytes, world: World) -> RequestAnswer | None:
    """Ask, and wait for the answer; None when sync gave none: it is not running, or the disk took no request."""
    request_id = secrets.token_bytes(ID_BYTES)
    columns = (request_id, kind, body, world.boot, world.now.monotonic_ms)
    if isinstance(journal.perform(lambda held: held.ask_sync(*columns)), CannotRecord):
        return None
    try:
        return _answer(sync, request_id)
    finally:
        journal.post(lambda held: held.forget_request(request_id))


class Requests:
    """Sync's side: each request is carried out once, while it is fresh."""

    def __init__(self, data_dir: Path, store: SyncStore, clocks: Clocks, carry: Mapping[RequestKind, Carry]) -> None:
        self._path = data_dir / NAME
        self._store = store
        self._clocks = clocks
        self._carry = carry

    def look(self) -> None:
        """Carry out what was asked since the last look. Raises what the disk says."""
        for request_id, kind, body in self._new():
            if self._store.answer(request_id) is None:
                carry = self._carry.get(kind)
                answer = RequestAnswer(False, "needs_update") if carry is None else carry(body)
                self._store.keep_answer(request_id, answer)

    def _new(self) -> list[tuple[bytes, RequestKind, bytes]]:
        if not self._path.exists():
            return []
        fresh = (self._clocks.boot_id[:BOOT_CHARACTERS], self._clocks.boot_ms() - GOOD_FOR_MS)
        with closing(read_only(self._path)) as db:
            return db.execute(_NEW, fresh).fetchall()


def _answer(sync: SyncView, request_id: bytes) -> RequestAnswer | None:
    pause = threading.Event()
    for _ in range(round(ANSWER_LIMIT_S / LOOK_EVERY_S)):
        answer = sync.answer(request_id)
        if answer is not None:
            return answer
        pause.wait(LOOK_EVERY_S)
    return None
