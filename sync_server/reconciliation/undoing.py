"""A payout or refund that was made, and came back, or never was: two persons say so, and it is owed as before.

It came back as a line of the provider's statement that is nobody's; or no statement has it. What was booked is reversed
by link and announced anew, under another key. A payout is given up with it, to be paid again to the account that the
venue has now; a refund waits to be resumed, or paid by bank. What came back may be less by the bank's fee.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person, Request
from sync_server.audit.log import record
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.ledger.tables import ledger_txn
from sync_server.money import yuan
from sync_server.orders import progress
from sync_server.orders.states import next_state
from sync_server.orders.tables import order, order_item, ticket
from sync_server.payments import transfers
from sync_server.payments.applying import locked, set_transfer
from sync_server.payments.states import TRANSFER
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.payments.wording import transfer_words
from sync_server.people.permissions import Permission
from sync_server.reconciliation.differences import NOBODYS, Difference
from sync_server.reconciliation.recon_cases import book_fee, locked_case, settle
from sync_server.reconciliation.statement_books import stand_for
from sync_server.reconciliation.tables import recon_case, statement_line
from sync_server.settlement import sealing
from sync_server.settlement.payout_states import PAYOUT
from sync_server.settlement.tables import payout

UNDO = Act("transfer.undo", Permission.RECON_WRITE_OFF)
AGAIN = ":again-"
"""What was undone is announced under its first key with this behind it, and the number of the attempt."""


class _Made(NamedTuple):
    """The case, the transfer, and the attempt that made it."""

    case: sa.Row[Any]
    transfer: sa.Row[Any]
    attempt: sa.Row[Any]


def ask(connection: Connection, who: Person, case_id: UUID, transfer_id: UUID, reason: str, now_ms: int) -> UUID:
    """Ask that a transfer counts as not made; the id of the request, which another person confirms."""
    _made(connection, who, case_id, transfer_id)
    subject = f"transfer:{transfer_id.hex}:{case_id.hex}"
    return approvals.request(connection, who, UNDO, subject, reason, now_ms)


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> UUID:
    """Confirm another person's request and book it; the transfer."""
    agreed = approvals.confirm(connection, who, UNDO, request_id, now_ms)
    transfer_id, case_id = _named(agreed.subject)
    of_order = _order_of(connection, transfer_id)  # orders are locked before transfers
    made = _made(connection, who, case_id, transfer_id)
    transfer, actor, reason = made.transfer, who.actor, agreed.reason[:200]
    key = transfer.subject_key
    book.reverse(connection, key, now_ms, actor, now_ms)
    _settle(connection, who, made, agreed.reason, now_ms)
    mine = transfer_attempt.c.out_no == made.attempt.out_no
    undone = {"state": "REVERSED", "reason": reason, "undone_key": key, "changed_at_ms": now_ms}
    connection.execute(transfer_attempt.update().where(mine).values(undone))
    again = f"{key.partition(AGAIN)[0]}{AGAIN}{made.attempt.n}"
    announced = book.Txn(again, book.announced(connection, key), now_ms, actor, pending=True)
    book.post(connection, [announced], now_ms)
    state = TRANSFER.next(transfer.state, "undone")
    told = {"provider_ref": None, "reason": reason, "late_told_at_ms": None}
    set_transfer(connection, transfer_id, now_ms, state=state, subject_key=again, **told)
    if transfer.kind == "PAYOUT":
        failed = {"state": PAYOUT.next("PAID", "undone"), "paid_at_ms": None}
        connection.execute(payout.update().where(payout.c.transfer_id == transfer_id).values(failed))
        transfers.abandon(connection, transfer_id, reason, actor, now_ms)
    elif of_order is not None:
        unissued = of_order.kind == "TICKET" and of_order.issued_at_ms is None
        event = "unissued_refund_undone" if unissued else "refund_undone"
        if next_state(of_order.kind, of_order.state, event) is not None:
            progress.advance(connection, of_order, event, now_ms, actor, reason=reason)
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by), "attempt": made.attempt.out_no}
    record(connection, now_ms, actor, UNDO.name, agreed.subject, detail)
    return transfer_id


