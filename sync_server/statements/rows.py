"""The lines of a statement, read from the ledger: every transaction that concerns a party, in the order of the book.

Price and fee, what is owed and what was paid are the transaction's own postings, so that a statement cannot say
anything else than the ledger; orders, tickets, payouts and the provider's numbers are looked up beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import external_transfer
from sync_server.reconciliation.recon_cases import SUSPENSE
from sync_server.statements.beside import Beside

OWED = {"VENUE": ("2210", "1220"), "DISTRIBUTOR": ("2010", "2310")}
"""The accounts that say what the platform owes a party, or is owed."""
PRICES = {"VENUE": (), "DISTRIBUTOR": ("2110", "2120", "2510")}
"""Where a distributor's charge puts the price of what it bought."""
_NO_SALE = {"netting", "repaid", "writeoff"}
"""How what a venue owes ends: nobody visits it for that, and the price was told when it came to owe it."""
FEES = {"VENUE": "4020", "DISTRIBUTOR": "4010"}
_CASH = (*(account.code for account in CLEARING.values()), SUSPENSE.code)
"""Where money comes and goes; suspense too, where what moved waited to be known as its own."""


class StatementLine(NamedTuple):
    """One row of table `statement_row`."""

    txn_key: str
    at_ms: int
    order_number: str | None
    ticket_number: str | None
    price_fen: int | None
    fee_fen: int | None
    owed_fen: int
    moved_fen: int
    payout_number: str | None
    provider_ref: str | None


def balance_before(connection: Connection, kind: str, party_id: UUID, before_ms: int) -> int:
    """What the platform owed a party by all that the book had learnt before a moment."""
    query = (
        sa.select(sa.cast(sa.func.coalesce(sa.func.sum(posting.c.amount_fen), 0), sa.BigInteger))
        .select_from(posting.join(ledger_account).join(ledger_txn, ledger_txn.c.id == posting.c.txn_id))
        .where(_is_owed(kind, party_id), posting.c.layer == "posted", ledger_txn.c.recorded_at_ms < before_ms)
    )
    return -connection.scalars(query).one()


def lines_between(
    connection: Connection, kind: str, party_id: UUID, from_ms: int, to_ms: int
) -> Iterator[StatementLine]:
    """What the book learnt in [from, to) about a party, in its order."""
    txns = list(_txns(connection, kind, party_id, from_ms, to_ms))
    beside = Beside(connection, kind, {txn.key: txn.at_ms for txn in txns})
    for txn in txns:
        yield StatementLine(
            txn.key,
            txn.at_ms,
            *beside.order_and_ticket(txn.key),
            _price_fen(kind, txn),
            txn.fee_fen or None,
            txn.owed_fen,
            txn.moved_fen,
            *beside.payout_and_reference(txn.key),
        )


class _Txn(NamedTuple):
    key: str
    at_ms: int
    owed_fen: int
    moved_fen: int
    price_fen: int
    fee_fen: int


def _price_fen(kind: str, txn: _Txn) -> int | None:
    """Of a distributor what it bought with this charge; of a venue what its visitors cost, below 0 where given back."""
    word = txn.key.split(":")[0]
    if kind == "DISTRIBUTOR":
        return txn.price_fen if word == "charge" or txn.key.endswith(":charge") else None
    return None if txn.moved_fen or word in _NO_SALE else txn.owed_fen + txn.fee_fen


def _txns(connection: Connection, kind: str, party_id: UUID, from_ms: int, to_ms: int) -> Iterator[_Txn]:
    """The transactions, each with the sums of its postings that matter here."""
    period = sa.and_(ledger_txn.c.recorded_at_ms >= from_ms, ledger_txn.c.recorded_at_ms < to_ms)
    mine = (
        sa.select(posting.c.txn_id)
        .select_from(posting.join(ledger_account).join(ledger_txn, ledger_txn.c.id == posting.c.txn_id))
        .where(_is_owed(kind, party_id), posting.c.layer == "posted", period)
    )
    paid = (
        sa.select(ledger_txn.c.id)
        .join(external_transfer, external_transfer.c.subject_key == ledger_txn.c.txn_key)
        .where(external_transfer.c.party_id == party_id, period)
    )
    concerned = sa.union(mine, paid).subquery()
    code = ledger_account.c.code
    whose = sa.and_(code.in_(OWED[kind]), ledger_account.c.owner_id == party_id)
    query = (
        sa.select(
            ledger_txn.c.txn_key,
            ledger_txn.c.effective_at_ms,
            _sum(whose),
            _sum(code.in_(_CASH)),
            _sum(code.in_(PRICES[kind])) if PRICES[kind] else sa.literal(0),
            _sum(code == FEES[kind]),
        )
        .select_from(concerned)
        .join(ledger_txn, ledger_txn.c.id == concerned.c[0])
        .join(posting, sa.and_(posting.c.txn_id == ledger_txn.c.id, posting.c.layer == "posted"))
        .join(ledger_account, ledger_account.c.id == posting.c.account_id)
        .group_by(ledger_txn.c.id, ledger_txn.c.txn_key, ledger_txn.c.effective_at_ms, ledger_txn.c.recorded_at_ms)
        .order_by(ledger_txn.c.recorded_at_ms, _sum(whose), ledger_txn.c.id)  # at one moment: earned before paid
    )
    for key, at_ms, *sums in connection.execute(query):
        yield _Txn(key, at_ms, *(-fen for fen in sums))


def _sum(which: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.sum(sa.case((which, posting.c.amount_fen), else_=0)), sa.BigInteger)


def _is_owed(kind: str, party_id: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(ledger_account.c.code.in_(OWED[kind]), ledger_account.c.owner_id == party_id)
