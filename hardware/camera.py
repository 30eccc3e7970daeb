"""A camera: any picture source OpenCV can open, of which only the newest frame matters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hardware import Backoff, Device, DeviceFault, library

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray

    Gray = NDArray[np.uint8]
    """A grey picture: rows × columns, 0 black to 255 white."""

REOPEN_FIRST_S = 0.5
REOPEN_LIMIT_S = 10.0
NETWORK_TIMEOUT_MS = 5_000  # opening and each read of a camera by URL
CLOSE_LIMIT_S = 15.0  # V4L2 gives up a read after 10 s
FRAMES_POLL_S = 0.5
FALLBACK_FPS = 25.0  # for video files that do not say
PICTURE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm"})


@dataclass(frozen=True, slots=True)
class Frame:
    """One grey picture; `seq` rises by one per picture the source gave, so a gap is a picture nobody took."""

    gray: Gray
    seq: int
    captured_monotonic_ns: int


class Camera(Device, Protocol):
    """A camera is asked again and again by one thread; what it answers is the newest frame it has not given yet."""

    @property
    def ended(self) -> bool:
        """True when no frame will ever come again: the last picture or frame of a file was given."""

    def newest(self, timeout_s: float) -> Frame | None:
        """The newest frame not given before; None when none came in `timeout_s`, or the source ended or was closed."""

    def frames(self) -> Iterator[Frame]:
        """Newest frame after newest frame, until the source ends or is closed."""


def open_camera(source: str, every_frame: bool = False) -> Camera:
    """The camera for `source`: a device number or /dev path, a URL (rtsp://, http://), a video, a picture, or a folder.

    A folder gives its pictures by name. A video file runs at its own speed and its unread frames are lost, like a
    camera's; with `every_frame` it gives one frame after the other as fast as they are taken.
    DeviceFault: this can never become a camera."""
    if source.isdecimal():
        return LiveCamera(f"camera {source}", lambda: _open_device(int(source)))
    if source.startswith("/dev/"):
        return LiveCamera(f"camera {source}", lambda: _open_device(source))
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


class Capture(Protocol):
    """What is used of OpenCV's VideoCapture."""

    def read(self) -> tuple[bool, cv2.typing.MatLike]:
        """The next picture, in colour or grey; False when there is none."""

    def get(self, propId: int) -> float:  # noqa: N803 - OpenCV's name
        """A property; 0 when the source does not say."""

    def release(self) -> None:
        """Let go of the source."""


class LiveCamera:
    """A source that does not wait: a thread reads it into a slot of one, so who asks gets the present, not a queue."""

    def __init__(self, name: str, open_capture: Callable[[], Capture], paced_file: bool = False) -> None:
        self._name = name
        self._open_capture = open_capture
        self._paced_file = paced_file
        self._slot: Frame | None = None
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._seq = 0
        self._fault: str | None = f"{name} has not been opened yet"
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def fault(self) -> str | None:
        return self._fault

    @property
    def ended(self) -> bool:
        with self._changed:
            return self._closing.is_set() or (self._ended and self._slot is None)

    def newest(self, timeout_s: float) -> Frame | None:
        with self._changed:
            self._changed.wait_for(lambda: self._slot is not None or self._ended or self._closing.is_set(), timeout_s)
            frame, self._slot = self._slot, None
            return None if self._closing.is_set() else frame

    def frames(self) -> Iterator[Frame]:
        return _until_ended(self)

    def close(self) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSE_LIMIT_S)

    def _run(self) -> None:
        backoff = Backoff(REOPEN_FIRST_S, REOPEN_LIMIT_S)
        while not self._closing.is_set():
            try:
                self._read_until_lost(backoff)
            except DeviceFault as fault:
                self._fault = str(fault)
                if self._paced_file:
                    break
                self._closing.wait(backoff.next_s())
            else:
                break
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read_until_lost(self, backoff: Backoff) -> None:
        """Returns when closing or when a file ended; DeviceFault when the camera was lost or cannot be opened."""
        capture = self._open_capture()
        try:
            interval_s = 1.0 / _frames_per_second(capture) if self._paced_file else 0.0
            due_s = time.monotonic()
            while not self._closing.wait(max(0.0, due_s - time.monotonic())):
                gray = _next_gray(capture)
                if gray is None:
                    if self._paced_file:
                        return
                    raise DeviceFault(f"{self._name} gives no more pictures: check its cable and power")
                backoff.reset()
                self._offer(gray)
                due_s += interval_s
        finally:
            capture.release()

    def _offer(self, gray: Gray) -> None:
        with self._changed:
            self._slot = Frame(gray, self._seq, time.monotonic_ns())
            self._seq += 1
            self._fault = None
            self._changed.notify_all()


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
        return _until_ended(self)

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
        gray = _next_gray(self._capture)
        if gray is None:
            self.close()
            return None
        self._seq += 1
        return Frame(gray, self._seq - 1, time.monotonic_ns())

    def frames(self) -> Iterator[Frame]:
        return _until_ended(self)

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
    return _gray(picture)


def _until_ended(camera: Camera) -> Iterator[Frame]:
    while not camera.ended:
        frame = camera.newest(FRAMES_POLL_S)
        if frame is not None:
            yield frame


def _open_device(device: int | str) -> cv2.VideoCapture:
    _load_opencv()
    import cv2

    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    if not capture.isOpened():
        raise DeviceFault(f"camera {device} cannot be opened: plug it in, or name one of those in /dev/v4l/by-path")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the driver's own queue would make the newest frame an old one
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


def _frames_per_second(capture: Capture) -> float:
    import cv2

    return capture.get(cv2.CAP_PROP_FPS) or FALLBACK_FPS


def _next_gray(capture: Capture) -> Gray | None:
    there, picture = capture.read()
    return _gray(picture) if there else None


def _gray(picture: cv2.typing.MatLike) -> Gray:
    """The same picture in grey; some cameras and files are grey already."""
    import cv2
    import numpy as np

    gray = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(gray, dtype=np.uint8)
