"""Two persons change where a party's money goes: used a day later, so that those concerned can object (money.md §4)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person
from sync_server.audit.log import record
from sync_server.errors import NotAllowedError
from sync_server.notices.promising import Promise, promise
from sync_server.parties import accounts
from sync_server.parties.accounts import SettlementAccount
from sync_server.parties.parties import MAX_REF, find_party, party_words
from sync_server.parties.tables import ACCOUNT_RESTS_MS
from sync_server.people.permissions import Permission, need

CHANGE = Act("party.account", Permission.ACCOUNTS_CHANGE)


def ask(
    connection: Connection, who: Person, party_id: UUID, account: SettlementAccount, reason: str, now_ms: int
) -> UUID:
    """Ask that a party's money goes to another account; the id of the request, which another person confirms."""
    find_party(connection, party_id)
    if not 0 < len(account.account_ref) <= MAX_REF or not account.account_ref.isprintable():
        raise NotAllowedError(f"an account is named by 1 to {MAX_REF} characters on one line")
    if account == accounts.account_of(connection, party_id, now_ms):
        raise NotAllowedError("that is the account in use")
    change_id = approvals.request(connection, who, CHANGE, f"party:{party_id.hex}", reason, now_ms)
    accounts.write_down(connection, change_id, party_id, account, now_ms)
    return change_id


def confirm(connection: Connection, who: Person, change_id: UUID, now_ms: int) -> sa.Row[Any]:
    """Confirm another person's request; the change, which says from when it is used."""
    agreed = approvals.confirm(connection, who, CHANGE, change_id, now_ms)
    row = accounts.confirm(connection, change_id, now_ms)
    before = accounts.account_of(connection, row.party_id, now_ms)
    detail = {
        "reason": agreed.reason,
        "asked_by": str(agreed.requested_by),
        "before": list(before),
        "after": [row.provider, row.account_ref],
        "used_from_ms": row.used_from_ms,
    }
    record(connection, now_ms, who.actor, "party.account", agreed.subject, detail)
    told = {"account": f"尾号{row.account_ref[-4:]}", "hours": (row.used_from_ms - now_ms) // 3_600_000}
    promise(connection, now_ms, Promise("account_changed", f"account:{change_id}", told, row.party_id))
    return row


def in_words(connection: Connection, asked: approvals.Request, now_ms: int) -> str:
    """What is done once another person confirms."""
    party_id = UUID(hex=asked.subject.removeprefix("party:"))
    new = accounts.asked_for(connection, asked.id)
    before = accounts.account_of(connection, party_id, now_ms)
    return (
        f"money of {party_words(connection, party_id)} goes to {new.masked} instead of {before.masked},"
        f" from {ACCOUNT_RESTS_MS // 3_600_000} hours after it is confirmed"
    )


def stop(connection: Connection, who: Person, change_id: UUID, reason: str, now_ms: int) -> None:
    """Stop a confirmed change that is not used yet; one person suffices, as money then goes where it went before."""
    need(who, CHANGE.needs)
    party_id = accounts.stop(connection, change_id, now_ms)
    detail = {"reason": reason, "change": str(change_id)}
    record(connection, now_ms, who.actor, "party.account_stopped", f"party:{party_id.hex}", detail)
