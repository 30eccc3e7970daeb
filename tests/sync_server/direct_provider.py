"""A payment provider without the wire: the sandbox's own book and faults behind the interface our clients have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from sandbox_provider.book import Book
from sandbox_provider.faults import FaultKind, Faults
from sandbox_provider.gateway import FAILURES, UNTOUCHED
from sandbox_provider.tables import Conflict, Order, Transfer
from sync_server.payments.provider import (
    Answer,
    Instruction,
    Insufficient,
    NotKnown,
    Refused,
    StatementLine,
    Succeeded,
    Unclear,
    Waiting,
)
from sync_server.reconciliation.statements_in import bounds
from tests.sync_server.silent_provider import SilentProvider

APP_ID = "platform"
SPOILED = {FaultKind.LOST_ANSWER, FaultKind.LOST_REQUEST, FaultKind.NONSENSE, FaultKind.SYSTEM_ERROR}


class DirectProvider(SilentProvider):
    """Thousands of calls a minute; what the wire does to them is tried elsewhere, over HTTP."""

    def __init__(self, book: Book, faults: Faults, now_ms: Callable[[], int]) -> None:
        self.book, self._faults, self._now_ms = book, faults, now_ms

    def send(self, instruction: Instruction) -> Answer:
        kind = instruction.kind.lower()
        fault = self._faults.take(kind)
        if fault is not None and fault.kind in UNTOUCHED:
            return Unclear(f"played: {fault.kind}")
        outcome = None if fault is None else FAILURES.get(fault.kind)
        defer_ms = fault.delay_ms if fault is not None and fault.kind is FaultKind.DEFERRED else 0
        travel_ms = fault.delay_ms if fault is not None and fault.kind is FaultKind.LATE_ARRIVAL else 0
        asked = Order(
            APP_ID,
            instruction.out_no,
            instruction.account_ref,
            instruction.amount_fen,
            instruction.title,
            "",
            instruction.original_out_no,
        )
        try:
            transfer = self.book.act(kind, asked, self._now_ms(), outcome, defer_ms, travel_ms)
        except Conflict as error:
            return Unclear(str(error))
        return self._spoiled(fault.kind if fault else None, answer_of(transfer))

    def query(self, instruction: Instruction) -> Answer:
        fault = self._faults.take("query")
        transfer = self.book.find(instruction.out_no)
        return self._spoiled(fault.kind if fault else None, NotKnown() if transfer is None else answer_of(transfer))

    def cancel(self, instruction: Instruction) -> Answer:
        fault = self._faults.take("cancel")
        if fault is not None and fault.kind in UNTOUCHED:
            return Unclear(f"played: {fault.kind}")
        transfer = self.book.cancel(APP_ID, instruction.out_no, self._now_ms())
        return self._spoiled(fault.kind if fault else None, answer_of(transfer))

    def statement(self, day: date) -> tuple[StatementLine, ...]:
        from_ms, to_ms = bounds(day)
        return tuple(line_of(told) for told in self.book.statement(APP_ID, from_ms, to_ms))

    def _spoiled(self, fault: FaultKind | None, good: Answer) -> Answer:
        return Unclear(f"played: {fault}") if fault in SPOILED else good


def answer_of(transfer: Transfer) -> Answer:
    """What the provider says of a number, as our client reads it."""
    match transfer.status:
        case "SUCCESS":
            return Succeeded(str(transfer.provider_ref), transfer.amount_fen, transfer.yield_fen)
        case "WAITING":
            return Waiting(f"https://cashier/{transfer.cashier_token}" if transfer.cashier_token else None)
        case "INSUFFICIENT":
            return Insufficient(str(transfer.reason))
    return Refused(str(transfer.reason))


def line_of(told: dict[str, Any]) -> StatementLine:
    """A line of the provider's statement, as our client reads it."""
    kind = told["kind"].upper()
    return StatementLine(
        str(told["line_no"]), told["out_no"], kind, told["amount_fen"], told["fee_fen"], told["at_ms"],
        told["provider_ref"],
    )  # fmt: skip
