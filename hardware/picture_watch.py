"""Whether a camera's pictures show anything: one that hangs repeats itself, one that is covered is dark (pure)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.camera import Gray

FROZEN_S = 10.0  # a living sensor has noise: no two of its pictures are the same
DARK_S = 60.0
DARK_LEVEL = 8  # of 255, the brightest place seen; a room at night is brighter to a camera that exposes by itself
STRIDE = 32  # every so many rows and columns are looked at


class PictureTrouble(StrEnum):
    """What is wrong with pictures that come, as a sentence without its camera."""

    FROZEN = "gives the same picture again and again: unplug it and plug it in again"
    DARK = "sees nothing but darkness: is its lens covered, is the light off?"


class PictureWatch:
    """Follows the pictures of one camera since it was opened; times are monotonic ns."""

    def __init__(self) -> None:
        self._before = b""
        self._changed_ns = 0
        self._light_ns: int | None = None

    def look(self, gray: Gray, now_ns: int) -> PictureTrouble | None:
        """What is wrong by now, the newest picture included."""
        coarse = gray[::STRIDE, ::STRIDE]
        seen = coarse.tobytes()
        if seen != self._before:
            self._before, self._changed_ns = seen, now_ns
        if self._light_ns is None or int(coarse.max()) > DARK_LEVEL:
            self._light_ns = now_ns
        if now_ns - self._changed_ns >= FROZEN_S * 1e9:
            return PictureTrouble.FROZEN
        return PictureTrouble.DARK if now_ns - self._light_ns >= DARK_S * 1e9 else None
