"""What reads at a lane: each camera, scanner and card reader behind one question."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from gate_agent.recognition import Raw
from gate_agent.status import DeviceKind
from hardware import Device
from hardware.camera import Camera
from hardware.card_reader import CardFault, CardReader
from hardware.devices import LaneDevices

Poll = Callable[[float], Raw | CardFault | None]
"""Ask a reader for at most so many seconds."""
RIVAL_MS = 300
"""A code another camera saw so recently is still held up to it."""
SPARING_FPS = 5.0
"""Pictures a second of a camera that spares the processor: a phone is read within 0.2 s of being held still."""


class Sights:
    """What a lane's cameras see at the same time: the code that fills most of its picture is the one held up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[CodeCamera, tuple[str, float, int]] = {}

    def wins(self, camera: CodeCamera, text: str, share: float, at_ns: int) -> bool:
        """Whether no other camera sees another code that fills more of its picture than `share` of this one's."""
        with self._lock:
            self._newest[camera] = (text, share, at_ns)
            return not any(
                other_text != text and other_share > share and at_ns - other_ns < RIVAL_MS * 1_000_000
                for other_text, other_share, other_ns in self._newest.values()
            )


class CodeCamera:
    """A camera as a reader of codes: the largest one in view, as far as its lane's other cameras agree."""

    def __init__(self, camera: Camera, sights: Sights) -> None:
        self._camera = camera
        self._sights = sights
        self._spared = False
        self._read: Callable[[float], str | None] | None = None

    def poll(self, timeout_s: float) -> str | None:
        """The code in the newest frame. DeviceFault: the decoder is missing."""
        if self._read is None:
            self._read = self._reader()
        return self._read(timeout_s)

    def spare(self, on: bool) -> None:
        """Cost the processor less: fewer pictures, and no second look at any of them."""
        self._spared = on
        self._camera.slow_down(SPARING_FPS if on else None)

    def _reader(self) -> Callable[[float], str | None]:
        from hardware.qr import QrReader  # loads the decoder: only where a camera is, and after the start

        reader = QrReader()

        def read(timeout_s: float) -> str | None:
            frame = self._camera.newest(timeout_s)
            if frame is None:
                return None
            reader.second_looks = not self._spared
            codes = reader.read(frame)
            if not codes:
                return None
            share = codes[0].area_px / frame.gray.size
            return codes[0].text if self._sights.wins(self, codes[0].text, share, frame.captured_monotonic_ns) else None

        return read


@dataclass(slots=True)
class Reader:
    """One reader of a lane.

    `ended`: a picture or a file that has given everything; `spare`: cost the processor less, or (False) as much as is
    useful; `failed`: what asking it came to."""

    device: Device
    poll: Poll
    ended: Callable[[], bool] = lambda: False
    spare: Callable[[bool], None] = lambda on: None
    failed: str | None = None
    kind: DeviceKind = DeviceKind.SCANNER

    @property
    def fault(self) -> str | None:
        """None while it reads, else a sentence for staff."""
        return self.failed or self.device.fault


def readers_of(devices: LaneDevices) -> list[Reader]:
    """Everything that reads at a lane."""
    sights = Sights()
    cameras = [_camera(camera, sights) for camera in devices.cameras]
    scanners = [Reader(scanner, scanner.next_line) for scanner in devices.scanners]
    return [*cameras, *scanners, *map(_card_reader, devices.card_readers)]


def _camera(camera: Camera, sights: Sights) -> Reader:
    reads = CodeCamera(camera, sights)
    return Reader(camera, reads.poll, lambda: camera.ended, reads.spare, kind=DeviceKind.CAMERA)


def _card_reader(card: CardReader) -> Reader:
    return Reader(card, card.next_read, kind=DeviceKind.CARD)
