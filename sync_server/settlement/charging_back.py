"""Who bears an honoured entry that came to light after its ticket was refunded (late_liability, money.md §2.3).

PLATFORM: 5020 keeps the cost. VENUE: it is not honoured at all. DISTRIBUTOR: the venue is paid as ever (P15), and what
that cost is charged to the distributor: of its balance, where it pays in before or has enough left of it, else through
its provider (Dr 2010 or 10x0, Cr 5020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.approvals.approvals import Person
from sync_server.audit.log import record
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import owed_to
from sync_server.ledger.book import Txn, legs
from sync_server.ledger.tables import ledger_account
from sync_server.orders import owing, tables
from sync_server.orders.claims import REQUESTED
from sync_server.orders.owing import DUE
from sync_server.orders.tables import item_claim, order, order_item, ticket
from sync_server.parties.accounts import account_of
from sync_server.parties.parties import party_by_org_number
from sync_server.parties.tables import LATE_LIABILITIES, party
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import OPEN, STOPPED
from sync_server.payments.tables import LATE_ENTRY, external_transfer
from sync_server.people.permissions import Permission, need
from sync_server.redemptions.decisions import liability_of
from sync_server.redemptions.tables import redemption

ACTOR = "system:settlement"
STEP = "settlement.charge_back_late"
MAX_PER_STEP = 200
MAX_REASON_CHARACTERS = 200


class LateRate(NamedTuple):
    """Of the tickets a distributor sold: refunds that were asked for and confirmed, and entries that came after one."""

    distributor: str
    name_zh: str
    late_liability: str
    refunds: int
    late: int

    @property
    def late_per_thousand(self) -> int:
        return self.late * 1000 // self.refunds if self.refunds else 0


def charge_back(connection: Connection, honoured: Sequence[sa.Row[Any]], now_ms: int) -> None:
    """Note which of these entries, which are being paid, their distributors bear; the step below charges them."""
    for row in honoured:
        if liability_of(connection, row.item_id) == "DISTRIBUTOR":
            sold_by = (
                sa.select(order.c.distributor_id)
                .join(ticket, ticket.c.order_id == order.c.id)
                .join(order_item, order_item.c.ticket_id == ticket.c.id)
                .where(order_item.c.id == row.item_id)
            )
            borne = {"distributor_id": connection.scalar(sold_by), "amount_fen": row.venue_price_fen}
            new = tables.charge_back.insert().values(redemption_id=row.redemption_id, honoured_at_ms=now_ms, **borne)
            connection.execute(new)


def charge_back_late(centre: Centre) -> int:
    """Worker step: charge distributors what they bear; how many entries.

    What a balance lacks waits for its top-up, which is found here at once, or until two persons give it up
    (`settlement.debts`).
    """
    waiting = sa.select(tables.charge_back, party.c.funding).join(
        party, party.c.id == tables.charge_back.c.distributor_id
    )
    waiting = waiting.where(DUE).order_by(tables.charge_back.c.honoured_at_ms)
    if not centre.finds(waiting):
        return 0
    with centre.write() as connection:
        exclusive(connection, STEP)
        now_ms = centre.now_ms()

        def act(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            for row in rows:
                _charge(connection, row, now_ms)

        tried = tables.charge_back.c.redemption_id.not_in(setbacks.left_out(connection, STEP, now_ms))
        found = connection.execute(waiting.where(sa.or_(tried, _covered())).limit(MAX_PER_STEP)).all()
        return setbacks.act_on(connection, STEP, found, lambda row: bytes(row.redemption_id), act, now_ms)


def owed_fen(connection: Connection, distributor_id: UUID) -> int:
    """What a distributor owes that it is not charged yet, which nobody charges until the transaction ends."""
    exclusive(connection, STEP)
    return owing.owed_fen(connection, distributor_id)


def not_through_fen(connection: Connection, distributor_id: UUID) -> int:
    """What it is charged at its provider for late entries and has not paid there, nor two persons given up."""
    transfer = external_transfer.c
    late = sa.and_(transfer.kind == "CHARGE", transfer.subject_key.startswith(LATE_ENTRY))
    open_ = sa.and_(transfer.party_id == distributor_id, transfer.state.in_((*OPEN, *STOPPED)))
    asked = sa.select(sa.func.coalesce(sa.cast(sa.func.sum(transfer.amount_fen), sa.BigInteger), 0))
    return connection.scalars(asked.where(late, open_)).one()


def set_late_liability(
    connection: Connection, who: Person, org_number: str, liability: str, reason: str, now_ms: int
) -> None:
    """Who bears late entries on what a distributor sold, from now on."""
    need(who, Permission.PAYOUTS_MANAGE)
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON_CHARACTERS:
        raise NotAllowedError(f"a change needs a reason of 1 to {MAX_REASON_CHARACTERS} characters")
    row = party_by_org_number(connection, org_number)
    if row.kind != "DISTRIBUTOR" or liability not in LATE_LIABILITIES:
        raise NotAllowedError(f"a distributor's late entries are borne by {', '.join(LATE_LIABILITIES)}")
    connection.execute(party.update().where(party.c.id == row.id).values(late_liability=liability))
    detail = {"before": row.late_liability, "liability": liability, "reason": text}
    record(connection, now_ms, who.actor, "late.liability", f"party:{row.id}", detail)


def late_rates(connection: Connection) -> list[LateRate]:
    """Every distributor, by its organisation number."""
    of_items = (
        order_item.join(ticket, ticket.c.id == order_item.c.ticket_id)
        .join(order, order.c.id == ticket.c.order_id)
        .join(item_claim, sa.and_(item_claim.c.item_id == order_item.c.id, item_claim.c.ref == REQUESTED))
    )
    mine = order.c.distributor_id == party.c.id
    refunds = sa.select(sa.func.count()).select_from(of_items).where(mine)
    came = sa.and_(redemption.c.item_id == order_item.c.id, redemption.c.outcome == "LATE")
    late = sa.select(sa.func.count()).select_from(of_items.join(redemption, came)).where(mine)
    rows = connection.execute(
        sa.select(
            party.c.org_number,
            party.c.name_zh,
            party.c.late_liability,
            refunds.scalar_subquery(),
            late.scalar_subquery(),
        )
        .where(party.c.kind == "DISTRIBUTOR")
        .order_by(party.c.org_number)
    )
    return [LateRate(*row) for row in rows]


def _covered() -> sa.ColumnElement[bool]:
    """Whether a prepaid distributor's balance has come to suffice for an entry."""
    totals = ledger_account.c
    left_fen = totals.credits_posted_fen - totals.debits_posted_fen - totals.debits_pending_fen
    its_own = sa.and_(totals.code == "2010", totals.owner_id == tables.charge_back.c.distributor_id)
    enough = sa.select(totals.id).where(its_own, left_fen >= tables.charge_back.c.amount_fen)
    return sa.and_(party.c.funding == "PREPAID", enough.exists())


def _charge(connection: Connection, row: sa.Row[Any], now_ms: int) -> None:
    key = f"{LATE_ENTRY}{row.redemption_id.hex()}"
    bears = (Account("5020"), -row.amount_fen)
    balance = Account("2010", row.distributor_id)
    if row.funding == "PREPAID" or owed_to(connection, balance) >= row.amount_fen:
        sides = legs((balance, row.amount_fen), bears)
        book.post(connection, [Txn(key, sides, now_ms, ACTOR)], now_ms)
    else:
        account = account_of(connection, row.distributor_id, now_ms)
        wanted = transfers.Request(
            kind="CHARGE",
            subject_key=key,
            subject_id=UUID(bytes=row.redemption_id),
            provider=account.provider,
            party_id=row.distributor_id,
            account_ref=account.account_ref,
            amount_fen=row.amount_fen,
            title="退款后入园，由经销商承担",
            legs=legs((CLEARING[account.provider], row.amount_fen), bears),
        )
        transfers.request(connection, [wanted], ACTOR, now_ms)
    mine = tables.charge_back.update().where(tables.charge_back.c.redemption_id == row.redemption_id)
    connection.execute(mine.values(charged_at_ms=now_ms))
