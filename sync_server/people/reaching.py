"""The phone numbers by which short messages reach operators."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit import log
from sync_server.crypto import Secrets, unseal
from sync_server.errors import NotFoundError
from sync_server.notices.phones import keep_phone, normal_phone
from sync_server.parties.contacts import phone_of
from sync_server.parties.tables import party
from sync_server.people.tables import operator

FIELD = "operator.phone"


def set_phone(
    connection: Connection, secrets: Secrets, operator_id: UUID, phone: str | None, actor: str, now_ms: int
) -> None:
    """Keep an operator's number, or forget it. ValueError: it is none."""
    kept = None if phone is None else keep_phone(secrets, FIELD, operator_id, normal_phone(phone))
    values = {"phone_sealed": kept and kept.sealed, "phone_masked": kept and kept.masked}
    connection.execute(operator.update().where(operator.c.id == operator_id).values(values))
    log.record(connection, now_ms, actor, "operator.phone", f"operator:{operator_id}", {"phone": kept and kept.masked})


def operator_by_account(connection: Connection, organisation: str, account: str) -> UUID:
    """The operator with this account in an organisation 机构号."""
    mine = sa.and_(party.c.org_number == organisation, operator.c.account == account)
    found: UUID | None = connection.scalar(sa.select(operator.c.id).select_from(operator.join(party)).where(mine))
    if found is None:
        raise NotFoundError(f"{organisation} has no account {account!r}")
    return found


def phones_of_roles(connection: Connection, secrets: Secrets, roles: Collection[str]) -> list[str]:
    """The numbers of the platform's active operators in these roles; if there are none, of the platform's contact."""
    platform = party.c.kind == "PLATFORM"
    reached = sa.select(operator.c.id, operator.c.phone_sealed).join(party, party.c.id == operator.c.party_id)
    active = sa.and_(platform, operator.c.state == "ACTIVE", operator.c.phone_sealed.is_not(None))
    rows = connection.execute(reached.where(active, operator.c.role_code.in_(roles)).order_by(operator.c.id)).all()
    if rows:
        return list(dict.fromkeys(unseal(secrets, FIELD, row.id.bytes, row.phone_sealed) for row in rows))
    platform_id: UUID | None = connection.scalar(sa.select(party.c.id).where(platform))
    phone = None if platform_id is None else phone_of(connection, secrets, platform_id)
    return [] if phone is None else [phone]
