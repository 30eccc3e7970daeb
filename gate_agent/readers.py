"""What reads at a lane: each camera, scanner and card reader behind one question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gate_agent.recognition import Raw
from hardware import Device
from hardware.camera import Camera
from hardware.card_reader import CardFault
from hardware.devices import LaneDevices

Poll = Callable[[float], Raw | CardFault | None]
"""Ask a reader for at most so many seconds."""


class CodeCamera:
    """A camera as a reader of codes: the largest one in view."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._read: Callable[[float], str | None] | None = None

    def poll(self, timeout_s: float) -> str | None:
        """The code in the newest frame. DeviceFault: the decoder is missing."""
        if self._read is None:
            self._read = self._reader()
        return self._read(timeout_s)

    def _reader(self) -> Callable[[float], str | None]:
        from hardware.qr import QrReader  # loads the decoder: only where a camera is, and after the start

        reader = QrReader()

        def read(timeout_s: float) -> str | None:
            frame = self._camera.newest(timeout_s)
            codes = [] if frame is None else reader.read(frame)
            return codes[0].text if codes else None

        return read


@dataclass(slots=True)
class Reader:
    """One reader of a lane. `ended`: it will never read again; `failed`: what asking it came to."""

    device: Device
    poll: Poll
    ended: Callable[[], bool] = lambda: False
    failed: str | None = None

    @property
    def fault(self) -> str | None:
        """None while it reads, else a sentence for staff."""
        return self.failed or self.device.fault


def camera_ended(camera: Camera) -> Callable[[], bool]:
    """Whether a camera that is a picture or a file has given everything."""
    return lambda: camera.ended


def readers_of(devices: LaneDevices) -> list[Reader]:
    """Everything that reads at a lane."""
    cameras = [Reader(camera, CodeCamera(camera).poll, camera_ended(camera)) for camera in devices.cameras]
    scanners = [Reader(scanner, scanner.next_line) for scanner in devices.scanners]
    return [*cameras, *scanners, *(Reader(card, card.next_read) for card in devices.card_readers)]
