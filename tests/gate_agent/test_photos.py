"""Photos at the gate: fetched after the list, useless on the disk, opened in memory, shown to staff alone, deleted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from gate_agent import photo_pull
from gate_agent.asking import Asker
from gate_agent.centre_client import USUAL_PATIENCE, Caller
from gate_agent.photo_pull import BETWEEN_TURNS_S, LOOK_EVERY_S, RETRY_S, PhotoPull
from gate_agent.photos import FOLDER, Photos
from gate_agent.screen.app import create_app
from gate_agent.sync_state import SyncView
from gate_agent.sync_store import SyncStore
from gate_agent.trusted_time import TrustedTime, clocks_of_this_machine
from tests.gate_agent.small_centre import Fault, SmallCentre
from tests.gate_agent.stage import Stage, admitted, stage_at
from tests.gate_agent.venue import NOW_MS, VERSION, Ticket, Venue
from tests.waiting import until
from wire import feed
from wire.photo import KEY_BYTES, photo_name, seal_photo

FACE, OTHER_FACE = b"\xff\xd8 a face", b"\xff\xd8 another face"
KEY_ID, KEY = 21, b"k" * KEY_BYTES


class Box:
    """A gate's disk, what fills it and what shows it, and the centre behind."""

    def __init__(self, data_dir: Path, centre: SmallCentre) -> None:
        self.data_dir, self.centre, self.venue = data_dir, centre, Venue()
        self.version, self.sealed = VERSION, 0
        self.li = self.venue.issue()
        self.store = SyncStore(data_dir)
        clocks = clocks_of_this_machine()
        sync = SyncView.open(data_dir)
        self.asker = Asker(data_dir, sync, clocks, TrustedTime(sync.evidence, clocks), USUAL_PATIENCE)
        self.pull = PhotoPull(
            data_dir, self.store, Caller(data_dir, self.store, clocks, TrustedTime(sync.evidence, clocks))
        )
        self.photos = Photos(data_dir, self.asker)
        centre.photo_keys = {KEY_ID: KEY}

    def take(self, ticket: Ticket, picture: bytes) -> bytes:
        """The centre has a photo of a holder; its name."""
        self.sealed += 1
        sealed = seal_photo(picture, ticket.pass_id, KEY_ID, KEY, self.sealed.to_bytes(12, "big"))
        self.venue.photos[ticket.pass_id] = sealed
        self.centre.photos[photo_name(sealed)] = sealed
        return photo_name(sealed)

    def publish(self) -> None:
        """The list as it is now is in force at the gate."""
        if self.version == VERSION:
            self.venue.settle(self.data_dir)
            self.store._db.execute("UPDATE enrolment SET url = ?", (self.centre.url,))
        else:
            self.venue.publish(version=self.version)
            assert isinstance(self.venue.feed.install(self.data_dir), feed.Head)
        self.version += 1

    def files(self) -> list[str]:
        folder = self.data_dir / FOLDER
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with SmallCentre() as centre:
        made = Box(tmp_path, centre)
        with closing(made.store):
            yield made


def test_a_photo_comes_after_the_list_and_is_opened_in_memory(box: Box) -> None:
    name = box.take(box.li, FACE)
    assert box.pull.turn() == LOOK_EVERY_S
    box.publish()
    assert box.pull.turn() == LOOK_EVERY_S
    assert box.files() == [name.hex()]
    assert box.photos.find(box.li.pass_id, name) is None, "nobody has told the key"
    assert box.photos.ask()
    assert box.photos.find(box.li.pass_id, name) == FACE
    assert box.photos.find(bytes(8), name) is None
    assert box.photos.find(box.li.pass_id, b"") is None


def test_the_disk_alone_shows_nobody(box: Box) -> None:
    name = box.take(box.li, FACE)
    box.publish()
    box.pull.turn()
    assert box.photos.ask() and box.photos.find(box.li.pass_id, name) == FACE
    held = {path: path.read_bytes() for path in box.data_dir.rglob("*") if path.is_file()}
    assert len(held) > 4
    assert not any(FACE in data or KEY in data for data in held.values())
    assert Photos(box.data_dir, box.asker).find(box.li.pass_id, name) is None, "after a start the centre is asked again"


def test_keys_come_by_themselves_once_a_photo_lacks_one(box: Box) -> None:
    name = box.take(box.li, FACE)
    box.publish()
    box.pull.turn()
    came, stop = threading.Event(), threading.Event()
    photos = Photos(box.data_dir, box.asker, came.set)
    thread = threading.Thread(target=photos.keep_keys, args=(stop,))
    thread.start()
    assert photos.find(box.li.pass_id, name) is None
    assert came.wait(10)
    assert photos.find(box.li.pass_id, name) == FACE
    stop.set()
    thread.join()


