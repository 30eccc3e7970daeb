"""What the screens show, in memory: one face per lane, the last scans, the gate's state. Never waits for a screen."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from gate_agent.commissioning import TrialTold
from gate_agent.faces import (
    FAMILY,
    NO_FACTS,
    NO_LABEL,
    READING_LIMIT_MS,
    SHOWN_MS,
    Face,
    FaceFacts,
    Family,
    Label,
    State,
    Verdict,
    shown_ms,
)
from gate_agent.status import Alarm, LaneStatus, Status

SCANS_LIMIT = 100
EARLIER_USES_LIMIT = 3
READING_DELAY_MS = 150
"""A faster verdict never shows `reading` at all (guide.md §3)."""
AFTER_PASSAGE_MS = 500


@dataclass(frozen=True, slots=True)
class Shown:
    """The face a lane shows now. `number` is new with each verdict, the same while one is prolonged, 0 at rest."""

    face: Face
    number: int


@dataclass(frozen=True, slots=True)
class EarlierUse:
    """One earlier entry of a pass. Lane None: at another gate."""

    at_ms: int
    lane: int | None


class ShownBy(StrEnum):
    """How the pass was shown."""

    CODE = "code"
    CARD = "card"
    ELECTRONIC_CARD = "electronic_card"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Scan:
    """One line of the staff's list. `at_ms` None: the gate did not know the time."""

    lane: int
    verdict: Verdict
    at_ms: int | None
    shown_by: ShownBy = ShownBy.CODE
    facts: FaceFacts = NO_FACTS
    holder: str = ""
    product: Label = NO_LABEL
    ticket_last6: str = ""
    earlier: tuple[EarlierUse, ...] = ()
    passed: bool | None = None
    """After an admission: did somebody walk through? None: not yet known."""
    intent_seq: int = 0
    """The entry's number in the journal; 0 for a refusal."""
    checked: bool = False
    """Judged for staff alone: nothing was opened or counted."""
    number: int = 0
    """Given by the board, rising."""
    pass_id: bytes = b""
    photo: bytes = b""
    """The name of the holder's photo, for the staff alone."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of the board at one moment; `scans` newest first."""

    version: int
    shown: Mapping[int, Shown]
    scans: tuple[Scan, ...]
    status: Status


@dataclass(slots=True)
class _Lane:
    """One lane's face: what it shows at rest, the verdict over it and for how long, a reading about to be shown."""

    rest: Shown
    verdict: Shown | None = None
    until_ms: int = 0
    intent_seq: int = 0
    reading_ms: int | None = None

    def shown(self, now_ms: int) -> Shown:
        if self.rest.face.verdict is State.FIRE:
            return self.rest
        if self.reading_ms is not None and 0 <= now_ms - self.reading_ms - READING_DELAY_MS < READING_LIMIT_MS:
            return Shown(Face(State.READING), 0)
        return self.verdict if self.verdict and now_ms < self.until_ms else self.rest

    def next_change_ms(self, now_ms: int) -> int | None:
        """When this lane's face changes by itself, or None."""
        times = [self.until_ms] if self.verdict else []
        if self.reading_ms is not None:
            times += [self.reading_ms + READING_DELAY_MS, self.reading_ms + READING_DELAY_MS + READING_LIMIT_MS]
        return min((time_ms for time_ms in times if time_ms > now_ms), default=None)


