"""Our side of reconciliation: what we asked a provider for and what of it is in the book, by our number there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import among
from sync_server.db import MAX_BIND_VALUES, batches
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.money import fee_of
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import COMING_IN, MOVED_BESIDE, external_transfer, pays_an_order, transfer_attempt
from sync_server.reconciliation.matching import FEE, Movement
from sync_server.reconciliation.tables import provider_fee, recon_case, statement_day, statement_line, statement_match

MADE = ("SUCCEEDED", "REVERSED")
WITH_AN_ACCOUNT = ("CHARGE", "PAYOUT", "REFUND")
"""Where the account that we name is the one that the provider names too."""


_WHOLE = sa.cast(sa.func.sum(posting.c.amount_fen), sa.BigInteger)


class Ours(NamedTuple):
    """A movement, and where the ledger has or would have it."""

    movement: Movement
    ledger_key: str
    txn_id: UUID | None


def by_number(connection: Connection, provider: str, numbers: Collection[str]) -> dict[str, Ours]:
    """Our attempts at a provider under these numbers."""
    attempts: list[sa.Row[Any]] = []
    for some in batches(sorted(numbers), MAX_BIND_VALUES):
        attempts += connection.execute(_attempts(provider).where(among(connection, transfer_attempt.c.out_no, some)))
    return _with_book(connection, provider, attempts)


def still_open(connection: Connection, provider: str, until_ms: int) -> list[Movement]:
    """Those sent before a moment of which nobody knows the outcome and no line has the number."""
    lined = sa.exists().where(statement_line.c.out_no == transfer_attempt.c.out_no)
    open_ = sa.text("transfer_attempt.state IN ('SENT', 'UNKNOWN')")  # as uq_transfer_attempt_open says
    query = _attempts(provider).where(open_, transfer_attempt.c.sent_at_ms < until_ms, ~lined)
    found = _with_book(connection, provider, connection.execute(query).all())
    return [ours.movement for ours in found.values()]


def without_line(connection: Connection, provider: str, from_ms: int, to_ms: int) -> list[Movement]:
    """What the book moved on the provider's clearing account in [from, to) and no line stands for.

    Their number is the ledger key. What was undone moved nothing.
    """
    undoes = ledger_txn.alias("undoes")
    moved = (
        sa.select(posting.c.txn_id, _WHOLE.label("fen"))
        .select_from(posting.join(ledger_account))
        .where(ledger_account.c.name == CLEARING[provider].name, posting.c.layer == "posted")
        .where(~sa.exists().where(statement_match.c.txn_id == posting.c.txn_id))
        .group_by(posting.c.txn_id)
        .subquery()
    )
    query = (
        sa.select(ledger_txn.c.txn_key, ledger_txn.c.effective_at_ms, moved.c.fen)
        .join(moved, moved.c.txn_id == ledger_txn.c.id)
        .where(ledger_txn.c.effective_at_ms >= from_ms, ledger_txn.c.effective_at_ms < to_ms)
        .where(ledger_txn.c.reverses.is_(None), ~sa.exists().where(undoes.c.reverses == ledger_txn.c.id))
        .where(~ledger_txn.c.txn_key.startswith("case:"))
    )
    rows = connection.execute(query)
    return [Movement(key, "", fen, "SUCCEEDED", True, at_ms, at_ms) for key, at_ms, fen in rows]


def ended_days(connection: Connection, provider: str) -> list[tuple[int, int]]:
    """The days, half-open in ms, whose own statement and the next day's are in."""
    following = statement_day.alias("following")
    query = (
        sa.select(statement_day.c.from_ms, statement_day.c.to_ms)
        .join(
            following,
            sa.and_(following.c.provider == statement_day.c.provider, following.c.from_ms == statement_day.c.to_ms),
        )
        .where(statement_day.c.provider == provider)
    )
    return [(row.from_ms, row.to_ms) for row in connection.execute(query.order_by(statement_day.c.from_ms))]


def _attempts(provider: str) -> sa.Select[Any]:
    transfer = external_transfer.c
    return (
        sa.select(
            transfer_attempt.c.out_no,
            transfer_attempt.c.state,
            transfer_attempt.c.sent_at_ms,
            transfer_attempt.c.changed_at_ms,
            transfer_attempt.c.undone_key,
            transfer.kind,
            transfer.subject_key,
            transfer.account_ref,
            (transfer.amount_fen + transfer.yield_fen).label("amount_fen"),
            transfer.state.label("transfer_state"),
        )
        .join(external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id)
        .where(external_transfer.c.provider == provider)
    )


