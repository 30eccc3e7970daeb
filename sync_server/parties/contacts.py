"""Whom a party's short messages go to 联系人: one person's name and number, sealed.

Who hears that a party's money is to go elsewhere must not be replaced unheard: the number before is told, too.
"""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit import log
from sync_server.crypto import Secrets, seal, unseal
from sync_server.notices.phones import keep_phone, normal_phone
from sync_server.notices.writing import write
from sync_server.parties.tables import party

MAX_NAME = 50


def set_contact(
    connection: Connection,
    secrets: Secrets,
    party_id: UUID,
    name: str,
    phone: str,
    reason: str,
    actor: str,
    now_ms: int,
) -> None:
    """Put a person in the place of the one before, whose number is told. ValueError: no name, or no phone number."""
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"the contact's name must have 1 to {MAX_NAME} printable characters")
    number, before = normal_phone(phone), phone_of(connection, secrets, party_id)
    kept = keep_phone(secrets, "party.contact_phone", party_id, number)
    values = {
        "contact_name_sealed": seal(secrets, "party.contact_name", party_id.bytes, name),
        "contact_phone_sealed": kept.sealed,
        "contact_phone_masked": kept.masked,
    }
    connection.execute(party.update().where(party.c.id == party_id).values(values))
    if before not in (None, number):
        told = {"phone": f"尾号{number[-4:]}"}
        write(connection, secrets, "contact_changed", before, told, now_ms, cause=f"party:{party_id}:contact")
    detail = {"phone": kept.masked, "reason": reason}
    log.record(connection, now_ms, actor, "party.contact", f"party:{party_id}", detail)


def phone_of(connection: Connection, secrets: Secrets, party_id: UUID) -> str | None:
    """The contact's number in plain, or None while there is none."""
    sealed: bytes | None = connection.scalar(sa.select(party.c.contact_phone_sealed).where(party.c.id == party_id))
    return None if sealed is None else unseal(secrets, "party.contact_phone", party_id.bytes, sealed)
