"""sync.db: written by sync, seen by everybody else at once and never half."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gate_agent.sync_state import Enrolment, Link, LinkTrouble, SyncState, SyncView, Task, TroubleKind
from gate_agent.sync_store import SyncStore, store_enrolment
from gate_agent.time_trust import Evidence, SignedTime
from tests.gate_agent.lists import CONFIG, KEY_SET
from tests.wire import samples
from wire import signing

ENROLMENT = Enrolment("https://centre.example", samples.DEVICE_ID, signing.public_key_of(samples.ROOT), KEY_SET)
OFF = LinkTrouble(TroubleKind.UNREACHABLE, "no answer")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SyncStore]:
    opened = SyncStore(tmp_path)
    yield opened
    opened.close()


def test_a_view_works_before_there_is_anything(tmp_path: Path) -> None:
    view = SyncView.open(tmp_path)
    assert view.read() == SyncState()
    assert view.cursor(samples.INCARNATION) == 0
    (tmp_path / "sync.db").touch()  # as it is for a moment while sync makes it
    assert view.read() == SyncState()
    assert view.cursor(samples.INCARNATION) == 0
    store_enrolment(tmp_path, ENROLMENT, samples.DEVICE, CONFIG)
    assert view.read().venue == CONFIG.venue


def test_an_enrolled_and_approved_box(tmp_path: Path) -> None:
    store_enrolment(tmp_path / "box", ENROLMENT, samples.DEVICE, CONFIG)
    state = SyncView.open(tmp_path / "box").read()
    assert (state.url, state.device, state.venue) == (ENROLMENT.url, samples.DEVICE_ID, CONFIG.venue)
    assert (state.key_set, state.config) == (samples.KEY_SET, CONFIG)
    modes = {name: stat.S_IMODE((tmp_path / "box" / name).stat().st_mode) for name in ("", "device.key", "sync.db")}
    assert modes == {"": 0o700, "device.key": 0o600, "sync.db": 0o600}
    assert (tmp_path / "box" / "device.key").read_bytes() == samples.DEVICE


def test_a_view_sees_every_change(tmp_path: Path, store: SyncStore) -> None:
    view = SyncView.open(tmp_path)
    store.keep_enrolment(ENROLMENT)
    assert (view.read().device, view.read().venue) == (samples.DEVICE_ID, None)
    store.keep_config(CONFIG, ENROLMENT.root)
    assert view.read().venue == CONFIG.venue
    assert view.read() is view.read()
    store.keep_receipt(samples.INCARNATION, 7, b"receipt")
    assert (view.cursor(samples.INCARNATION), view.cursor(b"another!")) == (7, 0)
    signed = SignedTime(samples.NOW_MS, 5, "boot")
    store.keep_signed_time(signed)
    assert view.evidence() == Evidence(signed, samples.NOW_MS)


def test_a_view_follows_a_file_that_was_replaced(tmp_path: Path) -> None:
    first = SyncStore(tmp_path)
    first.keep_receipt(samples.INCARNATION, 7, b"")
    view = SyncView.open(tmp_path)
    assert view.cursor(samples.INCARNATION) == 7
    first.close()
    for left in tmp_path.glob("sync.db*"):
        left.unlink()
    second = SyncStore(tmp_path)
    assert view.cursor(samples.INCARNATION) == 0
    second.close()


def test_the_floor_never_falls(store: SyncStore) -> None:
    store.raise_floor(10)
    store.raise_floor(5)
    assert store.read().evidence.floor_ms == 10


def test_the_link_remembers_since_when_and_the_last_contact(store: SyncStore) -> None:
    assert (store.read().online, store.read().offline_since_ms, store.read().last_contact_ms) == (False, None, None)
    store.note(Task.LIST, None, 100)
    store.note(Task.ENTRIES, None, 110)
    assert (store.read().online, store.read().offline_since_ms, store.read().last_contact_ms) == (True, None, 110)
    store.note(Task.ENTRIES, OFF, 200)
    store.note(Task.ENTRIES, LinkTrouble(TroubleKind.NOT_THE_CENTRE, "a page"), 300)
    state = store.read()
    assert state.entries_link == Link(200, 110, LinkTrouble(TroubleKind.NOT_THE_CENTRE, "a page"))
    assert (state.online, state.offline_since_ms, state.last_contact_ms) == (False, 200, 110)
    store.note(Task.ENTRIES, None, 400)
    assert store.read().entries_link == Link(400, 400, None)
    store.note(Task.ENTRIES, None, 500)
    assert store.read().entries_link == Link(400, 500, None)


def test_what_a_newer_release_noted_of_its_links_keeps_nobody_from_reading(tmp_path: Path, store: SyncStore) -> None:
    store.note(Task.LIST, OFF, 100)
    with closing(sqlite3.connect(tmp_path / "sync.db")) as db, db:
        db.execute("UPDATE link SET trouble = 'of_a_newer_release'")
        db.execute("INSERT INTO link VALUES ('of_a_newer_release', 1, 1, NULL, NULL)")
    for state in (store.read(), SyncView.open(tmp_path).read()):
        assert state.list_link == Link(100, None, LinkTrouble(TroubleKind.REFUSED, OFF.detail))
        assert state.entries_link is None


def test_a_trouble_from_the_start_has_no_contact(store: SyncStore) -> None:
    store.note(Task.LIST, OFF, 100)
    assert store.read().list_link == Link(100, None, OFF)


def test_a_long_story_is_cut(store: SyncStore) -> None:
    store.note(Task.LIST, LinkTrouble(TroubleKind.REFUSED, "x" * 10_000), 100)
    link = store.read().list_link
    assert link is not None
    assert link.trouble is not None
    assert len(link.trouble.detail) == 300


def test_a_new_enrolment_forgets_what_belonged_to_the_old_one(store: SyncStore) -> None:
    store.keep_enrolment(ENROLMENT)
    store.keep_config(CONFIG, ENROLMENT.root)
    store.keep_receipt(samples.INCARNATION, 7, b"")
    store.keep_enrolment(ENROLMENT)
    assert (store.read().config, store.cursor(samples.INCARNATION)) == (None, 0)
