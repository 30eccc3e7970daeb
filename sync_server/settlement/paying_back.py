"""退还预存款: what a distributor does not need of its balance goes back to it by a bank transfer, by the word of two.

No order can use it from the asking on, as the bank may have paid it: it is pending until the second person speaks. What
the distributor owes for late entries stays. Where it came to owe that meanwhile the second person is told, and what
the bank has paid is booked all the same: the debt is left.
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
from sync_server.centre import Centre
from sync_server.db import new_id
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import owed_to
from sync_server.ledger.tables import ledger_account, ledger_txn
from sync_server.money import yuan
from sync_server.parties.parties import party_by_org_number, party_words
from sync_server.payments import vouchers
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import bank_top_up
from sync_server.payments.vouchers import Voucher
from sync_server.people.permissions import Permission
from sync_server.settlement.charging_back import not_through_fen, owed_fen

PAY_BACK = Act("top_up.pay_back", Permission.TOP_UPS_RECORD)
KEY = "paidback:"
"""The transaction's key, and what two persons agree on, is this and the row's id."""
ACTOR = "system:top-ups"
MAX_PER_STEP = 200


def ask(
    connection: Connection, who: Person, org_number: str, amount_fen: int, voucher: Voucher, reason: str, now_ms: int
) -> UUID:
    """Record that so much of a distributor's balance went back by bank; the request, which another person confirms."""
    row = party_by_org_number(connection, org_number)
    if row.kind != "DISTRIBUTOR" or amount_fen <= 0:
        raise NotAllowedError("1 fen or more of a distributor's balance goes back")
    pay_back_id = new_id(now_ms)
    request_id = approvals.request(connection, who, PAY_BACK, f"{KEY}{pay_back_id.hex}", reason, now_ms)
    vouchers.keep(connection, request_id, voucher, now_ms)
    asked = {"id": pay_back_id, "distributor_id": row.id, "amount_fen": -amount_fen, "asked_at_ms": now_ms}
    connection.execute(bank_top_up.insert().values(asked))
    due_fen = _due_fen(connection, row.id)
    left_fen = owed_to(connection, Account("2010", row.id))
    if amount_fen > left_fen - due_fen:
        owes = f" and it owes {due_fen} (`debt list`, `transfer list`)" if due_fen else ""
        raise NotAllowedError(f"its balance is {left_fen} fen{owes}: no more than is left goes back")
    sides = book.legs((Account("2010", row.id), amount_fen), (CLEARING["OFFLINE"], -amount_fen))
    book.post(connection, [book.Txn(f"{KEY}{pay_back_id.hex}", sides, now_ms, who.actor, pending=True)], now_ms)
    return request_id


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> int:
    """Confirm what another person recorded: it is the distributor's no more; how much, in fen."""
    agreed = approvals.confirm(connection, who, PAY_BACK, request_id, now_ms)
    row = _asked(connection, agreed.subject)
    voucher = vouchers.use(connection, request_id, agreed.subject)
    connection.execute(bank_top_up.update().where(bank_top_up.c.id == row.id).values(booked_at_ms=now_ms))
    book.resolve(connection, agreed.subject, True, now_ms, who.actor, now_ms)
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by), "amount_fen": -row.amount_fen}
    record(connection, now_ms, who.actor, PAY_BACK.name, agreed.subject, detail | voucher.detail)
    return int(-row.amount_fen)


def in_words(connection: Connection, asked: approvals.Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    row = _asked(connection, asked.subject)
    paid = f"{yuan(-row.amount_fen)} yuan, paid back by bank ({vouchers.kept(connection, asked.id).words})"
    whose = party_words(connection, row.distributor_id)
    return f"{paid}, are taken from the balance of {whose}{_owed_meanwhile(connection, row)}"


def free_pay_backs(centre: Centre) -> int:
    """Worker step: what was kept for a pay-back that nobody confirmed is the distributor's to use again; how many."""
    if not centre.finds(_unconfirmed(centre.now_ms())):
        return 0
    with centre.write() as connection:
        now_ms = centre.now_ms()
        found = _unconfirmed(now_ms).order_by(approval.c.id).limit(MAX_PER_STEP).with_for_update(of=approval)
        subjects = connection.scalars(found).all()
        return sum(book.resolve(connection, subject, False, now_ms, ACTOR, now_ms) for subject in subjects)


def _due_fen(connection: Connection, distributor_id: UUID) -> int:
    """What it owes for late entries: not charged yet, or charged at its provider and not through."""
    return owed_fen(connection, distributor_id) + not_through_fen(connection, distributor_id)


def _owed_meanwhile(connection: Connection, row: sa.Row[Any]) -> str:
    """What the distributor came to owe since the asking and nothing else of its balance covers, for who confirms."""
    due_fen = _due_fen(connection, row.distributor_id)
    lacking_fen = due_fen - owed_to(connection, Account("2010", row.distributor_id))
    if lacking_fen <= 0:
        return ""
    most_fen = max(0, -row.amount_fen - lacking_fen)
    return (
        f"; it has come to owe {due_fen} fen (`debt list`, `transfer list`), {lacking_fen} of which nothing else"
        f" covers: if the bank has not paid yet, withdraw this and ask anew for {most_fen} fen at most"
    )


def _asked(connection: Connection, subject: str) -> sa.Row[Any]:
    mine = bank_top_up.c.id == UUID(hex=subject.removeprefix(KEY))
    return connection.execute(sa.select(bank_top_up).where(mine)).one()


def _unconfirmed(now_ms: int) -> sa.Select[Any]:
    """The subjects of those that were withdrawn, or void for their age, and are still pending."""
    void = sa.and_(approval.c.state == "REQUESTED", approval.c.expires_at_ms <= now_ms)
    kept = sa.select(ledger_account.c.id).where(
        ledger_account.c.code == "2010", ledger_account.c.debits_pending_fen > 0
    )
    freed = sa.select(ledger_txn.c.id).where(ledger_txn.c.txn_key == approval.c.subject.concat(":void"))
    return sa.select(approval.c.subject).where(
        kept.exists(),  # seldom: else no request is looked at
        approval.c.act == PAY_BACK.name,
        sa.or_(approval.c.state.in_(("WITHDRAWN", "EXPIRED")), void),
        sa.not_(freed.exists()),
    )
