"""Reading the book: one account's balance, and the trial balance over all of them."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.ledger.accounts import Account
from sync_server.ledger.tables import ledger_account


class Balance(NamedTuple):
    """Debits less credits, in fen: assets and expenses stand above 0, liabilities and income below."""

    posted_fen: int
    pending_fen: int


class TrialLine(NamedTuple):
    """All accounts of one code together, posted amounts in fen."""

    code: str
    debits_fen: int
    credits_fen: int

    @property
    def balance_fen(self) -> int:
        return self.debits_fen - self.credits_fen


def balance(connection: Connection, account: Account) -> Balance:
    """0 and 0 for an account nothing was ever posted to."""
    row = connection.execute(
        sa.select(
            ledger_account.c.debits_posted_fen - ledger_account.c.credits_posted_fen,
            ledger_account.c.debits_pending_fen - ledger_account.c.credits_pending_fen,
        ).where(ledger_account.c.name == account.name)
    ).one_or_none()
    return Balance(0, 0) if row is None else Balance(*row)


def free_fen(connection: Connection, account: Account) -> int:
    """What is there of an account of ours, less what is on its way out of it or waits to go."""
    totals = ledger_account.c
    free = totals.debits_posted_fen - totals.credits_posted_fen - totals.credits_pending_fen
    return connection.scalar(sa.select(free).where(totals.name == account.name)) or 0


def owed_to(connection: Connection, account: Account) -> int:
    """What is still owed by a covered account (I9): what is on its way out of it counts as paid, in fen."""
    totals = ledger_account.c
    left = totals.credits_posted_fen - totals.debits_posted_fen - totals.debits_pending_fen
    return connection.scalar(sa.select(left).where(totals.name == account.name)) or 0


def trial_balance(connection: Connection) -> list[TrialLine]:
    """By code; the balances of all lines sum to 0."""
    totals = ledger_account.c
    rows = connection.execute(
        sa.select(
            totals.code,
            sa.cast(sa.func.sum(totals.debits_posted_fen), sa.BigInteger),
            sa.cast(sa.func.sum(totals.credits_posted_fen), sa.BigInteger),
        )
        .group_by(totals.code)
        .order_by(totals.code)
    )
    return [TrialLine(*row) for row in rows]
