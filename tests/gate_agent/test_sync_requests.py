"""What staff ask of sync is a row it carries out once while it is fresh, and answers; asked of nobody it ends."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from gate_agent import sync_requests
from gate_agent.entries import REQUESTS_KEPT, Entries
from gate_agent.journal import Journal
from gate_agent.journal_files import NAME
from gate_agent.sync_requests import EnrolWish, RequestKind, Requests
from gate_agent.sync_state import RequestAnswer, SyncState, SyncView
from gate_agent.sync_store import ANSWERS_KEPT, SyncStore
from gate_agent.time_trust import Now
from gate_agent.trusted_time import boot_clock_ms, clocks_of_this_machine
from gate_agent.world import BOOT_CHARACTERS, World
from tests.gate_agent.boxes import HandSetClocks, box_at
from tests.gate_agent.small_centre import Fault, SmallCentre
from tests.waiting import until
from tests.wire import samples
from wire import signing
from wire.messages import ClockTrust

SYNC = "import sys; from pathlib import Path; from gate_agent.sync import run_forever; run_forever(Path(sys.argv[1]))"


def world(clocks: HandSetClocks) -> World:
    now = Now(None, ClockTrust.UNKNOWN, clocks.boot_now_ms, 0, None)
    return World(now, None, SyncState(), clocks.boot_id[:BOOT_CHARACTERS], b"")


def world_of_this_machine() -> World:
    boot = clocks_of_this_machine().boot_id[:BOOT_CHARACTERS]
    return World(Now(None, ClockTrust.UNKNOWN, boot_clock_ms(), 0, None), None, SyncState(), boot, b"")


@contextmanager
def journal_at(data_dir: Path) -> Iterator[Journal]:
    entries, _ = Entries.open(data_dir, lambda: samples.INCARNATION)
    journal = Journal(entries)
    journal.start()
    with closing(journal):
        yield journal


class Both:
    """Both sides on one data directory: staff ask, and sync looks when told."""

    def __init__(self, data_dir: Path, journal: Journal, store: SyncStore, clocks: HandSetClocks) -> None:
        self.data_dir = data_dir
        self.journal = journal
        self.store = store
        self.clocks = clocks
        self.carried: list[bytes] = []
        self.sync = Requests(data_dir, store, clocks.clocks(), {RequestKind.SYNC: self._carry})

    def ask(self, kind: str = RequestKind.SYNC, body: bytes = b"") -> bytes:
        request_id = random.randbytes(sync_requests.ID_BYTES)
        now = world(self.clocks)
        self.journal.perform(lambda held: held.ask_sync(request_id, kind, body, now.boot, now.now.monotonic_ms))
        return request_id

    def _carry(self, body: bytes) -> RequestAnswer:
        self.carried.append(body)
        return RequestAnswer(True, "done", body.decode())


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    clocks = HandSetClocks()
    with journal_at(tmp_path) as journal, closing(SyncStore(tmp_path)) as store:
        yield Both(tmp_path, journal, store, clocks)


def test_a_request_is_carried_out_once_and_answered(both: Both) -> None:
    one, other = both.ask(body=b"1"), both.ask(body=b"2")
    view = SyncView.open(both.data_dir)
    assert view.answer(one) is None
    both.sync.look()
    both.sync.look()
    assert both.carried == [b"1", b"2"]
    assert view.answer(other) == RequestAnswer(True, "done", "2")


def test_what_was_asked_too_long_ago_or_before_a_restart_is_left(both: Both) -> None:
    both.ask(body=b"old")
    both.clocks.advance(sync_requests.GOOD_FOR_MS)
    both.sync.look()
    both.ask(body=b"before")
    both.clocks.boot_id = "another"
    Requests(both.data_dir, both.store, both.clocks.clocks(), {RequestKind.SYNC: both._carry}).look()
    assert both.carried == []


def test_a_wish_of_a_newer_release_is_answered_too(both: Both) -> None:
    asked = both.ask("dance")
    both.sync.look()
    assert both.store.answer(asked) == RequestAnswer(False, "needs_update")


def test_rows_do_not_pile_up(both: Both) -> None:
    for _ in range(20):
        both.ask()
        both.sync.look()
    with closing(sqlite3.connect(both.data_dir / NAME)) as db:
        assert db.execute("SELECT count(*) FROM request").fetchone() == (REQUESTS_KEPT,)
    with closing(sqlite3.connect(both.data_dir / "sync.db")) as db:
        assert db.execute("SELECT count(*) FROM answer").fetchone() == (ANSWERS_KEPT,)


def test_a_code_that_was_typed_in_stays_in_no_copy_of_the_journal(
    both: Both, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sync_requests, "ANSWER_LIMIT_S", sync_requests.LOOK_EVERY_S)
    view, copy = SyncView.open(both.data_dir), tmp_path / "copy.db"
    sync_requests.ask(both.journal, view, RequestKind.ENROL, b"one-time-code-4711", world(both.clocks))
    both.journal.perform(lambda _: None)
    with closing(sqlite3.connect(both.data_dir / NAME)) as held, closing(sqlite3.connect(copy)) as other:
        held.backup(other)
    assert b"one-time-code-4711" not in copy.read_bytes()


def test_a_sync_that_is_not_running_gives_no_answer(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_requests, "ANSWER_LIMIT_S", 0.2)
    view = SyncView.open(both.data_dir)
    assert sync_requests.ask(both.journal, view, RequestKind.SYNC, b"", world(both.clocks)) is None


@contextmanager
def syncing(data_dir: Path) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", SYNC, str(data_dir)], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)


@pytest.mark.story
def test_sync_now_brings_a_new_list_at_once_and_says_when_the_centre_is_away(tmp_path: Path) -> None:
    with SmallCentre() as centre, box_at(tmp_path, centre.url) as box:
        centre.now_ms = lambda: box.time.now().record_ms
        centre.lists.publish(42)
        view = SyncView.open(tmp_path)
        with journal_at(tmp_path) as journal, syncing(tmp_path):
            until(lambda: view.read().online, what="the first list")
            asked = centre.asked_for("GET", "/head")
            told = sync_requests.ask(journal, view, RequestKind.SYNC, b"", world_of_this_machine())
            assert told == RequestAnswer(True)
            assert centre.asked_for("GET", "/head") > asked
            centre.faults.extend([Fault.DROP_BEFORE_STORING] * 8)
            told = sync_requests.ask(journal, view, RequestKind.SYNC, b"", world_of_this_machine())
            assert told is not None
            assert (told.ok, told.word) == (False, "unreachable")


@pytest.mark.story
def test_a_typed_code_makes_the_box_a_gate(tmp_path: Path) -> None:
    with SmallCentre() as centre:
        centre.approved = False
        view = SyncView.open(tmp_path)
        with journal_at(tmp_path) as journal, syncing(tmp_path):

            def enrol(code: str) -> RequestAnswer | None:
                body = msgspec.msgpack.encode(EnrolWish(centre.url, code))
                return sync_requests.ask(journal, view, RequestKind.ENROL, body, world_of_this_machine())

            refused = enrol("MFRG-GZDF")
            assert refused is not None
            assert (refused.ok, "no enrolment code" in refused.detail) == (False, True)
            told = enrol(centre.code.text())
            public_key = signing.public_key_of((tmp_path / "device.key").read_bytes())
            assert told == RequestAnswer(True, "pending", signing.check_characters(public_key))
            assert view.read().device == samples.DEVICE_ID
