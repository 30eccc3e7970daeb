"""充值: a distributor pays in, at its provider's cashier or by a bank transfer that two persons record (P1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person
from sync_server.audit.log import record
from sync_server.centre import Centre
from sync_server.db import exclusive, new_id
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.money import yuan
from sync_server.parties.accounts import account_of
from sync_server.parties.parties import find_party, party_words
from sync_server.payments import transfers, vouchers
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import STOPPED
from sync_server.payments.tables import bank_top_up, external_transfer
from sync_server.payments.vouchers import Voucher
from sync_server.people.permissions import Permission

RECORD = Act("top_up.record", Permission.TOP_UPS_RECORD)
TOP_UP = "topup:"
"""The transaction's key, and what two persons agree on, is this and the top-up's id."""
STEP = "payments.close_top_ups"
ACTOR = "system:top-ups"
MAX_TOP_UP_FEN = 10_000_000_000
CASHIER_OPEN_MS = 30 * 60_000
MAX_PER_STEP = 200


def begin(
    connection: Connection,
    distributor_id: UUID,
    amount_fen: int,
    actor: str,
    now_ms: int,
    *,
    caller_sends: bool = False,
) -> UUID:
    """Let a distributor pay in at its provider's cashier; the transfer's id. Credited once the provider has it."""
    _check(connection, distributor_id, amount_fen)
    top_up_id = new_id(now_ms)
    provider, account_ref = account_of(connection, distributor_id, now_ms)
    wanted = transfers.Request(
        kind="TOP_UP",
        subject_key=f"{TOP_UP}{top_up_id.hex}",
        subject_id=top_up_id,
        provider=provider,
        party_id=distributor_id,
        account_ref=account_ref,
        amount_fen=amount_fen,
        title="充值",
        legs=_legs(CLEARING[provider], distributor_id, amount_fen),
        expires_at_ms=now_ms + CASHIER_OPEN_MS,
    )
    return transfers.request(connection, [wanted], actor, now_ms, caller_sends=caller_sends)[wanted.subject_key]


def ask(
    connection: Connection,
    who: Person,
    distributor_id: UUID,
    amount_fen: int,
    voucher: Voucher,
    reason: str,
    now_ms: int,
) -> UUID:
    """Record what came in by bank; the id of the request, which another person confirms."""
    _check(connection, distributor_id, amount_fen)
    top_up_id = new_id(now_ms)
    request_id = approvals.request(connection, who, RECORD, f"{TOP_UP}{top_up_id.hex}", reason, now_ms)
    vouchers.keep(connection, request_id, voucher, now_ms)
    row = {"id": top_up_id, "distributor_id": distributor_id, "amount_fen": amount_fen, "asked_at_ms": now_ms}
    connection.execute(bank_top_up.insert().values(row))
    return request_id


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> UUID:
    """Confirm what another person recorded: it is the distributor's at once; the top-up's id."""
    agreed = approvals.confirm(connection, who, RECORD, request_id, now_ms)
    mine = bank_top_up.c.id == UUID(hex=agreed.subject.partition(":")[2])
    row = connection.execute(sa.select(bank_top_up).where(mine)).one()
    voucher = vouchers.use(connection, request_id, agreed.subject)
    connection.execute(bank_top_up.update().where(mine).values(booked_at_ms=now_ms))
    sides = _legs(CLEARING["OFFLINE"], row.distributor_id, row.amount_fen)
    book.post(connection, [book.Txn(agreed.subject, sides, now_ms, who.actor)], now_ms)
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by), "amount_fen": row.amount_fen}
    record(connection, now_ms, who.actor, "top_up.record", agreed.subject, detail | voucher.detail)
    top_up_id: UUID = row.id
    return top_up_id


def in_words(connection: Connection, asked: approvals.Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    mine = bank_top_up.c.id == UUID(hex=asked.subject.partition(":")[2])
    row = connection.execute(sa.select(bank_top_up).where(mine)).one()
    paid = vouchers.kept(connection, asked.id).words
    whose = party_words(connection, row.distributor_id)
    return f"{yuan(row.amount_fen)} yuan, paid in by bank ({paid}), are added to the balance of {whose}"


def close_top_ups(centre: Centre) -> int:
    """Worker step: top-ups that nobody paid at the cashier in time are void; how many were."""
    over = _over(centre.now_ms())
    if not centre.finds(over):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        left_out = [UUID(bytes=one) for one in setbacks.left_out(connection, STEP, now_ms)]
        tried = over.where(external_transfer.c.id.not_in(left_out))
        found = connection.execute(tried.order_by(external_transfer.c.id).limit(MAX_PER_STEP)).all()

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            for row in rows:
                transfers.abandon(connection, row.id, "超时未付", ACTOR, now_ms)

        return setbacks.act_on(connection, STEP, found, lambda row: bytes(row.id.bytes), act, now_ms)


def _over(now_ms: int) -> sa.Select[Any]:
    transfer = external_transfer.c
    return sa.select(transfer.id).where(
        transfer.kind == "TOP_UP", transfer.state.in_(STOPPED), transfer.expires_at_ms <= now_ms
    )


def _check(connection: Connection, distributor_id: UUID, amount_fen: int) -> None:
    row = find_party(connection, distributor_id)
    if row.kind != "DISTRIBUTOR":
        raise NotAllowedError(f"party {row.org_number} is no distributor: it pays nothing in")
    if not 0 < amount_fen <= MAX_TOP_UP_FEN:
        raise NotAllowedError(f"a top-up is 1 to {MAX_TOP_UP_FEN} fen, not {amount_fen}")


def _legs(clearing: Account, distributor_id: UUID, amount_fen: int) -> tuple[book.Leg, ...]:
    """P1."""
    return book.legs((clearing, amount_fen), (Account("2010", distributor_id), -amount_fen))
