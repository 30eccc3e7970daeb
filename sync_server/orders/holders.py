"""A holder's data on an order: checked, sealed per field, found by keyed index, shown masked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.crypto import Secrets, blind_index, seal, unseal
from sync_server.errors import NotFoundError
from sync_server.id_numbers import flaw_of
from sync_server.orders.tables import holder
from wire.credential import mask_id_number, mask_name, mask_phone, normal_id_number

MAX_NAME = 50
PHONE = re.compile(r"\+?[0-9]{6,15}")


@dataclass(frozen=True)
class Holder:
    """Who will use the ticket 使用者. Resident ID numbers are checked; other documents have no check digit."""

    name: str
    id_number: str | None = None
    phone: str | None = None

    def flaw(self) -> str | None:
        """What is wrong with it, in words, or None."""
        if not self.name or len(self.name) > MAX_NAME or not self.name.isprintable():
            return f"the holder's name must have 1 to {MAX_NAME} printable characters"
        if self.id_number is not None and (flaw := flaw_of(self.id_number)) is not None:
            return flaw
        if self.phone is not None and not PHONE.fullmatch(self.phone):
            return "the holder's phone number must have 6 to 15 digits"
        return None


def read_holder(text: str) -> Holder:
    """A holder as a command line names one: NAME[,ID number[,phone]]."""
    return Holder(*(part.strip() or None for part in text.split(",", 2)))  # type: ignore[arg-type]  # a missing name is refused by Holder.flaw


def holder_row(secrets: Secrets, ticket_id: UUID, who: Holder) -> dict[str, Any]:
    """The row of table `holder`."""
    id_number = None if who.id_number is None else normal_id_number(who.id_number)
    row: dict[str, Any] = {"ticket_id": ticket_id}
    for field, plain, mask in (
        ("name", who.name, mask_name),
        ("id_number", id_number, mask_id_number),
        ("phone", who.phone, mask_phone),
    ):
        row[f"{field}_sealed"] = row[f"{field}_index"] = row[f"{field}_masked"] = None
        if plain is not None:
            row[f"{field}_sealed"] = seal(secrets, f"holder.{field}", ticket_id.bytes, plain)
            row[f"{field}_index"] = blind_index(secrets, field, plain)
            row[f"{field}_masked"] = mask(plain)
    return row


def holder_of(connection: Connection, secrets: Secrets, ticket_id: UUID) -> Holder:
    """The holder's data in plain: for those with the permission, and logged by whoever shows it."""
    row = connection.execute(sa.select(holder).where(holder.c.ticket_id == ticket_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"ticket {ticket_id} has no holder")

    def plain(field: str, sealed: bytes | None) -> str | None:
        return None if sealed is None else unseal(secrets, f"holder.{field}", ticket_id.bytes, sealed)

    name = unseal(secrets, "holder.name", ticket_id.bytes, row.name_sealed)
    return Holder(name, plain("id_number", row.id_number_sealed), plain("phone", row.phone_sealed))
