"""Faults the platform plays on purpose, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import StrEnum

import msgspec

MAX_FAULTS = 1_000
MAX_DELAY_MS = 60_000


class FaultKind(StrEnum):
    """What goes wrong with one answer."""

    SLOW = "slow"  # answers late
    DOWN = "down"  # does nothing and says 503
    WRONG_SIGNATURE = "wrong_signature"
    OTHER_ANSWER = "other_answer"  # signed well, and of another request
    EXPIRED = "expired"  # says that the code is over
    NONSENSE = "nonsense"  # a web page
    ENDLESS = "endless"  # a body that goes on and on


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """`times` how often it strikes; `delay_ms` how long a slow answer takes."""

    kind: FaultKind
    times: int = 1
    delay_ms: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.delay_ms <= MAX_DELAY_MS or self.times < 1:
            raise ValueError(f"a fault strikes at least once and waits at most {MAX_DELAY_MS} ms")


class Faults:
    """The list, first come first served; safe for many threads."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._faults = list(faults)

    def add(self, fault: Fault) -> None:
        """Behind those that wait already."""
        with self._lock:
            if len(self._faults) >= MAX_FAULTS:
                raise ValueError(f"there are {MAX_FAULTS} faults waiting already")
            self._faults.append(fault)

    def clear(self) -> None:
        """Behave well from now on."""
        with self._lock:
            self._faults.clear()

    def take(self) -> Fault | None:
        """The next one, counted down."""
        with self._lock:
            if not self._faults:
                return None
            fault = self._faults[0]
            fault.times -= 1
            if fault.times == 0:
                del self._faults[0]
            return fault
