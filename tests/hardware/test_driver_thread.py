"""A driver's thread outlives what its rounds do, tells it as a fault, and ends when it is asked to."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from hardware import driver_thread
from hardware.driver_thread import DriverThread
from tests.waiting import until


@pytest.fixture
def closing() -> threading.Event:
    return threading.Event()


def test_a_round_that_fails_is_told_until_one_goes_well(
    closing: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_thread, "AGAIN_FIRST_S", 0.001)
    monkeypatch.setattr(driver_thread, "AGAIN_LIMIT_S", 0.001)
    fails, rounds = [True], []

    def work() -> float:
        rounds.append(1)
        if fails[0]:
            raise ZeroDivisionError("what a library does")
        return 0.001

    thread = DriverThread("gpio", work, closing)
    until(lambda: len(rounds) > 3)
    assert "the gpio driver failed (ZeroDivisionError('what a library does')): check its wires" in str(thread.fault)
    fails[0] = False
    until(lambda: thread.fault is None)
    closing.set()
    thread.join(5)
    over = len(rounds)
    assert not _runs("gpio") and len(rounds) == over


def test_it_waits_as_long_as_its_rounds_say_and_ends_at_once(closing: threading.Event) -> None:
    rounds: list[int] = []
    thread = DriverThread("patient", _once(rounds), closing, first_s=0.0)
    until(lambda: rounds)
    closing.set()
    thread.join(5)
    assert rounds == [1] and not _runs("patient")


def _once(rounds: list[int]) -> Callable[[], float]:
    def work() -> float:
        rounds.append(1)
        return 600.0

    return work


def _runs(name: str) -> bool:
    return any(thread.name == name for thread in threading.enumerate())
