"""Which time the gate believes, from which evidence; the OS clock is none."""

from __future__ import annotations

import fcntl
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gate_agent import trusted_time
from gate_agent.time_trust import NO_EVIDENCE, RTC_GOOD_FOR_MS, Evidence, Judgement, RtcReading, SignedTime, judge
from gate_agent.trusted_time import RTC_PATIENCE_MS, TrustedTime
from tests.gate_agent.boxes import BOOT, HandSetClocks
from wire.messages import ClockTrust

T = 1_795_000_000_000
HOUR, DAY = 3_600_000, 86_400_000
SIGNED = Evidence(SignedTime(T, 1_000, BOOT), T)
TRUSTED, HELD = ClockTrust.TRUSTED, ClockTrust.HELD
NOTHING = Judgement(None, ClockTrust.UNKNOWN)
OTHER_BOOT = Evidence(SignedTime(T, 1_000, "an earlier boot"), T)


@pytest.mark.parametrize(
    ("evidence", "boot_ms", "rtc", "stepped_boot_ms", "expected"),
    [
        # the centre's signed time, carried on by the boot clock
        (SIGNED, 1_000, None, None, Judgement(T, TRUSTED)),
        (SIGNED, 1_000 + 12 * HOUR, None, None, Judgement(T + 12 * HOUR, TRUSTED)),
        (SIGNED, 1_001 + 12 * HOUR, None, None, Judgement(T + 12 * HOUR + 1, HELD, 1)),
        (SIGNED, 1_000 + 90 * DAY, None, None, Judgement(T + 90 * DAY, HELD, 90 * DAY - 12 * HOUR)),
        # a real-time clock that agrees keeps it trusted while it is there; one that does not changes nothing
        (SIGNED, 1_000 + DAY, RtcReading(T + DAY - 60_000, 1_000 + DAY), None, Judgement(T + DAY, TRUSTED)),
        (SIGNED, 181_001 + DAY, RtcReading(T + DAY, 1_000 + DAY), None, Judgement(T + DAY + 180_001, HELD, 1)),
        (SIGNED, 1_000 + DAY, RtcReading(T + DAY + 60_001, 1_000 + DAY), None, Judgement(T + DAY, HELD, 12 * HOUR)),
        (SIGNED, 1_000 + HOUR, RtcReading(0, 1_000 + HOUR), None, Judgement(T + HOUR, TRUSTED)),
        # a step of the OS clock after the signed time: held until the next one
        (SIGNED, 1_000 + HOUR, None, 1_000, Judgement(T + HOUR, HELD, HOUR)),
        (SIGNED, 1_000 + HOUR, None, 1_000 + HOUR, Judgement(T + HOUR, HELD)),
        (SIGNED, 1_000 + 13 * HOUR, None, 1_000 + 13 * HOUR, Judgement(T + 13 * HOUR, HELD, HOUR)),
        (SIGNED, 1_000 + HOUR, None, 999, Judgement(T + HOUR, TRUSTED)),
        # cold boot
        (NO_EVIDENCE, 1_000, None, None, NOTHING),
        (OTHER_BOOT, 1_000, None, None, NOTHING),
        (NO_EVIDENCE, 1_000, RtcReading(T, 1_000), None, NOTHING),
        (OTHER_BOOT, 9_000, RtcReading(T, 4_000), None, Judgement(T + 5_000, TRUSTED)),
        (OTHER_BOOT, 184_001, RtcReading(T, 4_000), None, Judgement(T + 180_001, HELD, 1)),
        (OTHER_BOOT, 1_000, RtcReading(T - 1, 1_000), None, NOTHING),
        (OTHER_BOOT, 1_000, RtcReading(T + 400 * DAY, 1_000), None, Judgement(T + 400 * DAY, TRUSTED)),
        (OTHER_BOOT, 1_000, RtcReading(T + 400 * DAY + 1, 1_000), None, NOTHING),
        (OTHER_BOOT, 9_000, RtcReading(T, 4_000), 5_000, Judgement(T + 5_000, HELD, 4_000)),
    ],
)
def test_the_states_of_the_clock(
    evidence: Evidence, boot_ms: int, rtc: RtcReading | None, stepped_boot_ms: int | None, expected: Judgement
) -> None:
    assert judge(evidence, BOOT, boot_ms, rtc, stepped_boot_ms) == expected


def clock(hands: HandSetClocks, evidence: Evidence = NO_EVIDENCE) -> TrustedTime:
    return TrustedTime(lambda: evidence, hands.clocks())


