"""Adding, listing and disabling operators; the built-in roles are written with the first one."""

from __future__ import annotations

import re
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit import log
from sync_server.bulk import insert_missing
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.parties.tables import party
from sync_server.people.passwords import hash_password
from sync_server.people.roles import seed_roles
from sync_server.people.sign_in import tidy
from sync_server.people.tables import operator, operator_session, role

ACCOUNT_PATTERN = re.compile(r"[a-z][a-z0-9._-]{2,31}")


class Listed(NamedTuple):
    """An operator as lists show it."""

    id: UUID
    organisation: str
    account: str
    name: str
    role_code: str
    role_zh: str
    role_en: str
    state: str
    created_at_ms: int


def add_operator(
    centre: Centre, organisation: str, account: str, name: str, role_code: str, password: str, actor: str
) -> UUID:
    """A new account that may sign in at once.

    ValueError names what is wrong with the account, name or password; NotFoundError an unknown organisation or role;
    NotAllowedError an account that is taken, or a role that is not for this kind of organisation.
    """
    organisation, account, name = tidy(organisation).upper(), tidy(account).lower(), tidy(name)
    if not ACCOUNT_PATTERN.fullmatch(account):
        raise ValueError(f"the account {account!r} needs 3 to 32 of a-z 0-9 . _ - and begins with a letter")
    if not name:
        raise ValueError("the name is empty")
    password_hash = hash_password(password)
    now_ms, operator_id = centre.now_ms(), centre.new_id()
    with centre.write() as connection:
        seed_roles(connection, now_ms, actor)
        there = connection.execute(sa.select(party.c.id, party.c.kind).where(party.c.org_number == organisation))
        owner = there.one_or_none()
        if owner is None:
            raise NotFoundError(f"there is no organisation {organisation!r}")
        kind = connection.execute(sa.select(role.c.organisation).where(role.c.code == role_code)).scalar()
        if kind is None:
            raise NotFoundError(f"there is no role {role_code!r}")
        if kind != owner.kind:
            raise NotAllowedError(f"the role {role_code!r} is for people of a {kind}; {organisation} is a {owner.kind}")
        row = {"id": operator_id, "party_id": owner.id, "account": account, "name": name, "role_code": role_code}
        values = {**row, "state": "ACTIVE", "password_hash": password_hash, "created_at_ms": now_ms}
        if not insert_missing(connection, operator, [values]):
            raise NotAllowedError(f"{organisation} already has an account {account!r}")
        detail = {"organisation": organisation, "account": account, "role": role_code}
        log.record(connection, now_ms, actor, "operator.added", f"operator:{operator_id}", detail)
    return operator_id


def set_state(centre: Centre, operator_id: UUID, state: str, actor: str) -> None:
    """ACTIVE or DISABLED; disabling ends every session of the operator at once."""
    now_ms = centre.now_ms()
    with centre.write() as connection:
        changed = connection.execute(operator.update().where(operator.c.id == operator_id).values(state=state))
        if changed.rowcount == 0:
            raise NotFoundError(f"there is no operator {operator_id}")
        if state != "ACTIVE":
            sessions = operator_session.c.operator_id == operator_id, operator_session.c.ended_at_ms.is_(None)
            connection.execute(operator_session.update().where(*sessions).values(ended_at_ms=now_ms))
        log.record(connection, now_ms, actor, "operator.state", f"operator:{operator_id}", {"state": state})


def list_operators(connection: Connection, limit: int = 1_000) -> list[Listed]:
    """By organisation and account."""
    rows = connection.execute(
        sa.select(
            operator.c.id,
            party.c.org_number,
            operator.c.account,
            operator.c.name,
            operator.c.role_code,
            role.c.name_zh,
            role.c.name_en,
            operator.c.state,
            operator.c.created_at_ms,
        )
        .select_from(operator.join(party).join(role))
        .order_by(party.c.org_number, operator.c.account)
        .limit(limit)
    )
    return [Listed(*row) for row in rows]
