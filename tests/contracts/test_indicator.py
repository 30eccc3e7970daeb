"""What every indicator promises."""

from __future__ import annotations

from hardware.indicator import Indicator, Signal
from hardware.simulated import RecordedIndicator
from hardware.timeline import History, StepTimeline


def test_an_indicator_shows_each_signal_and_ends_idle() -> None:
    history = History(StepTimeline().now_ns)
    indicator: Indicator = RecordedIndicator(history)
    for signal in Signal:
        indicator.show(signal)
    indicator.close()
    assert history.events("indicator") == [*Signal, Signal.IDLE]
    assert indicator.fault is None
