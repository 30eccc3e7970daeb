"""Cameras: the newest frame only, sources that end, that are lost and found again, and clear words when wrong."""

from __future__ import annotations

import itertools
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np
import pytest

from hardware import DeviceFault
from hardware.camera import Camera, Region
from hardware.camera_sources import StoredPictures, open_camera
from hardware.live_camera import LiveCamera
from hardware.phone_screen import Look, draw_nobody, draw_phone
from hardware.picture_watch import PictureTrouble, PictureWatch
from hardware.qr import QrReader
from tests.hardware.picture_server import PictureServer
from tests.hardware.pictures import write_video
from tests.waiting import until

if TYPE_CHECKING:
    from hardware.camera import Gray

WAIT_S = 5.0
S = 1_000_000_000


def shade(level: int) -> Gray:
    return np.full((48, 64), level, np.uint8)


class ShortCapture:
    """A source that gives so many pictures and is then gone."""

    def __init__(self, pictures: int) -> None:
        self._left = pictures
        self.released = False

    def read(self) -> tuple[bool, cv2.typing.MatLike]:
        self._left -= 1
        return self._left >= 0, shade(100)

    def grab(self) -> bool:
        return self.read()[0]

    def get(self, propId: int) -> float:  # noqa: N803
        return 0.0

    def release(self) -> None:
        self.released = True


def test_a_folder_gives_its_pictures_by_name_and_ends(tmp_path: Path) -> None:
    for name, level in (("b.png", 20), ("a.png", 10), ("c.jpg", 30)):
        cv2.imwrite(str(tmp_path / name), shade(level))
    (tmp_path / "notes.txt").write_text("not a picture")
    camera = open_camera(str(tmp_path))
    assert [int(frame.gray[0, 0]) for frame in camera.frames()] == [10, 20, 30]
    assert camera.ended
    assert camera.newest(0) is None


def test_a_picture_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.png").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "c.png"), shade(30))
    camera = open_camera(str(tmp_path))
    assert [frame.seq for frame in camera.frames()] == [2]
    assert "b.png is not a picture" in str(camera.fault)


def test_a_colour_picture_becomes_grey(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "colour.png"), np.full((48, 64, 3), (0, 0, 255), np.uint8))
    frame = open_camera(str(tmp_path / "colour.png")).newest(0)
    assert frame is not None
    assert (frame.gray.shape, int(frame.gray[0, 0])) == ((48, 64), 76)


def test_every_frame_of_a_video_when_asked_for(tmp_path: Path) -> None:
    video = write_video(tmp_path / "visitors.avi", [shade(level) for level in range(0, 250, 10)])
    camera = open_camera(str(video), every_frame=True)
    levels = [int(frame.gray[0, 0]) for frame in camera.frames()]
    assert levels == pytest.approx(list(range(0, 250, 10)), abs=3)
    assert camera.ended


def test_a_video_runs_at_its_own_speed_and_the_newest_frame_wins(tmp_path: Path) -> None:
    video = write_video(tmp_path / "visitors.avi", [shade(level) for level in range(50)], fps=250)
    camera = open_camera(str(video))
    first = camera.newest(WAIT_S)
    until(lambda: not any(thread.name.startswith("video") for thread in threading.enumerate()), what="the video ends")
    last = camera.newest(0)
    assert first is not None
    assert last is not None
    assert (first.seq < 49, last.seq) == (True, 49)
    took_ns = last.captured_monotonic_ns - first.captured_monotonic_ns
    assert took_ns > (last.seq - first.seq) * 4_000_000 / 2  # half: a busy machine may look at the first one late
    assert camera.ended
    assert list(camera.frames()) == []
    camera.close()


@pytest.mark.slow
def test_a_lost_camera_is_opened_again() -> None:
    captures = [ShortCapture(2), ShortCapture(1_000_000_000)]
    opened: list[ShortCapture] = []
    let_open = threading.Event()

    def open_next() -> ShortCapture:
        if len(opened) == 1 and not let_open.is_set():
            raise DeviceFault("camera 0 cannot be opened")
        opened.append(captures[len(opened)])
        return opened[-1]

    camera = LiveCamera("camera 0", open_next)
    until(lambda: camera.fault == "camera 0 cannot be opened", what="the loss is told")
    assert captures[0].released
    let_open.set()
    frame = until(lambda: (found := camera.newest(WAIT_S)) and found.seq >= 2 and found, what="frames come again")
    assert frame
    assert camera.fault is None
    assert not camera.ended
    camera.close()
    assert captures[1].released
    assert camera.ended


def test_a_camera_that_is_not_there_says_what_to_do() -> None:
    camera = open_camera("/dev/video99")
    until(lambda: "plug it in" in str(camera.fault), what="the fault is told")
    assert camera.newest(0) is None
    camera.close()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.mp4", "is not there"),
        ("empty", "holds no picture"),
    ],
)
def test_a_source_that_can_never_be_one(tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DeviceFault, match=words):
        open_camera(str(tmp_path / source))


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "words.mp4").write_text("no video")
    with pytest.raises(DeviceFault, match="is not a video"):
        open_camera(str(tmp_path / "words.mp4"), every_frame=True)
    camera = open_camera(str(tmp_path / "words.mp4"))
    until(lambda: camera.ended, what="the camera gives up")
    assert "is not a video" in str(camera.fault)


