"""Income of annual passes: straight line by day over their validity, booked at the end of each month (Dr 2510 Cr 4060).

Days are counted from the moment the validity begins; the earlier ones carry the odd fen, so that they sum to the price.
What is earned follows from the day, so nothing is kept per pass but its account: a posting brings that to the line.
A posting per pass and day would be 36 million a year for 100,000 passes; per month it is 1.3 million, and a refund
first books what was earned until its day (`earned_until`). After a standstill the months follow one after the other.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.issuance.tables import issued_pass
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.ledger.tables import ledger_account
from sync_server.orders.tables import order, ticket
from sync_server.settlement.months import Month, month_named, month_of
from sync_server.settlement.tables import income_month
from wire import moments

ACTOR = "system:income"
STEP = "settlement.earn_income"
MAX_PER_STEP = 2_000
DAY_MINUTES = 24 * 60


def earn_income(centre: Centre) -> int:
    """Job: book what the passes earned in the oldest month that is over and not booked; 0 once all are."""
    zone = centre.settings.zone
    with centre.read() as connection:
        if _month_due(connection, zone, centre.now_ms()) is None:
            return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()
        month = _month_due(connection, zone, now_ms)
        if month is None:
            return 0
        new = {"month": month.name, "end_minute": moments.minute_floor(month.ends_ms)}
        insert_missing(connection, income_month, [new])
        mine = income_month.c.month == month.name
        after_id = connection.scalar(sa.select(income_month.c.after_order_id).where(mine))
        rows = connection.execute(_earning(month, after_id)).all()
        txns = [txn for row in rows if (txn := _earned(row, month)) is not None]
        book.post(connection, txns, now_ms)
        done: dict[str, object] = {"after_order_id": rows[-1].id} if rows else {}
        if len(rows) < MAX_PER_STEP:
            done["done_at_ms"] = now_ms
        connection.execute(income_month.update().where(mine).values(done))
        return max(1, len(rows))


def line_fen(price_fen: int, days: int, over: int) -> int:
    """What is earned once `over` of the days are over: the earlier days carry the odd fen (largest remainder)."""
    over = min(max(over, 0), days)
    return over * (price_fen // days) + min(over, price_fen % days)


def days_of(not_before: int, not_after: int, at_minute: int) -> tuple[int, int]:
    """How many days a validity has, the last one may be shorter, and how many are over at a moment; in minutes."""
    days = -((not_before - not_after) // DAY_MINUTES)
    return days, days if at_minute >= not_after else (at_minute - not_before) // DAY_MINUTES


def earned_until(connection: Connection, order_id: UUID, at_ms: int, actor: str) -> Txn | None:
    """What a pass has earned until now and is not booked yet; None: nothing, or it was never issued."""
    row = connection.execute(_accounts().where(order.c.id == order_id)).one_or_none()
    if row is None:
        return None
    return _txn(row, f"income:{order_id.hex}:refund", moments.minute_floor(at_ms), at_ms, actor)


def _month_due(connection: Connection, zone: str, now_ms: int) -> Month | None:
    newest = connection.execute(sa.select(income_month).order_by(income_month.c.month.desc()).limit(1)).one_or_none()
    if newest is None:
        first = sa.select(sa.func.min(issued_pass.c.not_before)).join(ticket, ticket.c.id == issued_pass.c.ticket_id)
        of_pass = first.join(order, order.c.id == ticket.c.order_id).where(order.c.kind == "PASS")
        minute = connection.scalar(of_pass)
        if minute is None:
            return None
        month = month_of(moments.minute_ms(minute), zone)
    else:
        month = month_named(newest.month, zone)
        if newest.done_at_ms is not None:
            month = month_of(month.ends_ms, zone)
    return month if month.ends_ms <= now_ms else None


def _accounts() -> sa.Select[Any]:
    """Pass orders with what their account still defers; annual passes alone have such accounts."""
    deferred = sa.and_(ledger_account.c.code == "2510", ledger_account.c.owner_id == order.c.id)
    left = (ledger_account.c.credits_posted_fen - ledger_account.c.debits_posted_fen).label("deferred_fen")
    return (
        sa.select(order.c.id, order.c.dist_price_fen, issued_pass.c.not_before, issued_pass.c.not_after, left)
        .join(ticket, ticket.c.order_id == order.c.id)
        .join(issued_pass, issued_pass.c.ticket_id == ticket.c.id)
        .join(ledger_account, deferred)
        .where(order.c.kind == "PASS")
    )


def _earning(month: Month, after_id: UUID | None) -> sa.Select[Any]:
    """The next passes that began before the month's end and still defer something, in the order of their ids."""
    query = _accounts().where(
        order.c.state == "ISSUED",
        issued_pass.c.not_before < moments.minute_floor(month.ends_ms),
        ledger_account.c.credits_posted_fen > ledger_account.c.debits_posted_fen,
    )
    if after_id is not None:
        query = query.where(order.c.id > after_id)
    return query.order_by(order.c.id).limit(MAX_PER_STEP)


def _earned(row: sa.Row[Any], month: Month) -> Txn | None:
    key = f"income:{row.id.hex}:{month.name}"
    return _txn(row, key, moments.minute_floor(month.ends_ms), month.ends_ms - 1, ACTOR)


def _txn(row: sa.Row[Any], key: str, at_minute: int, effective_at_ms: int, actor: str) -> Txn | None:
    """From what is booked to where the line is at a moment."""
    line = line_fen(row.dist_price_fen, *days_of(row.not_before, row.not_after, at_minute))
    more_fen = line - (row.dist_price_fen - row.deferred_fen)
    if more_fen <= 0:
        return None
    sides = legs((Account("2510", row.id), more_fen), (Account("4060"), -more_fen))
    return Txn(key, sides, effective_at_ms, actor)
