"""What is looked at while `flows` runs: all rules of `check`, nothing put aside, the providers' lines in our book."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.checks import INVARIANTS, flaws_of
from sync_server.invariants import broken
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.orders.claims import EXPIRED
from sync_server.orders.tables import item_claim, order, order_item
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import OPEN
from sync_server.payments.tables import (
    COMING_IN,
    INCOMING,
    MOVED_BESIDE,
    bank_top_up,
    bank_voucher,
    external_transfer,
    transfer_attempt,
)
from sync_server.profit.report import month_of, profit_of
from sync_server.profit.tables import profit_allocation, profit_payment
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.tables import recon_case
from sync_server.redemptions.tables import redemption
from sync_server.setbacks import setback
from sync_server.settlement.tables import debt_end
from sync_server.statements import numbered
from sync_server.statements.rows import OWED, lines_between
from tests.sync_server.direct_provider import APP_ID
from tests.sync_server.settlement.flow_lies import LIES
from tests.sync_server.settlement.flow_scene import CAPITAL_FEN, ZONE
from wire import moments

if TYPE_CHECKING:
    from sandbox_provider.book import Book
    from tests.sync_server.settlement.flow_scene import Scene

_SUBJECTS = sa.select(transfer_attempt.c.out_no, external_transfer.c.subject_key).join(
    external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id
)


def flaws(connection: Connection) -> list[str]:
    """Every rule that is broken, and every row that a step could not work on, but what cannot be issued on purpose."""
    unasked = ~setback.c.reason.contains("its validity is too short")  # as `issuing_breaks_or_is_mended` has it
    found = [f"put aside: {row.step}: {row.reason}" for row in connection.execute(sa.select(setback).where(unasked))]
    for each in INVARIANTS:
        found += [f"{each.name} ({each.rule}): {row}" for row in broken(connection, each)]
    return found + _too_early(connection)


def books_differ(connection: Connection, scene: Scene) -> list[str]:
    """Where what a provider moved is not what our attempts say, or not what is posted on its clearing account (I17)."""
    found = [each for name, book in scene.books.items() for each in _lines(connection, name, book)]
    if (bank_fen := balance(connection, CLEARING["OFFLINE"]).posted_fen) != (told_fen := _by_bank(connection)):
        found.append(f"the bank: our book says {bank_fen}, the vouchers {told_fen}")
    return found


def settled_flaws(connection: Connection, scene: Scene) -> list[str]:
    """What may not be left once everybody behaves: open outcomes, lies nobody noticed, balances that are not theirs."""
    opened = connection.scalars(sa.select(transfer_attempt.c.out_no).where(transfer_attempt.c.state.in_(OPEN))).all()
    found = flaws_of(connection) + [f"the outcome of {out_no} is still open" for out_no in opened]
    for name, book in scene.books.items():
        ours, theirs = balance(connection, CLEARING[name]).posted_fen, book.balances()[APP_ID] - CAPITAL_FEN
        beyond_fen = scene.beyond_fen[name] + _posted(connection, name, "case:%")
        if ours != theirs + beyond_fen:
            found.append(f"{name}: our book says {ours}, theirs {theirs}, its statements {beyond_fen} beyond it")
    for statement_row in (row for made in scene.statements.values() for _, row in made):
        found += statement_flaws(connection, statement_row)
    return found + _unnoticed(connection, scene) + _funds_differ(connection, scene) + _profit_flaws(connection)


def statement_flaws(connection: Connection, row: sa.Row[Any]) -> list[str]:
    """Where a party's frozen statement is not what the ledger says of its period, to the fen."""
    zone = ZoneInfo(ZONE)
    first, last = date.fromisoformat(row.from_day), date.fromisoformat(row.to_day) + timedelta(days=1)
    from_ms, to_ms = (int(datetime.combine(day, time(), zone).timestamp()) * 1000 for day in (first, last))
    found = []
    for word, until_ms, said_fen in (("opening", from_ms, row.opening_fen), ("closing", to_ms, row.closing_fen)):
        query = (
            sa.select(sa.func.coalesce(sa.func.sum(-posting.c.amount_fen), 0))
            .select_from(posting.join(ledger_account).join(ledger_txn, ledger_txn.c.id == posting.c.txn_id))
            .where(ledger_account.c.owner_id == row.party_id, ledger_account.c.code.in_(OWED[row.kind]))
            .where(posting.c.layer == "posted", ledger_txn.c.recorded_at_ms < until_ms)
        )
        if (owed_fen := int(connection.execute(query).scalar_one())) != said_fen:
            found.append(f"statement {row.number}: {word} {said_fen}, the ledger {owed_fen}")
    lines = [(line.txn_key, line.owed_fen, line.moved_fen) for line in numbered.rows_of(connection, row.id)]
    again = lines_between(connection, row.kind, row.party_id, from_ms, to_ms)
    if sorted(lines) != sorted((line.txn_key, line.owed_fen, line.moved_fen) for line in again):
        found.append(f"statement {row.number}: its lines are not those of the ledger any more")
    return found


