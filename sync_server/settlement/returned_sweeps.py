"""A sweep that was sent back never arrives: by the word of two persons it is awaited no more (money.md P12).

It came back to the account that it left, as a line of that provider's statement which is a case in suspense; or to the
platform's bank, with a voucher. What is in transit (1090) is taken against either. Should it arrive all the same, that
is money moved after it was given up, in suspense with a case.
"""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person, Request
from sync_server.audit.log import record
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.payments import vouchers
from sync_server.payments.applying import locked, set_transfer
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import OPEN, TRANSFER
from sync_server.payments.sweeps import IN_TRANSIT
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.payments.vouchers import Voucher
from sync_server.payments.wording import transfer_words
from sync_server.people.permissions import Permission
from sync_server.settlement.recon_cases import STEP, SUSPENSE, locked_case, settle

RETURNED = Act("sweep.returned", Permission.RECON_WRITE_OFF)


def ask(
    connection: Connection, who: Person, transfer_id: UUID, came_back: UUID | Voucher, reason: str, now_ms: int
) -> UUID:
    """Ask that a sweep's arrival is awaited no more; the id of the request, which another person confirms.

    `came_back`: the case of the line by which it did, or the voucher of the platform's bank.
    """
    row = _awaited(connection, transfer_id)
    subject = f"transfer:{transfer_id.hex}"
    if isinstance(came_back, UUID):
        _case_of(connection, who, row, came_back)
        subject = f"{subject}:{came_back.hex}"
    request_id = approvals.request(connection, who, RETURNED, subject, reason, now_ms)
    if isinstance(came_back, Voucher):
        vouchers.keep(connection, request_id, came_back, now_ms)
    return request_id


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> UUID:
    """Confirm another person's request and book it; the arrival that is awaited no more."""
    agreed = approvals.confirm(connection, who, RETURNED, request_id, now_ms)
    transfer_id, case_id = _named(agreed.subject)
    row = _awaited(connection, transfer_id)
    key = f"sweep:{row.subject_id.hex}:returned"
    detail: dict[str, object] = {"reason": agreed.reason, "asked_by": str(agreed.requested_by)}
    if case_id is None:
        came_to = CLEARING["OFFLINE"]
        detail |= vouchers.use(connection, request_id, key).detail
    else:
        came_to = SUSPENSE
        case = _case_of(connection, who, row, case_id)
        settle(connection, who, case, "match", "MATCHED", agreed.reason, now_ms, amount_fen=0)
    open_one = sa.and_(transfer_attempt.c.transfer_id == row.id, transfer_attempt.c.state.in_(OPEN))
    ended = {"state": "DEFINITE_FAIL", "reason": agreed.reason[:200], "changed_at_ms": now_ms}
    connection.execute(transfer_attempt.update().where(open_one).values(ended))
    state = TRANSFER.next(row.state, "returned")
    set_transfer(connection, row.id, now_ms, state=state, reason=agreed.reason[:200])
    book.resolve(connection, row.subject_key, False, now_ms, who.actor, now_ms)
    sides = book.legs((came_to, row.amount_fen), (IN_TRANSIT, -row.amount_fen))
    book.post(connection, [book.Txn(key, sides, now_ms, who.actor)], now_ms)
    record(connection, now_ms, who.actor, RETURNED.name, agreed.subject, detail)
    return transfer_id


def in_words(connection: Connection, asked: Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    transfer_id, case_id = _named(asked.subject)
    by = f"by the line of case {case_id}" if case_id else f"to the bank ({vouchers.kept(connection, asked.id).words})"
    return f"is awaited no more, as it came back {by}: {transfer_words(connection, transfer_id)}"


def _named(subject: str) -> tuple[UUID, UUID | None]:
    """The arrival and, unless the bank has the money, the case."""
    _, transfer_hex, *case_hex = subject.split(":")
    return UUID(hex=transfer_hex), UUID(hex=case_hex[0]) if case_hex else None


def _awaited(connection: Connection, transfer_id: UUID) -> sa.Row[tuple[object, ...]]:
    exclusive(connection, STEP)  # before the transfer, as where a line tells of it
    row = locked(connection, transfer_id)
    if row.kind != "SWEEP_IN" or TRANSFER.next(row.state, "returned") is None:
        raise NotAllowedError(
            f"transfer {transfer_id} is a {row.kind}, {row.state}: only an arrival (SWEEP_IN) that is awaited can have "
            "been sent back; see `transfer list`"
        )
    return row


def _case_of(
    connection: Connection, who: Person, row: sa.Row[tuple[object, ...]], case_id: UUID
) -> sa.Row[tuple[object, ...]]:
    """The case of the line by which it came back, locked."""
    left = sa.and_(external_transfer.c.subject_id == row.subject_id, external_transfer.c.kind == "SWEEP_OUT")
    source = connection.scalars(sa.select(external_transfer.c.provider).where(left)).one()
    case = locked_case(connection, who, case_id, "match")
    if not case.in_suspense or (case.provider, case.amount_fen) != (source, row.amount_fen):
        raise NotAllowedError(
            f"case {case_id} is of {case.amount_fen} fen at {case.provider}: {row.amount_fen} fen in suspense at "
            f"{source}, which it left, are needed"
        )
    return case
