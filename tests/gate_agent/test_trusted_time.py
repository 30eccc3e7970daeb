"""Which time the gate believes, from which evidence; the OS clock is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate_agent import trusted_time
from gate_agent.trusted_time import NO_EVIDENCE, Evidence, RtcReading, SignedTime, TrustedTime, judge
from tests.gate_agent.boxes import BOOT, HandSetClocks
from wire.messages import ClockTrust

T = 1_795_000_000_000
HOUR, DAY = 3_600_000, 86_400_000
SIGNED = Evidence(SignedTime(T, 1_000, BOOT), T)
OTHER_BOOT = Evidence(SignedTime(T, 1_000, "an earlier boot"), T)


@pytest.mark.parametrize(
    ("evidence", "boot_ms", "rtc", "stepped_boot_ms", "expected"),
    [
        # the centre's signed time, carried on by the boot clock
        (SIGNED, 1_000, None, None, (T, ClockTrust.TRUSTED)),
        (SIGNED, 1_000 + 12 * HOUR, None, None, (T + 12 * HOUR, ClockTrust.TRUSTED)),
        (SIGNED, 1_001 + 12 * HOUR, None, None, (T + 12 * HOUR + 1, ClockTrust.HELD)),
        (SIGNED, 1_000 + 90 * DAY, None, None, (T + 90 * DAY, ClockTrust.HELD)),
        # a real-time clock that agrees keeps it trusted; one that does not changes nothing
        (SIGNED, 1_000 + DAY, RtcReading(T + DAY - 60_000, 1_000 + DAY), None, (T + DAY, ClockTrust.TRUSTED)),
        (SIGNED, 1_000 + DAY, RtcReading(T + DAY + 60_001, 1_000 + DAY), None, (T + DAY, ClockTrust.HELD)),
        (SIGNED, 1_000 + HOUR, RtcReading(0, 1_000 + HOUR), None, (T + HOUR, ClockTrust.TRUSTED)),
        # a step of the OS clock after the signed time: held until the next one
        (SIGNED, 1_000 + HOUR, None, 1_000, (T + HOUR, ClockTrust.HELD)),
        (SIGNED, 1_000 + HOUR, None, 999, (T + HOUR, ClockTrust.TRUSTED)),
        # cold boot
        (NO_EVIDENCE, 1_000, None, None, (None, ClockTrust.UNKNOWN)),
        (OTHER_BOOT, 1_000, None, None, (None, ClockTrust.UNKNOWN)),
        (NO_EVIDENCE, 1_000, RtcReading(T, 1_000), None, (None, ClockTrust.UNKNOWN)),
        (OTHER_BOOT, 9_000, RtcReading(T, 4_000), None, (T + 5_000, ClockTrust.TRUSTED)),
        (OTHER_BOOT, 1_000, RtcReading(T - 1, 1_000), None, (None, ClockTrust.UNKNOWN)),
        (OTHER_BOOT, 1_000, RtcReading(T + 400 * DAY, 1_000), None, (T + 400 * DAY, ClockTrust.TRUSTED)),
        (OTHER_BOOT, 1_000, RtcReading(T + 400 * DAY + 1, 1_000), None, (None, ClockTrust.UNKNOWN)),
        (OTHER_BOOT, 9_000, RtcReading(T, 4_000), 5_000, (T + 5_000, ClockTrust.HELD)),
    ],
)
def test_the_states_of_the_clock(
    evidence: Evidence,
    boot_ms: int,
    rtc: RtcReading | None,
    stepped_boot_ms: int | None,
    expected: tuple[int | None, ClockTrust],
) -> None:
    assert judge(evidence, BOOT, boot_ms, rtc, stepped_boot_ms) == expected


def clock(hands: HandSetClocks, evidence: Evidence = NO_EVIDENCE) -> TrustedTime:
    return TrustedTime(lambda: evidence, hands.clocks())


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
    assert time.now().at_ms == T
    hands.os_now_ms += DAY
    time.now()
    hands.rtc_now_ms = T + DAY
    hands.advance(5 * 60_000)
    now = time.now()
    assert (now.at_ms, now.trust) == (T + 5 * 60_000, ClockTrust.HELD)


def test_an_entry_written_while_trusted_raises_the_floor_for_the_rtc() -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T, rtc_now_ms=T + HOUR)
    time = clock(hands, OTHER_BOOT)
    time.raise_floor(T + 2 * HOUR)
    now = time.now()
    assert (now.at_ms, now.trust, now.floor_ms) == (None, ClockTrust.UNKNOWN, T + 2 * HOUR)


def test_the_floor_rises_with_a_trusted_time_and_with_no_other() -> None:
    hands = HandSetClocks(boot_now_ms=1_000, os_now_ms=T)
    time = clock(hands, SIGNED)
    hands.advance(HOUR)
    assert time.now().floor_ms == T + HOUR
    hands.advance(20 * HOUR)
    assert (time.now().trust, time.now().floor_ms) == (ClockTrust.HELD, T + HOUR)


def test_a_record_has_a_time_even_when_none_is_known() -> None:
    now = clock(HandSetClocks(os_now_ms=T - DAY)).now()
    assert (now.at_ms, now.record_ms, now.floor_ms) == (None, T - DAY, None)
    known = clock(HandSetClocks(boot_now_ms=1_000, os_now_ms=0), SIGNED).now()
    assert known.record_ms == known.at_ms == T


def test_the_rtc_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "since_epoch").write_text("1795000000\n")
    assert trusted_time.read_rtc_ms(tmp_path) == T
    (tmp_path / "since_epoch").write_text("")
    assert trusted_time.read_rtc_ms(tmp_path) is None
    assert trusted_time.read_rtc_ms(tmp_path / "absent") is None


def test_the_clocks_of_this_machine_run() -> None:
    machine = trusted_time.clocks_of_this_machine()
    assert len(machine.boot_id) == 36
    assert machine.boot_ms() <= machine.boot_ms()
    assert machine.os_ms() > T - 20 * 365 * DAY