def in_words(connection: Connection, asked: Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    transfer_id, case_id = _named(asked.subject)
    less = sa.select(external_transfer.c.amount_fen - recon_case.c.amount_fen, recon_case.c.in_suspense)
    less = less.join(recon_case, recon_case.c.id == case_id).where(external_transfer.c.id == transfer_id)
    fee_fen, came_back = connection.execute(less).one()
    kept = f" less a fee of {yuan(fee_fen)} yuan" if came_back and fee_fen else ""
    return f"counts as not made, by case {case_id}{kept}, and is owed again: {transfer_words(connection, transfer_id)}"


def _settle(connection: Connection, who: Person, made: _Made, reason: str, now_ms: int) -> None:
    """The reversal is what the case was about: of a line, but for what the bank kept, or of the missing movement."""
    case, transfer = made.case, made.transfer
    if case.in_suspense:
        if not _was_accepted(connection, made.attempt):  # else it stands on 1310, and so does its reversal
            of_case = sa.and_(statement_line.c.provider == case.provider, statement_line.c.line_no == case.line_no)
            line = connection.execute(sa.select(statement_line).where(of_case)).one()
            reversal = f"reverse:{transfer.subject_key}"
            stand_for(connection, case.provider, line, reversal, transfer.amount_fen, now_ms)
        book_fee(connection, case, transfer.amount_fen - case.amount_fen, who.actor, now_ms)
    settle(connection, who, case, "match", "MATCHED", reason, now_ms, amount_fen=0)


def _was_accepted(connection: Connection, attempt: sa.Row[Any]) -> bool:
    """Whether it moved after it was given up: then it was booked from suspense."""
    return (
        connection.scalar(sa.select(ledger_txn.c.id).where(ledger_txn.c.txn_key == f"double:{attempt.out_no}"))
        is not None
    )


def _order_of(connection: Connection, transfer_id: UUID) -> sa.Row[Any] | None:
    """The order whose refund it is, locked: of an item, or of the whole order."""
    subject = sa.select(external_transfer.c.subject_id).where(external_transfer.c.id == transfer_id).scalar_subquery()
    of_item = sa.select(ticket.c.order_id).join(order_item, order_item.c.ticket_id == ticket.c.id)
    mine = sa.or_(order.c.id == subject, order.c.id.in_(of_item.where(order_item.c.id == subject)))
    return connection.execute(sa.select(order).where(mine).with_for_update()).one_or_none()


def _named(subject: str) -> tuple[UUID, UUID]:
    _, transfer_hex, case_hex = subject.split(":")
    return UUID(hex=transfer_hex), UUID(hex=case_hex)


def _made(connection: Connection, who: Person, case_id: UUID, transfer_id: UUID) -> _Made:
    """All of it, locked. NotAllowedError: it was not made, or the case is not about it."""
    exclusive(connection, sealing.LOCK)  # as whoever pays a payout again
    case = locked_case(connection, who, case_id, "match")
    transfer = locked(connection, transfer_id)
    if transfer.kind not in ("PAYOUT", "REFUND") or TRANSFER.next(transfer.state, "undone") is None:
        raise NotAllowedError(
            f"transfer {transfer_id} is a {transfer.kind}, {transfer.state}: only a payout or refund "
            "that was made can have come back"
        )
    mine = sa.and_(transfer_attempt.c.transfer_id == transfer_id, transfer_attempt.c.state == "SUCCEEDED")
    attempt = connection.execute(sa.select(transfer_attempt).where(mine)).one()
    if attempt.provider == "OFFLINE":
        raise NotAllowedError(
            f"a bank paid transfer {transfer_id}: no statement of the provider tells that it came back"
        )
    missing = case.difference == Difference.MISSING_THERE and case.subject == transfer.subject_key
    came_back = case.in_suspense and case.difference in NOBODYS and 0 < case.amount_fen <= transfer.amount_fen
    if case.provider != transfer.provider or not (missing or came_back):
        raise NotAllowedError(
            f"case {case_id} is {case.difference} of {case.amount_fen} fen at {case.provider}: a line at "
            f"{transfer.provider} by which up to {transfer.amount_fen} fen came back is needed, or the case "
            f"MISSING_THERE of {transfer.subject_key}"
        )
    return _Made(case, transfer, attempt)
