"""Public photographs of QR codes: read by the agent's reader, by bare zxing-cpp, pyzbar and OpenCV (P5).

`./dev bench decode DIR`: DIR has pictures and a manifest.json (file, expected_text or null).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rounds import last_line, table

if TYPE_CHECKING:
    from hardware.camera import Gray

Decoder = Callable[["Gray"], list[str]]


@dataclass(slots=True)
class Score:
    """How one decoder did: pictures read as expected, texts that stand in no picture, seconds per picture."""

    read: int = 0
    wrong: int = 0
    times_s: list[float] = field(default_factory=list)


def decoders() -> dict[str, Decoder]:
    """Ours, and what it is measured against: each library with its own defaults, QR codes only."""
    import cv2
    import zxingcpp
    from pyzbar import pyzbar

    from hardware.qr import read_picture

    opencv = cv2.QRCodeDetector()
    formats = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    return {
        "gate-agent": lambda gray: [code.text for code in read_picture(gray)],
        "zxing-cpp": lambda gray: [code.text for code in zxingcpp.read_barcodes(gray, formats=formats)],
        "pyzbar": lambda gray: [
            code.data.decode("utf-8", "replace") for code in pyzbar.decode(gray, symbols=[pyzbar.ZBarSymbol.QRCODE])
        ],
        "opencv": lambda gray: [text for text in (opencv.detectAndDecode(gray)[0],) if text],
    }


def main(folder: Path) -> None:
    """Each picture goes to every decoder before the next one is opened."""
    import cv2
    import numpy as np

    images = json.loads((folder / "manifest.json").read_text("utf-8"))["images"]
    scores = {name: Score() for name in decoders()}
    for image in images:
        gray = np.asarray(cv2.imread(str(folder / image["file"]), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
        expected = None if image["expected_text"] is None else image["expected_text"].rstrip("\r\n")
        for name, decode in decoders().items():
            began = time.perf_counter()
            texts = [text.rstrip("\r\n") for text in decode(gray)]
            score = scores[name]
            score.times_s.append(time.perf_counter() - began)
            score.read += expected is not None and expected in texts
            score.wrong += any(text != expected for text in texts)
    rows = [
        (name, score.read, score.wrong, f"{statistics.median(score.times_s) * 1000:.1f}", f"{sum(score.times_s):.1f}")
        for name, score in scores.items()
    ]
    with_code = sum(image["expected_text"] is not None for image in images)
    print(f"{len(images)} pictures, {with_code} with a code")
    table(rows, ("decoder", "read", "wrong", "median ms", "all s"))
    figures = {name: {"read": score.read, "wrong": score.wrong} for name, score in scores.items()}
    last_line({"benchmark": "decode", "pictures": len(images), "with_code": with_code, "decoders": figures})


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "manifest.json").is_file():
        sys.exit("usage: ./dev bench decode DIR, a folder of pictures with a manifest.json")
    main(Path(sys.argv[1]))
