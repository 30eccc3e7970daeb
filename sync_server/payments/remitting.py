"""手动汇款: two persons record that a transfer was paid by bank, outside of this system (money.md §4).

A payout, a refund, or what a distributor is charged for a late entry; an order's payment is made through its provider.

Only where it is certain that the provider moved nothing. As the bank may have paid when the first person asks, the
transfer is neither sent nor given up from then on, until the request is confirmed, withdrawn or too old. Should it turn
out that the provider did move it, that is money moved twice. Whichever is known last is in suspense, with a case: the
provider's as any attempt that succeeds after it was given up, or the bank's, which is recorded all the same.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person
from sync_server.approvals.tables import approval
from sync_server.audit.log import record
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.payments import vouchers
from sync_server.payments.applying import book_on, has_extra, locked, set_transfer
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import TRANSFER
from sync_server.payments.tables import (
    COMING_IN,
    LATE_ENTRY,
    bank_voucher,
    external_transfer,
    remittance,
    transfer_attempt,
)
from sync_server.payments.vouchers import Voucher
from sync_server.payments.wording import transfer_words
from sync_server.people.permissions import Permission

REMIT = Act("transfer.remit", Permission.TRANSFERS_REMIT)
_NOT_MADE = "that the provider has certainly not made is paid by bank; what was paid all the same is recorded --beside"


def ask(
    connection: Connection,
    who: Person,
    transfer_id: UUID,
    voucher: Voucher,
    reason: str,
    now_ms: int,
    *,
    beside: bool = False,
) -> UUID:
    """Ask that a transfer counts as paid by bank; the id of the request, which another person confirms.

    `beside`: the bank paid it although it was made otherwise.
    """
    row = _by_bank(connection, transfer_id)
    _check(connection, row, "remitted_beside" if beside else "remitted")
    request_id = approvals.request(connection, who, REMIT, _subject(transfer_id), reason, now_ms)
    vouchers.keep(connection, request_id, voucher, now_ms)
    connection.execute(remittance.insert().values(id=request_id, transfer_id=transfer_id, asked_at_ms=now_ms))
    return request_id


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> UUID:
    """Confirm what another person recorded, booked on the bank's account; the transfer's id.

    The transfer is done; if it was made otherwise since, the bank paid it a second time.
    """
    agreed = approvals.confirm(connection, who, REMIT, request_id, now_ms)
    told = connection.execute(sa.select(remittance).where(remittance.c.id == request_id)).one()
    row = _by_bank(connection, told.transfer_id)
    n = row.attempts + 1
    out_no, beside = f"{row.id.hex}-{n}", row.state == "SUCCEEDED"
    _check(connection, row, "remitted_beside" if beside else "remitted")
    key = f"double:{out_no}" if beside else row.subject_key
    voucher = vouchers.use(connection, request_id, key)
    made = {"transfer_id": row.id, "n": n, "out_no": out_no, "provider": "OFFLINE", "provider_ref": voucher.number}
    times = {"sent_at_ms": now_ms, "changed_at_ms": now_ms}
    state = "EXTRA" if beside else "SUCCEEDED"
    connection.execute(transfer_attempt.insert().values(**made, **times, state=state))
    connection.execute(remittance.update().where(remittance.c.id == request_id).values(n=n))
    if beside:
        set_transfer(connection, row.id, now_ms, attempts=n)
        out_fen = -row.amount_fen if row.kind in COMING_IN else row.amount_fen
        sides = book.legs((Account("1310"), out_fen), (CLEARING["OFFLINE"], -out_fen))
        book.post(connection, [book.Txn(key, sides, now_ms, who.actor)], now_ms)
    else:
        set_transfer(connection, row.id, now_ms, state=state, attempts=n, provider_ref=voucher.number, reason=None)
        book_on(connection, row, CLEARING["OFFLINE"], (), who.actor, now_ms)
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by), "beside": beside, **voucher.detail}
    record(connection, now_ms, who.actor, "transfer.remit", agreed.subject, detail)
    transfer_id: UUID = row.id
    return transfer_id


def confirmed(connection: Connection, transfer_id: UUID) -> dict[int, sa.Row[Any]]:
    """A transfer's attempts that two persons said a bank made, by number: the voucher, who asked and who confirmed."""
    query = (
        sa.select(remittance.c.n, bank_voucher, approval.c.requested_by, approval.c.decided_by)
        .join(bank_voucher, bank_voucher.c.request_id == remittance.c.id)
        .join(approval, approval.c.id == remittance.c.id)
        .where(remittance.c.transfer_id == transfer_id, remittance.c.n.is_not(None))
    )
    return {row.n: row for row in connection.execute(query)}


def is_asked(connection: Connection, transfer_id: UUID, now_ms: int) -> bool:
    """Whether a bank is said to have paid it, and another person has yet to confirm; the caller has it locked."""
    return approvals.is_asked(connection, REMIT, _subject(transfer_id), now_ms)


def need_not_asked(connection: Connection, transfer_id: UUID, now_ms: int) -> None:
    """NotAllowedError where `is_asked`."""
    if is_asked(connection, transfer_id, now_ms):
        raise NotAllowedError(
            f"a bank is said to have paid transfer {transfer_id}: another person confirms or withdraws that first"
        )


def in_words(connection: Connection, asked: approvals.Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    told = connection.execute(sa.select(remittance).where(remittance.c.id == asked.id)).one()
    voucher = vouchers.kept(connection, asked.id)
    done = sa.select(external_transfer.c.state == "SUCCEEDED").where(external_transfer.c.id == told.transfer_id)
    counts = "is booked as paid by bank a second time" if connection.scalar(done) else "counts as paid by bank"
    return f"{counts} ({voucher.words}): {transfer_words(connection, told.transfer_id)}"


def _subject(transfer_id: UUID) -> str:
    return f"transfer:{transfer_id.hex}"


def _by_bank(connection: Connection, transfer_id: UUID) -> sa.Row[Any]:
    """The transfer, locked. NotAllowedError: one of its kind is never paid by bank."""
    row = locked(connection, transfer_id)
    if row.kind not in ("PAYOUT", "REFUND") and not row.subject_key.startswith(LATE_ENTRY):
        what = "payouts, refunds and charges for late entries"
        raise NotAllowedError(f"transfer {transfer_id} is a {row.kind}: only {what} are paid by bank")
    return row


def _check(connection: Connection, row: sa.Row[Any], event: str) -> None:
    if TRANSFER.next(row.state, event) is None or (row.state == "VOID" and row.kind != "REFUND"):
        only = "that was made otherwise is paid beside that" if event == "remitted_beside" else _NOT_MADE
        raise NotAllowedError(f"transfer {row.id} is {row.state}: only one {only}")
    if event == "remitted" and has_extra(connection, row.id):
        raise NotAllowedError(
            f"an attempt of transfer {row.id} moved the money after it was given up: accept that (recon-case accept)"
        )
