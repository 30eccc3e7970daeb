"""Pictures for the tests: a folder, a video file, the public photographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest

if TYPE_CHECKING:
    from hardware.camera import Gray

PUBLIC = Path(__file__).parents[3] / "shared" / "pictures" / "qr"


def public_pictures() -> list[tuple[Path, str | None]]:
    """Photographs nobody here made, each with its text or None where it shows no code; skips where they are not."""
    manifest = PUBLIC / "manifest.json"
    if not manifest.is_file():
        pytest.skip(f"the public pictures are not in {PUBLIC}")
    images = json.loads(manifest.read_text(encoding="utf-8"))["images"]
    return [(PUBLIC / image["file"], image["expected_text"]) for image in images]


def write_video(path: Path, frames: list[Gray], fps: float = 25.0) -> Path:
    """`frames` as a Motion-JPEG video file."""
    height, width = frames[0].shape
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height), isColor=False)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path
