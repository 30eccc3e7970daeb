"""Money that moved under a transfer that was given up is what it was to move: two persons take it as its success.

It stands in suspense (P14) and goes from there to what the transfer was for, which then goes on as after any other
success. Where another amount moved, what differs stays a case. Where several attempts moved, one is taken and the
others are paid twice. What was settled otherwise meanwhile is not what this money was for any more.
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
from sync_server.money import yuan
from sync_server.orders.tables import order
from sync_server.payments.applying import book_on, locked, set_transfer, yielded
from sync_server.payments.states import TRANSFER
from sync_server.payments.tables import COMING_IN, external_transfer, pays_an_order, transfer_attempt
from sync_server.payments.wording import transfer_words
from sync_server.people.permissions import Permission
from sync_server.reconciliation.case_states import OPEN
from sync_server.reconciliation.differences import BY_ATTEMPT, Difference
from sync_server.reconciliation.recon_cases import SUSPENSE, explained, locked_case, settle
from sync_server.reconciliation.tables import recon_case
from sync_server.settlement import funds, sealing
from sync_server.settlement.payout_states import PAYOUT
from sync_server.settlement.tables import fund_sale, payout

ACCEPT = Act("recon_case.accept", Permission.RECON_WRITE_OFF)


class _Moved(NamedTuple):
    """The case, its transfer, and the attempt that moved the money."""

    case: sa.Row[Any]
    transfer: sa.Row[Any]
    attempt: sa.Row[Any]


def ask(connection: Connection, who: Person, case_id: UUID, reason: str, now_ms: int) -> UUID:
    """Ask that a case's money counts as its transfer's; the id of the request, which another person confirms."""
    _moved(connection, who, case_id)
    return approvals.request(connection, who, ACCEPT, f"recon_case:{case_id.hex}", reason, now_ms)


def confirm(connection: Connection, who: Person, approval_id: UUID, now_ms: int) -> UUID:
    """Confirm another person's request: the transfer has succeeded, booked from suspense; the case."""
    agreed = approvals.confirm(connection, who, ACCEPT, approval_id, now_ms)
    case, transfer, attempt = _moved(connection, who, _case_id(agreed.subject))
    state = TRANSFER.next(transfer.state, "accepted")
    yield_fen = case.amount_fen - transfer.amount_fen if transfer.kind == "FUND_CLOSE" else 0
    mine = sa.and_(transfer_attempt.c.transfer_id == transfer.id, transfer_attempt.c.n == attempt.n)
    connection.execute(transfer_attempt.update().where(mine).values(state=state, changed_at_ms=now_ms))
    told = {"provider_ref": attempt.provider_ref, "reason": None, "yield_fen": yield_fen}
    set_transfer(connection, transfer.id, now_ms, state=state, **told)
    book_on(connection, transfer, SUSPENSE, yielded(SUSPENSE, yield_fen), who.actor, now_ms)
    wanted_fen = yield_fen + (transfer.amount_fen if transfer.kind in COMING_IN else -transfer.amount_fen)
    if case.amount_fen == wanted_fen:
        settle(connection, who, case, "accept", "MATCHED", agreed.reason, now_ms, amount_fen=0)
    else:
        off_fen = case.amount_fen - wanted_fen
        differs = {"difference": Difference.AMOUNT_OFF, "amount_fen": off_fen, "changed_at_ms": now_ms}
        connection.execute(recon_case.update().where(recon_case.c.id == case.id).values(**differs))
        detail = {"reason": agreed.reason, "moved_fen": case.amount_fen, "amount_fen": off_fen}
        record(connection, now_ms, who.actor, ACCEPT.name, agreed.subject, detail)
    _follow(connection, transfer, now_ms)
    return case.id  # type: ignore[no-any-return]


