"""Two persons give up a transfer that cannot be made: nothing moved, and what it was for is owed as before.

Not a refund: nothing would ever pay it again. It is paid by bank (`remitting`), unless it moved already. Nor the
closing of a fund that holds money, or a sweep's arrival: nothing would ever bring that back.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person
from sync_server.audit.log import record
from sync_server.errors import NotAllowedError
from sync_server.payments import remitting, transfers
from sync_server.payments.applying import has_extra, has_pending, locked
from sync_server.payments.states import TRANSFER
from sync_server.payments.tables import pays_an_order
from sync_server.payments.wording import transfer_words
from sync_server.people.permissions import Permission

ABANDON = Act("transfer.abandon", Permission.TRANSFERS_ABANDON)


def ask(connection: Connection, who: Person, transfer_id: UUID, reason: str, now_ms: int) -> UUID:
    """Ask that a transfer is given up; the id of the request, which another person confirms."""
    _check(connection, transfer_id, now_ms)
    return approvals.request(connection, who, ABANDON, f"transfer:{transfer_id.hex}", reason, now_ms)


def confirm(connection: Connection, who: Person, approval_id: UUID, now_ms: int) -> UUID:
    """Confirm another person's request and carry it out at once; the transfer that was given up."""
    agreed = approvals.confirm(connection, who, ABANDON, approval_id, now_ms)
    transfer_id = UUID(hex=agreed.subject.removeprefix("transfer:"))
    _check(connection, transfer_id, now_ms)
    row = transfers.abandon(connection, transfer_id, agreed.reason, who.actor, now_ms)
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by), "was": row.state}
    record(connection, now_ms, who.actor, "transfer.abandon", agreed.subject, detail)
    return transfer_id


def in_words(connection: Connection, asked: approvals.Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    transfer_id = UUID(hex=asked.subject.removeprefix("transfer:"))
    return f"given up, so that nothing pays it any more: {transfer_words(connection, transfer_id)}"


def _check(connection: Connection, transfer_id: UUID, now_ms: int) -> None:
    row = locked(connection, transfer_id)
    if pays_an_order(row.kind, row.subject_key):
        raise NotAllowedError("an order's payment is given up with its order: cancel the order, or let its time end")
    if row.kind == "REFUND" and not has_extra(connection, transfer_id):
        raise NotAllowedError("a refund is owed until it is made: resume it, or pay it by bank (transfer remit)")
    if row.kind == "FUND_CLOSE" and has_pending(row):
        raise NotAllowedError(
            "a fund that holds money is closed, not given up: ask its provider why it refuses, then resume it"
        )
    if row.kind == "SWEEP_IN":
        raise NotAllowedError("what left one provider is awaited at the other; if it was sent back: sweep returned")
    if TRANSFER.next(row.state, "abandon") is None:
        raise NotAllowedError(f"transfer {transfer_id} is {row.state}: only one that is not under way can be given up")
    remitting.need_not_asked(connection, transfer_id, now_ms)
