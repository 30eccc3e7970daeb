"""One running provider: its book, key, faults and clock, shared by all its pages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa
from flask import current_app

from sandbox_provider.book import Book
from sandbox_provider.faults import Fault, FaultKind, Faults


@dataclass(frozen=True)
class Provider:
    """One running provider. `stopping` ends the waits of delayed answers."""

    book: Book
    key: rsa.RSAPrivateKey
    faults: Faults
    control_token: str
    now_ms: Callable[[], int]
    stopping: threading.Event = field(default_factory=threading.Event)

    def promise_notices(self, out_no: str, fault: Fault | None) -> None:
        """A notice of the outcome is to be sent: once, unless a fault says otherwise."""
        kind = fault.kind if fault else None
        if kind is FaultKind.NO_NOTICE:
            return
        late_ms = fault.delay_ms if fault and kind is FaultKind.LATE_NOTICE else 0
        for _ in range(2 if kind is FaultKind.DOUBLE_NOTICE else 1):
            self.book.promise_notice(out_no, self.now_ms() + late_ms)


def this_provider() -> Provider:
    """The provider that the running request belongs to."""
    provider: Provider = current_app.extensions["provider"]
    return provider
