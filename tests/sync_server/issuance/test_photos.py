"""Holders' photos at the centre: hostile files refused, kept sealed, copied for venues that show them, gone in time."""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from PIL import Image

from sync_server.centre import Centre
from sync_server.create_app import app_of
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.feed.photos import photo_keys, prepare_photos
from sync_server.feed.publishing import publish_feeds
from sync_server.feed.rotating import rotate_venue_keys
from sync_server.gates import registry
from sync_server.issuance.commands import pass_
from sync_server.issuance.passes import change_status
from sync_server.issuance.photos import (
    forget_ended_photos,
    picture_of,
    put_photo,
    remove_photo,
    small_picture,
)
from tests.sync_server.device_api.box import Box, config_of, town_keys
from tests.sync_server.town import HOLDER, Sold, build_town
from wire.feed import Head, NameRow, open_segment, read_head
from wire.photo import MAX_PICTURE_BYTES, open_photo, read_photo_keys

DAY_MS = 86_400_000


def picture(size: tuple[int, int] = (600, 800), form: str = "JPEG", **options: object) -> bytes:
    """A face, more or less."""
    drawn = Image.radial_gradient("L").resize(size).convert("RGB")
    file = io.BytesIO()
    drawn.save(file, form, **options)
    return file.getvalue()


def noise(side: int) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(1).randbytes(side * side * 3)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_any_picture_becomes_a_small_plain_jpeg(form: str) -> None:
    made = small_picture(picture((3_000, 4_000), form))
    assert len(made) <= MAX_PICTURE_BYTES
    assert Image.open(io.BytesIO(made)).format == "JPEG"
    assert Image.open(io.BytesIO(made)).height == 450
    assert len(small_picture(noise(800))) <= MAX_PICTURE_BYTES, "even of noise"


def test_nothing_else_of_the_file_is_kept_and_it_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010E] = "taken at home"
    made = small_picture(picture((800, 600), exif=exif))
    assert b"taken at home" not in made
    assert dict(Image.open(io.BytesIO(made)).getexif()) == {}
    width, height = Image.open(io.BytesIO(made)).size
    assert height > width


def bomb() -> bytes:
    """A PNG of a kilobyte that claims to be 50,000 pixels square."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000)))
        + chunk(b"IEND", b"")
    )


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"<script>alert(1)</script>",
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "gif": lambda: picture((10, 10), "GIF"),
    "bmp": lambda: picture((10, 10), "BMP"),
    "tiff": lambda: picture((10, 10), "TIFF"),
    "cut jpeg": lambda: picture()[:2_000],
    "cut png": lambda: picture(form="PNG")[:2_000],
    "jpeg's head alone": lambda: b"\xff\xd8\xff\xe0",
    "bomb": bomb,
    "wide": lambda: picture((9_000, 1)),
    "large": lambda: picture() + bytes(10 * 1024 * 1024),
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "zip": lambda: b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_what_is_no_picture_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(NotAllowedError):
        small_picture(HOSTILE[name]())


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_spoilt_picture_is_refused_or_harmless(form: str, times: Callable[[int], int]) -> None:
    good, chance = picture((60, 80), form), random.Random(1)
    for _ in range(times(500)):
        spoilt = bytearray(good)
        for _ in range(chance.randint(1, 20)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        with contextlib.suppress(NotAllowedError):
            assert len(small_picture(bytes(spoilt))) <= MAX_PICTURE_BYTES


class Bridge:
    """A town where the bridge shows photos and the park does not; Li holds a pass of both."""

    def __init__(self, centre: Centre) -> None:
        self.town = build_town(centre)
        [self.li] = self.town.sell("annual", holders=[HOLDER])
        self.http = app_of(centre).test_client()
        self.at_bridge = Box(self.http, self.town, self.town.gate())
        self.at_park = Box(self.http, self.town, self.town.gate("park"))
        self.show(1)

    @property
    def centre(self) -> Centre:
        return self.town.centre

    def show(self, venue: int, on: bool = True) -> None:
        with self.centre.write() as connection:
            connection.execute(sa.text("UPDATE venue SET photos = :on WHERE number = :n"), {"on": on, "n": venue})

    def work(self) -> None:
        """The worker's turns, until there is nothing left."""
        for _ in range(20):
            if prepare_photos(self.centre) + publish_feeds(self.centre) == 0:
                return
        raise AssertionError("the worker goes on for ever")

    def photo_of(self, box: Box, sold: Sold) -> bytes | None:
        """What that gate's staff see of a pass."""
        named = names(box)[sold.pass_id]
        if not named:
            return None
        answer = self.http.get(f"/feed/photos/{named.hex()}")
        assert (answer.status_code, "immutable" in answer.headers["Cache-Control"]) == (200, True)
        return open_photo(answer.data, named, sold.pass_id, keys_of(box))

    def rows(self, table: str) -> int:
        with self.centre.read() as connection:
            return connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0


