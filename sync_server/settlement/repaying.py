"""归还欠款: a venue paid by bank what it owes, as two persons record with the voucher (Dr 1030, Cr 1220, oldest first).

The money is at the bank, so all of it is booked. What is more than the venue owes by then, as a payout may have kept
that back meanwhile, is the venue's (Cr 2210) and goes back to it with its next payout.
"""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Person
from sync_server.audit.log import record
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.money import yuan
from sync_server.parties.parties import party_by_org_number, party_words
from sync_server.payments import vouchers
from sync_server.payments.vouchers import Voucher
from sync_server.settlement.collecting import Owed, clear, collect
from sync_server.settlement.sealing import LOCK
from sync_server.settlement.tables import debt_end
from sync_server.settlement.venue_debts import REPAY, note_ended, open_debts, owed_fen, take

BANK = Account("1030")
MAX_REPAID_FEN = 10_000_000_000


def ask(
    connection: Connection, who: Person, org_number: str, amount_fen: int, voucher: Voucher, reason: str, now_ms: int
) -> UUID:
    """Record what a venue paid by bank; the id of the request, which another person confirms."""
    row = party_by_org_number(connection, org_number)
    if row.kind != "VENUE":
        raise NotAllowedError(
            f"{org_number} is no venue: what a distributor pays in by bank is a top-up (top-up record)"
        )
    if not 0 < amount_fen <= MAX_REPAID_FEN:
        raise NotAllowedError(f"a venue pays 1 to {MAX_REPAID_FEN} fen, not {amount_fen}")
    request_id = approvals.request(connection, who, REPAY, f"party:{row.id.hex}", reason, now_ms)
    vouchers.keep(connection, request_id, voucher, now_ms)
    open_debts(connection, [row.id], now_ms)  # locked: a payout that is being sealed keeps back before, or sees this
    asked = {"id": request_id, "party_id": row.id, "amount_fen": amount_fen, "asked_at_ms": now_ms}
    connection.execute(debt_end.insert().values(asked))
    return request_id


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> int:
    """Confirm another person's request and book it at once; how much, in fen."""
    agreed = approvals.confirm(connection, who, REPAY, request_id, now_ms)
    asked = connection.execute(sa.select(debt_end).where(debt_end.c.id == request_id)).one()
    venue_id, paid_fen, key = asked.party_id, int(asked.amount_fen), f"repaid:{request_id.hex}"
    exclusive(connection, LOCK)  # before the debts, as where payouts keep them back
    parts = take(open_debts(connection, [venue_id], now_ms)[venue_id], paid_fen)
    note_ended(connection, parts)
    ended_fen = sum(part.fen for part in parts)
    beyond_fen = paid_fen - ended_fen
    sides = book.legs(
        (BANK, paid_fen), (Account("1220", venue_id), -ended_fen), (Account("2210", venue_id), -beyond_fen)
    )
    more = [Owed("OVERPAID", venue_id, request_id, clear(beyond_fen, 0), adjustment_id=request_id)]
    collect(connection, more if beyond_fen else [], [book.Txn(key, sides, now_ms, who.actor)], now_ms)
    done = {"booked_at_ms": now_ms, "beyond_fen": beyond_fen}
    connection.execute(debt_end.update().where(debt_end.c.id == request_id).values(done))
    amounts = {"amount_fen": paid_fen, "beyond_fen": beyond_fen}
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by), **amounts}
    voucher = vouchers.use(connection, request_id, key)
    record(connection, now_ms, who.actor, REPAY.name, agreed.subject, detail | voucher.detail)
    return paid_fen


def in_words(connection: Connection, asked: approvals.Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    row = connection.execute(sa.select(debt_end).where(debt_end.c.id == asked.id)).one()
    ended_fen = min(row.amount_fen, owed_fen(connection, row.party_id))
    owed = f"{yuan(ended_fen)} yuan that {party_words(connection, row.party_id)} owes"
    more = f"; {yuan(row.amount_fen - ended_fen)} yuan more go back to it with its next payout"
    words = f"{owed} count as paid by bank ({vouchers.kept(connection, asked.id).words})"
    return words + (more if row.amount_fen > ended_fen else "")
