"""What every indicator promises."""

from __future__ import annotations

from hardware.indicator import Indicator, Signal
from hardware.pty_scanner import PtyScanner
from hardware.scanner_signals import ScannerSignals
from hardware.serial_scanner import SerialScanner
from hardware.simulated_readers import RecordedIndicator
from hardware.timeline import History, StepTimeline


def test_an_indicator_shows_each_signal_and_ends_idle() -> None:
    history = History(StepTimeline().now_ns)
    indicator: Indicator = RecordedIndicator(history)
    for signal in Signal:
        indicator.show(signal)
    indicator.close()
    assert history.events("indicator") == [*Signal, Signal.IDLE]
    assert indicator.fault is None


def test_a_scanner_is_told_each_signal_it_has_a_command_for() -> None:
    far_end = PtyScanner()
    scanner = SerialScanner(far_end.path)
    indicator: Indicator = ScannerSignals(scanner, {Signal.GO: b"\x07", Signal.STOP: b"\x07\x07"})
    heard = []
    for signal in Signal:
        indicator.show(signal)
        assert scanner.next_line(0) is None
        heard.append(far_end.heard())
    assert dict(zip(Signal, heard, strict=True)) == {
        **dict.fromkeys(Signal, b""), Signal.GO: b"\x07", Signal.STOP: b"\x07\x07"
    }  # fmt: skip
    assert indicator.fault is None
    indicator.close()
    scanner.close()
    far_end.close()