def names(box: Box) -> dict[bytes, bytes]:
    """The names of photos by pass, as the list in force says."""
    config = config_of(box)
    found: dict[bytes, bytes] = {}
    box.town.clock.pass_ms(1_000)
    head = read_head(box.http.get(f"/feed/{config.feed_id.hex()}/head").data, town_keys(box.town), config.feed_id)
    assert isinstance(head, Head), head
    for ref in (*head.snapshot, *head.deltas):
        opened = open_segment(box.http.get(f"/feed/segments/{ref.name.hex()}").data, ref.name, dict(config.list_keys))
        assert isinstance(opened, tuple), opened
        found |= {row.pass_id: row.photo for row in opened[1] if isinstance(row, NameRow)}
    return found


def keys_of(box: Box) -> dict[int, bytes]:
    answer = box.ask("GET", "/device/v1/photo-keys")
    assert answer.status_code == 200, answer.json
    keys = read_photo_keys(answer.data, town_keys(box.town), box.gate.device.id, box.requests.to_bytes(16, "big"))
    assert isinstance(keys, dict), keys
    return keys


@pytest.fixture
def bridge(centre: Centre) -> Bridge:
    return Bridge(centre)


@pytest.mark.slow
def test_the_gates_of_a_venue_that_shows_them_get_a_photo_and_no_others(bridge: Bridge) -> None:
    size = put_photo(bridge.centre, bridge.li.number, picture(), "test")
    bridge.work()
    seen = bridge.photo_of(bridge.at_bridge, bridge.li)
    assert seen is not None and len(seen) == size
    assert seen == small_picture(picture())
    assert bridge.photo_of(bridge.at_park, bridge.li) is None
    assert keys_of(bridge.at_park) == {}


def test_another_photo_takes_the_place_of_the_first(bridge: Bridge) -> None:
    for shape in ((600, 800), (300, 300)):
        put_photo(bridge.centre, bridge.li.number, picture(shape), "test")
        bridge.work()
        assert bridge.photo_of(bridge.at_bridge, bridge.li) == small_picture(picture(shape))
    assert (bridge.rows("gate_photo"), bridge.rows("pass_photo")) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["remove", "revoke", "end"])
def test_a_photo_goes_with_its_pass_and_when_it_is_removed(bridge: Bridge, how: str) -> None:
    put_photo(bridge.centre, bridge.li.number, picture(), "test")
    bridge.work()
    named = names(bridge.at_bridge)[bridge.li.pass_id]
    if how == "remove":
        assert remove_photo(bridge.centre, bridge.li.number, "test")
        assert not remove_photo(bridge.centre, bridge.li.number, "test")
    elif how == "revoke":
        with bridge.centre.write() as connection:
            change_status(connection, bridge.li.number, "revoke", "lost", bridge.town.clock.now_ms, "test")
        with pytest.raises(NotAllowedError):
            put_photo(bridge.centre, bridge.li.number, picture(), "test")
    else:
        assert forget_ended_photos(bridge.centre) == 0
        bridge.town.clock.pass_ms(368 * DAY_MS)
        assert forget_ended_photos(bridge.centre) == 1
        assert forget_ended_photos(bridge.centre) == 0
    with bridge.centre.read() as connection:
        assert picture_of(connection, bridge.centre.secrets, bridge.li.pass_id) is None, "at once"
    bridge.work()
    assert names(bridge.at_bridge).get(bridge.li.pass_id, b"") == b""
    assert (bridge.rows("gate_photo"), bridge.rows("pass_photo")) == (0, 0)
    assert bridge.http.get(f"/feed/photos/{named.hex()}").status_code == 404


