"""What every camera promises, tried on every one."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware.camera import Camera, Region
from hardware.camera_sources import open_camera
from hardware.simulated_readers import SimulatedCamera
from hardware.timeline import History, StepTimeline
from tests.hardware.pictures import write_video
from tests.waiting import until

WAIT_S = 5.0
PICTURES = [np.full((48, 64), level, np.uint8) for level in range(0, 240, 20)]


def folder(tmp_path: Path) -> Camera:
    for number, picture in enumerate(PICTURES):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), picture)
    return open_camera(str(tmp_path))


def paced_video(tmp_path: Path) -> Camera:
    return open_camera(str(write_video(tmp_path / "visitors.avi", PICTURES, fps=50)))


def every_frame_of_a_video(tmp_path: Path) -> Camera:
    return open_camera(str(write_video(tmp_path / "visitors.avi", PICTURES)), every_frame=True)


def simulated(tmp_path: Path) -> Camera:
    return SimulatedCamera(History(StepTimeline().now_ns))


def part_of_view(tmp_path: Path) -> Camera:
    write_video(tmp_path / "visitors.avi", PICTURES, fps=50)
    return open_camera(str(tmp_path / "visitors.avi"), region=Region(25, 0, 50, 50))


ENDING = [folder, paced_video, every_frame_of_a_video, part_of_view]


@pytest.fixture(params=[*ENDING, simulated], ids=lambda make: make.__name__)
def camera(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Camera]:
    make: Callable[[Path], Camera] = request.param
    before = threading.active_count()
    camera = make(tmp_path)
    yield camera
    camera.close()
    assert threading.active_count() == before, "closing ends its threads"


def test_frames_are_grey_numbered_and_dated(camera: Camera) -> None:
    frames = list(itertools.islice(camera.frames(), 3))
    assert len(frames) == 3
    assert camera.fault is None
    for frame in frames:
        assert frame.gray.ndim == 2
        assert frame.gray.dtype == np.uint8
    for earlier, later in itertools.pairwise(frames):
        assert later.seq > earlier.seq
        assert later.captured_monotonic_ns > earlier.captured_monotonic_ns
    assert frames[-1].captured_monotonic_ns <= time.monotonic_ns()


@pytest.mark.slow
def test_a_frame_is_given_once(camera: Camera) -> None:
    given = [frame.seq for frame in itertools.islice(camera.frames(), 4)]
    assert len(set(given)) == len(given)


def test_slowed_down_it_goes_on(camera: Camera) -> None:
    camera.slow_down(20.0)
    assert camera.newest(WAIT_S) is not None
    camera.slow_down(None)
    assert camera.newest(WAIT_S) is not None


def test_closing_ends_the_frames(camera: Camera) -> None:
    frames = camera.frames()
    assert next(frames).seq >= 0
    camera.close()
    assert camera.newest(0) is None
    assert camera.ended
    assert list(frames) == []
    camera.close()


@pytest.mark.slow
@pytest.mark.parametrize("make", ENDING, ids=lambda make: make.__name__)
def test_a_source_that_ends_says_so(tmp_path: Path, make: Callable[[Path], Camera]) -> None:
    camera = make(tmp_path)
    last = until(lambda: (camera.newest(WAIT_S), camera.ended)[1], what="the source ends")
    assert last
    assert camera.newest(0) is None
    camera.close()


def test_closing_lets_the_waiting_one_go() -> None:
    camera = SimulatedCamera(History(StepTimeline().now_ns))
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.extend(frame is None for frame in camera.frames()))
    waiting.start()
    camera.close()
    waiting.join(WAIT_S)
    assert not waiting.is_alive()
    assert True not in answers
