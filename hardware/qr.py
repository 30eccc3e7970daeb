"""Reads QR codes: zxing-cpp on every frame, and, while something moves, a second look that costs more.

What plain zxing-cpp reads is taken at once. What only a second look reads is taken when two looks agree, because each
further attempt at a code is a further chance to correct its errors into something it never said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

from hardware import DeviceFault, library
from hardware.bent_code import Corners, flattened

if TYPE_CHECKING:
    import zxingcpp

    from hardware.camera import Frame, Gray

MOTION_HOLD_MS = 3_000  # the second look goes on so long after the last motion: a phone is held still to be read
MOTION_LEVEL = 12  # grey levels a cell of the thumbnail must change; a camera's noise averages out below that
CROSS_CHECK_EVERY_MS = 500  # pyzbar costs twenty times a first look
SECOND_LOOK_PX = 500_000  # a larger frame is halved for a second look: a code held up fills enough of it
AGREE_WITHIN_MS = 1_000  # two second looks that read the same must be this close
MAX_TEXT_CHARS = 1_024  # more than twice the longest code the product knows
MAX_BENT_CODES = 2  # of one picture are flattened
MAX_ENLARGED_PX = 2_000_000  # a larger picture is not enlarged in search of small codes

_THUMBNAIL = (32, 18)
_THUMBNAIL_STRIDE = 4


@dataclass(frozen=True, slots=True)
class QrCode:
    """One code as it was read: ASCII, at most MAX_TEXT_CHARS, and where it stands in the picture."""

    text: str
    area_px: int
    corners: Corners


Reading: TypeAlias = "Callable[[Gray], list[QrCode]]"
"""One way to read a picture."""


class QrReader:
    """Reads the frames of one camera, each at the time it was captured. DeviceFault: zxing-cpp is missing.

    `second_looks` may be switched off at any time, to spare the processor."""

    def __init__(self, cross_check: Reading | None = None) -> None:
        """`cross_check` is the second decoder: pyzbar, and none at all where pyzbar is missing (`warning` says so)."""
        with library("zxing-cpp"):
            import zxingcpp  # noqa: F401 - its absence shows when the reader is made, not at the first visitor
        self.warning = cross_check_warning()
        if cross_check is None and self.warning is None:
            cross_check = _read_cross_check
        self.second_looks = True
        self._cross_check = cross_check
        self._motion = _Motion()
        self._second_looks: tuple[Reading, ...] = (
            lambda gray: _read_plain(_sharpened(gray)),
            lambda gray: _read_plain(_evened(gray)),
            lambda gray: _read_plain(_smoothed(gray)),
        )
        self._turn = 0
        self._next_cross_check_ms = 0
        self._seen_once_ms: dict[str, int] = {}

    def read(self, frame: Frame) -> list[QrCode]:
        """The codes in `frame`, largest first."""
        codes = _read_plain(frame.gray)
        now_ms = frame.captured_monotonic_ns // 1_000_000
        if self.second_looks and self._motion.lately(frame.gray, now_ms) and not codes:
            codes = self._agreed(self._second_look(frame.gray, now_ms), now_ms)
        return codes

    def _second_look(self, gray: Gray, now_ms: int) -> list[QrCode]:
        """A second look on every other frame; a large frame is halved first, so that it costs what it is worth."""
        self._turn += 1
        if self._turn % 2:
            return []
        if gray.size <= SECOND_LOOK_PX:
            return self._another_look(gray, now_ms)
        return [_scaled(code, 2) for code in self._another_look(_halved(gray), now_ms)]

    def _another_look(self, gray: Gray, now_ms: int) -> list[QrCode]:
        """Each time another one, so that none costs more than one of them."""
        if self._cross_check is not None and now_ms >= self._next_cross_check_ms:
            self._next_cross_check_ms = now_ms + CROSS_CHECK_EVERY_MS
            return self._cross_check(gray)
        return self._second_looks[self._turn // 2 % len(self._second_looks)](gray)

    def _agreed(self, codes: list[QrCode], now_ms: int) -> list[QrCode]:
        """Those of `codes` that an earlier second look read too."""
        recent = {text: at_ms for text, at_ms in self._seen_once_ms.items() if now_ms - at_ms <= AGREE_WITHIN_MS}
        self._seen_once_ms = recent | {code.text: now_ms for code in codes}
        return [code for code in codes if code.text in recent]


def read_picture(gray: Gray) -> list[QrCode]:
    """The codes in a still picture, largest first, with everything this product knows, however long it takes (up to a
    few seconds for a code that is there and cannot be read). Stops at the first look that settles something."""
    settled = _read_thoroughly(gray)
    if settled:
        return settled
    votes = _Votes()
    for name, changed in _changed_pictures(gray):
        scale = gray.shape[1] / changed.shape[1]
        votes.add(f"zxing {name}", [_scaled(code, scale) for code in _read_thoroughly(changed)])
        if cross_check_warning() is None:
            votes.add(f"zbar {name}", [_scaled(code, scale) for code in _read_cross_check(changed)])
        if votes.settled:
            return votes.settled
    for corners, squares in _unread_codes(gray)[:MAX_BENT_CODES]:
        for start, sheet in flattened(gray, corners, squares):
            votes.add(f"flattened {start}", _read_sheet(sheet, corners))
            if votes.settled:
                return votes.settled
    return []


def cross_check_warning() -> str | None:
    """None when pyzbar can be used, else a sentence for staff: without it fewer damaged codes are read."""
    try:
        with library("pyzbar"):
            import pyzbar.pyzbar  # noqa: F401 - loads the shared library libzbar0
    except DeviceFault as fault:
        return f"{fault}; it needs the system package libzbar0"
    return None


class _Motion:
    """Whether the picture changed a moment ago, judged by a thumbnail that costs a fiftieth of a first look."""

    def __init__(self) -> None:
        self._before: Gray | None = None
        self._until_ms = 0

    def lately(self, gray: Gray, now_ms: int) -> bool:
        import cv2
        import numpy as np

        coarse = gray[::_THUMBNAIL_STRIDE, ::_THUMBNAIL_STRIDE]
        now = np.asarray(cv2.resize(coarse, _THUMBNAIL, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        if self._before is None:
            self._before = now
        elif int(cv2.absdiff(self._before, now).max()) >= MOTION_LEVEL:
            self._before = now
            self._until_ms = now_ms + MOTION_HOLD_MS
        return now_ms < self._until_ms


@dataclass(slots=True)
class _Votes:
    """Which looks read which text; a text is settled when two different ones did."""

    looks: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    settled: list[QrCode] = field(default_factory=list)

    def add(self, look: str, codes: list[QrCode]) -> None:
        for code in codes:
            self.looks[code.text].add(look)
            if len(self.looks[code.text]) == 2:
                self.settled = _largest_first([*self.settled, code])


def _changed_pictures(gray: Gray) -> Iterator[tuple[str, Gray]]:
    """The picture as it is and in the ways that have shown to help, cheap ones first."""
    import cv2
    import numpy as np

    yield "as it is", gray
    yield "sharpened", _sharpened(gray)
    yield "evened", _evened(gray)
    yield "smoothed", _smoothed(gray)
    yield (
        "threshold",
        np.asarray(
            cv2.adaptiveThreshold(gray, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 31, 0), dtype=np.uint8
        ),
    )
    yield "smaller", _halved(gray)
    if gray.size <= MAX_ENLARGED_PX:
        yield "larger", np.asarray(cv2.resize(gray, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _halved(gray: Gray) -> Gray:
    import cv2
    import numpy as np

    return np.asarray(cv2.resize(gray, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _sharpened(gray: Gray) -> Gray:
    import cv2
    import numpy as np

    return np.asarray(cv2.addWeighted(gray, 2.0, cv2.blur(gray, (5, 5)), -1.0, 0.0), dtype=np.uint8)


def _evened(gray: Gray) -> Gray:
    """The contrast of each part of the picture spread out: helps under glare and in shadow."""
    import cv2
    import numpy as np

    return np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(gray), dtype=np.uint8)


def _smoothed(gray: Gray) -> Gray:
    """The noise of a dark hour averaged away."""
    import cv2
    import numpy as np

    return np.asarray(cv2.GaussianBlur(gray, (5, 5), 0), dtype=np.uint8)


def _read_plain(gray: Gray) -> list[QrCode]:
    """The first look, as cheap as it gets (facts.md): no search on the side, no inversion."""
    return _codes((code.text, _corners(code)) for code in _zxing(gray, thoroughly=False))


def _read_thoroughly(gray: Gray) -> list[QrCode]:
    """Every direction, light on dark too."""
    return _codes((code.text, _corners(code)) for code in _zxing(gray, thoroughly=True))


def _read_cross_check(gray: Gray) -> list[QrCode]:
    """The same by another decoder."""
    from pyzbar import pyzbar

    found = pyzbar.decode(gray, symbols=[pyzbar.ZBarSymbol.QRCODE])
    return _codes((code.data.decode("latin-1"), tuple((point.x, point.y) for point in code.polygon)) for code in found)


def _unread_codes(gray: Gray) -> list[tuple[Corners, int]]:
    """Where codes stand that were found and not read, and how many squares a side they have; largest first."""
    unread = []
    for code in _zxing(gray, thoroughly=True, unread_too=True):
        version = cast("dict[str, object]", code.extra).get("Version")
        if not code.valid and isinstance(version, str) and version.isdecimal():
            unread.append((_corners(code), 17 + 4 * int(version)))
    return sorted(unread, key=lambda code: _area_px(code[0]), reverse=True)


def _read_sheet(sheet: Gray, corners: Corners) -> list[QrCode]:
    """What a flattened code says, one pixel per square."""
    import zxingcpp

    formats = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)  # with is_pure it knows only the whole family
    found = zxingcpp.read_barcodes(sheet, formats=formats, is_pure=True, text_mode=zxingcpp.TextMode.Plain)
    return _codes((code.text, corners) for code in found if code.valid)


def _zxing(gray: Gray, thoroughly: bool, unread_too: bool = False) -> list[zxingcpp.Barcode]:
    import zxingcpp

    return zxingcpp.read_barcodes(
        gray,
        formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2),
        try_rotate=thoroughly,
        try_invert=thoroughly,
        try_downscale=True,
        text_mode=zxingcpp.TextMode.Plain,
        return_errors=unread_too,
    )


def _codes(read: Iterable[tuple[str, Corners]]) -> list[QrCode]:
    """Those that can be ours at all, largest first."""
    codes = [
        QrCode(text, _area_px(corners), corners)
        for text, corners in read
        if text.isascii() and 0 < len(text) <= MAX_TEXT_CHARS
    ]
    return _largest_first(codes)


def _largest_first(codes: list[QrCode]) -> list[QrCode]:
    return sorted(codes, key=lambda code: code.area_px, reverse=True)


def _scaled(code: QrCode, factor: float) -> QrCode:
    corners = tuple((round(x * factor), round(y * factor)) for x, y in code.corners)
    return QrCode(code.text, _area_px(corners), corners)


def _corners(code: zxingcpp.Barcode) -> Corners:
    place = code.position
    return tuple((p.x, p.y) for p in (place.top_left, place.top_right, place.bottom_right, place.bottom_left))


def _area_px(corners: Corners) -> int:
    """The area inside `corners` (the shoelace formula)."""
    following = corners[1:] + corners[:1]
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(corners, following, strict=True))) // 2
