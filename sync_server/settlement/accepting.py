"""Money that moved under a transfer that was given up is what it was to move: two persons take it as its success.

A payout or a refund, where one attempt alone moved the money. It stands in suspense (P14) and goes from there to what
the transfer was for, which then goes on as after any other success. What a replaced payout moved was paid twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person, Request
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.payments.applying import locked, set_transfer
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import TRANSFER
from sync_server.payments.tables import transfer_attempt
from sync_server.payments.wording import transfer_words
from sync_server.people.permissions import Permission
from sync_server.settlement.differences import BY_ATTEMPT
from sync_server.settlement.payout_states import PAYOUT
from sync_server.settlement.recon_cases import SUSPENSE, locked_case, settle
from sync_server.settlement.recon_tables import recon_case
from sync_server.settlement.sealing import LOCK
from sync_server.settlement.tables import payout

ACCEPT = Act("recon_case.accept", Permission.RECON_WRITE_OFF)
KINDS = ("PAYOUT", "REFUND")


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
    mine = sa.and_(transfer_attempt.c.transfer_id == transfer.id, transfer_attempt.c.n == attempt.n)
    connection.execute(transfer_attempt.update().where(mine).values(state=state, changed_at_ms=now_ms))
    set_transfer(connection, transfer.id, now_ms, state=state, provider_ref=attempt.provider_ref, reason=None)
    _book(connection, transfer, who.actor, now_ms)
    settle(connection, who, case, "accept", "MATCHED", agreed.reason, now_ms, amount_fen=0)
    return case.id  # type: ignore[no-any-return]


def in_words(connection: Connection, asked: Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    query = (
        sa.select(transfer_attempt.c.transfer_id, transfer_attempt.c.out_no)
        .join(recon_case, recon_case.c.subject == transfer_attempt.c.out_no)
        .where(recon_case.c.id == _case_id(asked.subject))
    )
    row = connection.execute(query).one()
    return f"counts as done by what moved under {row.out_no}: {transfer_words(connection, row.transfer_id)}"


def _book(connection: Connection, transfer: sa.Row[Any], actor: str, now_ms: int) -> None:
    """What was announced, with suspense in place of the clearing account; a void announcement is written anew."""
    clearing, key = CLEARING[transfer.provider], transfer.subject_key
    if transfer.state == "VOID":
        sides = [
            (SUSPENSE if leg.account == clearing else leg.account, leg.amount_fen)
            for leg in book.announced(connection, key)
        ]
        book.post(connection, [book.Txn(key, book.legs(*sides), now_ms, actor)], now_ms)
    else:
        instead = book.legs((clearing, transfer.amount_fen), (SUSPENSE, -transfer.amount_fen))
        book.resolve(connection, key, True, now_ms, actor, now_ms, instead)


def _case_id(subject: str) -> UUID:
    return UUID(hex=subject.removeprefix("recon_case:"))


def _moved(connection: Connection, who: Person, case_id: UUID) -> _Moved:
    """All of it, locked. NotAllowedError: the case is of something else, or the money is not this transfer's."""
    exclusive(connection, LOCK)  # nobody pays the payout again meanwhile
    case = locked_case(connection, who, case_id, "accept")
    if case.difference not in BY_ATTEMPT or not case.in_suspense:
        raise NotAllowedError(f"case {case_id} is {case.difference}: only what moved after it was given up is accepted")
    attempt = connection.execute(sa.select(transfer_attempt).where(transfer_attempt.c.out_no == case.subject)).one()
    transfer = locked(connection, attempt.transfer_id)
    if transfer.kind not in KINDS:
        raise NotAllowedError(f"transfer {transfer.id} is a {transfer.kind}: only payouts and refunds are accepted")
    if TRANSFER.next(transfer.state, "accepted") is None:
        raise NotAllowedError(f"transfer {transfer.id} is {transfer.state}: what moved beside it is not its own")
    extra = sa.and_(transfer_attempt.c.transfer_id == transfer.id, transfer_attempt.c.state == "EXTRA")
    if (times := connection.scalar(sa.select(sa.func.count()).where(extra))) != 1:
        raise NotAllowedError(
            f"{times} attempts of transfer {transfer.id} moved the money: it is not clear which is it"
        )
    replaced = connection.scalar(sa.select(payout.c.state).where(payout.c.transfer_id == transfer.id))
    if replaced is not None and PAYOUT.next(replaced, "paid") is None:
        raise NotAllowedError(f"the payout of transfer {transfer.id} is {replaced}: this money was paid beside it")
    return _Moved(case, transfer, attempt)
