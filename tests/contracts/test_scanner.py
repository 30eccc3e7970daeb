"""What every scanner promises, tried on every one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from hardware.pty_scanner import PtyScanner
from hardware.serial_scanner import MAX_LINE_CHARS, Scanner, SerialScanner
from hardware.simulated_readers import SimulatedScanner
from hardware.timeline import History, StepTimeline

WAIT_S = 5.0


@dataclass(frozen=True)
class Subject:
    scanner: Scanner
    scan: Callable[[str], None]


@pytest.fixture(params=["serial", "simulated"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "simulated":
        simulated = SimulatedScanner(History(StepTimeline().now_ns))
        yield Subject(simulated, simulated.type)
        simulated.close()
    else:
        far_end = PtyScanner()
        serial = SerialScanner(far_end.path)
        yield Subject(serial, far_end.type)
        serial.close()
        far_end.close()


def test_codes_come_out_in_order(subject: Subject) -> None:
    assert subject.scanner.fault is None
    for number in range(5):
        subject.scan(f"GATE:{number}")
    assert [subject.scanner.next_line(WAIT_S) for _ in range(5)] == [f"GATE:{number}" for number in range(5)]
    assert subject.scanner.next_line(0) is None


@pytest.mark.parametrize(
    ("scanned", "line"),
    [
        ("\x02GATE:7\x03", "GATE:7"),
        ("", None),
        ("\x00\x07", None),
        ("x" * MAX_LINE_CHARS, "x" * MAX_LINE_CHARS),
        ("x" * 3 * MAX_LINE_CHARS, "x" * MAX_LINE_CHARS),
    ],
)
def test_odd_codes_do_not_hold_up_the_next_one(subject: Subject, scanned: str, line: str | None) -> None:
    subject.scan(scanned)
    subject.scan("GOOD")
    if line is not None:
        assert subject.scanner.next_line(WAIT_S) == line
    assert subject.scanner.next_line(WAIT_S) == "GOOD"


def test_nobody_waits_longer_than_asked(subject: Subject) -> None:
    began_s = time.monotonic()
    assert subject.scanner.next_line(0.05) is None
    assert time.monotonic() - began_s < WAIT_S


def test_closing_lets_the_waiting_one_go(subject: Subject) -> None:
    answers: list[str | None] = []
    waiting = threading.Thread(target=lambda: answers.append(subject.scanner.next_line(60)))
    waiting.start()
    subject.scanner.close()
    waiting.join(WAIT_S)
    assert answers == [None]
    subject.scanner.close()
    assert subject.scanner.next_line(0) is None
    assert "closed" in str(subject.scanner.fault)
