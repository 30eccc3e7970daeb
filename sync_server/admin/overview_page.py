"""总览: the figures of today and what waits for a person, each a link to the rows it is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import render_template
from sqlalchemy.engine import Connection

from sync_server.admin.access import Open, page, who
from sync_server.admin.gates_page import gates_now
from sync_server.admin.paging import whole_sum
from sync_server.admin.payouts_page import TABS
from sync_server.admin.shown import HOUR_MS, centre, day_start_ms, local
from sync_server.admin.waiting import waiting
from sync_server.ledger.tables import ledger_account
from sync_server.orders.tables import order
from sync_server.parties.tables import party, venue
from sync_server.payments.tables import external_transfer
from sync_server.people.permissions import Permission
from sync_server.redemptions.tables import entry, redemption
from sync_server.settlement.tables import payout
from wire.messages import EntryKind

COUNTED = ("CLAIMED", "PASS_VISIT")
FIRST_HOUR, LAST_HOUR = 7, 19  # drawn even when nobody came
WEEK_MS = 7 * 24 * HOUR_MS


class Hour(NamedTuple):
    """One bar: entries between `hour` and the next; `height` of the highest, in per cent; `running`: not over yet."""

    hour: int
    entries: int
    height: int
    running: bool


@page("/", needs=Open.SIGNED_IN)
def overview() -> str:
    shown: dict[str, Any] = {}
    now_ms = centre().now_ms()
    today_ms = day_start_ms(now_ms)
    with centre().read() as connection:
        if who().may(Permission.ORDERS_VIEW):
            shown["sales"] = _sales(connection, today_ms)
        if who().may(Permission.ENTRIES_VIEW):
            shown |= _entries(connection, now_ms, today_ms)
        if who().may(Permission.SETTLEMENT_VIEW):
            shown |= _funds(connection, today_ms)
        if who().may(Permission.GATES_VIEW):
            shown["gates"] = gates_now(connection)
        if shown:
            shown["waiting"] = waiting(connection, who(), shown.get("stuck"), shown.get("gates", ()))
    return render_template(
        "admin/overview.html", here="admin.overview", today=local(now_ms).date().isoformat(), **shown
    )


def _sales(connection: Connection, today_ms: int) -> dict[str, int]:
    """Paid orders of today: how many of each kind, and the sum of all under "paid_fen"."""
    query = sa.select(order.c.kind, sa.func.count().label("orders"), whole_sum(order.c.paid_fen).label("paid_fen"))
    paid = query.where(order.c.placed_at_ms >= today_ms, order.c.paid_fen > 0)
    rows = connection.execute(paid.group_by(order.c.kind)).all()
    counts = {row.kind: row.orders for row in rows}
    return {"PASS": 0, "TICKET": 0, **counts, "paid_fen": sum(row.paid_fen for row in rows)}


# Counted in the answer, not asked for in the condition: so the index by venue and time is used, not that by outcome.
_counted = sa.func.count().filter(redemption.c.outcome.in_(COUNTED)).label("entries")


def _since(moment_ms: int) -> sa.ColumnElement[bool]:
    """Redemptions since a moment; naming the venues lets the index by venue and time find them."""
    return sa.and_(redemption.c.venue_id.in_(sa.select(venue.c.id)), redemption.c.occurred_at_ms >= moment_ms)


def _entries(connection: Connection, now_ms: int, today_ms: int) -> dict[str, Any]:
    """Entries of today by hour and by venue, and refusals."""
    hour = ((redemption.c.occurred_at_ms - today_ms) // HOUR_MS).label("hour")
    rows = connection.execute(sa.select(hour, _counted).where(_since(today_ms)).group_by(sa.literal_column("hour")))
    by_hour = {int(row.hour): row.entries for row in rows}
    refused = sa.select(sa.func.count()).where(entry.c.kind == EntryKind.REFUSED, entry.c.occurred_at_ms >= today_ms)
    return {
        "hours": _bars(by_hour, local(now_ms).hour),
        "entered": sum(by_hour.values()),
        "refused": connection.scalar(refused) or 0,
        "by_venue": _by_venue(connection, now_ms),
    }


def _by_venue(connection: Connection, now_ms: int) -> list[sa.Row[Any]]:
    """Entries of the last seven days by venue, most first."""
    rows = connection.execute(
        sa.select(party.c.name_zh, party.c.name_en, _counted)
        .join(redemption, redemption.c.venue_id == party.c.id)
        .where(_since(now_ms - WEEK_MS))
        .group_by(party.c.id, party.c.name_zh, party.c.name_en)
        .order_by(_counted.desc(), party.c.name_zh)
    )
    return [row for row in rows if row.entries]


def _bars(by_hour: dict[int, int], running: int) -> list[Hour]:
    hours = range(min([FIRST_HOUR, *by_hour]), max([LAST_HOUR, *by_hour]) + 1)
    most = max([1, *by_hour.values()])
    return [Hour(hour, by_hour.get(hour, 0), by_hour.get(hour, 0) * 100 // most, hour == running) for hour in hours]


def _funds(connection: Connection, today_ms: int) -> dict[str, Any]:
    """Money held for tickets not used yet, owed to venues, paid to them today; and payouts that need a person."""
    owed = ledger_account.c.credits_posted_fen - ledger_account.c.debits_posted_fen
    balances = {
        row.code: row.owed_fen
        for row in connection.execute(
            sa.select(ledger_account.c.code, whole_sum(owed).label("owed_fen"))
            .where(ledger_account.c.code.in_(("2110", "2210")))
            .group_by(ledger_account.c.code)
        )
    }
    many = sa.func.count().label("payouts"), whole_sum(payout.c.total_fen).label("total_fen")
    joined = payout.outerjoin(external_transfer, external_transfer.c.id == payout.c.transfer_id)
    return {
        "held_fen": balances.get("2110", 0),
        "owed_fen": balances.get("2210", 0),
        "paid": connection.execute(sa.select(*many).where(payout.c.paid_at_ms >= today_ms)).one(),
        "stuck": connection.execute(sa.select(*many).select_from(joined).where(TABS["todo"])).one(),
    }
