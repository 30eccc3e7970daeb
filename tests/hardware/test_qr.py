"""Reading codes: what is read at once, what needs two looks, what is never read, and how many photographs."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import zxingcpp
from pyzbar import pyzbar

from hardware import DeviceFault
from hardware.bent_code import flattened
from hardware.camera import Frame
from hardware.camera_sources import open_camera, read_gray
from hardware.phone_screen import Look, draw_nobody, draw_phone, qr_picture
from hardware.qr import AGREE_WITHIN_MS, CROSS_CHECK_EVERY_MS, MOTION_HOLD_MS, QrCode, QrReader, read_picture
from tests.hardware.pictures import public_pictures, write_video

if TYPE_CHECKING:
    from hardware.camera import Gray

A_CODE = "GATE:" + "7K2" * 45
FRAME_MS = 40
NOBODY = draw_nobody(Look())


def frame(gray: Gray, at_ms: int) -> Frame:
    return Frame(gray, at_ms // FRAME_MS, at_ms * 1_000_000)


def texts(reader: QrReader, gray: Gray, at_ms: int) -> list[str]:
    return [code.text for code in reader.read(frame(gray, at_ms))]


def only_sharpened() -> Gray:
    """A phone that plain zxing-cpp cannot read and a second look can."""
    for seed in range(200):
        look = Look(size=0.75, blur_px=2.0 + seed / 100, noise=1.0, seed=seed)
        gray = draw_phone(A_CODE, look)
        if not QrReader().read(frame(gray, 0)) and read_picture(gray):
            return gray
    raise AssertionError("no such picture among 200")


def test_a_code_is_read_where_it_stands() -> None:
    gray = np.full((400, 500), 255, np.uint8)
    code = qr_picture("HELLO", 5)
    gray[100 : 100 + code.shape[0], 200 : 200 + code.shape[1]] = code
    (read,) = QrReader().read(frame(gray, 0))
    assert read.text == "HELLO"
    assert read.area_px == pytest.approx((21 * 5) ** 2, rel=0.05)
    assert np.allclose(read.corners, [(220, 120), (325, 120), (325, 225), (220, 225)], atol=3)


def test_the_largest_code_comes_first() -> None:
    gray = np.full((400, 800), 255, np.uint8)
    for text, pixels, left in (("SMALL", 3, 10), ("LARGE", 8, 300)):
        code = qr_picture(text, pixels)
        gray[20 : 20 + code.shape[0], left : left + code.shape[1]] = code
    assert texts(QrReader(), gray, 0) == ["LARGE", "SMALL"]
    assert [code.text for code in read_picture(gray)] == ["LARGE", "SMALL"]


def test_only_ascii_of_a_sane_length_is_a_code() -> None:
    assert texts(QrReader(), qr_picture("年票", 6), 0) == []
    assert texts(QrReader(), qr_picture("7" * 1_025, 4), 0) == []
    assert texts(QrReader(), qr_picture("7" * 1_024, 4), 0) == ["7" * 1_024]


def test_a_code_in_a_video_file(tmp_path: Path) -> None:
    phone = draw_phone(A_CODE, Look.by_chance(3))
    video = write_video(tmp_path / "visitor.avi", [NOBODY] * 5 + [phone] * 5 + [NOBODY] * 5)
    reader = QrReader()
    read = [bool(reader.read(seen)) for seen in open_camera(str(video), every_frame=True).frames()]
    assert read == [False] * 5 + [True] * 5 + [False] * 5


def test_a_second_look_needs_motion_and_two_that_agree() -> None:
    gray = only_sharpened()
    still = QrReader()
    assert [texts(still, gray, at_ms) for at_ms in range(0, 400, FRAME_MS)] == [[]] * 10, "nothing moved"
    reader = QrReader()
    assert texts(reader, NOBODY, 0) == []
    answers = [texts(reader, gray, at_ms) for at_ms in range(FRAME_MS, 1000, FRAME_MS)]
    assert answers[0] == [], "one look is not enough"
    assert [A_CODE] in answers
    assert all(answer in ([], [A_CODE]) for answer in answers)


def test_second_looks_can_be_switched_off_and_on() -> None:
    gray = only_sharpened()
    reader = QrReader()
    reader.second_looks = False
    assert [texts(reader, seen, at_ms) for at_ms, seen in enumerate([NOBODY, *[gray] * 20])] == [[]] * 21
    reader.second_looks = True
    answers = [texts(reader, seen, 1_000 + at_ms) for at_ms, seen in enumerate([NOBODY, *[gray] * 20])]
    assert [A_CODE] in answers


def test_the_second_look_ends_some_time_after_the_last_motion() -> None:
    gray = only_sharpened()
    reader = QrReader()
    texts(reader, NOBODY, 0)
    moved_at_ms = FRAME_MS
    texts(reader, gray, moved_at_ms)
    late = range(moved_at_ms + MOTION_HOLD_MS, moved_at_ms + MOTION_HOLD_MS + 1000, FRAME_MS)
    assert [texts(reader, gray, at_ms) for at_ms in late] == [[]] * len(late)


def test_looks_that_agree_must_be_close_in_time() -> None:
    gray = only_sharpened()
    reader = QrReader()
    texts(reader, NOBODY, 0)
    at_ms, apart_ms = FRAME_MS, AGREE_WITHIN_MS + 1
    for _ in range(10):
        assert texts(reader, gray, at_ms) == []
        texts(reader, NOBODY, at_ms + 1)  # goes on moving
        at_ms += apart_ms


def test_the_cross_check_is_rare() -> None:
    times: list[int] = []

    def cross_check(gray: Gray) -> list[QrCode]:
        times.append(now_ms)
        return []

    reader = QrReader(cross_check)
    for now_ms in range(0, 2_000, FRAME_MS):
        texts(reader, NOBODY if now_ms % 80 else 255 - NOBODY, now_ms)
    assert len(times) == 4
    assert all(later - earlier >= CROSS_CHECK_EVERY_MS for earlier, later in itertools.pairwise(times))


def test_a_large_frame_is_halved_for_a_second_look_and_its_code_found_in_place() -> None:
    shapes: list[tuple[int, ...]] = []

    def cross_check(gray: Gray) -> list[QrCode]:
        shapes.append(gray.shape)
        return [QrCode(A_CODE, 100, ((10, 20), (20, 20), (20, 30), (10, 30)))]

    large = np.zeros((720, 1280), np.uint8)
    reader = QrReader(cross_check)
    found: list[QrCode] = []
    for at_ms in range(0, 2_000, FRAME_MS):
        found += reader.read(frame(large if at_ms % (2 * FRAME_MS) else 255 - large, at_ms))
    assert set(shapes) == {(360, 640)}
    assert found[0] == QrCode(A_CODE, 400, ((20, 40), (40, 40), (40, 60), (20, 60)))


def bent(gray: Gray, depth_px: float) -> Gray:
    """The picture as if printed on a sleeve: its rows waved by `depth_px`, its columns by half of that."""
    rows, columns = np.mgrid[0 : gray.shape[0], 0 : gray.shape[1]].astype(np.float32)
    x = columns + np.float32(depth_px / 2) * np.sin(rows / gray.shape[0] * np.pi, dtype=np.float32)
    y = rows + np.float32(depth_px) * np.sin(columns / gray.shape[1] * np.pi, dtype=np.float32)
    return np.asarray(cv2.remap(gray, x, y, cv2.INTER_LINEAR, borderValue=[255]), np.uint8)


@pytest.mark.slow
def test_a_bent_code_is_flattened_and_read() -> None:
    gray = np.full((400, 400), 255, np.uint8)
    code = qr_picture(A_CODE, 6)
    gray[50 : 50 + code.shape[0], 50 : 50 + code.shape[1]] = code
    depth_px = next(depth for depth in np.arange(4.0, 40.0, 0.5) if not zxingcpp.read_barcodes(bent(gray, depth)))
    assert [read.text for read in read_picture(bent(gray, depth_px))] == [A_CODE]


@pytest.mark.slow
def test_flattening_is_bounded_and_always_the_same() -> None:
    gray = qr_picture(A_CODE, 4)
    corners = ((16, 16), (180, 16), (180, 180), (16, 180))
    once, again = (
        [(start, sheet.tobytes()) for start, sheet in itertools.islice(flattened(gray, corners, 41), 40)]
        for _ in range(2)
    )
    assert once == again
    assert list(flattened(gray, corners, 177)) == []


def test_a_missing_library_is_a_fault_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyzbar", None)
    monkeypatch.setitem(sys.modules, "pyzbar.pyzbar", None)
    reader = QrReader()
    assert "libzbar0" in str(reader.warning)
    assert texts(reader, qr_picture("HELLO", 6), 0) == ["HELLO"]
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    with pytest.raises(DeviceFault, match="zxing-cpp is missing"):
        QrReader()


def test_nothing_is_imported_before_it_is_used() -> None:
    modules = sorted(path.stem for path in Path("hardware").glob("*.py") if path.stem != "__init__")
    lines = [*(f"import hardware.{name}" for name in modules), "import sys", "print(*sys.modules)"]
    loaded = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], check=True, capture_output=True, text=True
    ).stdout.split()
    assert {"cv2", "numpy", "serial", "zxingcpp", "pyzbar", "segno"}.isdisjoint(loaded)


@pytest.mark.slow
def test_more_photographs_are_read_than_by_any_free_decoder_and_none_wrongly() -> None:
    decoders: dict[str, Callable[[Gray], list[str]]] = {
        "ours": lambda gray: [code.text for code in read_picture(gray)],
        "zxing-cpp": lambda gray: [code.text for code in zxingcpp.read_barcodes(gray)],
        "pyzbar": lambda gray: [code.data.decode("utf-8", "replace") for code in pyzbar.decode(gray)],
        "OpenCV": lambda gray: [text for text in cv2.QRCodeDetector().detectAndDecodeMulti(gray)[1] if text],
    }
    read, wrong = dict.fromkeys(decoders, 0), dict.fromkeys(decoders, 0)
    for path, expected in public_pictures():
        gray = read_gray(path)
        for name, decode in decoders.items():
            found = [text.removesuffix("\n").removesuffix("\r") for text in decode(gray)]
            wanted = [] if expected is None else [expected.removesuffix("\n").removesuffix("\r")]
            read[name] += found == wanted != []
            wrong[name] += any(text not in wanted for text in found)
    assert wrong["ours"] == 0
    assert read["ours"] > max(count for name, count in read.items() if name != "ours")
    assert read["ours"] >= 108
