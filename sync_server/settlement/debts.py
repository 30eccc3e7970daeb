"""What parties owe the platform 欠款 and nothing else brings in: listed, and ended by two persons.

A venue owes what was clawed back of it, which its payouts keep back. Where it has none any more it pays by bank
(`repaying`), or the rest is written off (Dr 5090, Cr 1220). A prepaid distributor owes late entries
that its balance does not cover: a top-up brings them in, or they are given up, and 5020 keeps their cost. (One that is
charged at its provider has a transfer for each: `transfer remit`, `transfer abandon`.)
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person
from sync_server.audit.log import record
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.money import yuan
from sync_server.orders.owing import DUE
from sync_server.orders.tables import charge_back
from sync_server.parties.parties import party_by_org_number, party_words
from sync_server.parties.tables import party
from sync_server.people.permissions import Permission
from sync_server.settlement import charging_back, venue_debts
from sync_server.settlement.tables import clawback, debt_end

WRITE_OFF = Act("debt.write_off", Permission.RECON_WRITE_OFF)
LOSS = Account("5090")
MAX_LISTED = 1_000


class Debt(NamedTuple):
    """What a party owes in all, and since when some of it; `kind` is the party's."""

    party_id: UUID
    party: str
    name_zh: str
    kind: str
    amount_fen: int
    since_ms: int


def debts(connection: Connection) -> list[Debt]:
    """Who owes something, the oldest debt first."""
    left_fen = clawback.c.owed_fen - clawback.c.netted_fen - clawback.c.ended_fen
    parts = [
        (clawback.c.venue_id, left_fen, clawback.c.agreed_at_ms, venue_debts.OPEN),
        (charge_back.c.distributor_id, charge_back.c.amount_fen, charge_back.c.honoured_at_ms, DUE),
    ]
    found = []
    for whose, fen, since_ms, is_open in parts:
        owed_fen, oldest_ms = sa.cast(sa.func.sum(fen), sa.BigInteger), sa.func.min(since_ms)
        query = (
            sa.select(party.c.id, party.c.org_number, party.c.name_zh, party.c.kind, owed_fen, oldest_ms)
            .join(party, party.c.id == whose)
            .where(is_open)
            .group_by(party.c.id, party.c.org_number, party.c.name_zh, party.c.kind)
            .order_by(oldest_ms, party.c.org_number)
            .limit(MAX_LISTED)
        )
        found += [Debt(*row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (one.since_ms, one.party))


def ask_write_off(connection: Connection, who: Person, org_number: str, reason: str, now_ms: int) -> tuple[UUID, int]:
    """Ask that all that a party owes now is given up; the request, which another person confirms, and how much."""
    row = party_by_org_number(connection, org_number)
    request_id = approvals.request(connection, who, WRITE_OFF, f"party:{row.id.hex}", reason, now_ms)
    if row.kind == "DISTRIBUTOR":
        owed_fen = charging_back.owed_fen(connection, row.id)
    else:
        owed_fen = sum(part.fen for part in venue_debts.open_debts(connection, [row.id], now_ms)[row.id])
    if not owed_fen:
        raise NotAllowedError(f"party {org_number} owes 0 fen; see `debt list`")
    asked = {"id": request_id, "party_id": row.id, "amount_fen": owed_fen, "asked_at_ms": now_ms}
    connection.execute(debt_end.insert().values(asked))
    return request_id, owed_fen


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> int:
    """Confirm another person's request and book it at once; how much."""
    agreed = approvals.confirm(connection, who, WRITE_OFF, request_id, now_ms)
    asked = connection.execute(sa.select(debt_end).where(debt_end.c.id == request_id)).one()
    row = connection.execute(sa.select(party).where(party.c.id == asked.party_id)).one()
    if row.kind == "DISTRIBUTOR":
        _give_up_late_entries(connection, row, asked, now_ms)
    else:
        _give_up_venue_debt(connection, row, asked, who.actor, now_ms)
    connection.execute(debt_end.update().where(debt_end.c.id == request_id).values(booked_at_ms=now_ms))
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by), "amount_fen": asked.amount_fen}
    record(connection, now_ms, who.actor, WRITE_OFF.name, agreed.subject, detail)
    amount_fen: int = asked.amount_fen
    return amount_fen


def in_words(connection: Connection, asked: approvals.Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    row = connection.execute(sa.select(debt_end).where(debt_end.c.id == asked.id)).one()
    whose = party_words(connection, row.party_id)
    return f"{yuan(row.amount_fen)} yuan that {whose} owes are given up: they are the platform's loss"


def _give_up_late_entries(connection: Connection, row: sa.Row[Any], asked: sa.Row[Any], now_ms: int) -> None:
    """Nothing is posted: 5020 has their cost since they were honoured. What is owed since the asking stays owed."""
    exclusive(connection, charging_back.STEP)
    known = sa.and_(charge_back.c.distributor_id == row.id, charge_back.c.honoured_at_ms <= asked.asked_at_ms)
    mine = charge_back.update().where(DUE, known).values(given_up_at_ms=now_ms)
    ended = connection.execute(mine.returning(charge_back.c.redemption_id, charge_back.c.amount_fen)).all()
    _refuse_changed(row, asked.amount_fen, sum(one.amount_fen for one in ended))
    setbacks.forget(connection, charging_back.STEP, [one.redemption_id for one in ended])


def _give_up_venue_debt(connection: Connection, row: sa.Row[Any], asked: sa.Row[Any], actor: str, now_ms: int) -> None:
    """What was owed when it was asked for."""
    waiting = venue_debts.open_debts(connection, [row.id], now_ms, asked.asked_at_ms)[row.id]
    parts = venue_debts.take(waiting, asked.amount_fen)
    _refuse_changed(row, asked.amount_fen, sum(part.fen for part in parts))
    venue_debts.note_ended(connection, parts)
    sides = book.legs((LOSS, asked.amount_fen), (Account("1220", row.id), -asked.amount_fen))
    book.post(connection, [book.Txn(f"writeoff:{asked.id.hex}", sides, now_ms, actor)], now_ms)


def _refuse_changed(row: sa.Row[Any], asked_fen: int, owed_fen: int) -> None:
    if owed_fen != asked_fen:
        raise NotAllowedError(
            f"{asked_fen} fen were asked for, of which party {row.org_number} owes {owed_fen}: ask anew"
        )
