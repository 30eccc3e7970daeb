"""What reads at a lane: several cameras that look at one place, and cameras that spare the processor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from gate_agent.readers import RIVAL_MS, CodeCamera, Reader, Sights, readers_of
from hardware.devices import LaneDevices, open_lane, parse_lane
from hardware.phone_screen import qr_picture
from hardware.simulated_readers import SimulatedCamera
from hardware.timeline import History, StepTimeline
from tests.waiting import until

WAIT_S = 5.0
MS = 1_000_000


@pytest.fixture
def lane() -> Iterator[LaneDevices]:
    """A simulated lane."""
    devices = open_lane(parse_lane("1:reader=sim,turnstile=sim"))
    yield devices
    devices.close()


def camera() -> CodeCamera:
    return CodeCamera(SimulatedCamera(History(StepTimeline().now_ns)), Sights())


def test_of_two_cameras_the_one_that_sees_its_code_larger_is_believed() -> None:
    sights, above, beside = Sights(), camera(), camera()
    assert sights.wins(above, "HELD", 0.20, 0)
    assert not sights.wins(beside, "NEXT IN THE QUEUE", 0.05, 10 * MS)
    assert sights.wins(above, "HELD", 0.20, 40 * MS)
    assert sights.wins(beside, "HELD", 0.05, 50 * MS), "both may see the same one"
    assert not sights.wins(beside, "NEXT IN THE QUEUE", 0.05, (40 + RIVAL_MS - 1) * MS)
    assert sights.wins(beside, "NEXT IN THE QUEUE", 0.05, (40 + RIVAL_MS) * MS), "the larger one was taken away"
    assert sights.wins(above, "HELD", 0.20, (41 + RIVAL_MS) * MS)


def test_a_code_beside_the_region_is_not_read(tmp_path: Path) -> None:
    gray = np.full((400, 800), 255, np.uint8)
    for text, left in (("BESIDE", 20), ("HELD", 500)):
        code = qr_picture(text, 8)
        gray[20 : 20 + code.shape[0], left : left + code.shape[1]] = code
    cv2.imwrite(str(tmp_path / "a.png"), gray)
    picture = str(tmp_path / "a.png")
    for part, seen in (",roi=0/0/50/100", "BESIDE"), (",roi=50/0/50/100", "HELD"):
        devices = open_lane(parse_lane(f"1:reader=camera:{picture}{part},turnstile=file:{tmp_path / 'pulses'}"))
        (reader,) = readers_of(devices)
        assert reader.poll(WAIT_S) == seen
        assert reader.ended()
        devices.close()


@pytest.mark.slow
def test_a_camera_that_spares_the_processor_still_reads(lane: LaneDevices) -> None:
    assert lane.simulated is not None
    reader = _camera_of(lane)
    reader.spare(True)
    lane.simulated.show("GATE:SPARED", seed=3)
    until(lambda: reader.poll(WAIT_S) == "GATE:SPARED")
    reader.spare(False)
    lane.simulated.show("GATE:AGAIN", seed=3)
    until(lambda: reader.poll(WAIT_S) == "GATE:AGAIN")


def test_each_camera_of_a_lane_is_a_reader_of_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), qr_picture(f"GATE:{name}", 8))
    sources = ",".join(f"reader=camera:{tmp_path / name}.png" for name in ("a", "b"))
    devices = open_lane(parse_lane(f"1:{sources},turnstile=file:{tmp_path / 'pulses'}"))
    assert [reader.poll(WAIT_S) for reader in readers_of(devices)] == ["GATE:a", "GATE:b"]
    devices.close()


def _camera_of(devices: LaneDevices) -> Reader:
    return next(reader for reader in readers_of(devices) if reader.device is devices.cameras[0])