def _lines(connection: Connection, name: str, book: Book) -> list[str]:
    attempts = {
        row.out_no: row
        for row in connection.execute(
            sa.select(
                transfer_attempt.c.out_no,
                transfer_attempt.c.state,
                external_transfer.c.state.label("transfer_state"),
                external_transfer.c.kind,
                external_transfer.c.subject_id,
                (external_transfer.c.amount_fen + external_transfer.c.yield_fen).label("amount_fen"),
            )
            .join(external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id)
            .where(transfer_attempt.c.provider == name)
        )
    }
    lines = {str(row["out_no"]): int(str(row["amount_fen"])) for row in book.statement(APP_ID, 0, 1 << 60)}
    found, booked_fen = [], 0
    for out_no, moved_fen in lines.items():
        attempt = attempts.get(out_no)
        if attempt is None:
            if not out_no_of_arrival(connection, out_no):
                found.append(f"{name} moved {moved_fen} under {out_no}, which is not ours")
            continue
        wanted_fen = attempt.amount_fen if attempt.kind in COMING_IN else -attempt.amount_fen
        known = attempt.state in {"SUCCEEDED", *MOVED_BESIDE}
        if moved_fen != wanted_fen and (known or attempt.kind != "FUND_CLOSE"):
            found.append(f"{name} moved {moved_fen} under {out_no} instead of {wanted_fen}")
        if not known and attempt.state not in OPEN:
            found.append(f"{name} moved {moved_fen} under {out_no}, which is {attempt.state} here")
        if attempt.state == "SUCCEEDED" or (attempt.state in MOVED_BESIDE and _is_booked(connection, attempt)):
            booked_fen += moved_fen
    done = {
        out_no
        for out_no, attempt in attempts.items()
        if attempt.state in {"SUCCEEDED", *MOVED_BESIDE}
        and attempt.amount_fen  # a fund may be closed with nothing in it
    }
    found += [f"{name} never moved {out_no}" for out_no in sorted(done - set(lines))]
    posted_fen = balance(connection, CLEARING[name]).posted_fen
    beside_fen = _posted(connection, name, "stmt:%") + _posted(connection, name, "case:%")
    if posted_fen != booked_fen + beside_fen:
        found.append(f"{name}: {posted_fen} is posted, its lines are {booked_fen}, reconciliation booked {beside_fen}")
    return found


def out_no_of_arrival(connection: Connection, out_no: str) -> bool:
    """A sweep may arrive before we wait for it."""
    query = sa.select(external_transfer.c.id).where(external_transfer.c.original_out_no == out_no)
    return connection.scalar(query.where(external_transfer.c.kind == "SWEEP_OUT")) is not None


def _posted(connection: Connection, provider: str, keys: str) -> int:
    """What the transactions with such keys moved on a clearing account."""
    query = (
        sa.select(sa.func.coalesce(sa.func.sum(posting.c.amount_fen), 0))
        .select_from(posting.join(ledger_account).join(ledger_txn, ledger_txn.c.id == posting.c.txn_id))
        .where(ledger_account.c.name == CLEARING[provider].name, posting.c.layer == "posted")
        .where(ledger_txn.c.txn_key.like(keys))
    )
    return int(connection.execute(query).scalar_one())


