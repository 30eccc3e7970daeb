"""Two persons for one act: the first asks with a reason, another one with the permission confirms.

Whoever carries the act out calls `confirm` in the transaction that does it: confirmed and done are one. A request that
nobody confirmed for LIFE_MS is void.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server.approvals.tables import approval
from sync_server.audit.log import record
from sync_server.db import new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.people.permissions import Permission, Somebody, need
from sync_server.people.tables import operator, role_permission

LIFE_MS = 7 * 86_400_000
MAX_REASON_CHARACTERS = 500

# From state and event to state; what is not here is refused.
MOVES = {
    ("REQUESTED", "confirm"): "CONFIRMED",
    ("REQUESTED", "withdraw"): "WITHDRAWN",
    ("REQUESTED", "expire"): "EXPIRED",
}


class Act(NamedTuple):
    """What is done, and what both persons must be allowed to do."""

    name: str
    needs: Permission


class Person(Somebody, Protocol):
    """An operator who has proved who they are."""

    @property
    def id(self) -> UUID:
        """Of table `operator`."""

    @property
    def actor(self) -> str:
        """As the event log names them."""


class Confirmed(NamedTuple):
    """What two persons agreed on."""

    act: str
    subject: str
    reason: str
    requested_by: UUID


class Request(NamedTuple):
    """What one person asked for."""

    id: UUID
    act: str
    subject: str
    reason: str
    requested_by: str
    account: str
    """帐号 of who asked."""
    requested_at_ms: int
    expires_at_ms: int


def request(connection: Connection, who: Person, act: Act, subject: str, reason: str, now_ms: int) -> UUID:
    """Ask for an act on a subject; the request's id.

    NotAllowedError: no permission, no reason, or it is asked for already.
    """
    need(who, act.needs)
    reason = reason.strip()
    if not 0 < len(reason) <= MAX_REASON_CHARACTERS:
        raise NotAllowedError(f"{act.name} needs a reason of at most {MAX_REASON_CHARACTERS} characters")
    _expire(connection, now_ms)
    same = sa.and_(approval.c.act == act.name, approval.c.subject == subject, approval.c.state == "REQUESTED")
    waiting = connection.execute(sa.select(approval.c.id).where(same)).scalar()
    if waiting is not None:
        raise NotAllowedError(f"{act.name} is asked for already: another person confirms {waiting}")
    approval_id = new_id(now_ms)
    connection.execute(
        approval.insert().values(
            id=approval_id,
            act=act.name,
            subject=subject,
            reason=reason,
            state="REQUESTED",
            requested_by=who.id,
            requested_at_ms=now_ms,
            expires_at_ms=now_ms + LIFE_MS,
        )
    )
    detail = {"act": act.name, "reason": reason, "approval": str(approval_id)}
    record(connection, now_ms, who.actor, "approval.request", subject, detail)
    return approval_id


def find(connection: Connection, approval_id: UUID) -> Request:
    """What a request asks for, whatever became of it."""
    row = connection.execute(_requests().where(approval.c.id == approval_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no request {approval_id}")
    return Request(*row)


def confirm(connection: Connection, who: Person, act: Act, approval_id: UUID, now_ms: int) -> Confirmed:
    """Confirm another person's request; the caller does the act in this transaction."""
    row = _locked(connection, approval_id, "confirm", now_ms)
    need(who, act.needs)
    if row.act != act.name:
        raise NotAllowedError(f"the request {approval_id} is for {row.act}, not for {act.name}")
    if row.requested_by == who.id:
        raise NotAllowedError("this needs two persons: somebody else has to confirm what you asked for")
    if not _may_still(connection, row.requested_by, act):
        raise NotAllowedError(f"who asked for it may not do {act.name} any more: withdraw the request and ask anew")
    _decide(connection, row, "confirm", who, now_ms)
    return Confirmed(row.act, row.subject, row.reason, row.requested_by)


def withdraw(connection: Connection, who: Person, act: Act, approval_id: UUID, now_ms: int) -> None:
    """Take a request back; who asked may, and whoever might have confirmed it."""
    row = _locked(connection, approval_id, "withdraw", now_ms)
    if row.requested_by != who.id:
        need(who, act.needs)
    _decide(connection, row, "withdraw", who, now_ms)


def open_requests(connection: Connection, now_ms: int) -> list[Request]:
    """Those that can be confirmed now, the oldest first."""
    waiting = _requests().where(approval.c.state == "REQUESTED", approval.c.expires_at_ms > now_ms)
    rows = connection.execute(waiting.order_by(approval.c.requested_at_ms, approval.c.id))
    return [Request(*row) for row in rows]


def is_asked(connection: Connection, act: Act, subject: str, now_ms: int) -> bool:
    """Whether an act on a subject waits for a second person now."""
    waits = sa.text("approval.state = 'REQUESTED'")  # as uq_approval_requested says
    same = sa.and_(approval.c.act == act.name, approval.c.subject == subject, approval.c.expires_at_ms > now_ms)
    return connection.scalar(sa.select(approval.c.id).where(same, waits)) is not None


def _requests() -> sa.Select[Any]:
    return sa.select(
        approval.c.id,
        approval.c.act,
        approval.c.subject,
        approval.c.reason,
        operator.c.name,
        operator.c.account,
        approval.c.requested_at_ms,
        approval.c.expires_at_ms,
    ).join(operator, operator.c.id == approval.c.requested_by)


def _may_still(connection: Connection, operator_id: object, act: Act) -> bool:
    """Whether who asked is still employed here, and still holds the permission: one of two persons may have left."""
    allowed = (
        sa.select(operator.c.id)
        .join(role_permission, role_permission.c.role_code == operator.c.role_code)
        .where(operator.c.id == operator_id, operator.c.state == "ACTIVE", role_permission.c.permission == act.needs)
    )
    return connection.execute(allowed).first() is not None


def _locked(connection: Connection, approval_id: UUID, event: str, now_ms: int) -> Row[tuple[object, ...]]:
    row = connection.execute(sa.select(approval).where(approval.c.id == approval_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no request {approval_id}")
    if (row.state, event) not in MOVES:
        raise NotAllowedError(f"the request {approval_id} is {row.state}: you cannot {event} it")
    if now_ms >= row.expires_at_ms:
        raise NotAllowedError(f"the request {approval_id} is older than {LIFE_MS // 86_400_000} days: ask anew")
    return row


def _decide(connection: Connection, row: Row[tuple[object, ...]], event: str, who: Person, now_ms: int) -> None:
    values = {"state": MOVES[row.state, event], "decided_by": who.id, "decided_at_ms": now_ms}
    connection.execute(approval.update().where(approval.c.id == row.id).values(values))
    detail = {"act": row.act, "approval": str(row.id)}
    record(connection, now_ms, who.actor, f"approval.{event}", row.subject, detail)


def _expire(connection: Connection, now_ms: int) -> None:
    """Make room for a new request where the old one is void."""
    void = sa.and_(approval.c.state == "REQUESTED", approval.c.expires_at_ms <= now_ms)
    connection.execute(approval.update().where(void).values(state=MOVES["REQUESTED", "expire"]))
