"""The interface to a payment provider, and everything one may answer. Implementations: sandbox_client.

Every instruction carries our own number `out_no`. The same number sent again is the same movement, never a second one;
that is what makes it safe to send again when an answer was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Instruction:
    """Move this amount. CHARGE: from `account_ref` to the platform under its agreement; PAYOUT: the other way;
    COLLECT: from a visitor at the provider's cashier, who has no account here; REFUND: back to whoever paid
    `original_out_no`, in parts up to the whole."""

    kind: str
    out_no: str
    account_ref: str | None
    amount_fen: int
    title: str
    original_out_no: str | None = None


@dataclass(frozen=True)
class Succeeded:
    """The money moved. `provider_ref` is the provider's own number."""

    provider_ref: str
    amount_fen: int


@dataclass(frozen=True)
class Waiting:
    """Accepted, not done yet; `pay_url` is where a visitor pays."""

    pay_url: str | None = None


@dataclass(frozen=True)
class Refused:
    """Definitely not done, and the same instruction under a new number may work later."""

    reason: str


@dataclass(frozen=True)
class Insufficient:
    """Definitely not done: the paying account holds too little."""

    reason: str


@dataclass(frozen=True)
class NotKnown:
    """Asked about a number the provider never saw."""


@dataclass(frozen=True)
class Unclear:
    """It may or may not have been done: time-out, 5xx, SYSTEM_ERROR, an answer that is not the provider's."""

    reason: str


Answer = Succeeded | Waiting | Refused | Insufficient | NotKnown | Unclear


@dataclass(frozen=True)
class Notice:
    """What the provider told us unasked about one of our numbers; its signature was good."""

    out_no: str
    answer: Answer


class Provider(Protocol):
    """A payment provider. No method raises for anything the other side or the network does."""

    def send(self, instruction: Instruction) -> Answer:
        """Ask for the movement; the same `out_no` again asks for the same one."""
        ...

    def query(self, out_no: str) -> Answer:
        """What became of a number."""
        ...

    def cancel(self, out_no: str) -> Answer:
        """See to it that a number never moves money from now on, known or not: Refused, unless it did already."""
        ...

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """A notice of this provider, or None when it is not: forged, changed or malformed."""
        ...
