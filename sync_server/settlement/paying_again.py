"""A payout whose transfer two persons gave up is paid by another one, to the account that the venue has now.

All its lines move, nothing is netted anew, and the new transfer has a number of its own. Where money moved under the
old number after all, it is refused: that is for reconciliation to find out.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals.approvals import Person
from sync_server.audit.log import record
from sync_server.db import derived_id, exclusive
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.payments import transfers
from sync_server.payments.applying import has_extra
from sync_server.payments.tables import external_transfer
from sync_server.people.permissions import Permission, need
from sync_server.settlement.payout_states import PAYOUT
from sync_server.settlement.sealing import LOCK, payout_number, transfer_of, venues_of
from sync_server.settlement.tables import payout, payout_adjustment, payout_line

MAX_REASON_CHARACTERS = 200


def pay_again(connection: Connection, who: Person, number: str, reason: str, now_ms: int) -> str:
    """Replace a payout by a new one, in the caller's transaction; the new one's number."""
    need(who, Permission.PAYOUTS_MANAGE)
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON_CHARACTERS:
        raise NotAllowedError(f"paying again needs a reason of 1 to {MAX_REASON_CHARACTERS} characters")
    exclusive(connection, LOCK)
    row = _given_up(connection, number)
    venue = venues_of(connection, {row.venue_id}, now_ms)[row.venue_id]
    new_id = derived_id(row.id, f"payout again {row.id.hex}")
    new_number = payout_number(new_id)
    wanted = transfer_of(new_id, new_number, venue, row.total_fen)
    transfer_id = transfers.request(connection, [wanted], who.actor, now_ms)[wanted.subject_key]
    columns = {"venue_id": row.venue_id, "state": "SEALED", "total_fen": row.total_fen, "transfer_id": transfer_id}
    times = {"created_at_ms": now_ms, "sealed_at_ms": now_ms}
    connection.execute(payout.insert().values(id=new_id, number=new_number, **columns, **times))
    for lines in (payout_line, payout_adjustment):
        connection.execute(lines.update().where(lines.c.payout_id == row.id).values(payout_id=new_id))
    old = payout.update().where(payout.c.id == row.id)
    connection.execute(old.values(state=PAYOUT.next(row.state, "replaced"), replaced_by=new_id, reason=text))
    detail = {"reason": text, "new": new_number, "account": venue.account.account_ref}
    record(connection, now_ms, who.actor, "payout.again", f"payout:{number}", detail)
    return new_number


def _given_up(connection: Connection, number: str) -> sa.Row[Any]:
    """The payout's row, locked, if its transfer is void and nothing moved under it."""
    query = (
        sa.select(payout, external_transfer.c.state.label("transfer_state"))
        .outerjoin(external_transfer, external_transfer.c.id == payout.c.transfer_id)
        .where(payout.c.number == number)
    )
    row = connection.execute(query.with_for_update(of=payout)).one_or_none()
    if row is None:
        raise NotFoundError(f"no payout has the number {number!r}")
    if PAYOUT.next(row.state, "replaced") is None or row.transfer_state != "VOID":
        raise NotAllowedError(
            f"payout {number} is {row.state}, its transfer {row.transfer_state}: it is paid again only once two "
            "persons have given its transfer up"
        )
    if has_extra(connection, row.transfer_id):
        raise NotAllowedError(f"money moved for payout {number} after it was given up: it would be paid twice")
    return row
