"""手动汇款: two persons record that a transfer was paid by bank, outside of this system (money.md §4).

A payout, a refund, or what a distributor is charged for a late entry; an order's payment is made through its provider.

Only where it is certain that the provider moved nothing. As the bank may have paid when the first person asks, the
transfer is neither sent nor given up from then on, until the request is confirmed, withdrawn or too old. Should it turn
out later that the provider did move it, that is money moved twice: suspense and an alarm, as for any attempt that
succeeds after it was given up.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person
from sync_server.audit.log import record
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.payments import vouchers
from sync_server.payments.applying import has_extra, locked, set_transfer
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import TRANSFER
from sync_server.payments.tables import COMING_IN, LATE_ENTRY, remittance, transfer_attempt
from sync_server.payments.vouchers import Voucher
from sync_server.payments.wording import transfer_words
from sync_server.people.permissions import Permission

REMIT = Act("transfer.remit", Permission.TRANSFERS_REMIT)


def ask(connection: Connection, who: Person, transfer_id: UUID, voucher: Voucher, reason: str, now_ms: int) -> UUID:
    """Ask that a transfer counts as paid by bank; the id of the request, which another person confirms."""
    _check(connection, transfer_id)
    request_id = approvals.request(connection, who, REMIT, _subject(transfer_id), reason, now_ms)
    vouchers.keep(connection, request_id, voucher, now_ms)
    connection.execute(remittance.insert().values(id=request_id, transfer_id=transfer_id, asked_at_ms=now_ms))
    return request_id


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> UUID:
    """Confirm what another person recorded: the transfer is done, booked on the bank's account; its id."""
    agreed = approvals.confirm(connection, who, REMIT, request_id, now_ms)
    told = connection.execute(sa.select(remittance).where(remittance.c.id == request_id)).one()
    row = _check(connection, told.transfer_id)
    voucher = vouchers.use(connection, request_id, row.subject_key)
    state, n = TRANSFER.next(row.state, "remitted"), row.attempts + 1
    made = {"transfer_id": row.id, "n": n, "out_no": f"{row.id.hex}-{n}", "state": state, "provider": "OFFLINE"}
    times = {"sent_at_ms": now_ms, "changed_at_ms": now_ms}
    connection.execute(transfer_attempt.insert().values(**made, **times, provider_ref=voucher.number))
    set_transfer(connection, row.id, now_ms, state=state, attempts=n, provider_ref=voucher.number, reason=None)
    connection.execute(remittance.update().where(remittance.c.id == request_id).values(n=n))
    out_fen = -row.amount_fen if row.kind in COMING_IN else row.amount_fen
    by_bank = book.legs((CLEARING[row.provider], out_fen), (CLEARING["OFFLINE"], -out_fen))
    book.resolve(connection, row.subject_key, True, now_ms, who.actor, now_ms, by_bank)
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by), **voucher.detail}
    record(connection, now_ms, who.actor, "transfer.remit", agreed.subject, detail)
    transfer_id: UUID = row.id
    return transfer_id


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
    return f"counts as paid by bank ({voucher.words}): {transfer_words(connection, told.transfer_id)}"


def _subject(transfer_id: UUID) -> str:
    return f"transfer:{transfer_id.hex}"


def _check(connection: Connection, transfer_id: UUID) -> sa.Row[Any]:
    row = locked(connection, transfer_id)
    if row.kind not in ("PAYOUT", "REFUND") and not row.subject_key.startswith(LATE_ENTRY):
        what = "payouts, refunds and charges for late entries"
        raise NotAllowedError(f"transfer {transfer_id} is a {row.kind}: only {what} are paid by bank")
    if TRANSFER.next(row.state, "remitted") is None:
        raise NotAllowedError(
            f"transfer {transfer_id} is {row.state}: only one that the provider has certainly not made is paid by bank"
        )
    if has_extra(connection, transfer_id):
        raise NotAllowedError(f"an attempt of transfer {transfer_id} moved the money after it was given up")
    return row
