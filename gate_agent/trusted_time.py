"""What time it is, and how far to believe it: the only clock the agent reads (gate.md, Clock)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wire.messages import ClockTrust

TRUSTED_FOR_MS = 12 * 3_600_000
"""How long a time signed by the centre stays good by the boot clock alone."""
STEP_MS = 60_000
"""A jump of the OS clock against the boot clock beyond this: somebody set it, and nothing set from it is believed."""
RTC_AGREES_MS = 60_000
RTC_AFTER_FLOOR_MS = 400 * 86_400_000
RTC_READ_EVERY_MS = 60_000


@dataclass(frozen=True, slots=True)
class SignedTime:
    """A time the centre signed over our own question, and what the boot clock read when it was true."""

    at_ms: int
    boot_ms: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What sync has learnt about the time. `floor_ms`: the newest time the centre signed, in a reply or a head."""

    signed: SignedTime | None = None
    floor_ms: int | None = None


NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True)
class Clocks:
    """This machine's clocks. `boot_ms` never steps and goes on while the machine sleeps; `os_ms` is never evidence."""

    boot_ms: Callable[[], int]
    os_ms: Callable[[], int]
    rtc_ms: Callable[[], int | None]
    boot_id: str


@dataclass(frozen=True, slots=True)
class Now:
    """The time as the gate knows it. `at_ms` None: not known, only that it is not before `floor_ms`.

    `record_ms` is what is written down and shown to people: `at_ms`, or what the OS clock says when nothing is known.
    """

    at_ms: int | None
    trust: ClockTrust
    monotonic_ms: int
    record_ms: int
    floor_ms: int | None
    untrusted_ms: int = 0
    """How long since the time was last trusted; 0 while it is, and where it is not known."""


@dataclass(frozen=True, slots=True)
class RtcReading:
    """What the battery-backed clock said at a reading of the boot clock."""

    at_ms: int
    boot_ms: int


def judge(
    evidence: Evidence, boot_id: str, boot_ms: int, rtc: RtcReading | None, stepped_boot_ms: int | None
) -> tuple[int | None, ClockTrust]:
    """The time and its trust, from evidence alone. `stepped_boot_ms`: the boot clock when the OS clock last jumped."""
    rtc_now_ms = None if rtc is None else rtc.at_ms + boot_ms - rtc.boot_ms
    signed = evidence.signed
    if signed is not None and signed.boot_id == boot_id:
        at_ms = signed.at_ms + boot_ms - signed.boot_ms
        stepped = stepped_boot_ms is not None and stepped_boot_ms >= signed.boot_ms
        fresh = boot_ms - signed.boot_ms <= TRUSTED_FOR_MS
        agreed = rtc_now_ms is not None and abs(rtc_now_ms - at_ms) <= RTC_AGREES_MS
        return at_ms, ClockTrust.TRUSTED if (fresh or agreed) and not stepped else ClockTrust.HELD
    floor_ms = evidence.floor_ms
    if rtc_now_ms is not None and floor_ms is not None and floor_ms <= rtc_now_ms <= floor_ms + RTC_AFTER_FLOOR_MS:
        return rtc_now_ms, ClockTrust.TRUSTED if stepped_boot_ms is None else ClockTrust.HELD
    return None, ClockTrust.UNKNOWN


class TrustedTime:
    """The agent's clock; any thread may ask. `evidence` is what sync has learnt so far."""

    def __init__(self, evidence: Callable[[], Evidence], clocks: Clocks) -> None:
        self._evidence = evidence
        self._clocks = clocks
        self._lock = threading.Lock()
        self._floor_ms: int | None = None
        self._rtc: RtcReading | None = None
        self._rtc_asked_boot_ms: int | None = None
        self._os_ahead_ms: int | None = None
        self._stepped_boot_ms: int | None = None

    def raise_floor(self, at_ms: int) -> None:
        """An entry was written at `at_ms` while the clock was trusted: it cannot be earlier now."""
        with self._lock:
            self._floor_ms = _later(self._floor_ms, at_ms)

    def now(self) -> Now:
        """The time and its trust."""
        evidence = self._evidence()
        with self._lock:
            boot_ms, os_ms = self._clocks.boot_ms(), self._clocks.os_ms()
            self._watch_for_steps(boot_ms, os_ms)
            self._read_rtc(boot_ms)
            self._floor_ms = _later(self._floor_ms, evidence.floor_ms)
            known = Evidence(evidence.signed, self._floor_ms)
            at_ms, trust = judge(known, self._clocks.boot_id, boot_ms, self._rtc, self._stepped_boot_ms)
            if trust is ClockTrust.TRUSTED and self._floor_ms is not None:
                self._floor_ms = _later(self._floor_ms, at_ms)
            return Now(at_ms, trust, boot_ms, os_ms if at_ms is None else at_ms, self._floor_ms)

    def _watch_for_steps(self, boot_ms: int, os_ms: int) -> None:
        ahead_ms = os_ms - boot_ms
        if self._os_ahead_ms is not None and abs(ahead_ms - self._os_ahead_ms) > STEP_MS:
            self._stepped_boot_ms = boot_ms
        self._os_ahead_ms = ahead_ms

    def _read_rtc(self, boot_ms: int) -> None:
        """Now and then; never again after a step, since the kernel writes what the OS clock says into the RTC."""
        asked = self._rtc_asked_boot_ms
        if self._stepped_boot_ms is None and (asked is None or boot_ms - asked >= RTC_READ_EVERY_MS):
            self._rtc_asked_boot_ms = boot_ms
            at_ms = self._clocks.rtc_ms()
            self._rtc = None if at_ms is None else RtcReading(at_ms, boot_ms)


def _later(one_ms: int | None, other_ms: int | None) -> int | None:
    if one_ms is None or other_ms is None:
        return other_ms if one_ms is None else one_ms
    return max(one_ms, other_ms)


def clocks_of_this_machine(rtc: Path = Path("/sys/class/rtc/rtc0")) -> Clocks:
    """The clocks of the machine we run on."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Clocks(boot_clock_ms, os_clock_ms, lambda: read_rtc_ms(rtc), boot_id)


def boot_clock_ms() -> int:
    """Milliseconds since boot."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def device_clock_ns() -> int:
    """What devices stamp pulses and edges with (CLOCK_MONOTONIC)."""
    return time.monotonic_ns()


def os_clock_ms() -> int:
    """What the operating system believes; whoever is root, or answers its NTP, may set it."""
    return time.time_ns() // 1_000_000


def read_rtc_ms(rtc: Path) -> int | None:
    """The battery-backed clock, or None: there is none, or its driver refuses to read it after a low voltage."""
    try:
        return int((rtc / "since_epoch").read_text(encoding="ascii")) * 1000
    except (OSError, ValueError):
        return None