@pytest.mark.parametrize("left", [NO_EVIDENCE, OTHER_BOOT, Evidence(SignedTime(T - HOUR, 500, BOOT), T)])
def test_what_was_learnt_in_this_boot_stays_known_whatever_becomes_of_its_file(left: Evidence) -> None:
    hands, held = HandSetClocks(boot_now_ms=1_000, os_now_ms=0), [SIGNED]
    time = TrustedTime(lambda: held[0], hands.clocks())
    assert time.now().at_ms == T
    held[0] = left
    hands.advance(1_000)
    assert (time.now().at_ms, time.now().trust) == (T + 1_000, TRUSTED)
    held[0] = Evidence(SignedTime(T + HOUR, 2_000, BOOT), T + HOUR)
    assert time.now().at_ms == T + HOUR, "what is learnt later counts"


@pytest.mark.parametrize("jump_ms", [-400 * DAY, -T, 3650 * DAY, 60_001, -60_001])
def test_a_jump_of_the_os_clock_moves_nothing_but_makes_the_time_held(jump_ms: int) -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T)
    time = clock(hands, SIGNED)
    assert time.now().trust is ClockTrust.TRUSTED
    hands.advance(1_000)
    hands.os_now_ms += jump_ms
    for _ in range(3):
        now = time.now()
        assert (now.at_ms, now.trust) == (T + now.monotonic_ms - 1_000, ClockTrust.HELD)
        hands.advance(HOUR)


def test_the_next_signed_time_after_a_jump_is_trusted_again() -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T)
    evidence = SIGNED
    time = TrustedTime(lambda: evidence, hands.clocks())
    time.now()
    hands.os_now_ms = 0
    assert time.now().trust is ClockTrust.HELD
    hands.advance(5_000)
    evidence = Evidence(SignedTime(T + 5_000, 6_000, BOOT), T + 5_000)
    assert time.now().trust is ClockTrust.TRUSTED


def test_a_slow_correction_of_the_os_clock_is_no_jump() -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T)
    time = clock(hands, SIGNED)
    for _ in range(100):
        hands.advance(60_000)
        hands.os_now_ms += 30_000
        assert time.now().trust is ClockTrust.TRUSTED


def test_after_a_jump_the_rtc_is_not_read_again_since_the_kernel_writes_into_it() -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T, rtc_now_ms=T)
    time = clock(hands, OTHER_BOOT)
    time.look_at_rtc()
    assert time.now().at_ms == T
    hands.os_now_ms += DAY
    hands.rtc_now_ms = T + 30_000  # as near as a clock may be that was not set
    time.look_at_rtc()
    hands.advance(5 * 60_000)
    time.look_at_rtc()
    now = time.now()
    assert (now.at_ms, now.trust, now.untrusted_ms) == (T + 5 * 60_000, HELD, 5 * 60_000)


def test_a_jump_while_the_rtc_is_read_makes_the_reading_worth_nothing() -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T)

    def set_meanwhile() -> int:
        hands.os_now_ms += DAY
        return T + DAY

    time = TrustedTime(lambda: OTHER_BOOT, replace(hands.clocks(), rtc_ms=set_meanwhile))
    time.now()
    time.look_at_rtc()
    assert time.now().trust is ClockTrust.UNKNOWN


@pytest.mark.parametrize("jump_ms", [-T, -400 * DAY, 61_000, 300 * DAY, 3650 * DAY])
def test_an_rtc_that_somebody_set_is_not_taken_and_the_time_before_is_held(jump_ms: int) -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T, rtc_now_ms=T)
    time = clock(hands, OTHER_BOOT)
    time.look_at_rtc()
    hands.rtc_now_ms = T + jump_ms
    for _ in range(5):
        hands.advance(60_000)
        time.look_at_rtc()
    now = time.now()
    assert (now.at_ms, now.trust) == (T + 5 * 60_000, HELD)


def test_an_rtc_that_is_gone_leaves_the_time_held() -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T, rtc_now_ms=T)
    time = clock(hands, OTHER_BOOT)
    time.look_at_rtc()
    hands.rtc_now_ms = None
    hands.advance(RTC_GOOD_FOR_MS)
    time.look_at_rtc()
    assert time.now().trust is TRUSTED
    hands.advance(HOUR)
    now = time.now()
    assert (now.at_ms, now.trust, now.untrusted_ms) == (T + RTC_GOOD_FOR_MS + HOUR, HELD, HOUR)


def test_a_reading_that_took_too_long_is_of_no_known_moment() -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T)

    def hang() -> int:
        hands.advance(RTC_PATIENCE_MS + 1)
        return T

    time = TrustedTime(lambda: OTHER_BOOT, replace(hands.clocks(), rtc_ms=hang))
    time.look_at_rtc()
    assert time.now().trust is ClockTrust.UNKNOWN


