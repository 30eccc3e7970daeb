"""A camera that does not wait: read by a thread of its own, opened again whenever it was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from hardware import Backoff, DeviceFault
from hardware.camera import Frame, until_ended
from hardware.picture_watch import PictureTrouble, PictureWatch

if TYPE_CHECKING:
    import cv2

    from hardware.camera import Gray

REOPEN_FIRST_S = 0.5
REOPEN_LIMIT_S = 10.0
CLOSE_LIMIT_S = 15.0  # V4L2 gives up a read after 10 s
FALLBACK_FPS = 25.0  # for video files that do not say


class Capture(Protocol):
    """What is used of OpenCV's VideoCapture."""

    def read(self) -> tuple[bool, cv2.typing.MatLike]:
        """The next picture, in colour or grey; False when there is none."""

    def grab(self) -> bool:
        """Drop the next picture, unpacked; False when there is none."""

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
        self._interval_ns = 0
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
        return until_ended(self)

    def slow_down(self, frames_per_second: float | None) -> None:
        self._interval_ns = 0 if frames_per_second is None else round(1e9 / frames_per_second)

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
            except Exception as fault:  # a driver may fail in any way, and the camera may be there again in a moment
                self._fault = str(fault) if isinstance(fault, DeviceFault) else f"{self._name} failed: {fault!r}"
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
            due_s, taken_ns, watch = time.monotonic(), 0, PictureWatch()
            while not self._closing.wait(max(0.0, due_s - time.monotonic())):
                due_s += interval_s
                now_ns = time.monotonic_ns()
                if now_ns - taken_ns < self._interval_ns and capture.grab():
                    continue
                gray, taken_ns = next_gray(capture), now_ns
                if gray is None:
                    if self._paced_file:
                        return
                    raise DeviceFault(f"{self._name} gives no more pictures: check its cable and power")
                trouble = None if self._paced_file else watch.look(gray, now_ns)
                if trouble is PictureTrouble.FROZEN:
                    raise DeviceFault(f"{self._name} {trouble}")
                backoff.reset()
                self._offer(gray, None if trouble is None else f"{self._name} {trouble}")
        finally:
            capture.release()

    def _offer(self, gray: Gray, fault: str | None) -> None:
        with self._changed:
            self._slot = Frame(gray, self._seq, time.monotonic_ns())
            self._seq += 1
            self._fault = fault
            self._changed.notify_all()


def _frames_per_second(capture: Capture) -> float:
    import cv2

    return capture.get(cv2.CAP_PROP_FPS) or FALLBACK_FPS


def next_gray(capture: Capture) -> Gray | None:
    """The next picture in grey, None when there is none."""
    there, picture = capture.read()
    return gray_of(picture) if there else None


def gray_of(picture: cv2.typing.MatLike) -> Gray:
    """The same picture in grey; some cameras and files are grey already."""
    import cv2
    import numpy as np

    gray = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(gray, dtype=np.uint8)
