"""Cameras: the newest frame only, sources that end, that are lost and found again, and clear words when wrong."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from hardware import DeviceFault
from hardware.camera import LiveCamera, StoredPictures, open_camera
from tests.hardware.pictures import write_video
from tests.waiting import until

if TYPE_CHECKING:
    from hardware.camera import Gray

WAIT_S = 5.0


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
    assert last.captured_monotonic_ns - first.captured_monotonic_ns > (last.seq - first.seq - 1) * 4_000_000
    assert camera.ended
    assert list(camera.frames()) == []
    camera.close()


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