def _by_bank(connection: Connection) -> int:
    """What two persons said of the bank: paid in, back, by venues, remitted, paid to partners, written off to it."""
    out_fen = sa.case(
        (external_transfer.c.kind.in_(COMING_IN), -external_transfer.c.amount_fen), else_=external_transfer.c.amount_fen
    )
    remitted = (
        sa.select(sa.func.coalesce(sa.func.sum(out_fen), 0))
        .join(transfer_attempt, transfer_attempt.c.transfer_id == external_transfer.c.id)
        .where(transfer_attempt.c.provider == "OFFLINE")
    )
    paid_in = sa.select(sa.func.coalesce(sa.func.sum(bank_top_up.c.amount_fen), 0)).where(
        bank_top_up.c.booked_at_ms.is_not(None)
    )
    partners = sa.select(sa.func.coalesce(sa.func.sum(profit_payment.c.amount_fen), 0)).where(
        profit_payment.c.booked_at_ms.is_not(None)
    )
    repaid = (
        sa.select(sa.func.coalesce(sa.func.sum(debt_end.c.amount_fen), 0))
        .join(bank_voucher, bank_voucher.c.request_id == debt_end.c.id)
        .where(debt_end.c.booked_at_ms.is_not(None))
    )
    told = [int(connection.execute(query).scalar_one()) for query in (paid_in, repaid, remitted, partners)]
    return told[0] + told[1] - told[2] - told[3] + _posted(connection, "OFFLINE", "case:%")


def _unnoticed(connection: Connection, scene: Scene) -> list[str]:
    """Lies of statements that became no case, and cases of their kinds that no lie explains."""
    keys = {row.out_no: row.subject_key for row in connection.execute(_SUBJECTS)}
    wanted = {(lie, keys.get(about, about)) for lie, about in scene.expected}
    opened = {
        (Difference(row.difference), row.subject if row.line_no is None else f"{row.provider}:{row.line_no}")
        for row in connection.execute(sa.select(recon_case).where(recon_case.c.difference.in_(LIES)))
    }
    return [f"no case {lie} about {about}" for lie, about in sorted(wanted - opened)] + [
        f"a case {lie} about {about} that nobody lied about" for lie, about in sorted(opened - wanted)
    ]


def _funds_differ(connection: Connection, scene: Scene) -> list[str]:
    """Where a combo's fund holds at the provider what our book does not say."""
    held = scene.books["HUIJINBAO"].balances()
    combos = connection.execute(sa.select(order.c.id, order.c.number).where(order.c.invest_basis.is_not(None))).all()
    found = []
    for row in combos:
        ours = balance(connection, Account("1110", row.id)).posted_fen
        theirs = held.get(f"fund:{APP_ID}:{row.number}", 0)
        if ours != theirs:
            found.append(f"the fund of {row.number}: our book says {ours}, theirs {theirs}")
    return found


def _profit_flaws(connection: Connection) -> list[str]:
    """Where a month that was shared is another one now, or its shares are not the partners' parts of it."""
    found = []
    for month in connection.scalars(sa.select(profit_allocation.c.month).distinct()).all():
        earned: Counter[UUID] = Counter()
        for row in profit_of(connection, month_of(month, ZONE)):
            earned[row.product_id] += row.profit_fen
        mine = sa.select(profit_allocation).where(profit_allocation.c.month == month)
        for share in connection.execute(mine):
            fair_fen = Fraction(share.profit_fen * share.share_bps, 10_000)
            if share.profit_fen != earned[share.product_id] or abs(share.amount_fen - fair_fen) >= 1:
                found.append(f"{month}: {share.amount_fen} of {share.profit_fen}, earned {earned[share.product_id]}")
    return found


def _is_booked(connection: Connection, attempt: Any) -> bool:
    """What came for an order after it was closed is booked when it is given back; more of it, as suspense at once."""
    if attempt.transfer_state != "VOID" or attempt.kind not in INCOMING:
        return True
    keys = (f"double:{attempt.out_no}", f"late:{attempt.subject_id.hex}")
    return connection.scalar(sa.select(ledger_txn.c.id).where(ledger_txn.c.txn_key.in_(keys)).limit(1)) is not None


def _too_early(connection: Connection) -> list[str]:
    """Items that expired although an entry made before their end was still on its way (I15)."""
    rows = connection.execute(
        sa.select(redemption.c.item_id, redemption.c.occurred_at_ms, order_item.c.valid_to)
        .join(item_claim, item_claim.c.item_id == redemption.c.item_id)
        .join(order_item, order_item.c.id == redemption.c.item_id)
        .where(redemption.c.outcome == "LATE", item_claim.c.ref == EXPIRED)
    )
    return [
        f"item {row.item_id} expired before all was known"
        for row in rows
        if row.occurred_at_ms < moments.minute_ms(row.valid_to)
    ]
