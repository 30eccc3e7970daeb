"""An operator's decision on an admission in an inbox: said once, with a reason, and what follows from it.

Accepting an entry without proof counts it like a proven one, by the same claim and the same rules; settlement finds it
there. Honouring an entry that lost its item lets the venue be paid all the same, out of the platform's own money (P15).
Rejecting leaves an entry as it is: kept, counted as a visit, not paid.
"""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals.approvals import Person
from sync_server.audit.log import record
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.orders.claims import REQUESTED, Claim, claim_items
from sync_server.orders.tables import item_claim, order, order_item, ticket
from sync_server.parties.tables import party
from sync_server.people.permissions import Permission, need
from sync_server.redemptions.counting import lock_passes, settle_outcomes
from sync_server.redemptions.inboxes import in_inbox
from sync_server.redemptions.tables import HONOURABLE, decision, redemption
from wire.messages import Outcome

MAX_REASON_CHARACTERS = 200


def accept(connection: Connection, redemption_id: bytes, reason: str, now_ms: int, actor: str) -> Outcome:
    """Count an UNPROVEN admission after all; its outcome now, as far as the claim on its item leaves it one."""
    row = _open(connection, redemption_id)
    if row.outcome != Outcome.UNPROVEN.name:
        raise NotAllowedError(f"the entry is {row.outcome}: only one without proof can be accepted")
    if row.ticket_id is None:
        raise NotAllowedError("the entry names no pass: there is nothing it could count on")
    _decide(connection, redemption_id, "ACCEPTED", reason, now_ms, actor)
    outcome = _count(connection, row, now_ms)
    detail = {"reason": reason, "outcome": outcome.name}
    record(connection, now_ms, actor, "redemption.accept", f"redemption:{redemption_id.hex()}", detail)
    return outcome


def honour(connection: Connection, who: Person, redemption_id: bytes, reason: str, now_ms: int) -> None:
    """Let a CONFLICT or LATE entry be paid: settlement finds it by this decision. Needs the permission for it."""
    need(who, Permission.ENTRIES_HONOUR)
    row = _open(connection, redemption_id)
    if row.outcome not in HONOURABLE:
        raise NotAllowedError(f"the entry is {row.outcome}: only one that came too late or second is honoured")
    if liability_of(connection, row.item_id) == "VENUE":
        raise NotAllowedError("the venue bears entries that come after a refund of what this distributor sold")
    _decide(connection, redemption_id, "HONOURED", reason, now_ms, who.actor)
    detail = {"reason": reason, "outcome": row.outcome}
    record(connection, now_ms, who.actor, "redemption.honour", f"redemption:{redemption_id.hex()}", detail)


def liability_of(connection: Connection, item_id: UUID) -> str:
    """Who bears a further entry on an item: its distributor's rule where a refund that was asked for ended it, else the
    platform: it bears a double entry, and one after an item's time was over.
    """
    query = (
        sa.select(party.c.late_liability)
        .join(order, order.c.distributor_id == party.c.id)
        .join(ticket, ticket.c.order_id == order.c.id)
        .join(order_item, order_item.c.ticket_id == ticket.c.id)
        .join(item_claim, item_claim.c.item_id == order_item.c.id)
        .where(order_item.c.id == item_id, item_claim.c.ref == REQUESTED)
    )
    return connection.scalar(query) or "PLATFORM"


def reject(connection: Connection, redemption_id: bytes, reason: str, now_ms: int, actor: str) -> None:
    """Leave an entry as it is: nothing is paid for it."""
    row = _open(connection, redemption_id)
    _decide(connection, redemption_id, "REJECTED", reason, now_ms, actor)
    detail = {"reason": reason, "outcome": row.outcome}
    record(connection, now_ms, actor, "redemption.reject", f"redemption:{redemption_id.hex()}", detail)


def redemption_named(connection: Connection, text: str) -> bytes:
    """The id of the entry in an inbox whose id in hex begins with `text`; unclear or unknown ones are refused."""
    wanted = text.lower().strip()
    if len(wanted) < 4 or any(letter not in "0123456789abcdef" for letter in wanted):
        raise NotFoundError(f"{text!r} is no beginning of an entry's id: give at least four of its characters")
    low = bytes.fromhex(wanted.ljust(32, "0"))
    high = bytes.fromhex(wanted.ljust(32, "f"))
    query = sa.select(redemption.c.id).where(redemption.c.id.between(low, high), in_inbox(None)).limit(2)
    ids = list(connection.scalars(query))
    if not ids:
        raise NotFoundError(f"no inbox has an entry whose id begins with {text!r}")
    if len(ids) > 1:
        raise NotAllowedError(f"several entries have ids that begin with {text!r}: give more of it")
    return bytes(ids[0])


def _open(connection: Connection, redemption_id: bytes) -> sa.Row[tuple[object, ...]]:
    """The row, locked after its pass as every batch does it, if it is in an inbox and nobody has decided on it."""
    passes = sa.select(redemption.c.pass_id).where(redemption.c.id == redemption_id, redemption.c.pass_id.is_not(None))
    lock_passes(connection, list(connection.scalars(passes)))
    query = sa.select(redemption).where(redemption.c.id == redemption_id, in_inbox(None))
    row = connection.execute(query.with_for_update(of=redemption)).one_or_none()
    if row is None:
        raise NotFoundError(f"no inbox has an entry with the id {redemption_id.hex()}")
    before = connection.execute(sa.select(decision).where(decision.c.redemption_id == redemption_id)).one_or_none()
    if before is not None:
        raise NotAllowedError(f"{before.decided_by} has decided on this entry already: {before.word}, {before.reason}")
    return row


def _decide(connection: Connection, redemption_id: bytes, word: str, reason: str, now_ms: int, actor: str) -> None:
    text = reason.strip()
    if not text or len(text) > MAX_REASON_CHARACTERS:
        raise NotAllowedError(f"a decision needs a reason of 1 to {MAX_REASON_CHARACTERS} characters")
    connection.execute(
        decision.insert().values(
            redemption_id=redemption_id, word=word, reason=text, decided_by=actor, decided_at_ms=now_ms
        )
    )


def _count(connection: Connection, row: sa.Row[tuple[object, ...]], now_ms: int) -> Outcome:
    """As `counting.count_admissions` does with a proven admission whose rivals are in the tables already."""
    if row.item_id is None:
        _set_outcome(connection, row.id, Outcome.PASS_VISIT)
        return Outcome.PASS_VISIT
    won = claim_items(connection, [Claim(row.item_id, "REDEEM", row.id.hex(), row.occurred_at_ms)], now_ms)
    _set_outcome(connection, row.id, Outcome.CLAIMED if won else Outcome.CONFLICT)
    if not won:
        settle_outcomes(connection, {row.item_id})
    return Outcome[connection.scalars(sa.select(redemption.c.outcome).where(redemption.c.id == row.id)).one()]


def _set_outcome(connection: Connection, redemption_id: bytes, outcome: Outcome) -> None:
    mine = redemption.update().where(redemption.c.id == redemption_id)
    connection.execute(mine.values(outcome=outcome.name))
