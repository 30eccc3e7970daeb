"""Where a party's money goes 结算账户: the account it registered with, then each that two persons put in its place.

`payments.account_changes` has the two persons. A change never touches a transfer that was requested before it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.parties.tables import ACCOUNT_RESTS_MS, party, settlement_account


class SettlementAccount(NamedTuple):
    """An account at a payment provider."""

    provider: str
    account_ref: str

    @property
    def masked(self) -> str:
        """As people tell it from another one who need not know all of it."""
        return f"{self.provider} …{self.account_ref[-4:]}"


def account_of(connection: Connection, party_id: UUID, at_ms: int) -> SettlementAccount:
    """The account that a party's money goes to, and is charged from, at a moment."""
    found = accounts_of(connection, [party_id], at_ms)
    if party_id not in found:
        raise NotFoundError(f"no party has the id {party_id}")
    return found[party_id]


def accounts_of(connection: Connection, party_ids: Sequence[UUID], at_ms: int) -> dict[UUID, SettlementAccount]:
    """The same of several parties by two statements."""
    changed = settlement_account.c
    registered = sa.select(party.c.id, party.c.provider, party.c.account_ref).where(party.c.id.in_(party_ids))
    put_in_place = sa.select(changed.party_id, changed.provider, changed.account_ref).where(
        changed.party_id.in_(party_ids), changed.used_from_ms <= at_ms, changed.stopped_at_ms.is_(None)
    )
    found: dict[UUID, SettlementAccount] = {}
    for query in (registered, put_in_place.order_by(changed.used_from_ms, changed.id)):
        for party_id, provider, account_ref in connection.execute(query):
            found[party_id] = SettlementAccount(provider, account_ref)
    return found


def changes_of(connection: Connection, party_id: UUID) -> Sequence[sa.Row[Any]]:
    """Every change asked for of a party's account, the newest first; without `used_from_ms` nobody confirmed it."""
    mine = sa.select(settlement_account).where(settlement_account.c.party_id == party_id)
    return connection.execute(mine.order_by(settlement_account.c.asked_at_ms.desc(), settlement_account.c.id)).all()


def write_down(
    connection: Connection, change_id: UUID, party_id: UUID, account: SettlementAccount, now_ms: int
) -> None:
    """Keep what is asked for; nothing is used of it before it is confirmed."""
    row = {"id": change_id, "party_id": party_id, **account._asdict(), "asked_at_ms": now_ms}
    connection.execute(settlement_account.insert().values(row))


def asked_for(connection: Connection, change_id: UUID) -> SettlementAccount:
    """The account that a change is to."""
    changed = settlement_account.c
    return SettlementAccount(
        *connection.execute(sa.select(changed.provider, changed.account_ref).where(changed.id == change_id)).one()
    )


def confirm(connection: Connection, change_id: UUID, now_ms: int) -> sa.Row[Any]:
    """Let a change that was asked for be used once it has rested; its row as it now is."""
    mine = settlement_account.update().where(settlement_account.c.id == change_id)
    used = mine.values(confirmed_at_ms=now_ms, used_from_ms=now_ms + ACCOUNT_RESTS_MS)
    return connection.execute(used.returning(settlement_account)).one()


def stop(connection: Connection, change_id: UUID, now_ms: int) -> UUID:
    """Let a confirmed change never be used; the party it concerns. NotAllowedError once it is used."""
    changed = settlement_account.c
    mine = settlement_account.update().where(
        changed.id == change_id, changed.used_from_ms > now_ms, changed.stopped_at_ms.is_(None)
    )
    stopped = connection.scalar(mine.values(stopped_at_ms=now_ms).returning(changed.party_id))
    if stopped is None:
        raise NotAllowedError(f"no change {change_id} waits to be used: only a confirmed one can be stopped")
    party_id: UUID = stopped
    return party_id
