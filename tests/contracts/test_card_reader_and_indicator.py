"""What every card reader and every indicator promises."""

from __future__ import annotations

import threading

from hardware.card_reader import CardFault, CardRead, CardReader
from hardware.indicator import Indicator, Signal
from hardware.simulated import RecordedIndicator, ScriptedCardReader
from hardware.timeline import History, StepTimeline

WAIT_S = 5.0
A_CARD = CardRead("460000", "A12345678", "ab" * 16)


def test_taps_come_out_in_order_faults_among_them() -> None:
    scripted = ScriptedCardReader(History(StepTimeline().now_ns))
    reader: CardReader = scripted
    assert reader.next_read(0) is None
    scripted.tap(A_CARD)
    scripted.tap(CardFault("the card was pulled too early"))
    scripted.tap(A_CARD)
    assert [reader.next_read(WAIT_S) for _ in range(3)] == [A_CARD, CardFault("the card was pulled too early"), A_CARD]
    assert reader.fault is None


def test_closing_a_card_reader_lets_the_waiting_one_go() -> None:
    reader: CardReader = ScriptedCardReader(History(StepTimeline().now_ns))
    answers: list[CardRead | CardFault | None] = []
    waiting = threading.Thread(target=lambda: answers.append(reader.next_read(60)))
    waiting.start()
    reader.close()
    waiting.join(WAIT_S)
    assert answers == [None]
    reader.close()
    assert "closed" in str(reader.fault)


def test_an_indicator_shows_each_signal_and_ends_idle() -> None:
    history = History(StepTimeline().now_ns)
    indicator: Indicator = RecordedIndicator(history)
    for signal in Signal:
        indicator.show(signal)
    indicator.close()
    assert history.events("indicator") == [*Signal, Signal.IDLE]
    assert indicator.fault is None
