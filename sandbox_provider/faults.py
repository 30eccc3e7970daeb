"""Faults the provider plays on purpose, taken from a list: each matches a method (and maybe a number of times)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import StrEnum

import msgspec

MAX_FAULTS = 1_000
MAX_DELAY_MS = 120_000


class FaultKind(StrEnum):
    """What goes wrong."""

    DELAY = "delay"  # does it, answers late
    LOST_ANSWER = "lost_answer"  # does it, then says 504 without a signature
    LOST_REQUEST = "lost_request"  # does nothing and says 504
    SYSTEM_ERROR = "system_error"  # does nothing and says SYSTEM_ERROR
    REFUSED = "refused"  # definitely not done
    INSUFFICIENT = "insufficient"  # definitely not done: says there is too little money
    NONSENSE = "nonsense"  # does it, answers with a web page
    DEFERRED = "deferred"  # says WAITING, does it later
    NO_NOTICE = "no_notice"  # does it, never sends the notice
    DOUBLE_NOTICE = "double_notice"  # does it, sends the notice twice
    LATE_NOTICE = "late_notice"  # does it, sends the notice late
    LATE_ARRIVAL = "late_arrival"  # sweep_out: does it, the money arrives at the other provider late


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """`method`: a kind of transfer, query, cancel, cashier, statement or * for all; `times` how often it strikes."""

    kind: FaultKind
    method: str = "*"
    times: int = 1
    delay_ms: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.delay_ms <= MAX_DELAY_MS or self.times < 1:
            raise ValueError(f"a fault strikes at least once and waits at most {MAX_DELAY_MS} ms")


class Faults:
    """The list, first come first served; safe to use from all threads."""

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

    def take(self, method: str) -> Fault | None:
        """The next fault that strikes this method, counted down."""
        with self._lock:
            for fault in self._faults:
                if fault.method in {method, "*"}:
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                    return fault
        return None
