"""Cards bound to passes: what a card reader gives, kept sealed, turned into each venue's own hashes (wire.md §4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import crypto
from sync_server.audit.log import record
from sync_server.centre import Centre
from sync_server.db import new_id
from sync_server.errors import NotAllowedError
from sync_server.id_numbers import person_index
from sync_server.issuance.passes import find_pass, relist
from sync_server.issuance.tables import credential, issued_pass
from sync_server.keys.key_set import deployment_salt
from sync_server.orders.holders import holder_of
from sync_server.orders.tables import holder
from wire.credential import (
    CredentialKind,
    card_credential,
    id_credential,
    identification_credential,
    person_hash,
)

MAX_CARD_CHARACTERS = 40
MAX_HASHES_PER_STEP = 20  # about a second of one core
_FIELD = "credential.value_sealed"
_IS_ID_NUMBER = credential.c.kind == CredentialKind.ID_NUMBER.name


@dataclass(frozen=True)
class BoundCredential:
    """A card number bound to a pass. `value`: person hash in hex, "area|number", or the identification code."""

    pass_id: bytes
    kind: CredentialKind
    value: str

    def __repr__(self) -> str:
        return f"BoundCredential({self.pass_id.hex()}, {self.kind.name})"


def credential_hash(bound: BoundCredential, credential_key: bytes) -> bytes:
    """The hash under which one venue's gates know the card."""
    if bound.kind is CredentialKind.ID_NUMBER:
        return id_credential(credential_key, bytes.fromhex(bound.value))
    if bound.kind is CredentialKind.CARD_NUMBER:
        area, number = bound.value.split("|")
        return card_credential(credential_key, area, number)
    return identification_credential(credential_key, bound.value)


def bind(connection: Connection, secrets: crypto.Secrets, bound: BoundCredential, index: bytes, now_ms: int) -> bool:
    """Let a card find its pass at every venue of the pass; False when it does already.

    `index` is the blind index by which the same number is known again.
    """
    live = sa.and_(
        credential.c.pass_id == bound.pass_id,
        credential.c.kind == bound.kind.name,
        credential.c.value_index == index,
        credential.c.removed_at_ms.is_(None),
    )
    if connection.execute(sa.select(credential.c.id).where(live)).first() is not None:
        return False
    row_id = new_id(now_ms)
    connection.execute(
        credential.insert().values(
            id=row_id,
            pass_id=bound.pass_id,
            kind=bound.kind.name,
            value_sealed=crypto.seal(secrets, _FIELD, str(row_id), bound.value),
            value_index=index,
            bound_at_ms=now_ms,
        )
    )
    relist(connection, [bound.pass_id])
    return True


def bind_card(
    connection: Connection, secrets: crypto.Secrets, number: str, area: str, card_number: str, now_ms: int, actor: str
) -> bool:
    """Bind a social-security card, as a plain reader reads it, to the pass with this number 票号."""
    for text in (area, card_number):
        if not text.strip().isalnum() or len(text) > MAX_CARD_CHARACTERS:
            raise NotAllowedError(f"{text!r} is no area code and no card number")
    kind = CredentialKind.CARD_NUMBER
    bound = BoundCredential(find_pass(connection, number).id, kind, _card_value(card_number, area))
    new = bind(connection, secrets, bound, index_of(secrets, kind, card_number, area), now_ms)
    record(connection, now_ms, actor, "card.bind", f"pass:{number}", {"new": new})
    return new


def index_of(secrets: crypto.Secrets, kind: CredentialKind, number: str, area: str = "") -> bytes:
    """The blind index by which a number that a reader read finds the passes it is bound to."""
    if kind is CredentialKind.ID_NUMBER:
        return person_index(secrets, number)
    value = _card_value(number, area) if kind is CredentialKind.CARD_NUMBER else number.strip()
    return crypto.blind_index(secrets, kind.name.lower(), value)


def bind_id_numbers(centre: Centre) -> int:
    """Worker step: holders' ID numbers become credentials of their passes; how many passes were given theirs.

    The slow hash is made once per person and outside any transaction (wire.md §4).
    """
    with centre.read() as connection:
        due = connection.execute(
            sa.select(issued_pass.c.id, issued_pass.c.ticket_id, holder.c.id_number_index)
            .join(holder, holder.c.ticket_id == issued_pass.c.ticket_id)
            .where(issued_pass.c.id_number_due)
            .order_by(issued_pass.c.issued_at_ms)
            .limit(MAX_HASHES_PER_STEP)
        ).all()
    for row in due:
        with centre.read() as connection:
            known = credential.c.value_index == row.id_number_index
            of_person = next(open_credentials(connection, centre.secrets, known & _IS_ID_NUMBER), None)
            id_number = holder_of(connection, centre.secrets, row.ticket_id).id_number
            salt = deployment_salt(connection, centre.secrets)
        assert id_number is not None, "the holder's index says that there is an ID number"
        value = person_hash(id_number, salt).hex() if of_person is None else of_person.value
        with centre.write() as connection:
            bound = BoundCredential(row.id, CredentialKind.ID_NUMBER, value)
            bind(connection, centre.secrets, bound, row.id_number_index, centre.now_ms())
            settled = issued_pass.update().where(issued_pass.c.id == row.id).values(id_number_due=False)
            connection.execute(settled)
    return len(due)


def find_bound(
    connection: Connection, secrets: crypto.Secrets, kind: CredentialKind, index: bytes
) -> Iterator[BoundCredential]:
    """The credential that a number stands for, once however many passes it is bound to; nothing if it is to none."""
    live = sa.and_(
        credential.c.kind == kind.name, credential.c.value_index == index, credential.c.removed_at_ms.is_(None)
    )
    first = sa.select(credential.c.id).where(live).order_by(credential.c.id).limit(1).scalar_subquery()
    yield from open_credentials(connection, secrets, credential.c.id == first)


def open_credentials(
    connection: Connection, secrets: crypto.Secrets, wanted: sa.ColumnElement[bool]
) -> Iterator[BoundCredential]:
    """The credentials that satisfy a condition on the table, opened, in the order of passes and of binding."""
    rows = connection.execute(sa.select(credential).where(wanted).order_by(credential.c.pass_id, credential.c.id))
    for row in rows:
        yield open_credential(secrets, row.pass_id, CredentialKind[row.kind], row.id, row.value_sealed)


def open_credential(
    secrets: crypto.Secrets, pass_id: bytes, kind: CredentialKind, row_id: UUID, value_sealed: bytes
) -> BoundCredential:
    """One row of the table, opened."""
    return BoundCredential(pass_id, kind, crypto.unseal(secrets, _FIELD, str(row_id), value_sealed))


def _card_value(number: str, area: str) -> str:
    return f"{area.strip()}|{number.strip().upper()}"