class Board:
    """Written by the lanes (in microseconds, whoever reads), read by the screen. `monotonic_ms` is its time."""

    def __init__(self, lanes: tuple[int, ...], monotonic_ms: Callable[[], int]) -> None:
        self._now_ms = monotonic_ms
        self._changed = threading.Condition()
        self._version = 1
        self._numbers = 0
        self._lanes = {lane: _Lane(Shown(Face(State.STARTING), 0)) for lane in lanes}
        self._scans: deque[Scan] = deque(maxlen=SCANS_LIMIT)
        self._status = Status(lanes=tuple(LaneStatus(lane) for lane in lanes))
        self._shown = {lane: own.rest for lane, own in self._lanes.items()}
        self._looked_ms = self._scanned_ms = monotonic_ms()

    def rest(self, lane: int, face: Face) -> None:
        """What the lane shows while nobody presents: idle, or for as long as it lasts starting, closed, fault, fire."""
        with self._changed:
            if self._lanes[lane].rest.face != face:
                self._lanes[lane].rest = Shown(face, 0)
                self._bump()

    def reading(self, lane: int) -> None:
        """A code or card is seen; the screen says so only if no verdict follows within READING_DELAY_MS."""
        with self._changed:
            self._lanes[lane].reading_ms = self._now_ms()
            self._bump()

    def face(self, lane: int, face: Face, intent_seq: int = 0) -> None:
        """A verdict: replaces whatever the lane shows, at once, for the time its family has. `intent_seq`: see Scan."""
        with self._changed:
            own = self._lanes[lane]
            own.intent_seq = intent_seq
            own.verdict, own.reading_ms = self._number(face), None
            own.until_ms = self._now_ms() + shown_ms(face)
            self._bump()

    def prolong(self, lane: int) -> None:
        """The same code is still in view: its face stays that much longer, without a second sound."""
        with self._changed:
            own = self._lanes[lane]
            now_ms = self._now_ms()
            if own.verdict and now_ms < own.until_ms and FAMILY[own.verdict.face.verdict] is not Family.GO:
                own.until_ms = now_ms + shown_ms(own.verdict.face)

    def passage(self, lane: int, intent_seq: int, passed: bool) -> None:
        """How an admission ended: its green face leaves soon after somebody passed, or says that nobody did."""
        with self._changed:
            own = self._lanes[lane]
            now_ms = self._now_ms()
            if passed and own.intent_seq == intent_seq:
                own.until_ms = min(own.until_ms, now_ms + AFTER_PASSAGE_MS)
            elif not passed and (own.intent_seq == intent_seq or now_ms >= own.until_ms):
                own.verdict, own.intent_seq = self._number(Face(State.NOT_PASSED)), 0
                own.until_ms = now_ms + SHOWN_MS[Family.RETRY]
            for index, scan in enumerate(self._scans):
                if (scan.lane, scan.intent_seq) == (lane, intent_seq):
                    self._scans[index] = replace(scan, passed=passed)
            self._bump()

    def scan(self, scan: Scan) -> None:
        """One more line for the staff; the oldest beyond SCANS_LIMIT leaves."""
        with self._changed:
            self._scanned_ms = self._now_ms()
            self._numbers += 1
            self._scans.appendleft(replace(scan, number=self._numbers, earlier=scan.earlier[:EARLIER_USES_LIMIT]))
            self._bump()

    def status(self, status: Status) -> None:
        """How the gate is; replaces what was said before."""
        with self._changed:
            self._looked_ms = self._now_ms()
            if self._status != status:
                self._status = status
                self._bump()

    def lanes(self, lanes: tuple[LaneStatus, ...], alarms: tuple[Alarm, ...], trial: TrialTold | None = None) -> None:
        """How the lanes are, between two looks at everything; `trial`: a lane being commissioned."""
        with self._changed:
            status = replace(self._status, lanes=lanes, alarms=alarms, trial=trial)
            if self._status != status:
                self._status = status
                self._bump()

    def status_age_ms(self) -> int:
        """How long ago the gate's state was looked at: one that grows old is not to be believed."""
        return self._now_ms() - self._looked_ms

    def quiet_ms(self) -> int:
        """How long nobody has presented anything, at any lane."""
        return self._now_ms() - self._scanned_ms

    def snapshot(self) -> Snapshot:
        """The board now."""
        with self._changed:
            self._expire()
            return Snapshot(self._version, dict(self._shown), tuple(self._scans), self._status)

    def wait(self, version: int, timeout_s: float) -> Snapshot:
        """The board as soon as it is no longer `version`, at the latest after `timeout_s`."""
        deadline_ms = self._now_ms() + round(timeout_s * 1000)
        with self._changed:
            while True:
                now_ms = self._expire()
                if self._version != version or now_ms >= deadline_ms:
                    return Snapshot(self._version, dict(self._shown), tuple(self._scans), self._status)
                changes = (own.next_change_ms(now_ms) for own in self._lanes.values())
                wake_ms = min([deadline_ms, *(change_ms for change_ms in changes if change_ms is not None)])
                self._changed.wait((wake_ms - now_ms) / 1000)

    def wake(self) -> None:
        """Everybody who waits looks again, though nothing changed."""
        with self._changed:
            self._bump()

    def _number(self, face: Face) -> Shown:
        self._numbers += 1
        return Shown(face, self._numbers)

    def _expire(self) -> int:
        """Let faces whose time is over go; the time it is now."""
        now_ms = self._now_ms()
        shown = {lane: own.shown(now_ms) for lane, own in self._lanes.items()}
        if shown != self._shown:
            self._shown = shown
            self._version += 1
        return now_ms

    def _bump(self) -> None:
        self._version += 1
        self._expire()
        self._changed.notify_all()
