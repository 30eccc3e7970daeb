"""What time it is and how far to believe it, by evidence alone: no clock is looked at here (gate.md, Clock; pure)."""

from __future__ import annotations

from dataclasses import dataclass

from wire.messages import ClockTrust

TRUSTED_FOR_MS = 12 * 3_600_000
"""How long a time signed by the centre stays good by the boot clock alone."""
RTC_AGREES_MS = 60_000
"""As far as the battery-backed clock may be from the boot clock; one that is further off was set, or runs wrong."""
RTC_AFTER_FLOOR_MS = 400 * 86_400_000
RTC_LOOK_EVERY_MS = 60_000
RTC_GOOD_FOR_MS = 3 * RTC_LOOK_EVERY_MS
"""A reading older than this says no longer that the clock is there and in order."""


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
