"""A camera: grey pictures of which only the newest matters, all of each or the part where codes are held up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from hardware import Device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Gray = NDArray[np.uint8]
    """A grey picture: rows × columns, 0 black to 255 white."""

FRAMES_POLL_S = 0.5


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

    def slow_down(self, frames_per_second: float | None) -> None:
        """Take at most so many pictures from now on, to spare the processor; None: as many as there are."""


@dataclass(frozen=True, slots=True)
class Region:
    """The part of a picture that is looked at, in percent of its width and height from its upper left corner."""

    left: int
    top: int
    width: int
    height: int

    def of(self, gray: Gray) -> Gray:
        """That part of a picture, at least one pixel of it."""
        import numpy as np

        rows, columns = gray.shape
        top, left = rows * self.top // 100, columns * self.left // 100
        bottom = max(top + 1, rows * (self.top + self.height) // 100)
        right = max(left + 1, columns * (self.left + self.width) // 100)
        return np.ascontiguousarray(gray[top:bottom, left:right])


class PartOfView:
    """A camera of which only a region is looked at: what stands beside it is never read, and costs nothing."""

    def __init__(self, camera: Camera, region: Region) -> None:
        self._camera = camera
        self._region = region

    @property
    def fault(self) -> str | None:
        return self._camera.fault

    @property
    def ended(self) -> bool:
        return self._camera.ended

    def newest(self, timeout_s: float) -> Frame | None:
        frame = self._camera.newest(timeout_s)
        return None if frame is None else replace(frame, gray=self._region.of(frame.gray))

    def frames(self) -> Iterator[Frame]:
        return until_ended(self)

    def slow_down(self, frames_per_second: float | None) -> None:
        self._camera.slow_down(frames_per_second)

    def close(self) -> None:
        self._camera.close()


def until_ended(camera: Camera) -> Iterator[Frame]:
    """Newest frame after newest frame of any camera."""
    while not camera.ended:
        frame = camera.newest(FRAMES_POLL_S)
        if frame is not None:
            yield frame
