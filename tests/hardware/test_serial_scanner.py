"""The serial scanner on a real pseudo-terminal: paced bytes, half lines, noise, a flood, and a cable that is pulled."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hardware.pty_scanner import PtyScanner
from hardware.serial_scanner import MAX_LINE_CHARS, SerialScanner
from tests.waiting import until

A_CODE = "GATE:" + "7K2" * 45
WAIT_S = 5.0

Typing = Callable[[PtyScanner, bytes], None]


@pytest.fixture
def typing() -> Iterator[Typing]:
    """Send bytes while the test reads: the far end of a cable has a life of its own."""
    threads: list[threading.Thread] = []

    def start(far_end: PtyScanner, data: bytes) -> None:
        threads.append(threading.Thread(target=far_end.send, args=(data,)))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()


@pytest.mark.parametrize("baud", [9600, 115_200])
def test_codes_at_the_speed_of_a_serial_line(baud: int, typing: Typing) -> None:
    far_end = PtyScanner(baud)
    scanner = SerialScanner(far_end.path, baud)
    typing(far_end, f"{A_CODE}1\r\n{A_CODE}2\r".encode())
    assert scanner.next_line(WAIT_S) == A_CODE + "1"
    assert scanner.next_line(WAIT_S) == A_CODE + "2"
    scanner.close()
    far_end.close()


def test_commands_reach_the_scanner_between_codes_and_the_newest_wins() -> None:
    far_end = PtyScanner()
    scanner = SerialScanner(far_end.path)
    scanner.tell(b"\x1b\x01")
    scanner.tell(b"\x1b\x07")
    far_end.type(A_CODE)
    assert scanner.next_line(WAIT_S) == A_CODE
    assert far_end.heard() == b"\x1b\x07"
    assert scanner.next_line(0) is None
    assert (far_end.heard(), scanner.deaf) == (b"", None)
    scanner.close()
    far_end.close()


def test_a_scanner_that_takes_no_commands_goes_on_reading() -> None:
    far_end = PtyScanner()
    scanner = SerialScanner(far_end.path)

    def told() -> str | None:
        scanner.tell(b"\x07" * 20_000)
        assert scanner.next_line(0) is None
        return scanner.deaf

    assert "takes no commands" in str(until(told, what="its line is full"))
    scanner.tell(b"\x07")
    far_end.type(A_CODE)
    assert scanner.next_line(WAIT_S) == A_CODE
    assert scanner.fault is None
    until(lambda: far_end.heard() == b"", what="the line is empty")
    scanner.tell(b"\x07")
    assert scanner.next_line(0) is None
    assert scanner.deaf is None
    scanner.close()
    far_end.close()


def test_a_half_line_is_not_glued_to_the_next_code() -> None:
    far_end = PtyScanner()
    scanner = SerialScanner(far_end.path)
    far_end.send(A_CODE[:50].encode())
    assert scanner.next_line(WAIT_S) == A_CODE[:50]
    far_end.type(A_CODE)
    assert scanner.next_line(WAIT_S) == A_CODE
    scanner.close()
    far_end.close()


def test_noise_between_codes_is_dropped() -> None:
    far_end = PtyScanner()
    scanner = SerialScanner(far_end.path)
    far_end.send(bytes(range(128, 256)) * 3 + b"\x00\x1b\x7f" + A_CODE.encode() + b"\r")
    assert scanner.next_line(WAIT_S) == A_CODE
    scanner.close()
    far_end.close()


def test_five_megabytes_before_a_good_code(typing: Typing) -> None:
    far_end = PtyScanner()
    scanner = SerialScanner(far_end.path)
    typing(far_end, b"7" * 5_000_000 + b"\r\n" + A_CODE.encode() + b"\r\n")
    assert scanner.next_line(WAIT_S) == "7" * MAX_LINE_CHARS
    assert scanner.next_line(60.0) == A_CODE
    scanner.close()
    far_end.close()


def test_a_scanner_that_comes_back_is_read_again(tmp_path: Path) -> None:
    name = tmp_path / "scanner"
    far_end = PtyScanner(link=name)
    scanner = SerialScanner(name)
    far_end.type("before")
    assert scanner.next_line(WAIT_S) == "before"
    far_end.send(b"cut by the pull")
    assert scanner.next_line(0) is None
    far_end.close()
    until(lambda: (scanner.next_line(0), scanner.fault)[1], what="the loss is noticed")
    assert "plug it in" in str(scanner.fault)
    again = PtyScanner(link=name)
    until(lambda: scanner.next_line(0) is None and scanner.fault is None, what="it is found again")
    again.type("after")
    assert scanner.next_line(WAIT_S) == "after"
    scanner.close()
    again.close()


def test_a_scanner_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    scanner = SerialScanner(tmp_path / "ttyUSB7")
    assert scanner.next_line(0) is None
    assert "ttyUSB7 is not there: plug it in" in str(scanner.fault)
    scanner.close()


def test_two_programs_cannot_share_a_scanner() -> None:
    far_end = PtyScanner()
    first, second = SerialScanner(far_end.path), SerialScanner(far_end.path)
    assert first.next_line(0) is None
    assert second.next_line(0) is None
    assert first.fault is None
    assert "another program" in str(second.fault)
    first.close()
    assert until(lambda: second.next_line(0) is None and second.fault is None, what="the second gets it")
    second.close()
    far_end.close()


def test_a_missing_library_is_a_fault_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    scanner = SerialScanner(tmp_path / "ttyUSB0")
    assert scanner.next_line(0) is None
    assert "pyserial is missing" in str(scanner.fault)
    scanner.close()
