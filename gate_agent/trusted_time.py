"""What time it is, and how far to believe it: the only clock the agent reads (gate.md, Clock)."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
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
"""As far as the battery-backed clock may be from the boot clock; one that is further off was set, or runs wrong."""
RTC_AFTER_FLOOR_MS = 400 * 86_400_000
RTC_LOOK_EVERY_MS = 60_000
RTC_GOOD_FOR_MS = 3 * RTC_LOOK_EVERY_MS
"""A reading older than this says no longer that the clock is there and in order."""
RTC_VL_READ = 0x80047013
RTC_VL_LOW = 0b1111
"""Linux, rtc.h: data invalid, backup low, backup empty, accuracy low."""
RTC_PATIENCE_MS = 1_000
"""A reading that took longer is not of the moment it is noted for."""


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


@dataclass(frozen=True, slots=True)
class Judgement:
    """What evidence comes to. `untrusted_ms`: how long since it last made the time trusted."""

    at_ms: int | None
    trust: ClockTrust
    untrusted_ms: int = 0


def judge(
    evidence: Evidence, boot_id: str, boot_ms: int, rtc: RtcReading | None, stepped_boot_ms: int | None
) -> Judgement:
    """The time and its trust, from evidence alone. `stepped_boot_ms`: the boot clock when the OS clock last jumped."""
    signed, floor_ms = evidence.signed, evidence.floor_ms
    if signed is not None and signed.boot_id == boot_id:
        good_until_ms = signed.boot_ms + TRUSTED_FOR_MS
        if rtc is not None and abs(rtc.at_ms - signed.at_ms - (rtc.boot_ms - signed.boot_ms)) <= RTC_AGREES_MS:
            good_until_ms = max(good_until_ms, rtc.boot_ms + RTC_GOOD_FOR_MS)
        return _carried(signed.at_ms, signed.boot_ms, boot_ms, good_until_ms, stepped_boot_ms)
    if rtc is None or floor_ms is None:
        return Judgement(None, ClockTrust.UNKNOWN)
    if not floor_ms <= rtc.at_ms + boot_ms - rtc.boot_ms <= floor_ms + RTC_AFTER_FLOOR_MS:
        return Judgement(None, ClockTrust.UNKNOWN)
    return _carried(rtc.at_ms, rtc.boot_ms, boot_ms, rtc.boot_ms + RTC_GOOD_FOR_MS, stepped_boot_ms)


def _carried(at_ms: int, at_boot_ms: int, boot_ms: int, good_until_ms: int, stepped_boot_ms: int | None) -> Judgement:
    """A time that was good at `at_boot_ms`, carried on by the boot clock: trusted for a while, then held."""
    stepped = stepped_boot_ms is not None and stepped_boot_ms >= at_boot_ms
    if stepped and stepped_boot_ms is not None:
        good_until_ms = min(good_until_ms, stepped_boot_ms)
    trusted = boot_ms <= good_until_ms and not stepped
    trust = ClockTrust.TRUSTED if trusted else ClockTrust.HELD
    return Judgement(at_ms + boot_ms - at_boot_ms, trust, 0 if trusted else boot_ms - good_until_ms)


class TrustedTime:
    """The agent's clock; any thread may ask. `evidence` is what sync has learnt so far.

    `written_ms` gives the time of the newest entry that was written while the clock was trusted: with what the centre
    signed it makes the floor, before which it cannot be. Nothing else raises that.
    """

    def __init__(
        self, evidence: Callable[[], Evidence], clocks: Clocks, written_ms: Callable[[], int | None] = lambda: None
    ) -> None:
        self._evidence = evidence
        self._clocks = clocks
        self._written_ms = written_ms
        self._lock = threading.Lock()
        self._floor_ms: int | None = None
        self._rtc: RtcReading | None = None
        self._os_ahead_ms: int | None = None
        self._stepped_boot_ms: int | None = None

    def now(self) -> Now:
        """The time and its trust; waits for nothing."""
        evidence, written_ms = self._evidence(), self._written_ms()
        with self._lock:
            boot_ms, os_ms = self._look_at_clocks()
            self._floor_ms = _later(_later(self._floor_ms, evidence.floor_ms), written_ms)
            known = Evidence(evidence.signed, self._floor_ms)
            judged = judge(known, self._clocks.boot_id, boot_ms, self._rtc, self._stepped_boot_ms)
            record_ms = os_ms if judged.at_ms is None else judged.at_ms
            return Now(judged.at_ms, judged.trust, boot_ms, record_ms, self._floor_ms, judged.untrusted_ms)

    def keep_looking(self, stop: threading.Event) -> None:
        """Look at the battery-backed clock now and then until `stop`: a thread of its own, since a bus may hang."""
        while not stop.wait(RTC_LOOK_EVERY_MS / 1000):
            self.look_at_rtc()

    def look_at_rtc(self) -> None:
        """Ask the battery-backed clock, which may take its time.

        Never again after a step, since the kernel writes what the OS clock says into it. What differs from the last
        reading, carried on by the boot clock, is not taken: somebody set it.
        """
        with self._lock:
            began_boot_ms, _ = self._look_at_clocks()
            if self._stepped_boot_ms is not None:
                return
        at_ms = self._clocks.rtc_ms()
        with self._lock:
            boot_ms, _ = self._look_at_clocks()
            late = boot_ms - began_boot_ms > RTC_PATIENCE_MS
            if at_ms is None or late or self._stepped_boot_ms is not None:
                return
            before = self._rtc
            if before is None or abs(at_ms - before.at_ms - (boot_ms - before.boot_ms)) <= RTC_AGREES_MS:
                self._rtc = RtcReading(at_ms, boot_ms)

    def _look_at_clocks(self) -> tuple[int, int]:
        """Boot clock and OS clock; whether the latter jumped since the last look."""
        boot_ms, os_ms = self._clocks.boot_ms(), self._clocks.os_ms()
        ahead_ms = os_ms - boot_ms
        if self._os_ahead_ms is not None and abs(ahead_ms - self._os_ahead_ms) > STEP_MS:
            self._stepped_boot_ms = boot_ms
        self._os_ahead_ms = ahead_ms
        return boot_ms, os_ms


def _later(one_ms: int | None, other_ms: int | None) -> int | None:
    if one_ms is None or other_ms is None:
        return other_ms if one_ms is None else one_ms
    return max(one_ms, other_ms)


def clocks_of_this_machine() -> Clocks:
    """The clocks of the machine we run on."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    rtc, device = Path("/sys/class/rtc/rtc0"), Path("/dev/rtc0")
    return Clocks(boot_clock_ms, os_clock_ms, lambda: read_rtc_ms(rtc, device), boot_id)


def boot_clock_ms() -> int:
    """Milliseconds since boot."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def device_clock_ns() -> int:
    """What devices stamp pulses and edges with (CLOCK_MONOTONIC)."""
    return time.monotonic_ns()


def os_clock_ms() -> int:
    """What the operating system believes; whoever is root, or answers its NTP, may set it."""
    return time.time_ns() // 1_000_000


def read_rtc_ms(rtc: Path, device: Path) -> int | None:
    """The battery-backed clock, or None: there is none, or it says that its battery was too low to be believed."""
    try:
        at_ms = int((rtc / "since_epoch").read_text(encoding="ascii")) * 1000
        return None if _reports_low_voltage(device) else at_ms
    except (OSError, ValueError):
        return None


def _reports_low_voltage(device: Path) -> bool:
    """What RTC_VL_READ says. A driver that does not know the question reports nothing; OSError: it cannot be asked."""
    descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flags = fcntl.ioctl(descriptor, RTC_VL_READ, bytes(4))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return False
        raise
    finally:
        os.close(descriptor)
    return bool(int.from_bytes(flags, sys.byteorder) & RTC_VL_LOW)