@pytest.mark.slow
def test_a_venue_that_shows_photos_no_more_has_none(bridge: Bridge) -> None:
    put_photo(bridge.centre, bridge.li.number, picture(), "test")
    bridge.work()
    bridge.show(1, on=False)
    bridge.work()
    assert (bridge.photo_of(bridge.at_bridge, bridge.li), bridge.rows("gate_photo")) == (None, 0)
    bridge.show(1)
    bridge.show(2)
    bridge.work()
    assert bridge.photo_of(bridge.at_bridge, bridge.li) == bridge.photo_of(bridge.at_park, bridge.li) is not None
    assert bridge.rows("gate_photo") == 2, "each venue's under its own key"


def test_a_revoked_gate_learns_no_key_of_the_photos_that_come_after(bridge: Bridge) -> None:
    put_photo(bridge.centre, bridge.li.number, picture(), "test")
    bridge.work()
    stolen = Box(bridge.http, bridge.town, bridge.town.gate(name="G2"))
    before = keys_of(stolen)
    with bridge.centre.write() as connection:
        registry.revoke(connection, stolen.gate.device.id, "stolen", bridge.town.clock.now_ms, "test")
    assert rotate_venue_keys(bridge.centre) == 1
    bridge.work()
    assert stolen.ask("GET", "/device/v1/photo-keys").status_code == 403
    assert not set(before.values()) & set(keys_of(bridge.at_bridge).values())
    assert bridge.photo_of(bridge.at_bridge, bridge.li) == small_picture(picture())


def test_photo_keys_are_no_part_of_what_a_gate_keeps_on_disk(bridge: Bridge) -> None:
    put_photo(bridge.centre, bridge.li.number, picture(), "test")
    bridge.work()
    (key,) = keys_of(bridge.at_bridge).values()
    assert key not in bridge.at_bridge.ask("GET", "/device/v1/config").data
    with bridge.centre.read() as connection:
        assert dict(photo_keys(connection, bridge.centre, bridge.town.venues["bridge"])) == keys_of(bridge.at_bridge)


def test_a_photo_lies_sealed_in_the_database(bridge: Bridge) -> None:
    put_photo(bridge.centre, bridge.li.number, picture(), "test")
    bridge.work()
    with bridge.centre.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    path = bridge.centre.engine.url.database
    assert path is not None
    held = Path(path).read_bytes()
    assert b"\xff\xd8\xff" not in held
    assert small_picture(picture())[100:200] not in held


def test_the_command_keeps_and_removes(bridge: Bridge, tmp_path: Path) -> None:
    (tmp_path / "face.jpg").write_bytes(picture())

    def run(*arguments: str) -> dict[str, object]:
        done = CliRunner().invoke(pass_, ["photo", bridge.li.number, *arguments], obj=lambda: bridge.centre)
        assert done.exit_code == 0, done.output
        told: dict[str, object] = json.loads(done.stdout)
        return told

    assert run(str(tmp_path / "face.jpg"))["bytes"] == len(small_picture(picture()))
    assert run("--remove")["removed"] is True
    assert CliRunner().invoke(pass_, ["photo", bridge.li.number], obj=lambda: bridge.centre).exit_code == 2
    with pytest.raises(NotFoundError):
        put_photo(bridge.centre, "0000", picture(), "test")
