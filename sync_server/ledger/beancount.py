"""The book in the words of beancount, an accounting program of others: a second opinion on every sum of ours.

Each account is an account there, each posted transaction a transaction with its key, its moments and its actor; at the
end every account's own total is asserted, so that beancount adds the postings up and compares. What is pending has not
happened and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.ledger.accounts import CHART, Account
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.money import yuan

CURRENCY = "CNY"
OPENED = date(2020, 1, 1)  # before anything was sold
ROWS_AT_ONCE = 1_000
ROOTS = {"1": "Assets", "2": "Liabilities", "3": "Equity", "4": "Income", "5": "Expenses"}


def beancount_lines(connection: Connection, zone: ZoneInfo) -> Iterator[str]:
    """The whole book, line by line; days are those of `zone`."""
    yield 'option "title" "Platform ledger"'
    yield f'option "operating_currency" "{CURRENCY}"'
    streamed = connection.execution_options(yield_per=ROWS_AT_ONCE)
    accounts = sa.select(ledger_account).order_by(ledger_account.c.name)
    for row in streamed.execute(accounts):
        yield f"{OPENED} open {account_name(row.code, row.owner_id)} {CURRENCY}"
        yield f"  holds: {_quoted(CHART[row.code].english)}"
    last_day = OPENED
    for _, legs in groupby(streamed.execute(_posted()), key=lambda leg: leg.id):
        first, *others = legs
        last_day = max(last_day, _day(first.effective_at_ms, zone))
        yield from _transaction(first, others, zone)
    for row in streamed.execute(accounts):
        total = yuan(row.debits_posted_fen - row.credits_posted_fen)
        name = account_name(row.code, row.owner_id)
        yield f"{last_day + timedelta(days=1)} balance {name} {total} ~ 0.00 {CURRENCY}"  # to the fen


def account_name(code: str, owner: Any) -> str:
    """Beancount's name of an account of ours: its kind, its code, and whom it is kept for."""
    return ":".join([ROOTS[code[0]], *Account(code, owner).name.upper().split(":")])


def _posted() -> sa.Select[Any]:
    corrected = ledger_txn.alias("corrected")
    return (
        sa.select(
            ledger_txn,
            corrected.c.txn_key.label("corrected_key"),
            ledger_account.c.code,
            ledger_account.c.owner_id,
            posting.c.amount_fen,
        )
        .select_from(ledger_txn.join(posting).join(ledger_account))
        .outerjoin(corrected, corrected.c.id == ledger_txn.c.reverses)
        .where(posting.c.layer == "posted")
        .order_by(ledger_txn.c.id, posting.c.leg)
    )


def _transaction(first: sa.Row[Any], others: list[sa.Row[Any]], zone: ZoneInfo) -> Iterator[str]:
    yield f"{_day(first.effective_at_ms, zone)} * {_quoted(first.txn_key)}"
    yield f"  actor: {_quoted(first.actor)}"
    yield f"  effective-at-ms: {first.effective_at_ms}"
    yield f"  recorded-at-ms: {first.recorded_at_ms}"
    if first.corrected_key is not None:
        yield f"  reverses: {_quoted(first.corrected_key)}"
    for leg in (first, *others):
        yield f"  {account_name(leg.code, leg.owner_id)}  {yuan(leg.amount_fen)} {CURRENCY}"


def _day(at_ms: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at_ms / 1000, zone).date()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