def in_words(connection: Connection, asked: Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    query = (
        sa.select(transfer_attempt.c.transfer_id, transfer_attempt.c.out_no, recon_case.c.amount_fen)
        .join(recon_case, recon_case.c.subject == transfer_attempt.c.out_no)
        .where(recon_case.c.id == _case_id(asked.subject))
    )
    row = connection.execute(query).one()
    moved = f"{yuan(abs(row.amount_fen))} yuan that moved under {row.out_no}"
    return f"counts as done by the {moved}: {transfer_words(connection, row.transfer_id)}"


def _follow(connection: Connection, transfer: sa.Row[Any], now_ms: int) -> None:
    """That it was given up needs nobody any more; whatever else of it moved was paid beside it."""
    of_case, open_ = recon_case.c, recon_case.c.state.in_(OPEN)
    voided = sa.select(recon_case).where(of_case.difference == Difference.VOIDED, open_)
    for case in connection.execute(voided.where(of_case.subject == transfer.subject_key).with_for_update()).all():
        explained(connection, case, 0, now_ms)
    moved = sa.select(transfer_attempt.c.out_no).where(transfer_attempt.c.transfer_id == transfer.id)
    beside = sa.and_(of_case.difference == Difference.PAID_AFTER_VOID, of_case.subject.in_(moved), open_)
    connection.execute(recon_case.update().where(beside).values(difference=Difference.DOUBLE_PAID))


def _case_id(subject: str) -> UUID:
    return UUID(hex=subject.removeprefix("recon_case:"))


def _moved(connection: Connection, who: Person, case_id: UUID) -> _Moved:
    """All of it, locked. NotAllowedError: the case is of something else, or the money is not this transfer's."""
    exclusive(connection, sealing.LOCK)  # nobody pays a payout again meanwhile
    exclusive(connection, funds.CLOSING)
    case = locked_case(connection, who, case_id, "accept")
    if case.difference not in BY_ATTEMPT or not case.in_suspense:
        raise NotAllowedError(f"case {case_id} is {case.difference}: only what moved after it was given up is accepted")
    attempt = connection.execute(sa.select(transfer_attempt).where(transfer_attempt.c.out_no == case.subject)).one()
    transfer = locked(connection, attempt.transfer_id)
    if TRANSFER.next(transfer.state, "accepted") is None:
        raise NotAllowedError(f"transfer {transfer.id} is {transfer.state}: what moved beside it is not its own")
    if (case.amount_fen > 0) != (transfer.kind in COMING_IN):
        raise NotAllowedError("what went the other way was not paid: offset it with what goes back, or write it off")
    if (otherwise := _settled_otherwise(connection, transfer)) is not None:
        raise NotAllowedError(otherwise)
    return _Moved(case, transfer, attempt)


def _settled_otherwise(connection: Connection, transfer: sa.Row[Any]) -> str | None:
    """Why nothing waits for this money any more, and what is done with it."""
    if transfer.kind == "PAYOUT":
        state = connection.scalar(sa.select(payout.c.state).where(payout.c.transfer_id == transfer.id))
        if state is not None and PAYOUT.next(state, "paid") is None:
            return f"the payout of transfer {transfer.id} is {state}: this money was paid beside it"
    elif transfer.state == "VOID" and pays_an_order(transfer.kind, transfer.subject_key):
        return "its order is closed: it goes back to who paid (recon-case write-off --against REFUND)"
    elif transfer.kind in ("FUND_BUY", "FUND_SELL") and _is_closed(connection, transfer):
        back = "out of it" if transfer.kind == "FUND_BUY" else "into it"
        return f"the order's fund is closed without it: ask its provider to move it back {back}, and offset what comes"
    elif transfer.kind == "SWEEP_IN":
        return "the sweep is booked as sent back: what arrived all the same is offset, or written off"
    return None


def _is_closed(connection: Connection, transfer: sa.Row[Any]) -> bool:
    """Whether the fund that a purchase or sale is of was closed, or is being closed, with what the book says of it."""
    of_sale = sa.select(fund_sale.c.order_id).where(fund_sale.c.transfer_id == transfer.id).scalar_subquery()
    order_id = transfer.subject_id if transfer.kind == "FUND_BUY" else of_sale
    asked = sa.exists().where(external_transfer.c.kind == "FUND_CLOSE", external_transfer.c.subject_id == order.c.id)
    closed = sa.select(sa.or_(order.c.fund_closed_at_ms.is_not(None), asked)).where(order.c.id == order_id)
    return bool(connection.scalar(closed))
