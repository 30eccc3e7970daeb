"""Flattens a QR code that was found but not read, because cloth, paper or a bent screen moved its squares out of line.

The search knows two things of every QR code: its squares are either black or white, and its corner marks, its alignment
mark and its two dotted lines stand where the standard (ISO/IEC 18004) puts them. It tries bends at random from a fixed
seed, then climbs from the best ones in small steps towards the bend under which both are most true, and hands every
better sheet of squares to the decoder. The same picture always gives the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hardware.camera import Gray

    Floats: TypeAlias = NDArray[np.floating]

Corners: TypeAlias = tuple[tuple[int, int], ...]
"""Top left, top right, bottom right, bottom left of a code as it stands in its own orientation, in pixels (x, y)."""

MAX_SQUARES = 97  # a side: version 20; the codes of a gate have 41 or 57
FIRST_BENDS = 300
STARTS = 16  # the best first bends, each climbed from on its own
STEPS = 400  # of each climb
QUIET_ZONE = 4  # squares of white around a code

_SEED = 20200101
_FIRST_SPREAD = 0.012  # of a first bend, in code widths
_STEP_SPREAD = 0.003
_STEP_SHARE = 0.3  # of the bend's parts that one step moves
_MARKS_WEIGHT = 0.5  # of the known marks against the black and white of all squares
_PIXELS = 4  # a side of a square in the flattened picture
_MESH = 13  # points a side at which a bend is computed; between them it is smooth


def flattened(gray: Gray, corners: Corners, squares: int) -> Iterator[tuple[int, Gray]]:
    """Better and better sheets of the code with `squares` squares a side whose outer `corners` are given.

    Each is (start, picture): the number of the climb it came from, and one pixel per square, 0 or 255, with its quiet
    zone. Reads from different starts are independent of each other."""
    import numpy as np

    if squares > MAX_SQUARES:
        return
    sheet = _Sheet(gray, corners, squares)
    chance = np.random.default_rng(_SEED)
    first = [np.zeros(sheet.parts), *chance.normal(0, _FIRST_SPREAD, (FIRST_BENDS, sheet.parts))]
    ranked = sorted(((sheet.fit(sheet.levels(bend)), number) for number, bend in enumerate(first)), reverse=True)
    for start, (fit, number) in enumerate(ranked[:STARTS]):
        bend = first[number]
        for _ in range(STEPS):
            step = chance.normal(0, _STEP_SPREAD, sheet.parts) * (chance.random(sheet.parts) < _STEP_SHARE)
            levels = sheet.levels(bend + step)
            better = sheet.fit(levels)
            if better > fit:
                bend, fit = bend + step, better
                yield start, _black_and_white(levels)


class _Sheet:
    """One code in one picture, and the ways its sheet can be bent: a bend is a vector of `parts` numbers."""

    def __init__(self, gray: Gray, corners: Corners, squares: int) -> None:
        import cv2
        import numpy as np

        self._gray = gray
        self._squares = squares
        unit_square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
        self._to_picture = cv2.getPerspectiveTransform(unit_square, np.array(corners, np.float32))
        mesh = ((np.arange(_MESH) + 0.5) / _MESH * (squares + 2 * QUIET_ZONE) - QUIET_ZONE) / squares
        self._across, self._down = np.meshgrid(mesh, mesh)
        self._shapes = _bend_shapes(self._across, self._down)
        self.parts = 2 * len(self._shapes)
        self._marks = _known_marks(squares)

    def levels(self, bend: Floats) -> Floats:
        """The mean grey of each square when the sheet is bent so, dark below 0 and light above."""
        import cv2
        import numpy as np

        moved_across, moved_down = np.tensordot(bend.reshape(2, -1), self._shapes, 1)
        there = np.stack([self._across + moved_across, self._down + moved_down, np.ones_like(self._across)])
        x, y, depth = np.tensordot(self._to_picture, there, 1)
        size = (self._squares + 2 * QUIET_ZONE) * _PIXELS
        map_x = cv2.resize((x / depth).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
        map_y = cv2.resize((y / depth).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
        flat = cv2.remap(self._gray, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        edge = QUIET_ZONE * _PIXELS
        code = flat[edge:-edge, edge:-edge].reshape(self._squares, _PIXELS, self._squares, _PIXELS).mean((1, 3))
        return np.asarray(code - code.mean())

    def fit(self, levels: Floats) -> float:
        """How much `levels` look like a QR code: higher is better."""
        import numpy as np

        contrast = float(levels.std()) or 1.0
        marks = float((self._marks * np.clip(levels / contrast, -1, 1)).sum() / np.abs(self._marks).sum())
        return float((levels / 110).var()) + _MARKS_WEIGHT * marks


def _bend_shapes(across: Floats, down: Floats) -> Floats:
    """What a sheet's points may be moved by, across and down alike: bulges and waves of the edges, a bulge of the
    middle, a shift of the corner that has no mark. Each leaves the three marked corners where they are."""
    import numpy as np

    bulge_across, bulge_down = 4 * across * (1 - across), 4 * down * (1 - down)
    wave_across, wave_down = (10 * t * (1 - t) * (1 - 2 * t) for t in (across, down))
    return np.stack(
        [
            bulge_across * (1 - down),
            bulge_across * down,
            bulge_down * (1 - across),
            bulge_down * across,
            bulge_across * bulge_down,
            wave_across * (1 - down),
            wave_across * down,
            wave_down * (1 - across),
            wave_down * across,
            across * down,
        ]
    )


def _known_marks(squares: int) -> Floats:
    """1 where every code of this size is light, -1 where it is dark, 0 where that depends on what it says."""
    import numpy as np

    marks = np.zeros((squares, squares))
    corner = np.ones((8, 8))
    corner[:7, :7], corner[1:6, 1:6], corner[2:5, 2:5] = -1, 1, -1
    marks[:8, :8], marks[:8, -8:], marks[-8:, :8] = corner, corner[:, ::-1], corner[::-1]
    dotted = np.where(np.arange(8, squares - 8) % 2, 1, -1)
    marks[6, 8:-8] = marks[8:-8, 6] = dotted
    if squares > 21:  # version 1 has no alignment mark
        middle = squares - 7
        marks[middle - 2 : middle + 3, middle - 2 : middle + 3] = -1
        marks[middle - 1 : middle + 2, middle - 1 : middle + 2] = 1
        marks[middle, middle] = -1
    return marks


def _black_and_white(levels: Floats) -> Gray:
    import cv2
    import numpy as np

    gray = np.clip(levels - levels.min(), 0, 255).astype(np.uint8)
    _, squares = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    picture = cv2.copyMakeBorder(
        squares, QUIET_ZONE, QUIET_ZONE, QUIET_ZONE, QUIET_ZONE, cv2.BORDER_CONSTANT, value=[255]
    )
    return np.asarray(picture, dtype=np.uint8)