def test_a_bus_that_hangs_holds_up_nobody_who_asks_for_the_time() -> None:
    asked, let_go = threading.Event(), threading.Event()

    def hang() -> int | None:
        asked.set()
        let_go.wait(5)
        return None

    time = TrustedTime(lambda: SIGNED, replace(HandSetClocks(boot_now_ms=1_000).clocks(), rtc_ms=hang))
    looking = threading.Thread(target=time.look_at_rtc)
    looking.start()
    assert asked.wait(5)
    assert time.now().at_ms == T
    assert looking.is_alive()
    let_go.set()
    looking.join()


def test_the_rtc_is_not_read_by_asking_for_the_time() -> None:
    time = TrustedTime(lambda: OTHER_BOOT, replace(HandSetClocks().clocks(), rtc_ms=lambda: 1 // 0))
    assert time.now().trust is ClockTrust.UNKNOWN


def test_an_entry_written_while_trusted_raises_the_floor_for_the_rtc() -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T, rtc_now_ms=T + HOUR)
    time = TrustedTime(lambda: OTHER_BOOT, hands.clocks(), lambda: T + 2 * HOUR)
    time.look_at_rtc()
    now = time.now()
    assert (now.at_ms, now.trust, now.floor_ms) == (None, ClockTrust.UNKNOWN, T + 2 * HOUR)


def test_the_floor_rises_with_what_the_centre_signed_and_what_was_written_and_never_falls() -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T)
    evidence, written_ms = SIGNED, None
    time = TrustedTime(lambda: evidence, hands.clocks(), lambda: written_ms)
    hands.advance(HOUR)
    assert time.now().floor_ms == T
    written_ms = T + HOUR
    assert time.now().floor_ms == T + HOUR
    evidence = Evidence(SIGNED.signed, T + 2 * HOUR)
    assert time.now().floor_ms == T + 2 * HOUR
    evidence, written_ms = NO_EVIDENCE, None
    assert time.now().floor_ms == T + 2 * HOUR


def test_a_machine_that_slept_knows_what_time_it_is() -> None:
    """The boot clock goes on while it sleeps, and so does the RTC that sets the OS clock at waking, to a second."""
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T, rtc_now_ms=T)
    time = clock(hands, SIGNED)
    time.look_at_rtc()
    hands.advance(11 * HOUR)
    hands.os_now_ms -= 900
    assert (time.now().at_ms, time.now().trust) == (T + 11 * HOUR, TRUSTED)
    hands.advance(11 * HOUR)
    assert (time.now().at_ms, time.now().trust) == (T + 22 * HOUR, HELD)
    time.look_at_rtc()
    assert time.now().trust is TRUSTED


def test_a_record_has_a_time_even_when_none_is_known() -> None:
    now = clock(HandSetClocks(os_now_ms=T - DAY)).now()
    assert (now.at_ms, now.record_ms, now.floor_ms) == (None, T - DAY, None)
    known = clock(HandSetClocks(boot_now_ms=1_000, os_now_ms=0), SIGNED).now()
    assert known.record_ms == known.at_ms == T


def test_the_rtc_of_the_machine(tmp_path: Path) -> None:
    """A plain file stands for the device: like many drivers it does not know the question after low voltage."""
    device = tmp_path / "rtc0"
    device.touch()
    (tmp_path / "since_epoch").write_text("1795000000\n")
    assert trusted_time.read_rtc_ms(tmp_path, device) == T
    assert trusted_time.read_rtc_ms(tmp_path, tmp_path / "not to be asked") is None
    (tmp_path / "since_epoch").write_text("")
    assert trusted_time.read_rtc_ms(tmp_path, device) is None
    assert trusted_time.read_rtc_ms(tmp_path / "absent", device) is None


@pytest.mark.parametrize(
    ("flags", "believed"), [(0, True), (1, False), (2, False), (4, False), (8, False), (16, True), (18, False)]
)
def test_an_rtc_that_reports_low_voltage_is_no_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, believed: bool
) -> None:
    """16: it ran on its battery for a while, which is what that is for."""
    asked: list[int] = []

    def answer(_: int, request: int, __: bytes) -> bytes:
        asked.append(request)
        return flags.to_bytes(4, sys.byteorder)

    monkeypatch.setattr(fcntl, "ioctl", answer)
    (tmp_path / "since_epoch").write_text("1795000000\n")
    assert trusted_time.read_rtc_ms(tmp_path, tmp_path / "since_epoch") == (T if believed else None)
    assert asked == [_ior("p", 0x13, 4)]


def _ior(kind: str, number: int, size: int) -> int:
    """The request number of an ioctl that reads (linux/ioctl.h)."""
    return 2 << 30 | size << 16 | ord(kind) << 8 | number


def test_the_clocks_of_this_machine_run() -> None:
    machine = trusted_time.clocks_of_this_machine()
    assert len(machine.boot_id) == 36
    assert machine.boot_ms() <= machine.boot_ms()
    assert machine.os_ms() > T - 20 * 365 * DAY