class KeptCapture:
    """A source that goes on; `noise`: no two of its pictures are the same."""

    def __init__(self, level: int = 100, noise: bool = True) -> None:
        self._level = level
        self._noise = noise
        self.read_count = 0
        self.grabbed = 0

    def read(self) -> tuple[bool, cv2.typing.MatLike]:
        self.read_count += 1
        return True, shade(self._level + self.read_count % 2 if self._noise else self._level)

    def grab(self) -> bool:
        self.grabbed += 1
        return True

    def get(self, propId: int) -> float:  # noqa: N803
        return 0.0

    def release(self) -> None:
        return


def test_a_camera_that_spares_the_processor_drops_pictures_unpacked() -> None:
    capture = KeptCapture()
    camera = LiveCamera("camera 0", lambda: capture)
    assert camera.newest(WAIT_S) is not None
    camera.slow_down(0.01)
    until(lambda: capture.grabbed > 1_000, what="pictures are dropped")
    read_count = capture.read_count
    until(lambda: capture.grabbed > 2_000, what="more of them")
    assert capture.read_count == read_count
    camera.slow_down(None)
    until(lambda: capture.read_count > read_count, what="pictures are taken again")
    camera.close()


@pytest.mark.slow
def test_a_camera_whose_driver_falls_over_is_opened_again() -> None:
    broken = iter([ZeroDivisionError("in the driver"), None])

    def opened() -> KeptCapture:
        mistake = next(broken)
        if mistake is not None:
            raise mistake
        return KeptCapture()

    camera = LiveCamera("camera 0", opened)
    assert camera.newest(WAIT_S) is not None
    camera.close()


def test_pictures_that_show_nothing() -> None:
    watch, noise = PictureWatch(), itertools.cycle((shade(100), shade(101)))
    assert [watch.look(next(noise), second * S) for second in range(100)] == [None] * 100
    frozen = [watch.look(shade(100), second * S) for second in range(100, 112)]
    assert frozen == [None] * 10 + [PictureTrouble.FROZEN] * 2
    dark = itertools.cycle((shade(0), shade(1)))
    watch = PictureWatch()
    assert [watch.look(next(dark), second * S) for second in range(60)] == [None] * 60
    assert watch.look(shade(0), 60 * S) is PictureTrouble.DARK
    assert watch.look(shade(60), 61 * S) is None, "a phone is held up in the dark"


def test_of_a_part_of_the_view_only_that_is_given(tmp_path: Path) -> None:
    gray = np.arange(100 * 200, dtype=np.uint32).reshape(100, 200).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), gray)
    frame = open_camera(str(tmp_path / "a.png"), region=Region(25, 10, 50, 30)).newest(0)
    assert frame is not None
    assert np.array_equal(frame.gray, gray[10:40, 50:150])
    assert Region(99, 99, 1, 1).of(shade(7)).size > 0


class ObligingCapture(KeptCapture):
    """A device that opens and takes settings; the exposure only if it is even."""

    told: ClassVar[list[tuple[int, float]]] = []

    def __init__(self, device: int | str, how: int) -> None:
        super().__init__()

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, propId: int, value: float) -> bool:  # noqa: N803
        self.told.append((propId, value))
        return propId != cv2.CAP_PROP_EXPOSURE or value % 2 == 0


def test_exposure_is_set_by_hand_or_the_camera_says_that_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", ObligingCapture)
    camera = open_camera("/dev/video99", exposure_us=4_050)
    wanted = [(cv2.CAP_PROP_AUTO_EXPOSURE, 1), (cv2.CAP_PROP_EXPOSURE, 40)]
    until(lambda: ObligingCapture.told[-2:] == wanted, what="the exposure is set")
    camera.close()
    camera = open_camera("7", exposure_us=4_100)
    until(lambda: "camera 7 does not take an exposure of 4100 µs" in str(camera.fault), what="the refusal is told")
    camera.close()


def texts_in_view(camera: Camera) -> list[str]:
    frame = camera.newest(WAIT_S)
    return [] if frame is None else [code.text for code in QrReader().read(frame)]


@pytest.mark.slow
def test_a_camera_by_url_that_disappears_and_comes_back() -> None:
    phone, nobody = draw_phone("GATE:ONE", Look.by_chance(3)), draw_nobody(Look())
    server = PictureServer([nobody, phone])
    camera = open_camera(server.url)
    until(lambda: texts_in_view(camera) == ["GATE:ONE"], what="a code by URL")
    server.stop()
    until(lambda: "does not answer" in str(camera.fault), timeout_s=20.0, what="it is looked for")
    server = PictureServer([nobody, phone], server.port)
    until(lambda: camera.fault is None, timeout_s=30.0, what="it is found again")
    until(lambda: texts_in_view(camera) == ["GATE:ONE"], what="a code again")
    camera.close()
    server.stop()


def test_the_password_of_a_camera_is_not_told() -> None:
    camera = open_camera("rtsp://admin:secret@127.0.0.1:1/stream")
    until(lambda: "does not answer" in str(camera.fault), what="the fault is told")
    assert "secret" not in str(camera.fault)
    camera.close()


def test_a_missing_library_is_a_fault_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), shade(1))
    monkeypatch.setitem(sys.modules, "cv2", None)
    camera = StoredPictures([picture])
    assert camera.newest(0) is None
    assert "opencv-python-headless is missing" in str(camera.fault)
