"""Operators for tests: one password for all of them, hashed once, because that takes a while on purpose."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.parties.parties import NewParty, add_party
from sync_server.parties.tables import party
from sync_server.people.identifying import Person
from sync_server.people.passwords import hash_password
from sync_server.people.roles import seed_roles
from sync_server.people.sessions import permissions_of
from sync_server.people.tables import operator

PASSWORD = "long enough for all"


def employ(centre: Centre, account: str, role: str, organisation: str = "1000") -> Person:
    """Somebody new, at the platform unless said otherwise, who has shown the password."""
    now_ms, operator_id = centre.now_ms(), centre.new_id()
    with centre.write() as connection:
        seed_roles(connection, now_ms, "test")
        employer = connection.scalars(sa.select(party.c.id).where(party.c.org_number == organisation)).one()
        connection.execute(
            operator.insert().values(
                id=operator_id,
                party_id=employer,
                account=account,
                name=account.title(),
                role_code=role,
                state="ACTIVE",
                password_hash=_hashed(),
                created_at_ms=now_ms,
            )
        )
        return Person(operator_id, permissions_of(connection, role))


def two_of_finance(centre: Centre) -> tuple[Person, Person]:
    """Two who may confirm what the other asks for, and the platform that employs them."""
    with centre.write() as connection:
        if connection.scalar(sa.select(party.c.id).where(party.c.kind == "PLATFORM")) is None:
            platform = NewParty("PLATFORM", "1000", "平台", "Platform", "platform")
            add_party(connection, platform, "Asia/Shanghai", centre.now_ms())
    return employ(centre, "qian", "finance"), employ(centre, "sun", "finance")


@cache
def _hashed() -> str:
    return hash_password(PASSWORD)
