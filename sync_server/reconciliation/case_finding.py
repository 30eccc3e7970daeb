"""Cases that no line tells of: transfers given up, attempts beside another; and cases that end by themselves."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.parties.tables import PROVIDERS
from sync_server.payments.states import OPEN as UNDER_WAY
from sync_server.payments.states import STOPPED
from sync_server.payments.tables import LATE_ENTRY, external_transfer, pays_an_order, transfer_attempt
from sync_server.reconciliation.case_states import OPEN
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.matching import FEE, PAID_IN
from sync_server.reconciliation.movements import by_number
from sync_server.reconciliation.recon_cases import STEP, SUSPENSE, NewCase, explained, open_cases
from sync_server.reconciliation.statement_books import correct_line
from sync_server.reconciliation.tables import recon_case, statement_line, statement_match

MAX_PER_STEP = 500


def find_cases(centre: Centre) -> int:
    """Cases of transfers that two persons gave up and of attempts that moved beside another; how many are new."""
    given_up, extra = _given_up(), _extra()
    if not centre.finds(given_up) and not centre.finds(extra):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        cases = [
            NewCase(Difference.VOIDED, row.provider, row.subject_key)
            for row in connection.execute(given_up.limit(MAX_PER_STEP))
        ]
        for row in connection.execute(extra.limit(MAX_PER_STEP)):
            of_order = pays_an_order(row.kind, row.subject_key)  # beside another that came too late
            after_void = row.state in ("VOID", *STOPPED) and not of_order
            difference = Difference.PAID_AFTER_VOID if after_void else Difference.DOUBLE_PAID
            cases.append(NewCase(difference, row.provider, row.out_no, -row.amount_fen, in_suspense=True))
        return open_cases(connection, cases, centre.now_ms())


def end_answered_cases(centre: Centre) -> int:
    """Cases about an unknown outcome end when it is known; how many did."""
    known = _known()
    if not centre.finds(known):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        cases = connection.execute(known.limit(MAX_PER_STEP)).all()
        for case in cases:
            explained(connection, case, 0, centre.now_ms())
        return len(cases)


def match_later(centre: Centre) -> int:
    """Lines in suspense whose movement is in our book by now: they are it after all; how many were.

    Of several with one number the first is it.
    """
    later = _later()
    if not centre.finds(later):
        return 0
    matched: set[UUID] = set()
    with centre.write() as connection:
        exclusive(connection, STEP)
        for case in connection.execute(later.limit(MAX_PER_STEP)).all():
            ours = by_number(connection, case.provider, [case.out_no]).get(case.out_no)
            if ours is None or ours.txn_id is None or ours.txn_id in matched:
                continue
            correct_line(connection, case.provider, case, ours, centre.now_ms())
            explained(connection, case, case.amount_fen - ours.movement.amount_fen, centre.now_ms())
            matched.add(ours.txn_id)
    return len(matched)


def _given_up() -> sa.Select[Any]:
    told = sa.exists().where(
        recon_case.c.difference == Difference.VOIDED, recon_case.c.subject == external_transfer.c.subject_key
    )
    return sa.select(external_transfer.c.provider, external_transfer.c.subject_key).where(
        external_transfer.c.state == "VOID",
        sa.or_(external_transfer.c.kind.not_in(PAID_IN), external_transfer.c.subject_key.startswith(LATE_ENTRY)),
        external_transfer.c.kind != "SWEEP_IN",  # sent back, as two persons said with the line or voucher
        external_transfer.c.provider.in_(PROVIDERS),
        ~told,
    )


def _extra() -> sa.Select[Any]:
    """Attempts whose money is in suspense (P14), without their case."""
    told = sa.exists().where(
        recon_case.c.subject == transfer_attempt.c.out_no,
        recon_case.c.difference.in_([Difference.DOUBLE_PAID, Difference.PAID_AFTER_VOID]),
    )
    return (
        sa.select(
            transfer_attempt.c.out_no,
            external_transfer.c.provider,
            external_transfer.c.state,
            external_transfer.c.kind,
            external_transfer.c.subject_key,
            posting.c.amount_fen,
        )
        .join(external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id)
        .join(ledger_txn, ledger_txn.c.txn_key == sa.literal("double:").concat(transfer_attempt.c.out_no))
        .join(posting, posting.c.txn_id == ledger_txn.c.id)
        .join(ledger_account, ledger_account.c.id == posting.c.account_id)
        .where(sa.text("transfer_attempt.state = 'EXTRA'"))  # as ix_transfer_attempt_extra says
        .where(ledger_account.c.name == SUSPENSE.name, ~told)
    )


def _known() -> sa.Select[Any]:
    return (
        sa.select(recon_case)
        .join(transfer_attempt, transfer_attempt.c.out_no == recon_case.c.subject)
        .where(recon_case.c.difference == Difference.STILL_OPEN, recon_case.c.state.in_(OPEN))
        .where(transfer_attempt.c.state.not_in(UNDER_WAY))
    )


def _later() -> sa.Select[Any]:
    """Open cases of lines that stand for no movement, of a number under which something succeeded meanwhile."""
    line = statement_line.c
    taken = statement_match.alias("taken")
    mine = sa.exists().where(
        taken.c.provider == line.provider, taken.c.line_no == line.line_no, taken.c.role == "MOVEMENT"
    )
    keys = external_transfer.c.subject_key, sa.literal("double:").concat(transfer_attempt.c.out_no)
    stands = sa.exists().where(taken.c.txn_id == ledger_txn.c.id, ledger_txn.c.txn_key.in_(keys))
    return (
        sa.select(recon_case, line.line_no, line.out_no, line.at_ms)
        .join(statement_line, sa.and_(line.provider == recon_case.c.provider, line.line_no == recon_case.c.line_no))
        .join(transfer_attempt, transfer_attempt.c.out_no == line.out_no)
        .join(external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id)
        .where(recon_case.c.state.in_(OPEN), recon_case.c.in_suspense)
        .where(external_transfer.c.provider == line.provider, transfer_attempt.c.state == "SUCCEEDED")
        .where(line.kind != FEE, ~mine, ~stands)
        .order_by(line.day, line.line_no)
    )
