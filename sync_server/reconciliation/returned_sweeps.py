"""A sweep that was sent back never arrives: by the word of two persons it is awaited no more (money.md P12).

It came back to the account that it left, as a line of that provider's statement which is a case in suspense; or to the
platform's bank, with a voucher. What is in transit (1090) is taken against either; what a bank kept of it is a fee
(5010). Should it arrive all the same, that
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
from sync_server.money import yuan
from sync_server.payments import vouchers
from sync_server.payments.applying import locked, set_transfer
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import OPEN, TRANSFER
from sync_server.payments.sweeps import IN_TRANSIT
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.payments.vouchers import Voucher
from sync_server.payments.wording import transfer_words
from sync_server.people.permissions import Permission
from sync_server.reconciliation.differences import NOBODYS
from sync_server.reconciliation.recon_cases import FEES, STEP, SUSPENSE, book_fee, locked_case, settle
from sync_server.reconciliation.tables import recon_case

RETURNED = Act("sweep.returned", Permission.RECON_WRITE_OFF)
FEE = "fee-"
"""So begins what a bank kept, in the subject of a request; of a line it is what lacks."""


def ask(
    connection: Connection,
    who: Person,
    transfer_id: UUID,
    came_back: UUID | Voucher,
    reason: str,
    now_ms: int,
    fee_fen: int = 0,
) -> UUID:
    """Ask that a sweep's arrival is awaited no more; the id of the request, which another person confirms.

    `came_back`: the case of the line by which it did, or the voucher of the bank that has it less `fee_fen`.
    """
    row = _awaited(connection, transfer_id)
    subject = f"transfer:{transfer_id.hex}"
    if isinstance(came_back, UUID):
        _case_of(connection, who, row, came_back)
        subject = f"{subject}:{came_back.hex}"
    elif not 0 <= fee_fen < row.amount_fen:
        raise NotAllowedError(f"{fee_fen} fen cannot be the fee of {row.amount_fen} fen that came back")
    elif fee_fen:
        subject = f"{subject}:{FEE}{fee_fen}"
    request_id = approvals.request(connection, who, RETURNED, subject, reason, now_ms)
    if isinstance(came_back, Voucher):
        vouchers.keep(connection, request_id, came_back, now_ms)
    return request_id


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> UUID:
    """Confirm another person's request and book it; the arrival that is awaited no more."""
    agreed = approvals.confirm(connection, who, RETURNED, request_id, now_ms)
    transfer_id, case_id, fee_fen = _named(agreed.subject)
    row = _awaited(connection, transfer_id)
    key = f"sweep:{row.subject_id.hex}:returned"
    detail: dict[str, object] = {"reason": agreed.reason, "asked_by": str(agreed.requested_by)}
    if case_id is None:
        came_to = CLEARING["OFFLINE"]
        detail |= vouchers.use(connection, request_id, key).detail
    else:
        came_to = SUSPENSE
        case = _case_of(connection, who, row, case_id)
        book_fee(connection, case, row.amount_fen - case.amount_fen, who.actor, now_ms)
        settle(connection, who, case, "match", "MATCHED", agreed.reason, now_ms, amount_fen=0)
    open_one = sa.and_(transfer_attempt.c.transfer_id == row.id, transfer_attempt.c.state.in_(OPEN))
    ended = {"state": "DEFINITE_FAIL", "reason": agreed.reason[:200], "changed_at_ms": now_ms}
    connection.execute(transfer_attempt.update().where(open_one).values(ended))
    state = TRANSFER.next(row.state, "returned")
    set_transfer(connection, row.id, now_ms, state=state, reason=agreed.reason[:200])
    book.resolve(connection, row.subject_key, False, now_ms, who.actor, now_ms)
    sides = book.legs((came_to, row.amount_fen - fee_fen), (FEES, fee_fen), (IN_TRANSIT, -row.amount_fen))
    book.post(connection, [book.Txn(key, sides, now_ms, who.actor)], now_ms)
    record(connection, now_ms, who.actor, RETURNED.name, agreed.subject, detail)
    return transfer_id


def in_words(connection: Connection, asked: Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    transfer_id, case_id, fee_fen = _named(asked.subject)
    if case_id is None:
        by = f"to the bank ({vouchers.kept(connection, asked.id).words})"
    else:
        by = f"by the line of case {case_id}"
        less = sa.select(external_transfer.c.amount_fen - recon_case.c.amount_fen)
        less = less.join(recon_case, recon_case.c.id == case_id).where(external_transfer.c.id == transfer_id)
        fee_fen = connection.scalars(less).one()
    kept = f", less a fee of {yuan(fee_fen)} yuan" if fee_fen else ""
    return f"is awaited no more, as it came back {by}{kept}: {transfer_words(connection, transfer_id)}"


def _named(subject: str) -> tuple[UUID, UUID | None, int]:
    """The arrival and, unless the bank has the money, the case; else the fee."""
    _, transfer_hex, *more = subject.split(":")
    if not more or more[0].startswith(FEE):
        return UUID(hex=transfer_hex), None, int(more[0].removeprefix(FEE)) if more else 0
    return UUID(hex=transfer_hex), UUID(hex=more[0]), 0


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
    fits = case.provider == source and 0 < case.amount_fen <= row.amount_fen
    if not (case.in_suspense and case.difference in NOBODYS and fits):
        raise NotAllowedError(
            f"case {case_id} is {case.difference} of {case.amount_fen} fen at {case.provider}: a line that is nobody's "
            f"of up to {row.amount_fen} fen at {source}, which it left, is needed"
        )
    return case
