"""A lane without wires: simulated camera, scanner, card reader and lamps, and the lane that holds them in one hand."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from hardware.camera import FRAMES_POLL_S, Frame
from hardware.card_reader import CardAuth, CardFault, CardRead, fault_of
from hardware.indicator import Signal
from hardware.phone_screen import Look, draw_nobody, draw_phone
from hardware.serial_scanner import MAX_LINE_CHARS, LineFramer
from hardware.simulated_turnstile import SimulatedTurnstile, Trouble, Walk
from hardware.timeline import History, Moment, RealTimeline, Timeline
from hardware.turnstile import Direction

if TYPE_CHECKING:
    from hardware.camera import Gray

FRAME_INTERVAL_S = 0.1
SHOWN_FRAMES = 12  # how long a phone is held up
GAP_FRAMES = 3  # how long nobody is there before the next phone
MAX_WAITING = 16  # phones, lines or cards that wait for their turn; the oldest fall out

T = TypeVar("T")


class _Waiting(Generic[T]):
    """What was put before a reader and not taken yet."""

    def __init__(self) -> None:
        self._things: deque[T] = deque(maxlen=MAX_WAITING)
        self._changed = threading.Condition()
        self.closed = False

    def put(self, thing: T) -> None:
        with self._changed:
            self._things.append(thing)
            self._changed.notify()

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

    fault = None

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
        self._closed = False

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

    def newest(self, timeout_s: float) -> Frame | None:
        """A frame every FRAME_INTERVAL_S; a phone held up before an empty place is seen at once."""
        with self._changed:
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
            self._next_at_s = time.monotonic() + FRAME_INTERVAL_S
            self._seq += 1
            return Frame(self._seen, self._seq - 1, time.monotonic_ns())

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

    @property
    def fault(self) -> str | None:
        return "the simulated scanner is closed" if self._lines.closed else None

    def type(self, text: str) -> None:
        """Scan a code."""
        self._history.add("scanner", "line", {"characters": len(text)})
        for line in LineFramer().feed(text.encode("utf-8") + b"\n", 0):
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
        return "the simulated card reader is closed" if self._taps.closed else None

    def tap(self, tap: CardRead | CardFault) -> None:
        """Hold a card to the reader, or pull it away too early."""
        self._history.add("card reader", "fault" if isinstance(tap, CardFault) else "card")
        self._taps.put(tap)

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


class SimulatedLane:
    """A whole lane without wires, and the verbs a control page or a script moves it by; any thread may call them.

    Every verb raises ValueError with a sentence for what it does not understand."""

    def __init__(self, number: int, timeline: Timeline | None = None, direction: Direction = Direction.IN) -> None:
        self.number = number
        self._timeline = timeline or RealTimeline()
        self._history = History(self._timeline.now_ns)
        self.camera = SimulatedCamera(self._history)
        self.scanner = SimulatedScanner(self._history)
        self.card_reader = ScriptedCardReader(self._history)
        self.turnstile = SimulatedTurnstile(self._timeline, self._history, direction=direction)
        self.indicator = RecordedIndicator(self._history)

    def show(self, text: str, to: str = "camera", seed: int | None = None) -> None:
        """Hold up a phone with the code `text` to the `camera` (tilted as `seed` says), or scan it by the `scanner`."""
        if not 0 < len(text) <= MAX_LINE_CHARS:
            raise ValueError(f"a code to show has 1 to {MAX_LINE_CHARS} characters, not {len(text)}")
        if to == "camera":
            self.camera.show(text, None if seed is None else Look.by_chance(seed))
        elif to == "scanner":
            self.scanner.type(text)
        else:
            raise ValueError(f"a code is shown to camera or scanner, not to {to!r}")

    def card(self, fields: Mapping[str, str]) -> None:
        """Tap a card with the fields of CardRead; `{"fault": …}` is a tap that gave nothing (see fault_of)."""
        if set(fields) == {"fault"}:
            self.card_reader.tap(fault_of(fields["fault"]))
            return
        if not {"area", "number", "identification"} <= set(fields) <= {*CardRead.__dataclass_fields__}:
            raise ValueError("a card has area, number and identification, and perhaps id_number and auth")
        self.card_reader.tap(
            CardRead(
                area=fields["area"],
                number=fields["number"],
                identification=fields["identification"],
                id_number=fields.get("id_number"),
                auth=CardAuth(fields.get("auth", CardAuth.NONE)),
            )
        )

    def walk(self, how: str) -> None:
        """Send a visitor to the arm, to do what Walk names."""
        self.turnstile.walk(Walk(how))

    def fault(self, what: str) -> None:
        """Break the turnstile (see Trouble), or with `none` repair it."""
        self.turnstile.trouble(None if what == "none" else Trouble(what))

    def history(self) -> list[dict[str, object]]:
        """Every moment so far, for JSON: monotonic_ns, device, event and note."""
        return [dataclasses.asdict(moment) for moment in self._history.moments()]

    def history_of(self, device: str) -> list[Moment]:
        """What happened to one device."""
        return self._history.moments(device)

    def state(self) -> dict[str, object]:
        """How the lane stands now, for JSON."""
        return {
            "lane": self.number,
            "arm": self.turnstile.arm,
            "relay_on": self.turnstile.relay_on,
            "ready": self.turnstile.ready,
            "fire": self.turnstile.fire,
            "tampered": self.turnstile.tampered,
            "fault": self.turnstile.fault,
            "signal": self.indicator.signal,
            "moments_forgotten": self._history.forgotten,
        }

    def close(self) -> None:
        """Close every device and let nothing happen any more."""
        for device in (self.camera, self.scanner, self.card_reader, self.turnstile, self.indicator):
            device.close()
        self._timeline.close()
