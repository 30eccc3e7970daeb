"""Readers without wires: a camera before which phones are held, a scanner, a card reader, lamps; and their faults."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from hardware.camera import FRAMES_POLL_S, Frame
from hardware.card_reader import CardFault, CardRead
from hardware.indicator import Signal
from hardware.phone_screen import Look, draw_nobody, draw_phone
from hardware.picture_watch import PictureTrouble
from hardware.serial_scanner import LineFramer
from hardware.timeline import History

if TYPE_CHECKING:
    from hardware.camera import Gray

FRAME_INTERVAL_S = 0.1
SHOWN_FRAMES = 12  # how long a phone is held up
GAP_FRAMES = 3  # how long nobody is there before the next phone
DARKENING = 64  # what is left of the light when the lens is covered
MAX_WAITING = 16  # phones, lines or cards that wait for their turn; the oldest fall out

T = TypeVar("T")


class ReaderTrouble(StrEnum):
    """What can be wrong with readers; each lasts until it is repaired, but for the three that happen once."""

    CAMERA_GONE = "camera_gone"  # unplugged
    CAMERA_DARK = "camera_dark"  # its lens is covered
    CAMERA_FROZEN = "camera_frozen"  # it hangs
    SCANNER_GONE = "scanner_gone"
    SCANNER_NOISE = "scanner_noise"  # once: binary noise and half a line
    CARD_READER_GONE = "card_reader_gone"
    TWO_CARDS = "two_cards"  # once: tapped together
    CARD_PULLED = "card_pulled"  # once: taken away mid-read


CAMERA_FAULTS = {
    ReaderTrouble.CAMERA_GONE: "the simulated camera is gone: plug it in again",
    ReaderTrouble.CAMERA_DARK: f"the simulated camera {PictureTrouble.DARK}",
    ReaderTrouble.CAMERA_FROZEN: f"the simulated camera {PictureTrouble.FROZEN}",
}
NOISE = bytes(range(256)) * 8 + b"GATE:HALF"


class _Waiting(Generic[T]):
    """What was put before a reader and not taken yet."""

    def __init__(self) -> None:
        self._things: deque[T] = deque(maxlen=MAX_WAITING)
        self._changed = threading.Condition()
        self.closed = False
        self.gone = False

    def put(self, thing: T) -> None:
        """Put it there, unless the reader is unplugged and does not see it."""
        with self._changed:
            if not self.gone:
                self._things.append(thing)
                self._changed.notify()

    def unplug(self, gone: bool) -> None:
        """Pull the cable, or plug it in again: what waited is lost."""
        with self._changed:
            self.gone = gone
            self._things.clear()

    def fault(self, called: str) -> str | None:
        if self.closed:
            return f"the simulated {called} is closed"
        return f"the simulated {called} is gone: plug it in again" if self.gone else None

    def take(self, timeout_s: float) -> T | None:
        with self._changed:
            self._changed.wait_for(lambda: self._things or self.closed, timeout_s)
            return self._things.popleft() if self._things and not self.closed else None

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()


class SimulatedCamera:
    """A camera before which phones are held up one after the other; between them it sees an empty place."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._changed = threading.Condition()
        self._phones: deque[Gray] = deque(maxlen=MAX_WAITING)
        self._nobody = draw_nobody(Look())
        self._seen = self._nobody
        self._frames_left = 0  # of what is seen now, before the next phone may come
        self._next_at_s = 0.0
        self._shows = 0
        self._seq = 0
        self._interval_s = FRAME_INTERVAL_S
        self._trouble: ReaderTrouble | None = None
        self._closed = False

    @property
    def fault(self) -> str | None:
        return None if self._trouble is None else CAMERA_FAULTS[self._trouble]

    @property
    def ended(self) -> bool:
        return self._closed

    def show(self, text: str, look: Look | None = None) -> None:
        """Hold up a phone with `text` for SHOWN_FRAMES frames; without a `look`, as the next visitor holds it."""
        self._shows += 1
        look = look or Look.by_chance(self._shows)
        phone = draw_phone(text, look)
        self._history.add("camera", "phone", {"characters": len(text), "seed": look.seed})
        with self._changed:
            self._phones.append(phone)
            self._changed.notify_all()

    def trouble(self, trouble: ReaderTrouble | None) -> None:
        """Let one of CAMERA_FAULTS be wrong from now on, None: nothing any more."""
        with self._changed:
            self._trouble = trouble
            self._changed.notify_all()

    def slow_down(self, frames_per_second: float | None) -> None:
        self._interval_s = FRAME_INTERVAL_S if frames_per_second is None else 1 / frames_per_second

    def newest(self, timeout_s: float) -> Frame | None:
        """A frame every FRAME_INTERVAL_S; a phone held up before an empty place is seen at once."""
        with self._changed:
            if self._trouble in (ReaderTrouble.CAMERA_GONE, ReaderTrouble.CAMERA_FROZEN):
                self._changed.wait(timeout_s)
                return None
            wait_s = max(0.0, self._next_at_s - time.monotonic())
            hurried = self._changed.wait_for(lambda: self._closed or self._phone_is_due(), min(wait_s, timeout_s))
            if self._closed or (not hurried and timeout_s < wait_s):
                return None
            if self._frames_left == 0:
                showing_ended = self._seen is not self._nobody
                if self._phones and not showing_ended:
                    self._seen, self._frames_left = self._phones.popleft(), SHOWN_FRAMES
                else:
                    self._seen, self._frames_left = self._nobody, GAP_FRAMES if showing_ended else 1
            self._frames_left -= 1
            self._next_at_s = time.monotonic() + self._interval_s
            self._seq += 1
            seen = self._seen if self._trouble is None else self._seen // DARKENING
            return Frame(seen, self._seq - 1, time.monotonic_ns())

    def frames(self) -> Iterator[Frame]:
        while not self._closed:
            frame = self.newest(FRAMES_POLL_S)
            if frame is not None:
                yield frame

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _phone_is_due(self) -> bool:
        return bool(self._phones) and self._seen is self._nobody and self._frames_left == 0


