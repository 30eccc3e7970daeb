"""Every source a camera can be: a device, a URL, a video, a picture, a folder of pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hardware import DeviceFault, library
from hardware.camera import Camera, Frame, PartOfView, Region, until_ended
from hardware.live_camera import LiveCamera, gray_of, next_gray

if TYPE_CHECKING:
    import cv2

    from hardware.camera import Gray

NETWORK_TIMEOUT_MS = 5_000  # opening and each read of a camera by URL
PICTURE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm"})
EXPOSURE_STEP_US = 100  # V4L2 counts exposure in these
MANUAL_EXPOSURE = 1  # V4L2_EXPOSURE_MANUAL


def open_camera(
    source: str, every_frame: bool = False, region: Region | None = None, exposure_us: int | None = None
) -> Camera:
    """The camera for `source`: a device number or /dev path, a URL (rtsp://, http://), a video, a picture, or a folder.

    A folder gives its pictures by name. A video file runs at its own speed and its unread frames are lost, like a
    camera's; with `every_frame` it gives one frame after the other as fast as they are taken. Of each picture only
    `region` is given; `exposure_us` is for devices alone. DeviceFault: this can never become a camera."""
    camera = _whole_camera(source, every_frame, exposure_us)
    return camera if region is None else PartOfView(camera, region)


def is_device(source: str) -> bool:
    """Whether `source` names a camera of this machine, by its number or its path."""
    return source.isdecimal() or source.startswith("/dev/")


def _whole_camera(source: str, every_frame: bool, exposure_us: int | None) -> Camera:
    if is_device(source):
        device = int(source) if source.isdecimal() else source
        return LiveCamera(f"camera {source}", lambda: _open_device(device, exposure_us))
    if "://" in source:
        return LiveCamera(f"camera {_without_password(source)}", lambda: _open_url(source))
    path = Path(source)
    if path.is_dir():
        pictures = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in PICTURE_ENDINGS)
        if not pictures:
            raise DeviceFault(f"camera folder {path} holds no picture ({', '.join(sorted(PICTURE_ENDINGS))})")
        return StoredPictures(pictures)
    if not path.is_file():
        raise DeviceFault(f"camera source {source} is not there: name a device, a URL, a video, a picture or a folder")
    if path.suffix.lower() in PICTURE_ENDINGS:
        return StoredPictures([path])
    if every_frame:
        return VideoFrames(path)
    return LiveCamera(f"video {path}", lambda: _open_file(path), paced_file=True)


class StoredPictures:
    """Picture files, each given once in the order named, as they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._next = 0
        self._fault: str | None = None

    @property
    def fault(self) -> str | None:
        return self._fault

    @property
    def ended(self) -> bool:
        return self._next >= len(self._paths)

    def newest(self, timeout_s: float) -> Frame | None:
        """The next picture that can be read; one that cannot is left out and named in `fault`."""
        while not self.ended:
            seq, self._next = self._next, self._next + 1
            try:
                return Frame(read_gray(self._paths[seq]), seq, time.monotonic_ns())
            except DeviceFault as fault:
                self._fault = str(fault)
        return None

    def frames(self) -> Iterator[Frame]:
        return until_ended(self)

    def slow_down(self, frames_per_second: float | None) -> None:
        """They come as they are asked for."""

    def close(self) -> None:
        self._next = len(self._paths)


class VideoFrames:
    """Every frame of a video file, as fast as they are asked for."""

    fault = None

    def __init__(self, path: Path) -> None:
        self._capture: cv2.VideoCapture | None = _open_file(path)
        self._seq = 0

    @property
    def ended(self) -> bool:
        return self._capture is None

    def newest(self, timeout_s: float) -> Frame | None:
        if self._capture is None:
            return None
        gray = next_gray(self._capture)
        if gray is None:
            self.close()
            return None
        self._seq += 1
        return Frame(gray, self._seq - 1, time.monotonic_ns())

    def frames(self) -> Iterator[Frame]:
        return until_ended(self)

    def slow_down(self, frames_per_second: float | None) -> None:
        """They come as they are asked for."""

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def read_gray(path: Path) -> Gray:
    """The picture in a file, in grey; DeviceFault when it is none."""
    _load_opencv()
    import cv2
    import numpy as np

    try:
        data = np.fromfile(path, dtype=np.uint8)  # cv2.imread would not tell why it failed
    except OSError as error:
        raise DeviceFault(f"picture {path} cannot be read: {error.strerror}") from error
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if picture is None:
        raise DeviceFault(f"{path} is not a picture OpenCV can read")
    return gray_of(picture)


def _open_device(device: int | str, exposure_us: int | None) -> cv2.VideoCapture:
    _load_opencv()
    import cv2

    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    if not capture.isOpened():
        raise DeviceFault(f"camera {device} cannot be opened: plug it in, or name one of those in /dev/v4l/by-path")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the driver's own queue would make the newest frame an old one
    if exposure_us is not None:
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, MANUAL_EXPOSURE)
        if not capture.set(cv2.CAP_PROP_EXPOSURE, max(1, exposure_us // EXPOSURE_STEP_US)):
            capture.release()
            raise DeviceFault(f"camera {device} does not take an exposure of {exposure_us} µs: leave exposure_us away")
    return capture


def _open_url(url: str) -> cv2.VideoCapture:
    _load_opencv()
    import cv2

    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        raise DeviceFault(f"camera {_without_password(url)} does not answer: check its address and its power")
    return capture


def _open_file(path: Path) -> cv2.VideoCapture:
    _load_opencv()
    import cv2

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DeviceFault(f"{path} is not a video OpenCV can read")
    return capture


def _load_opencv() -> None:
    with library("opencv-python-headless"):
        import cv2.utils.logging
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # `fault` says it once; OpenCV at every attempt


def _without_password(url: str) -> str:
    return url.rpartition("@")[2]