def _with_book(connection: Connection, provider: str, attempts: Sequence[sa.Row[Any]]) -> dict[str, Ours]:
    places = {row.out_no: _ledger_keys(row) for row in attempts}
    booked = dict(_booked(connection, provider, sorted({key for some in places.values() for key in some})))
    keys = {number: next((key for key in some if key in booked), some[-1]) for number, some in places.items()}
    numbers = sorted(keys)
    lined, fee_lined = _lines_of(connection, numbers)
    fees = _Fees(connection, provider)
    ours = {}
    for row in attempts:
        has_moved = row.state in {*MADE, *MOVED_BESIDE}
        txn = booked.get(keys[row.out_no]) if has_moved else None
        amount_fen = row.amount_fen if row.kind in COMING_IN else -row.amount_fen
        movement = Movement(
            out_no=row.out_no,
            kind=row.kind,
            amount_fen=amount_fen if txn is None else txn[1],
            state=row.state,
            booked=txn is not None or (row.state == "SUCCEEDED" and row.amount_fen == 0),
            sent_at_ms=row.sent_at_ms,
            known_at_ms=row.changed_at_ms,
            void=row.transfer_state == "VOID",
            of_order=pays_an_order(row.kind, row.subject_key),
            agreed_fee_fen=fees.agreed(row.kind, row.amount_fen, row.sent_at_ms),
            account_ref=row.account_ref if row.kind in WITH_AN_ACCOUNT else None,
            denied=has_moved and txn is None and keys[row.out_no] in booked,
            has_line=row.out_no in lined,
            has_fee_line=row.out_no in fee_lined,
        )
        ours[row.out_no] = Ours(movement, keys[row.out_no], None if txn is None else txn[0])
    return ours


def _ledger_keys(row: sa.Row[Any]) -> tuple[str, ...]:
    """Where an attempt's money may be booked: with its transfer, as it was then; as suspense, also if it was accepted
    since; or else as what came too late.
    """
    suspense = f"double:{row.out_no}"
    if row.state in MADE:
        return suspense, str(row.undone_key or row.subject_key)
    if row.state not in MOVED_BESIDE:
        return (str(row.subject_key),)
    late = row.transfer_state == "VOID" and pays_an_order(row.kind, row.subject_key)
    return (suspense, f"late:{row.subject_key.split(':')[1]}") if late else (suspense,)


def _booked(
    connection: Connection, provider: str, keys: Sequence[str]
) -> Iterator[tuple[str, tuple[UUID, int] | None]]:
    """Key -> transaction and what it moved on the clearing account; None where two persons say that it did not: written
    off so, or undone without a line by which it came back.
    """
    undoes = ledger_txn.alias("undoes")
    lined = sa.exists().where(statement_match.c.txn_id == undoes.c.id)
    never_was = sa.exists().where(undoes.c.reverses == ledger_txn.c.id, ~lined)
    written_off = sa.exists().where(
        recon_case.c.subject == ledger_txn.c.txn_key, recon_case.c.settled_as == "WRITTEN_OFF"
    )
    for some in batches(keys, MAX_BIND_VALUES):
        query = (
            sa.select(ledger_txn.c.txn_key, ledger_txn.c.id, _WHOLE, sa.or_(written_off, never_was))
            .select_from(ledger_txn.join(posting, posting.c.txn_id == ledger_txn.c.id).join(ledger_account))
            .where(among(connection, ledger_txn.c.txn_key, some), posting.c.layer == "posted")
            .where(ledger_account.c.name == CLEARING[provider].name)
            .group_by(ledger_txn.c.txn_key, ledger_txn.c.id)
        )
        for key, txn_id, amount_fen, denied in connection.execute(query):
            yield key, None if denied else (txn_id, amount_fen)


def _lines_of(connection: Connection, numbers: Sequence[str]) -> tuple[set[str], set[str]]:
    """Which numbers have a line that was judged, and which a line that is their fee."""
    lined: set[str] = set()
    fee_lined: set[str] = set()
    line = statement_line.c
    for some in batches(numbers, MAX_BIND_VALUES):
        query = sa.select(line.out_no, line.kind).where(among(connection, line.out_no, some))
        for number, kind in connection.execute(query.where((line.kind == FEE) | line.settled_at_ms.is_not(None))):
            (fee_lined if kind == FEE else lined).add(number)
    return lined, fee_lined


class _Fees:
    """What was agreed with a provider, the newest rule of a moment first."""

    def __init__(self, connection: Connection, provider: str) -> None:
        query = sa.select(provider_fee).where(provider_fee.c.provider == provider)
        self._rules = connection.execute(query.order_by(provider_fee.c.valid_from_ms.desc())).all()

    def agreed(self, kind: str, amount_fen: int, at_ms: int) -> int | None:
        for rule in self._rules:
            if rule.kind == kind and rule.valid_from_ms <= at_ms:
                return fee_of(amount_fen, rule.bps, rule.min_fen, rule.max_fen)
        return None
