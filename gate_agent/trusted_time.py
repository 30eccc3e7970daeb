"""The only clocks the agent reads, and what they come to by the judgement of time_trust.py."""

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

from gate_agent.time_trust import RTC_AGREES_MS, RTC_LOOK_EVERY_MS, Evidence, Now, RtcReading, SignedTime, judge

STEP_MS = 60_000
"""A jump of the OS clock against the boot clock beyond this: somebody set it, and nothing set from it is believed."""
RTC_VL_READ = 0x80047013
RTC_VL_LOW = 0b1111
"""Linux, rtc.h: data invalid, backup low, backup empty, accuracy low."""
RTC_PATIENCE_MS = 1_000
"""A reading that took longer is not of the moment it is noted for."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """This machine's clocks. `boot_ms` never steps and goes on while the machine sleeps; `os_ms` is never evidence."""

    boot_ms: Callable[[], int]
    os_ms: Callable[[], int]
    rtc_ms: Callable[[], int | None]
    boot_id: str


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
        self._signed: SignedTime | None = None
        self._rtc: RtcReading | None = None
        self._os_ahead_ms: int | None = None
        self._stepped_boot_ms: int | None = None

    def now(self) -> Now:
        """The time and its trust; waits for nothing."""
        evidence, written_ms = self._evidence(), self._written_ms()
        with self._lock:
            boot_ms, os_ms = self._look_at_clocks()
            self._floor_ms = _later(_later(self._floor_ms, evidence.floor_ms), written_ms)
            self._signed = self._newest(evidence.signed)
            known = Evidence(self._signed, self._floor_ms)
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

    def _newest(self, learnt: SignedTime | None) -> SignedTime | None:
        """What was once learnt in this boot stays known, whatever becomes of the file it was learnt from."""
        held = self._signed
        if held is None or held.boot_id != self._clocks.boot_id:
            return learnt
        is_newer = learnt is not None and learnt.boot_id == held.boot_id and learnt.boot_ms >= held.boot_ms
        return learnt if is_newer else held

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
