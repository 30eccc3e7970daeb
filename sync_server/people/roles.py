"""The built-in roles in the database: written once, brought to what a release adds, and left alone once changed."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit import log
from sync_server.bulk import insert_missing
from sync_server.people.permissions import ADDED_AFTER_0_2_0, SEEDED_ROLES, Permission, Role
from sync_server.people.tables import role, role_permission


class Seeded(NamedTuple):
    """What became of the built-in roles, by code: permissions that one got, and those that are the installation's own.

    A role is its own from the moment it holds something else than we gave it: then it gets nothing by itself.
    """

    given: dict[str, list[str]]
    left: list[str]


def seed_roles(connection: Connection, now_ms: int, actor: str) -> Seeded:
    """Write the built-in roles that are not there, and bring the others to this release as far as nobody changed them.

    What a role was given last stands beside it: only so is a permission that was taken away told from a new one.
    """
    seeded = Seeded({}, [])
    for built_in in SEEDED_ROLES:
        code, given = built_in.code, _written(built_in.permissions)
        row = {"code": code, "name_zh": built_in.name_zh, "name_en": built_in.name_en, "seeded": given}
        if insert_missing(connection, role, [{**row, "organisation": built_in.organisation}]):
            _hold(connection, code, built_in.permissions)
            continue
        held = _held(connection, code)
        before = connection.scalar(sa.select(role.c.seeded).where(role.c.code == code))
        if held == built_in.permissions:
            pass  # as this release has it, by whomever
        elif _written(held) == (_first(built_in) if before is None else before):
            _hold(connection, code, built_in.permissions)
            added, removed = sorted(built_in.permissions - held), sorted(held - built_in.permissions)
            seeded.given[code] = [str(permission) for permission in added]
            log.record(connection, now_ms, actor, "role.seeded", f"role:{code}", {"added": added, "removed": removed})
        else:
            seeded.left.append(code)
            continue
        if before != given:
            connection.execute(role.update().where(role.c.code == code).values(seeded=given))
    return seeded


def _first(built_in: Role) -> str:
    """What release 0.2.0 gave it, which did not write that down."""
    return _written(built_in.permissions - ADDED_AFTER_0_2_0)


def _written(permissions: frozenset[Permission] | frozenset[str]) -> str:
    return " ".join(sorted(permissions))


def _held(connection: Connection, code: str) -> frozenset[str]:
    mine = sa.select(role_permission.c.permission).where(role_permission.c.role_code == code)
    return frozenset(connection.scalars(mine))


def _hold(connection: Connection, code: str, permissions: frozenset[Permission]) -> None:
    connection.execute(role_permission.delete().where(role_permission.c.role_code == code))
    held = [{"role_code": code, "permission": permission.value} for permission in sorted(permissions)]
    connection.execute(role_permission.insert(), held)