class SimulatedScanner:
    """A scanner into which lines are typed; they go through the same framer as a real one's bytes."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._lines: _Waiting[str] = _Waiting()
        self._framer = LineFramer()

    @property
    def fault(self) -> str | None:
        return self._lines.fault("scanner")

    def type(self, text: str) -> None:
        """Scan a code."""
        self._history.add("scanner", "line", {"characters": len(text)})
        self._send(text.encode("utf-8") + b"\n")

    def noise(self) -> None:
        """A fault on the line: bytes that mean nothing, and half a code at their end."""
        self._history.add("scanner", "noise")
        self._send(NOISE)
        self._framer = LineFramer()  # silence ended it

    def unplug(self, gone: bool) -> None:
        """Pull its cable, or plug it in again."""
        self._lines.unplug(gone)

    def _send(self, data: bytes) -> None:
        for line in self._framer.feed(data, 0):
            self._lines.put(line)

    def next_line(self, timeout_s: float) -> str | None:
        return self._lines.take(timeout_s)

    def close(self) -> None:
        self._lines.close()


class ScriptedCardReader:
    """A card reader whose taps are written down beforehand."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._taps: _Waiting[CardRead | CardFault] = _Waiting()

    @property
    def fault(self) -> str | None:
        return self._taps.fault("card reader")

    def tap(self, tap: CardRead | CardFault) -> None:
        """Hold a card to the reader, or pull it away too early."""
        self._history.add("card reader", tap.trouble if isinstance(tap, CardFault) else "card")
        self._taps.put(tap)

    def unplug(self, gone: bool) -> None:
        """Pull its cable, or plug it in again."""
        self._taps.unplug(gone)

    def next_read(self, timeout_s: float) -> CardRead | CardFault | None:
        return self._taps.take(timeout_s)

    def close(self) -> None:
        self._taps.close()


class RecordedIndicator:
    """Lamps and sounds that only remember what they were told."""

    fault = None

    def __init__(self, history: History) -> None:
        self._history = history
        self.signal = Signal.IDLE

    def show(self, signal: Signal) -> None:
        self.signal = signal
        self._history.add("indicator", signal)

    def close(self) -> None:
        self.show(Signal.IDLE)
