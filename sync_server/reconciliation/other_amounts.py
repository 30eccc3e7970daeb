"""A provider that moved another amount than it was asked for, and stays with it: two persons say what comes of it.

Its answers leave the transfer UNKNOWN, and the line of its statement is a case. Either the transfer is done, and what
differs stays with the case; or it is given up, and what moved is beside it as any money that moves after that: accepted
later, offset by what comes back, or given back. An order whose payment is given up is cancelled with it.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person, Request
from sync_server.audit.log import record
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.money import yuan
from sync_server.orders import closing
from sync_server.orders.tables import order
from sync_server.payments import transfers
from sync_server.payments.applying import book_on, locked, set_transfer
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import OPEN, TRANSFER
from sync_server.payments.tables import (
    COMING_IN,
    MAX_REFERENCE_CHARACTERS,
    external_transfer,
    pays_an_order,
    transfer_attempt,
)
from sync_server.payments.wording import transfer_words
from sync_server.people.permissions import Permission
from sync_server.reconciliation import movements
from sync_server.reconciliation.differences import OF_AMOUNT
from sync_server.reconciliation.recon_cases import SUSPENSE, explained, locked_case
from sync_server.reconciliation.statement_books import correct_line
from sync_server.reconciliation.tables import recon_case, statement_line

OTHER_AMOUNT = Act("transfer.other_amount", Permission.RECON_WRITE_OFF)
Outcome = Literal["done", "given-up"]
NEVER_GIVEN_UP = ("SWEEP_IN", "FUND_CLOSE")
"""What left one provider arrives at the other, and a fund is closed once, whatever it yields."""


class _Moved(NamedTuple):
    """The case, the line that it is about, and the attempt whose number the line has."""

    case: sa.Row[Any]
    line: sa.Row[Any]
    attempt: sa.Row[Any]


def ask(connection: Connection, who: Person, case_id: UUID, outcome: Outcome, reason: str, now_ms: int) -> UUID:
    """Ask that a transfer is done, or given up; the id of the request, which another person confirms."""
    moved = _moved(connection, who, case_id)
    _ended(connection, moved, outcome)
    subject = f"transfer:{moved.attempt.transfer_id.hex}:{case_id.hex}:{outcome}"
    return approvals.request(connection, who, OTHER_AMOUNT, subject, reason, now_ms)


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> UUID:
    """Confirm another person's request and book it; the transfer."""
    agreed = approvals.confirm(connection, who, OTHER_AMOUNT, request_id, now_ms)
    transfer_id, case_id, outcome = _named(agreed.subject)
    moved = _moved(connection, who, case_id)
    if outcome == "given-up":
        _cancel_order(connection, transfer_id, agreed.reason, now_ms, who.actor)  # orders are locked before transfers
    transfer, state = _ended(connection, moved, outcome)
    end = _done if outcome == "done" else _given_up
    end(connection, moved, transfer, state, agreed.reason, now_ms, who.actor)
    ours = movements.by_number(connection, moved.case.provider, [moved.attempt.out_no])[moved.attempt.out_no]
    correct_line(connection, moved.case.provider, moved.line, ours, now_ms)
    explained(connection, moved.case, moved.case.amount_fen - ours.movement.amount_fen, now_ms)
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by), "moved_fen": moved.line.amount_fen}
    record(connection, now_ms, who.actor, OTHER_AMOUNT.name, agreed.subject, detail)
    return transfer_id