def test_what_the_list_names_no_more_is_deleted_and_the_new_one_fetched(box: Box) -> None:
    box.take(box.li, FACE)
    box.publish()
    box.pull.turn()
    newer = box.take(box.li, OTHER_FACE)
    box.publish()
    box.pull.turn()
    assert box.files() == [newer.hex()]
    del box.venue.photos[box.li.pass_id]
    box.publish()
    box.pull.turn()
    assert box.files() == []


def test_nothing_is_asked_while_nothing_changes_and_what_is_gone_is_asked_for_once(box: Box) -> None:
    gone = box.take(box.li, FACE)
    del box.centre.photos[gone]
    box.publish()
    for _ in range(3):
        box.pull.turn()
    assert box.centre.asked_for("GET", "/feed/photos/") == 1


@pytest.mark.parametrize("fault", [Fault.PORTAL, Fault.ERROR_PAGE, Fault.TRUNCATE, Fault.HALF, Fault.ENDLESS])
def test_whatever_comes_instead_of_a_photo_is_not_kept_and_it_is_fetched_later(box: Box, fault: Fault) -> None:
    name = box.take(box.li, FACE)
    box.publish()
    box.centre.faults.append(fault)
    assert box.pull.turn() == RETRY_S
    assert box.files() == []
    assert box.pull.turn() == LOOK_EVERY_S
    assert box.files() == [name.hex()]


def test_many_photos_come_in_turns_and_never_more_than_the_folder_may_hold(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_pull, "PHOTOS_PER_TURN", 3)
    monkeypatch.setattr(photo_pull, "MAX_PHOTOS", 7)
    for _ in range(10):
        box.take(box.venue.issue(), FACE)
    box.publish()
    assert [box.pull.turn() for _ in range(3)] == [BETWEEN_TURNS_S, BETWEEN_TURNS_S, LOOK_EVERY_S]
    assert len(box.files()) == 7


def test_a_disk_that_is_nearly_full_is_left_to_entries(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_pull, "MIN_FREE_BYTES", 1 << 62)
    box.take(box.li, FACE)
    box.publish()
    assert box.pull.turn() == RETRY_S
    assert box.files() == []


def test_a_stolen_or_spoilt_file_is_no_photo(box: Box) -> None:
    name, other = box.take(box.li, FACE), box.take(box.venue.issue(), OTHER_FACE)
    box.publish()
    box.pull.turn()
    assert box.photos.ask()
    path = box.data_dir / FOLDER / name.hex()
    for spoilt in (b"", b"x" * 100_000, path.read_bytes()[:-1], (box.data_dir / FOLDER / other.hex()).read_bytes()):
        path.write_bytes(spoilt)
        assert box.photos.find(box.li.pass_id, name) is None


# --- on the screen


@pytest.fixture
def stage(box: Box) -> Iterator[Stage]:
    box.take(box.li, FACE)
    box.publish()
    box.pull.turn()
    assert box.photos.ask()
    with stage_at(box.data_dir) as made:
        yield made


@pytest.fixture
def screen(stage: Stage, box: Box) -> FlaskClient:
    return create_app(stage.board, lambda: NOW_MS, photo=box.photos.find).test_client()


def test_staff_see_the_holder_of_a_scan_and_visitors_never(stage: Stage, box: Box, screen: FlaskClient) -> None:
    assert admitted(stage.show(box.li.text))
    number = stage.scans()[0].number
    assert f'src="/staff/photo/{number}"' in screen.get("/staff").text
    assert f'src="/staff/photo/{number}"' in screen.get(f"/staff/scan/{number}").text
    answer = screen.get(f"/staff/photo/{number}")
    assert (answer.data, answer.mimetype, answer.headers["Cache-Control"]) == (FACE, "image/jpeg", "no-store")
    assert "photo" not in screen.get("/lane/1").text
    assert screen.get(f"/staff/photo/{number}", headers={"Origin": "https://elsewhere.example"}).status_code == 403


def test_who_has_no_photo_here_has_no_place_for_one(stage: Stage, box: Box, screen: FlaskClient) -> None:
    assert not admitted(stage.show("https://pay.example/"))
    number = stage.scans()[0].number
    assert "portrait" not in screen.get("/staff").text
    assert screen.get(f"/staff/photo/{number}").status_code == 404
    assert screen.get("/staff/photo/999").status_code == 404


def test_a_photo_that_cannot_be_opened_is_left_out(stage: Stage, box: Box) -> None:
    assert admitted(stage.show(box.li.text))
    locked = Photos(box.data_dir, box.asker)
    screen = create_app(stage.board, lambda: NOW_MS, photo=locked.find).test_client()
    assert "portrait" not in screen.get("/staff").text
    assert locked.ask()
    until(lambda: "portrait" in screen.get("/staff").text)
