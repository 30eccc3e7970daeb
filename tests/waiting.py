"""Waiting for what another thread or process will do: bounded, and never longer than it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.01


def until(condition: Callable[[], T], timeout_s: float = 10.0, what: str = "", poll_s: float = POLL_S) -> T:
    """The first true answer of `condition`, asked every 10 ms; AssertionError with `what` after `timeout_s`."""
    pause = threading.Event()
    deadline_s = time.monotonic() + timeout_s
    while not (answer := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"did not happen within {timeout_s} s: {what or condition}")
        pause.wait(poll_s)
    return answer
