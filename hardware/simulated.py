"""A lane without wires: simulated camera, scanner, card reader and lamps, and the lane that holds them in one hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from hardware.card_reader import ONE_CARD_ONLY, PULLED, CardAuth, CardRead, fault_of
from hardware.phone_screen import Look
from hardware.serial_scanner import MAX_LINE_CHARS
from hardware.simulated_readers import (
    CAMERA_FAULTS,
    ReaderTrouble,
    RecordedIndicator,
    ScriptedCardReader,
    SimulatedCamera,
    SimulatedScanner,
)
from hardware.simulated_turnstile import SimulatedTurnstile, TurnstileTrouble, Walk
from hardware.timeline import History, Moment, RealTimeline, Timeline
from hardware.turnstile import Direction

TROUBLES = (*TurnstileTrouble, *ReaderTrouble)
"""Everything that can be wrong with a simulated lane."""


class SimulatedLane:
    """A whole lane without wires, and the verbs a control page or a script moves it by; any thread may call them.

    Every verb raises ValueError with a sentence for what it does not understand."""

    def __init__(
        self,
        number: int,
        timeline: Timeline | None = None,
        direction: Direction = Direction.IN,
        arm: SimulatedTurnstile | None = None,
    ) -> None:
        """`arm`: the one of another lane, which this lane opens the other way."""
        self.number = number
        self._direction = direction
        self._timeline = timeline or RealTimeline()
        self._history = History(self._timeline.now_ns)
        self.camera = SimulatedCamera(self._history)
        self.scanner = SimulatedScanner(self._history)
        self.card_reader = ScriptedCardReader(self._history)
        self.turnstile = arm or SimulatedTurnstile(self._timeline, self._history, direction=direction)
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
        self.turnstile.walk(Walk(how), self._direction)

    def fault(self, what: str) -> None:
        """Break the turnstile (TurnstileTrouble) or a reader (ReaderTrouble), or with `none` repair everything."""
        if what in list(ReaderTrouble):
            self._break_reader(ReaderTrouble(what))
            return
        self.turnstile.trouble(None if what == "none" else TurnstileTrouble(what))
        if what == "none":
            self.camera.trouble(None)
            self.scanner.unplug(gone=False)
            self.card_reader.unplug(gone=False)

    def _break_reader(self, trouble: ReaderTrouble) -> None:
        if trouble in CAMERA_FAULTS:
            self.camera.trouble(trouble)
        elif trouble is ReaderTrouble.SCANNER_GONE:
            self.scanner.unplug(gone=True)
        elif trouble is ReaderTrouble.SCANNER_NOISE:
            self.scanner.noise()
        elif trouble is ReaderTrouble.CARD_READER_GONE:
            self.card_reader.unplug(gone=True)
        else:
            self.card_reader.tap(ONE_CARD_ONLY if trouble is ReaderTrouble.TWO_CARDS else PULLED)
        self._history.add("trouble", trouble)

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
            "readers": {
                "camera": self.camera.fault,
                "scanner": self.scanner.fault,
                "card reader": self.card_reader.fault,
            },
            "moments_forgotten": self._history.forgotten,
        }

    def close(self) -> None:
        """Close every device and let nothing happen any more."""
        for device in (self.camera, self.scanner, self.card_reader, self.turnstile, self.indicator):
            device.close()
        self._timeline.close()