def in_words(connection: Connection, asked: Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    transfer_id, case_id, outcome = _named(asked.subject)
    amount_fen = connection.scalars(sa.select(recon_case.c.amount_fen).where(recon_case.c.id == case_id)).one()
    then = "counts as done, and what differs stays with the case"
    if outcome == "given-up":
        then = "is given up, and what moved is a case of its own"
    words = transfer_words(connection, transfer_id)
    return f"{then}, as {yuan(amount_fen)} yuan are in the provider's statement: {words}"


def _done(
    connection: Connection, moved: _Moved, transfer: sa.Row[Any], state: str, _reason: str, now_ms: int, actor: str
) -> None:
    """As if the provider had named our amount."""
    reference = _to(connection, moved, state, now_ms)
    set_transfer(connection, transfer.id, now_ms, state=state, provider_ref=reference, reason=None)
    book_on(connection, transfer, CLEARING[transfer.provider], (), actor, now_ms)


def _given_up(
    connection: Connection, moved: _Moved, transfer: sa.Row[Any], state: str, reason: str, now_ms: int, actor: str
) -> None:
    """P14, as of an attempt that moves after it was given up; an order's payment ends when its order is closed."""
    _to(connection, moved, "EXTRA", now_ms)
    fen = moved.line.amount_fen
    sides = book.legs((CLEARING[transfer.provider], fen), (SUSPENSE, -fen))
    book.post(connection, [book.Txn(f"double:{moved.attempt.out_no}", sides, moved.line.at_ms, actor)], now_ms)
    set_transfer(connection, transfer.id, now_ms, state=state, reason=reason[:200])
    if not pays_an_order(transfer.kind, transfer.subject_key):
        transfers.abandon(connection, transfer.id, reason, actor, now_ms)


def _to(connection: Connection, moved: _Moved, state: str, now_ms: int) -> str:
    """Write the attempt's state, with the provider's reference of what moved."""
    reference: str = (moved.line.provider_ref or moved.line.line_no)[:MAX_REFERENCE_CHARACTERS]
    mine = transfer_attempt.c.out_no == moved.attempt.out_no
    told = {"state": state, "provider_ref": reference, "reason": None, "changed_at_ms": now_ms}
    connection.execute(transfer_attempt.update().where(mine).values(told))
    return reference


def _cancel_order(connection: Connection, transfer_id: UUID, reason: str, now_ms: int, actor: str) -> None:
    transfer = connection.execute(sa.select(external_transfer).where(external_transfer.c.id == transfer_id)).one()
    if pays_an_order(transfer.kind, transfer.subject_key):
        number = connection.scalars(sa.select(order.c.number).where(order.c.id == transfer.subject_id)).one()
        closing.cancel(connection, number, reason, now_ms, actor)


def _named(subject: str) -> tuple[UUID, UUID, str]:
    _, transfer_hex, case_hex, outcome = subject.split(":")
    return UUID(hex=transfer_hex), UUID(hex=case_hex), outcome


def _moved(connection: Connection, who: Person, case_id: UUID) -> _Moved:
    """All of it, the case locked. NotAllowedError: it is of something else."""
    case = locked_case(connection, who, case_id, "match")
    of_case = sa.and_(statement_line.c.provider == case.provider, statement_line.c.line_no == case.line_no)
    line = connection.execute(sa.select(statement_line).where(of_case)).one_or_none()
    of_line = transfer_attempt.c.out_no == (None if line is None else line.out_no)
    attempt = connection.execute(sa.select(transfer_attempt).where(of_line)).one_or_none()
    if line is None or attempt is None or case.difference not in OF_AMOUNT or not case.in_suspense:
        raise NotAllowedError(f"case {case_id} is {case.difference}: only of another amount it is said what it was")
    return _Moved(case, line, attempt)


def _ended(connection: Connection, moved: _Moved, outcome: str) -> tuple[sa.Row[Any], str]:
    """The transfer, locked, and its next state. NotAllowedError: it has ended, or does not end so."""
    transfer = locked(connection, moved.attempt.transfer_id)
    state = TRANSFER.next(transfer.state, "other_amount_done" if outcome == "done" else "other_amount")
    attempt = sa.select(transfer_attempt.c.state).where(transfer_attempt.c.out_no == moved.attempt.out_no)
    if state is None or connection.scalar(attempt) not in OPEN:
        raise NotAllowedError(f"transfer {transfer.id} is {transfer.state}: only one whose outcome is open is ended so")
    if outcome == "done" and (moved.line.amount_fen > 0) != (transfer.kind in COMING_IN):
        raise NotAllowedError("what went the other way is not what was to move: give it up (--as given-up)")
    if outcome != "done" and transfer.kind in NEVER_GIVEN_UP:
        raise NotAllowedError(f"a {transfer.kind} is not given up: it counts as done (--as done)")
    return transfer, state
