"""记账分录: the balances of the book, its transactions newest first, and one transaction with its postings."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import abort, render_template
from sqlalchemy.engine import Connection

from sync_server.admin import filters
from sync_server.admin.access import page
from sync_server.admin.actors import names_of
from sync_server.admin.book_words import numbers_of
from sync_server.admin.paging import Page, keyset_page
from sync_server.admin.shown import centre
from sync_server.ledger.accounts import CHART
from sync_server.ledger.balances import trial_balance
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.parties.tables import party
from sync_server.people.permissions import Permission

HERE = "admin.postings"


@page("/ledger", needs=Permission.LEDGER_VIEW)
def postings() -> str:
    with centre().read() as connection:
        arguments = filters.asked("code", "owner", "before", "after")
        found = _found(connection, arguments)
        shown = _shown(connection, found.rows)
        balances = trial_balance(connection)
        owner = _owner(arguments)
        kept_for = None if owner is None else connection.scalar(sa.select(party.c.name_zh).where(party.c.id == owner))
    more = {"arguments": arguments, "balances": balances, "chart": CHART, "kept_for": kept_for}
    return render_template("admin/ledger.html", here=HERE, page=found, **shown, **more)


@page("/ledger/<path:key>", needs=Permission.LEDGER_VIEW)
def transaction(key: str) -> str:
    with centre().read() as connection:
        row = connection.execute(sa.select(ledger_txn).where(ledger_txn.c.txn_key == key)).one_or_none()
        if row is None:
            abort(404)
        resolved = ledger_txn.alias()
        related = connection.execute(
            sa.select(resolved.c.txn_key).where(sa.or_(resolved.c.resolves == row.id, resolved.c.id == row.resolves))
        ).all()
        shown = _shown(connection, [row])
    return render_template("admin/transaction.html", here=HERE, txn=row, related=related, chart=CHART, **shown)


def _found(connection: Connection, arguments: dict[str, str]) -> Page:
    """Transactions, all or those that touch an account."""
    query = sa.select(ledger_txn)
    if code := filters.one_of(arguments.get("code"), CHART):
        touched = sa.select(posting.c.txn_id).join(ledger_account).where(ledger_account.c.code == code)
        if (owner := _owner(arguments)) is not None:
            touched = touched.where(ledger_account.c.owner_id == owner)
        query = query.where(ledger_txn.c.id.in_(touched))
    return keyset_page(connection, query, (ledger_txn.c.id,), arguments)


def _owner(arguments: dict[str, str]) -> UUID | None:
    try:
        return UUID(hex=arguments.get("owner", ""))
    except ValueError:
        return None


def _shown(connection: Connection, rows: list[sa.Row[Any]]) -> dict[str, Any]:
    """The postings of these transactions by transaction, and who acted."""
    legs: defaultdict[UUID, list[sa.Row[Any]]] = defaultdict(list)
    query = (
        sa.select(posting, ledger_account.c.code, ledger_account.c.owner_id, party.c.name_zh, party.c.name_en)
        .join(ledger_account, ledger_account.c.id == posting.c.account_id)
        .outerjoin(party, party.c.id == ledger_account.c.owner_id)
        .where(posting.c.txn_id.in_([row.id for row in rows]))
        .order_by(posting.c.leg)
    )
    for leg in connection.execute(query):
        legs[leg.txn_id].append(leg)
    return {
        "legs": legs,
        "numbers": numbers_of(connection, rows),
        "actors": names_of(connection, (row.actor for row in rows)),
    }
