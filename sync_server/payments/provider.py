"""The interface to a payment provider, and everything one may answer. Implementations: sandbox_client, alipay_client.

Every instruction carries our own number `out_no`. The same number sent again is the same movement, never a second one;
that is what makes it safe to send again when an answer was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Protocol

CALENDAR = timezone(timedelta(hours=8))
"""Payment providers count their days in Beijing time, wherever the centre stands."""


@dataclass(frozen=True)
class Instruction:
    """Move this amount.

    CHARGE: from `account_ref` to the platform under its agreement; PAYOUT: the other way. COLLECT, TOP_UP: from
    somebody at the provider's cashier. REFUND: back to whoever paid `original_out_no`, in parts up to the whole.
    FUND_BUY, FUND_SELL: into and out of the fund that `account_ref` names (one per order, at cost). FUND_CLOSE: all of
    it, where the amount is the principal that must be left (0 too) and the yield comes on top. SWEEP_OUT: from the
    platform's account here to its account at the provider that `account_ref` names, to arrive there as the number
    `original_out_no`. SWEEP_IN: waits there for the arrival of its own number. Nothing moves after `expires_at_ms`,
    where the provider can see to that.
    """

    kind: str
    out_no: str
    account_ref: str | None
    amount_fen: int
    title: str
    original_out_no: str | None = None
    expires_at_ms: int | None = None


@dataclass(frozen=True)
class Succeeded:
    """The money moved. `provider_ref` is the provider's own number; `yield_fen` came (below 0: was lost) beyond the
    principal `amount_fen` when a fund was closed."""

    provider_ref: str
    amount_fen: int
    yield_fen: int = 0


@dataclass(frozen=True)
class Waiting:
    """Accepted, not done yet; `pay_url` is where a visitor pays."""

    pay_url: str | None = None


@dataclass(frozen=True)
class Refused:
    """Definitely not done, and the same instruction under a new number may work later.

    `of_request`: the request was turned away before its number was looked at, which says nothing of an earlier request
    under the same number. Only `send` answers so.
    """

    reason: str
    of_request: bool = False


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


@dataclass(frozen=True)
class StatementLine:
    """One movement of the platform's account as the provider's statement has it.

    `line_no` is the provider's own, unique and never changed. `kind` is one of payments.tables.TRANSFER_KINDS, or the
    provider's word where it means none of them. Above 0 came in; `fee_fen` (never below 0) was taken beside it.
    `account_ref` is the other side's account and `original_out_no` what a refund gives back, where the provider tells.
    """

    line_no: str
    out_no: str | None
    kind: str
    amount_fen: int
    fee_fen: int
    at_ms: int
    provider_ref: str | None = None
    account_ref: str | None = None
    original_out_no: str | None = None


def day_of(at_ms: int) -> date:
    """The day of a provider's statement that a moment belongs to."""
    return datetime.fromtimestamp(at_ms / 1000, CALENDAR).date()


class Provider(Protocol):
    """A payment provider. No method raises for anything the other side or the network does."""

    def send(self, instruction: Instruction) -> Answer:
        """Ask for the movement; the same `out_no` again asks for the same one."""
        ...

    def query(self, instruction: Instruction) -> Answer:
        """What became of the instruction's number."""
        ...

    def cancel(self, instruction: Instruction) -> Answer:
        """See to it that its number never moves money from now on, known or not: Refused, unless it did already."""
        ...

    def statement(self, day: date) -> tuple[StatementLine, ...] | Unclear:
        """Every movement of a day that is over, in order; Unclear: it is not to be had now, ask again later."""
        ...

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """A notice of this provider, or None when it is not: forged, changed or malformed."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...
