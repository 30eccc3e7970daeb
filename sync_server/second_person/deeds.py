"""Every act that needs two persons: how it is told in words, and how it is done once the second one confirms."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person, Request
from sync_server.gates import journal_acts
from sync_server.payments import abandoning, account_changes, remitting, top_ups
from sync_server.profit import sharing
from sync_server.reconciliation import accepting, other_amounts, recon_cases, returned_sweeps, undoing
from sync_server.settlement import clawing_back, debts, paying_back, pools, repaying, venue_debts, visit_terms


class Deed(NamedTuple):
    """`confirm` also asks `approvals` whether this person may; what it gives back is for its other callers."""

    act: Act
    in_words: Callable[[Connection, Request, int], str]
    confirm: Callable[[Connection, Person, UUID, int], object]


DEEDS = {
    deed.act.name: deed
    for deed in (
        Deed(journal_acts.RETIRE, journal_acts.in_words, journal_acts.confirm),
        Deed(journal_acts.UNFREEZE, journal_acts.in_words, journal_acts.confirm),
        Deed(account_changes.CHANGE, account_changes.in_words, account_changes.confirm),
        Deed(top_ups.RECORD, top_ups.in_words, top_ups.confirm),
        Deed(paying_back.PAY_BACK, paying_back.in_words, paying_back.confirm),
        Deed(abandoning.ABANDON, abandoning.in_words, abandoning.confirm),
        Deed(remitting.REMIT, remitting.in_words, remitting.confirm),
        Deed(clawing_back.REFUND_VISIT, clawing_back.in_words, clawing_back.confirm),
        Deed(venue_debts.REPAY, repaying.in_words, repaying.confirm),
        Deed(debts.WRITE_OFF, debts.in_words, debts.confirm),
        Deed(recon_cases.WRITE_OFF, recon_cases.in_words, recon_cases.confirm_write_off),
        Deed(accepting.ACCEPT, accepting.in_words, accepting.confirm),
        Deed(other_amounts.OTHER_AMOUNT, other_amounts.in_words, other_amounts.confirm),
        Deed(undoing.UNDO, undoing.in_words, undoing.confirm),
        Deed(returned_sweeps.RETURNED, returned_sweeps.in_words, returned_sweeps.confirm),
        Deed(visit_terms.TARIFFS, visit_terms.in_words, visit_terms.confirm),
        Deed(pools.POOL, pools.in_words, pools.confirm),
        Deed(sharing.PAY, sharing.in_words, sharing.confirm_payment),
    )
}


class Told(NamedTuple):
    """A request, what it does in words as things stand now, and the permission that both persons need."""

    request: Request
    does: str
    needs: str


def waiting(connection: Connection, now_ms: int) -> list[Told]:
    """What can be confirmed now, the oldest first."""
    return [_told(connection, request, now_ms) for request in approvals.open_requests(connection, now_ms)]


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> Told:
    """Confirm another person's request and carry it out at once; what was done."""
    told = _told(connection, approvals.find(connection, request_id), now_ms)
    DEEDS[told.request.act].confirm(connection, who, request_id, now_ms)
    return told


def withdraw(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> Request:
    """Take a request back; who asked may, and whoever might have confirmed it."""
    request = approvals.find(connection, request_id)
    approvals.withdraw(connection, who, DEEDS[request.act].act, request_id, now_ms)
    return request


def _told(connection: Connection, request: Request, now_ms: int) -> Told:
    deed = DEEDS[request.act]
    return Told(request, deed.in_words(connection, request, now_ms), deed.act.needs)
