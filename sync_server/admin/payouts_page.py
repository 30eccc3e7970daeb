"""打款: what the venues are paid, those first that need a person; one payout with its attempts, lines and postings."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import abort, render_template
from sqlalchemy.engine import Connection

from sync_server.admin import filters
from sync_server.admin.access import page
from sync_server.admin.actors import names_of
from sync_server.admin.paging import Page, keyset_page, whole_sum
from sync_server.admin.shown import centre
from sync_server.admin.words import PAYOUT_LINES, PAYOUT_TABS, PROVIDER_WORDS
from sync_server.ledger.book import PENDING_SUFFIX
from sync_server.ledger.tables import ledger_txn
from sync_server.orders.tables import order, order_item, ticket
from sync_server.outbox import next_runs
from sync_server.parties.tables import party
from sync_server.payments import remitting
from sync_server.payments.tables import MOVED_BESIDE, external_transfer, transfer_attempt
from sync_server.payments.transfers import JOB
from sync_server.people.permissions import Permission
from sync_server.reconciliation.undoing import AGAIN
from sync_server.redemptions.tables import redemption
from sync_server.settlement.lines import all_lines
from sync_server.settlement.tables import ADJUSTMENT_KINDS, payout, payout_adjustment, payout_line

HERE = "admin.payouts"
MAX_LINES = 500

# A tab of the list -> the payouts in it; the first is what a person has to look at.
UNCLEAR = external_transfer.c.state == "UNKNOWN"
TABS: dict[str, sa.ColumnElement[bool]] = {
    "todo": sa.or_(payout.c.state == "FAILED", sa.and_(payout.c.state == "SEALED", UNCLEAR)),
    "running": sa.or_(
        payout.c.state == "OPEN",
        sa.and_(payout.c.state == "SEALED", sa.or_(external_transfer.c.state.is_(None), ~UNCLEAR)),
    ),
    "paid": payout.c.state == "PAID",
    "all": sa.true(),
}
COUNTED_TABS = ("todo", "running")  # short lists; the others grow without end


def _select() -> sa.Select[Any]:
    replacement = payout.alias("replacement")
    extra = sa.text("transfer_attempt.state = 'EXTRA'")  # as ix_transfer_attempt_extra says
    beside = sa.exists().where(transfer_attempt.c.transfer_id == payout.c.transfer_id, extra)
    counts = [
        sa.select(sa.func.count()).select_from(table).where(table.c.payout_id == payout.c.id).scalar_subquery()
        for table in (payout_line, payout_adjustment)
    ]
    return (
        sa.select(
            payout,
            party.c.name_zh,
            party.c.name_en,
            (counts[0] + counts[1]).label("lines"),
            replacement.c.number.label("replacement"),
            external_transfer.c.state.label("transfer_state"),
            external_transfer.c.reason.label("transfer_reason"),
            external_transfer.c.attempts,
            external_transfer.c.provider_ref,
            external_transfer.c.account_ref,
            external_transfer.c.provider,
            beside.label("moved_beside"),
        )
        .join(party, party.c.id == payout.c.venue_id)
        .outerjoin(external_transfer, external_transfer.c.id == payout.c.transfer_id)
        .outerjoin(replacement, replacement.c.id == payout.c.replaced_by)
    )


def _listed(connection: Connection) -> dict[str, Any]:
    arguments = filters.asked("tab", "before", "after")
    counts = {tab: _count(connection, tab) for tab in COUNTED_TABS}
    tab = filters.one_of(arguments.get("tab"), TABS) or ("todo" if counts["todo"].payouts else "all")
    found: Page = keyset_page(connection, _select().where(TABS[tab]), (payout.c.created_at_ms, payout.c.id), arguments)
    return {
        "here": HERE,
        "page": found,
        "next_tries": next_runs(connection, JOB, (row.transfer_id for row in found.rows if row.transfer_id)),
        "tab": tab,
        "tabs": PAYOUT_TABS,
        "kinds": PAYOUT_LINES,
        "providers": PROVIDER_WORDS,
        "counts": counts,
        "arguments": {"tab": tab},
    }


def _count(connection: Connection, tab: str) -> sa.Row[int, int]:
    return connection.execute(
        sa.select(sa.func.count().label("payouts"), whole_sum(payout.c.total_fen).label("total_fen"))
        .select_from(payout.outerjoin(external_transfer, external_transfer.c.id == payout.c.transfer_id))
        .where(TABS[tab])
    ).one()


@page("/payouts", needs=Permission.SETTLEMENT_VIEW)
def payouts() -> str:
    with centre().read() as connection:
        listed = _listed(connection)
    return render_template("admin/payouts.html", **listed)


@page("/payouts/<number>", needs=Permission.SETTLEMENT_VIEW)
def payout_detail(number: str) -> str:
    with centre().read() as connection:
        row = connection.execute(_select().where(payout.c.number == number)).one_or_none()
        if row is None:
            abort(404)
        listed = _listed(connection)
        attempts = connection.execute(
            sa.select(transfer_attempt)
            .where(transfer_attempt.c.transfer_id == row.transfer_id)
            .order_by(transfer_attempt.c.n.desc())
        ).all()
        lines = _lines(connection, row)
        key = f"payout:{row.id.hex}"
        undone = [word + one.undone_key for one in attempts if one.undone_key for word in ("", "reverse:")]
        again = [f"{key}{AGAIN}{one.n}" for one in attempts if one.undone_key]
        undone += [one + ending for one in again for ending in ("", PENDING_SUFFIX, ":void")]
        doubles = [f"double:{one.out_no}" for one in attempts if one.state in MOVED_BESIDE]
        keys = [key, key + PENDING_SUFFIX, *undone, *doubles, f"netting:{row.id.hex}", *map(_key, lines)]
        by_bank = {} if row.transfer_id is None else remitting.confirmed(connection, row.transfer_id)
        persons = {f"operator:{one}" for told in by_bank.values() for one in (told.requested_by, told.decided_by)}
        actors = names_of(connection, persons)
        txns = connection.execute(
            sa.select(ledger_txn.c.txn_key, ledger_txn.c.effective_at_ms)
            .where(ledger_txn.c.txn_key.in_(keys))
            .order_by(ledger_txn.c.effective_at_ms, ledger_txn.c.txn_key)
        ).all()
    shown = {"payout": row, "attempts": attempts, "lines": lines, "txns": txns, "by_bank": by_bank, "actors": actors}
    return render_template("admin/payout.html", **listed, **shown)


def _lines(connection: Connection, row: sa.Row[Any]) -> list[sa.Row[Any]]:
    """One line per redemption that is paid with this payout, and whatever else it pays or keeps."""
    line = all_lines()
    query = (
        sa.select(
            line,
            redemption.c.occurred_at_ms,
            ticket.c.number.label("ticket_number"),
            order.c.number.label("order_number"),
        )
        .select_from(line)
        .outerjoin(redemption, redemption.c.id == line.c.redemption_id)
        .outerjoin(order_item, order_item.c.id == line.c.item_id)
        .outerjoin(ticket, ticket.c.id == sa.func.coalesce(order_item.c.ticket_id, redemption.c.ticket_id))
        .outerjoin(order, order.c.id == ticket.c.order_id)
        .where(line.c.payout_id == row.id)
        .order_by(line.c.kind.in_(ADJUSTMENT_KINDS), redemption.c.occurred_at_ms)
        .limit(MAX_LINES)
    )
    return list(connection.execute(query))


def _key(line: sa.Row[Any]) -> str:
    """The ledger key of a line's own transaction (money.md §3); claw-backs are netted per payout."""
    if line.kind == "REDEEM":
        return f"redeem:{line.item_id.hex}"
    if line.redemption_id is None:
        return ""
    return f"{'visit' if line.kind == 'VISIT' else 'honour'}:{line.redemption_id.hex()}"
