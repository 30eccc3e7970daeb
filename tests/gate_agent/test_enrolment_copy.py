"""sync.db damaged or gone: the box admits on, says so, and sync goes on without anybody enrolling it again."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gate_agent import enrolment_copy
from gate_agent.enrolment_copy import EnrolmentCopy
from gate_agent.pass_list import PassList
from gate_agent.sync_state import SYNC_DAMAGED, SYNC_LOST_NOTE, Enrolment, SyncState, SyncView, sync_was_lost
from gate_agent.sync_store import SyncStore, store_enrolment
from gate_agent.trusted_time import os_clock_ms
from tests.gate_agent.boxes import bodies, box_at, write
from tests.gate_agent.lists import CONFIG, KEY_SET
from tests.gate_agent.small_centre import SmallCentre
from tests.gate_agent.stage import admitted, stage_at
from tests.gate_agent.test_sync import syncing
from tests.gate_agent.test_sync_state import ENROLMENT
from tests.gate_agent.venue import NOW_MS, Venue
from tests.waiting import until
from tests.wire import samples
from wire import keyset, signing
from wire.messages import EntryKind

COPY = EnrolmentCopy(enrolment_copy.FORMAT, ENROLMENT.url, ENROLMENT.device, ENROLMENT.root, KEY_SET, CONFIG)


def garbage(data_dir: Path) -> None:
    """No database any more."""
    (data_dir / "new").write_bytes(b"no database" * 1_000)
    (data_dir / "new").rename(data_dir / "sync.db")


def nonsense(data_dir: Path) -> None:
    """A database whose configuration is none."""
    with closing(sqlite3.connect(data_dir / "sync.db")) as db, db:
        db.execute("UPDATE enrolment SET config = x'c1'")


def torn(data_dir: Path) -> None:
    """A page of the card came back as zeros."""
    with closing(sqlite3.connect(data_dir / "sync.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'enrolment'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with (data_dir / "sync.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


def empty(data_dir: Path) -> None:
    """What is left of a file whose data never reached the card."""
    deleted(data_dir)
    (data_dir / "sync.db").touch()


def deleted(data_dir: Path) -> None:
    """By somebody who wanted to start afresh."""
    for left in data_dir.glob("sync.db*"):
        left.unlink()


def held(state: SyncState) -> tuple[object, ...]:
    """What admission needs of it."""
    return state.url, state.device, state.key_set, state.config


HARMS = [garbage, nonsense, torn, empty, deleted]
Harm = Callable[[Path], None]


def test_the_copy_follows_every_change(tmp_path: Path) -> None:
    store_enrolment(tmp_path, ENROLMENT, samples.DEVICE)
    assert enrolment_copy.load(tmp_path) == msgspec.structs.replace(COPY, config=None)
    with closing(SyncStore(tmp_path)) as store:
        store.keep_config(CONFIG, ENROLMENT.root)
        assert enrolment_copy.load(tmp_path) == COPY
        rotated = keyset.sign_key_set(msgspec.structs.replace(samples.KEY_SET, version=9), (samples.ROOT,))
        store.keep_config(msgspec.structs.replace(CONFIG, key_set=rotated), ENROLMENT.root)
    copy = enrolment_copy.load(tmp_path)
    assert copy is not None and (keys := copy.keys()) is not None and keys.version == 9
    path = tmp_path / enrolment_copy.NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "it holds the list's keys"
    written = path.stat().st_ino
    SyncStore(tmp_path).close()
    assert path.stat().st_ino == written, "a card wears out by writing"


def test_an_enrolment_of_the_release_before_gets_its_copy_when_sync_starts(tmp_path: Path) -> None:
    store_enrolment(tmp_path, ENROLMENT, samples.DEVICE, CONFIG)
    (tmp_path / enrolment_copy.NAME).unlink()
    SyncStore(tmp_path).close()
    assert enrolment_copy.load(tmp_path) == COPY


def test_a_new_enrolment_is_not_undone_by_the_copy_of_the_one_before(tmp_path: Path) -> None:
    store_enrolment(tmp_path, ENROLMENT, samples.DEVICE, CONFIG)
    other = Enrolment("https://other.example", b"another-device!!", ENROLMENT.root, KEY_SET)
    store_enrolment(tmp_path, other, samples.DEVICE)
    deleted(tmp_path)
    SyncStore(tmp_path).close()
    state = SyncView.open(tmp_path).read()
    assert (state.url, state.device, state.config) == (other.url, other.device, None)


@pytest.mark.parametrize("at", [0, 31, 32, 60, -1], ids=str)
def test_a_copy_with_any_changed_byte_is_none(tmp_path: Path, at: int) -> None:
    data = bytearray(enrolment_copy.packed(COPY))
    data[at] ^= 1
    (tmp_path / enrolment_copy.NAME).write_bytes(data)
    assert enrolment_copy.load(tmp_path) is None


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(COPY, root=signing.public_key_of(samples.LIST)),
        msgspec.structs.replace(COPY, key_set=keyset.sign_key_set(samples.KEY_SET, (samples.LIST,))),
        msgspec.structs.replace(COPY, format=enrolment_copy.FORMAT + 1),
    ],
    ids=["another root", "signed by somebody else", "a later format"],
)
def test_a_copy_whose_key_set_the_root_key_did_not_sign_is_none(tmp_path: Path, other: EnrolmentCopy) -> None:
    (tmp_path / enrolment_copy.NAME).write_bytes(enrolment_copy.packed(other))
    assert enrolment_copy.load(tmp_path) is None


@pytest.mark.parametrize("harm", HARMS)
def test_lanes_admit_on(tmp_path: Path, harm: Harm) -> None:
    venue = Venue()
    ticket = venue.issue()
    venue.settle(tmp_path)
    live = SyncView.open(tmp_path)
    whole, on_copy = live.read(), [live.is_on_copy]
    harm(tmp_path)
    anew = SyncView.open(tmp_path)
    for view in (anew,) if harm is torn else (anew, live):  # pages that were read are not read again
        assert held(view.read()) == held(whole)
        on_copy.append(view.is_on_copy)
        assert (view.cursor(samples.INCARNATION), view.journals(), view.parting(samples.INCARNATION)) == (0, [], None)
        assert (view.acknowledged(samples.INCARNATION), view.answer(b"a request")) == (None, None)
    assert not on_copy[0] and all(on_copy[1:])
    with stage_at(tmp_path) as stage:
        assert admitted(stage.show(ticket.text))


@pytest.mark.parametrize("harm", HARMS)
def test_a_new_sync_db_is_made_from_the_copy_and_staff_are_told(tmp_path: Path, harm: Harm) -> None:
    venue = Venue()
    venue.settle(tmp_path)
    before = SyncView.open(tmp_path).read()
    harm(tmp_path)
    with closing(SyncStore(tmp_path)) as store:
        after = store.read()
    assert held(after) == held(before)
    assert after.evidence.floor_ms == NOW_MS, "not before the head of the list held was signed"
    view = SyncView.open(tmp_path)
    assert view.read().device == before.device and not view.is_on_copy
    told = SYNC_LOST_NOTE if harm in (empty, deleted) else SYNC_DAMAGED
    assert sync_was_lost(tmp_path) and (tmp_path / told).exists()
    (tmp_path / told).unlink()
    assert not sync_was_lost(tmp_path)
    SyncStore(tmp_path).close()
    assert not sync_was_lost(tmp_path), "told once"


def test_without_a_copy_a_damaged_file_is_told_as_before(tmp_path: Path) -> None:
    store_enrolment(tmp_path, ENROLMENT, samples.DEVICE, CONFIG)
    garbage(tmp_path)
    (tmp_path / enrolment_copy.NAME).write_bytes(b"torn")
    with pytest.raises(sqlite3.DatabaseError):
        SyncView.open(tmp_path).read()
    with closing(SyncStore(tmp_path)) as store:
        assert store.read().device is None


def test_a_file_that_breaks_while_sync_works_is_given_up(tmp_path: Path) -> None:
    """The process ends, and the next one makes another file."""
    store_enrolment(tmp_path, ENROLMENT, samples.DEVICE, CONFIG)
    with closing(SyncStore(tmp_path)) as store:
        assert not store.is_displaced()
        with closing(sqlite3.connect(tmp_path / "sync.db")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with (tmp_path / "sync.db").open("r+b") as file:
            file.write(bytes((tmp_path / "sync.db").stat().st_size))
        with pytest.raises(sqlite3.DatabaseError):
            for _ in range(3):
                store.keep_receipt(samples.INCARNATION, 7, b"receipt")
        assert store.is_displaced()


@pytest.mark.story
@pytest.mark.parametrize("harm", [garbage, deleted])
def test_sync_goes_on_without_enrolling_again(tmp_path: Path, harm: Harm) -> None:
    """The process starts on what is left: the next list comes, and every entry the centre has not got goes up."""
    with SmallCentre() as centre, box_at(tmp_path, centre.url) as box:
        centre.now_ms = os_clock_ms
        centre.lists.publish(42)
        entries = box.journal()
        write(entries, *[EntryKind.REFUSED] * 3)
        view = SyncView.open(tmp_path)
        with syncing(tmp_path):
            until(lambda: view.cursor(samples.INCARNATION) == 3, 30.0, "three entries")
        box.store.close()
        harm(tmp_path)
        centre.lists.publish(43)
        write(entries, *[EntryKind.REFUSED] * 4)
        with syncing(tmp_path):
            until(lambda: (new := PassList.open(tmp_path)) is not None and new.version == 43, 30.0, "the new list")
            until(lambda: view.cursor(samples.INCARNATION) == 7, 30.0, "the entries that were left")
        assert centre.entries(samples.DEVICE_ID, samples.INCARNATION) == bodies(tmp_path)
        assert centre.asked_for("POST", "enrol") == 0


@pytest.mark.story
def test_sync_that_finds_its_file_broken_ends_and_starts_on_a_new_one(tmp_path: Path) -> None:
    with box_at(tmp_path, "http://127.0.0.1:9") as box, syncing(tmp_path) as process:
        until(lambda: SyncView.open(tmp_path).read().list_link is not None, timeout_s=30.0)
        box.store.close()
        garbage(tmp_path)
        until(lambda: process.poll() is not None, timeout_s=30.0)
        assert process.returncode == 1
    with syncing(tmp_path):
        until(lambda: SyncView.open(tmp_path).read().list_link is not None, timeout_s=30.0)
    assert SyncView.open(tmp_path).read().device == samples.DEVICE_ID
