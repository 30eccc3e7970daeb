"""人工出票申请: a held order goes on after its distributor's top-up, when it applies for that or an operator runs it.

An application whose money is not there waits in a queue; an operator runs or refuses it, and the hold's deadline ends
it (money.md Q5, §2.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.audit.log import record
from sync_server.centre import Centre
from sync_server.db import exclusive, new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger.tables import ledger_account
from sync_server.orders import history, owing
from sync_server.orders.paying import Deducted, Short, deduct
from sync_server.orders.progress import advance, lock_stock
from sync_server.orders.states import APPLICATION
from sync_server.orders.tables import issue_application, order
from sync_server.parties.tables import party
from sync_server.payments import transfers
from sync_server.payments.tables import INCOMING, external_transfer
from sync_server.people.identifying import Person
from sync_server.people.permissions import Permission, need

ACTOR = "system:applications"
STEP = "orders.go_on_after_top_up"
MAX_PER_STEP = 200
MAX_LISTED = 1_000
MAX_REASON_CHARACTERS = 200

application = issue_application.c


class Queued(NamedTuple):
    """An application that waits; the order, whose it is, and until when it is held."""

    number: str
    org_number: str
    amount_fen: int
    hold_deadline_ms: int
    applied_at_ms: int
    applied_by: str


def apply(connection: Connection, number: str, actor: str, now_ms: int) -> UUID | Deducted | Short:
    """Its distributor wants a held order to go on: it does at once where the money is there, else it is queued.

    Of a direct debit the id of the transfer that charges again, as the provider alone knows the balance.
    NotAllowedError: it is not held, or its hold is over.
    """
    row = _held(connection, number, now_ms)
    done = _go_on(connection, row, actor, now_ms)
    if _open(connection, row.id) is None:
        new = {"id": new_id(now_ms), "order_id": row.id, "state": "APPLIED"}
        connection.execute(issue_application.insert().values(**new, applied_at_ms=now_ms, applied_by=actor))
        if isinstance(done, Short):
            history.add(connection, row.id, "applied", row.state, now_ms, actor, done.words)
    if not isinstance(done, Short):
        _decide(connection, row.id, "run", now_ms, actor)
    return done


def run(connection: Connection, number: str, who: Person, reason: str, now_ms: int) -> UUID | Deducted | Short:
    """An operator lets a held order go on, applied for or not; Short: it stays as it is."""
    _need(who, reason)
    row = _held(connection, number, now_ms)
    done = _go_on(connection, row, who.actor, now_ms)
    if not isinstance(done, Short):
        _decide(connection, row.id, "run", now_ms, who.actor)
        record(connection, now_ms, who.actor, "order.run", f"order:{number}", {"reason": reason})
    return done


def refuse(connection: Connection, number: str, who: Person, reason: str, now_ms: int) -> None:
    """An operator refuses an application; its distributor may apply again until the hold is over."""
    _need(who, reason)
    row = _held(connection, number, now_ms)
    if _open(connection, row.id) is None:
        raise NotAllowedError(f"nobody applied for order {number} to go on")
    _decide(connection, row.id, "refuse", now_ms, who.actor, reason)
    history.add(connection, row.id, "application_refused", row.state, now_ms, who.actor, reason)
    record(connection, now_ms, who.actor, "order.refuse", f"order:{number}", {"reason": reason})


def lapse(connection: Connection, order_id: UUID, now_ms: int, actor: str) -> None:
    """An order was closed: what was applied for it is void."""
    _decide(connection, order_id, "lapse", now_ms, actor)


def queue(connection: Connection) -> list[Queued]:
    """The applications that wait for an operator, the oldest first."""
    query = (
        sa.select(
            order.c.number,
            party.c.org_number,
            (order.c.dist_price_fen + order.c.charge_fee_fen).label("amount_fen"),
            order.c.hold_deadline_ms,
            application.applied_at_ms,
            application.applied_by,
        )
        .select_from(issue_application)
        .join(order, order.c.id == application.order_id)
        .join(party, party.c.id == order.c.distributor_id)
        .where(application.state == "APPLIED")
    )
    rows = connection.execute(query.order_by(application.applied_at_ms, application.id).limit(MAX_LISTED))
    return [Queued(*row) for row in rows]


def go_on_after_top_up(centre: Centre) -> int:
    """Worker step: held orders of distributors who want it so go on once their balance covers them; how many did."""
    covered = _covered(centre.now_ms())
    if not centre.finds(covered):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        tried = order.c.id.not_in([UUID(bytes=one) for one in setbacks.left_out(connection, STEP, now_ms)])
        some = covered.where(tried).order_by(order.c.placed_at_ms, order.c.id).limit(MAX_PER_STEP)
        found = connection.execute(some.with_for_update(of=order)).all()
        lock_stock(connection, found)

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            for row in rows:
                if isinstance(deduct(connection, row, ACTOR, now_ms), Deducted):
                    _decide(connection, row.id, "run", now_ms, ACTOR)

        return setbacks.act_on(connection, STEP, found, lambda row: bytes(row.id.bytes), act, now_ms)


def _covered(now_ms: int) -> sa.Select[Any]:
    """An order that an earlier one of the same turn left no money for is Short, and found no more."""
    totals = ledger_account.c
    left_fen = totals.credits_posted_fen - totals.debits_posted_fen - totals.debits_pending_fen
    owed = owing.owed_by(order.c.distributor_id).scalar_subquery()
    prepaid = sa.and_(totals.code == "2010", totals.owner_id == order.c.distributor_id)
    return (
        sa.select(order)
        .join(party, party.c.id == order.c.distributor_id)
        .join(ledger_account, prepaid)
        .where(
            party.c.goes_on_after_top_up,
            order.c.state == "PENDING_PAYMENT",
            order.c.hold.is_not(None),
            order.c.funding == "PREPAID",
            order.c.hold_deadline_ms > now_ms,
            order.c.cancelled_at_ms.is_(None),
            left_fen - owed >= order.c.dist_price_fen + order.c.charge_fee_fen,
        )
    )


def _held(connection: Connection, number: str, now_ms: int) -> sa.Row[Any]:
    """An order that waits for a top-up, locked."""
    row = connection.execute(sa.select(order).where(order.c.number == number).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"no order has the number {number!r}")
    if row.hold is None:
        raise NotAllowedError(f"order {number} is {row.state} and waits for no top-up")
    if row.cancelled_at_ms is not None or now_ms >= row.hold_deadline_ms:
        raise NotAllowedError(f"order {number} waits no longer: place it again")
    return row


def _go_on(connection: Connection, row: sa.Row[Any], actor: str, now_ms: int) -> UUID | Deducted | Short:
    if row.funding == "PREPAID":
        return deduct(connection, row, actor, now_ms)
    transfer = external_transfer.c
    mine = sa.select(transfer.id).where(transfer.subject_id == row.id, transfer.kind.in_(INCOMING))
    transfer_id: UUID = connection.scalars(mine).one()
    transfers.begin_again(connection, transfer_id, now_ms)
    advance(connection, row, "resumed", now_ms, actor, hold=None)
    return transfer_id


def _open(connection: Connection, order_id: UUID) -> UUID | None:
    mine = sa.select(application.id).where(application.order_id == order_id, application.state == "APPLIED")
    found: UUID | None = connection.scalar(mine)
    return found


def _decide(
    connection: Connection, order_id: UUID, event: str, now_ms: int, actor: str, reason: str | None = None
) -> None:
    """What was applied for an order, if anything was, is decided."""
    mine = issue_application.update().where(application.order_id == order_id, application.state == "APPLIED")
    values = {"state": APPLICATION.next("APPLIED", event), "decided_at_ms": now_ms, "decided_by": actor}
    connection.execute(mine.values(reason=reason, **values))


def _need(who: Person, reason: str) -> None:
    need(who, Permission.APPLICATIONS_DECIDE)
    if not 0 < len(reason.strip()) <= MAX_REASON_CHARACTERS:
        raise NotAllowedError(f"this needs a reason of 1 to {MAX_REASON_CHARACTERS} characters")
