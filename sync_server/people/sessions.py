"""Who is signed in: one row per session, found by the hash of the token in the cookie."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.parties.tables import party
from sync_server.people.permissions import Permission
from sync_server.people.tables import operator, operator_session, role, role_permission

LIFETIME_MS = 12 * 3_600_000
TOKEN_BYTES = 24


@dataclass(frozen=True)
class SignedIn:
    """An operator at a browser, as the database says at this moment."""

    token: str
    id: UUID
    name: str
    account: str
    organisation: str
    organisation_zh: str
    organisation_en: str
    role_zh: str
    role_en: str
    permissions: frozenset[Permission]

    @property
    def actor(self) -> str:
        """How this operator is named in the event log and in the ledger."""
        return f"operator:{self.id}"

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


def open_session(connection: Connection, operator_id: UUID, address: str, now_ms: int) -> str:
    """The token for the cookie; the database keeps only its hash."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    row = {"token_hash": _hash(token), "operator_id": operator_id, "address": address, "created_at_ms": now_ms}
    connection.execute(operator_session.insert().values(**row, expires_at_ms=now_ms + LIFETIME_MS))
    return token


def find_session(connection: Connection, token: str, now_ms: int) -> SignedIn | None:
    """None when the session ended or expired, or the account was disabled."""
    row = connection.execute(
        sa.select(
            operator.c.id,
            operator.c.name,
            operator.c.account,
            operator.c.role_code,
            party.c.org_number,
            party.c.name_zh.label("party_zh"),
            party.c.name_en.label("party_en"),
            role.c.name_zh,
            role.c.name_en,
        )
        .select_from(operator_session.join(operator).join(party).join(role))
        .where(
            operator_session.c.token_hash == _hash(token),
            operator_session.c.ended_at_ms.is_(None),
            operator_session.c.expires_at_ms > now_ms,
            operator.c.state == "ACTIVE",
        )
    ).one_or_none()
    if row is None:
        return None
    permissions = permissions_of(connection, row.role_code)
    return SignedIn(
        token,
        row.id,
        row.name,
        row.account,
        row.org_number,
        row.party_zh,
        row.party_en,
        row.name_zh,
        row.name_en,
        permissions,
    )


def permissions_of(connection: Connection, role_code: str) -> frozenset[Permission]:
    """What the installation lets a role do; what a later release knows is left out."""
    held = sa.select(role_permission.c.permission).where(role_permission.c.role_code == role_code)
    known = {permission.value for permission in Permission}
    return frozenset(Permission(name) for name in connection.execute(held).scalars() if name in known)


def end_session(connection: Connection, token: str, now_ms: int) -> None:
    connection.execute(
        operator_session.update()
        .where(operator_session.c.token_hash == _hash(token), operator_session.c.ended_at_ms.is_(None))
        .values(ended_at_ms=now_ms)
    )


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
