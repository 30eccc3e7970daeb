"""What there is to act on in a run of `flows`: a rule is offered only where it can do something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from hypothesis.stateful import precondition
from sqlalchemy.engine import Connection

from sync_server.issuance.tables import issued_pass
from sync_server.ledger.tables import ledger_account
from sync_server.orders.states import UNPAID
from sync_server.orders.tables import charge_back, item_claim, order
from sync_server.payments.states import STOPPED
from sync_server.payments.tables import INCOMING, LATE_ENTRY, external_transfer
from sync_server.profit.tables import profit_allocation, profit_payment
from sync_server.reconciliation.case_states import OPEN
from sync_server.reconciliation.differences import BY_ATTEMPT
from sync_server.reconciliation.tables import recon_case, statement_line
from sync_server.redemptions.inboxes import in_inbox
from sync_server.redemptions.tables import decision, redemption
from sync_server.settlement.tables import payout, payout_line
from tests.sync_server.settlement.flow_scene import Scene

_STOPPED = sa.select(external_transfer.c.id).where(external_transfer.c.state.in_(STOPPED))
_BY_BANK = sa.or_(
    external_transfer.c.kind.in_(["PAYOUT", "REFUND"]), external_transfer.c.subject_key.startswith(LATE_ENTRY)
)
_ISSUED = sa.select(order.c.id).where(order.c.state == "ISSUED")
_PASSES = sa.select(order.c.id).where(order.c.kind == "PASS")
_SAID = sa.exists().where(decision.c.redemption_id == redemption.c.id)
_PAID = sa.exists().where(
    profit_payment.c.month == profit_allocation.c.month,
    profit_payment.c.partner_id == profit_allocation.c.partner_id,
    profit_payment.c.booked_at_ms.is_not(None),
)
_IN_A_PAYOUT = sa.exists().where(payout_line.c.redemption_id == redemption.c.id)
_VENUE_OWES = sa.select(ledger_account.c.id).where(
    ledger_account.c.code == "1220", ledger_account.c.debits_posted_fen > ledger_account.c.credits_posted_fen
)
_LATE_ENTRIES = sa.select(charge_back.c.redemption_id).where(
    charge_back.c.charged_at_ms.is_(None), charge_back.c.given_up_at_ms.is_(None)
)
_SIGHTS: dict[str, sa.Select[Any]] = {
    "unpaid": sa.select(order.c.id).where(order.c.state.in_(UNPAID)),
    "held": sa.select(order.c.id).where(order.c.state == "PENDING_PAYMENT", order.c.hold.is_not(None)),
    "stuck": sa.select(order.c.id).where(order.c.state == "PAID"),
    "tickets": _ISSUED.where(order.c.kind == "TICKET"),
    "passes": _PASSES.where(order.c.state.in_(["ISSUED", "REFUND_FAILED", "ISSUE_FAILED"])),
    "issued passes": sa.select(issued_pass.c.id),
    "unpaid visits": sa.select(redemption.c.id).where(redemption.c.outcome == "PASS_VISIT", ~_IN_A_PAYOUT),
    "stopped": _STOPPED,
    "outgoing": _STOPPED.where(external_transfer.c.kind.not_in(INCOMING)),
    "paid out": sa.select(external_transfer.c.id).where(
        external_transfer.c.state == "SUCCEEDED", external_transfer.c.kind.in_(["PAYOUT", "REFUND"])
    ),
    "venue debts": _VENUE_OWES,
    "debts": sa.select(sa.literal(1)).where(sa.or_(_VENUE_OWES.exists(), _LATE_ENTRIES.exists())),
    "remittable": _STOPPED.where(_BY_BANK),
    "lacking": _STOPPED.where(external_transfer.c.state == "INSUFFICIENT", external_transfer.c.kind.not_in(INCOMING)),
    "inbox": sa.select(redemption.c.id).where(in_inbox(None), ~_SAID),
    "visited": sa.select(item_claim.c.item_id).where(item_claim.c.kind == "REDEEM"),
    "unpaid payouts": sa.select(payout.c.id).where(payout.c.state == "FAILED"),
    "cases": sa.select(recon_case.c.id).where(recon_case.c.state.in_(OPEN)),
    "moved beside": sa.select(recon_case.c.id).where(
        recon_case.c.state.in_(OPEN), recon_case.c.difference.in_(BY_ATTEMPT)
    ),
    "lines": sa.select(statement_line.c.line_no).where(statement_line.c.settled_at_ms.is_(None)),
    "shares": sa.select(profit_allocation.c.month).where(profit_allocation.c.amount_fen > 0, ~_PAID),
}


def sights(connection: Connection, scene: Scene) -> frozenset[str]:
    """Names of what there is, in our tables and at the provider."""
    row = connection.execute(sa.select(*(query.exists().label(name) for name, query in _SIGHTS.items()))).one()
    seen = {name for name, there in zip(_SIGHTS, row, strict=True) if there}
    entries = [each for talking in scene.gates for each in talking.gate.entries]
    beside = {"at the cashier": scene.at_the_cashier(), "refused": scene.refused(), "entries": entries}
    return frozenset(seen | {name for name, there in beside.items() if there})


def where(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The rule is offered where this was seen after the last step."""
    return precondition(lambda machine: name in machine.there)
