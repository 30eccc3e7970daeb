"""One running provider: its book, key, faults and clock, shared by all its pages; and its way to the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa
from flask import current_app

from sandbox_provider.book import Book
from sandbox_provider.faults import Fault, FaultKind, Faults

NAMES = ("alipay", "huijinbao")
"""The providers of one process; each has a book of its own, and lies under its name in the address."""


@dataclass(frozen=True)
class Provider:
    """One running provider. `others` are those of the same process; `stopping` ends the waits of delayed answers."""

    name: str
    book: Book
    key: rsa.RSAPrivateKey
    faults: Faults
    control_token: str
    now_ms: Callable[[], int]
    stopping: threading.Event = field(default_factory=threading.Event)
    others: list[Provider] = field(default_factory=list)

    def promise_notices(self, out_no: str, fault: Fault | None) -> None:
        """A notice of the outcome is to be sent: once, unless a fault says otherwise."""
        kind = fault.kind if fault else None
        if kind is FaultKind.NO_NOTICE:
            return
        late_ms = fault.delay_ms if fault and kind is FaultKind.LATE_NOTICE else 0
        for _ in range(2 if kind is FaultKind.DOUBLE_NOTICE else 1):
            self.book.promise_notice(out_no, self.now_ms() + late_ms)

    def fetch_arrivals(self) -> None:
        """Take in what merchants sent here from their accounts at the other providers."""
        for other in self.others:
            for out_no in self.book.fetch_from(other.book, self.name, self.now_ms()):
                self.promise_notices(out_no, None)


def acquaint(providers: Sequence[Provider]) -> None:
    """Let each send money to the others."""
    for one in providers:
        one.others.extend(other for other in providers if other is not one)


def this_provider() -> Provider:
    """The provider that the running request belongs to."""
    provider: Provider = current_app.extensions["provider"]
    return provider
