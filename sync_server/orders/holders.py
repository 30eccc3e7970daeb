"""A holder's data on an order: checked, sealed per field, found by keyed index, shown masked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from stdnum.cn import ric
from stdnum.exceptions import ValidationError

from sync_server.crypto import Secrets, blind_index, seal, unseal
from sync_server.errors import NotFoundError
from sync_server.orders.tables import holder
from wire.credential import mask_id_number, mask_name, mask_phone, normal_id_number

MAX_NAME = 50
MAX_ID_NUMBER = 24
RESIDENT_ID = re.compile(r"[0-9]{17}[0-9X]")
PHONE = re.compile(r"\+?[0-9]{6,15}")


@dataclass(frozen=True)
class Holder:
    """Who will use the ticket 使用者. Resident ID numbers are checked; other documents have no check digit."""

    name: str
    id_number: str | None = None
    phone: str | None = None

    def flaw(self) -> str | None:
        """What is wrong with it, in words, or None."""
        if not 0 < len(self.name) <= MAX_NAME or not self.name.isprintable():
            return f"the holder's name must have 1 to {MAX_NAME} printable characters"
        if self.id_number is not None:
            number = normal_id_number(self.id_number)
            if not 0 < len(number) <= MAX_ID_NUMBER or not number.isalnum():
                return f"the holder's ID number must have 1 to {MAX_ID_NUMBER} letters and digits"
            if RESIDENT_ID.fullmatch(number) and not _is_resident_id(number):
                return "the holder's ID number is not valid: birth date or check digit is wrong"
        if self.phone is not None and not PHONE.fullmatch(self.phone):
            return "the holder's phone number must have 6 to 15 digits"
        return None


def _is_resident_id(number: str) -> bool:
    """Check digit and birth date. Not the area code: numbers were given out from 1984 on, under the codes of that day,
    to people of every age, and `ric.is_valid` refuses whoever was born before the code of the area was made."""
    try:
        ric.get_birth_date(number)
    except ValidationError:
        return False
    return number[-1] == ric.calc_check_digit(number)


def person_index(secrets: Secrets, id_number: str) -> bytes:
    """By which one person is found again over all orders."""
    return blind_index(secrets, "id_number", normal_id_number(id_number))


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
