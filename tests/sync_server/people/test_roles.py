"""Built-in roles follow the releases by themselves; one that an installation changed is its own."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.people.permissions import ADDED_AFTER_0_2_0, SEEDED_ROLES, Permission
from sync_server.people.roles import Seeded, seed_roles
from sync_server.people.sessions import permissions_of
from sync_server.people.tables import role, role_permission

NEW = {one.code: sorted(map(str, one.permissions & ADDED_AFTER_0_2_0)) for one in SEEDED_ROLES}


def seed(centre: Centre) -> Seeded:
    with centre.write() as connection:
        return seed_roles(connection, centre.now_ms(), "test")


def held(centre: Centre, code: str) -> set[str]:
    with centre.read() as connection:
        return {str(permission) for permission in permissions_of(connection, code)}


def go_back(centre: Centre, *codes: str, seeded: bool) -> None:
    """As a release before this one left it; `seeded`: one that wrote down what it gave."""
    with centre.write() as connection:
        for code in codes:
            mine = role_permission.c.role_code == code
            connection.execute(role_permission.delete().where(mine, role_permission.c.permission.in_(NEW[code])))
            left = connection.scalars(sa.select(role_permission.c.permission).where(mine))
            said = " ".join(sorted(left)) if seeded else None
            connection.execute(role.update().where(role.c.code == code).values(seeded=said))


@pytest.mark.parametrize("seeded", [False, True], ids=["of 0.2.0", "of a later release"])
def test_a_role_gets_what_a_release_adds_once(any_centre: Centre, seeded: bool) -> None:
    assert seed(any_centre) == Seeded({}, [])
    go_back(any_centre, "operations", "finance", seeded=seeded)
    assert seed(any_centre) == Seeded({"operations": NEW["operations"], "finance": NEW["finance"]}, [])
    for built_in in SEEDED_ROLES:
        assert held(any_centre, built_in.code) == set(built_in.permissions)
    assert seed(any_centre) == Seeded({}, [])
    with any_centre.read() as connection:
        told = connection.scalars(sa.select(event_log.c.detail).where(event_log.c.action == "role.seeded"))
        assert [json.loads(detail) for detail in told] == [
            {"added": NEW[code], "removed": []} for code in ("operations", "finance")
        ]


@pytest.mark.parametrize("seeded", [False, True], ids=["of 0.2.0", "of a later release"])
def test_a_role_that_was_changed_stays_as_it_is(any_centre: Centre, seeded: bool) -> None:
    seed(any_centre)
    go_back(any_centre, "finance", "operations", seeded=seeded)
    with any_centre.write() as connection:
        mine = role_permission.c.role_code == "finance"
        connection.execute(role_permission.delete().where(mine, role_permission.c.permission == Permission.LEDGER_VIEW))
    changed = held(any_centre, "finance")
    assert seed(any_centre) == Seeded({"operations": NEW["operations"]}, ["finance"])
    assert held(any_centre, "finance") == changed


def test_a_permission_that_was_taken_away_does_not_come_back(any_centre: Centre) -> None:
    seed(any_centre)
    with any_centre.write() as connection:
        mine = role_permission.c.role_code == "operations"
        connection.execute(role_permission.delete().where(mine, role_permission.c.permission.in_(NEW["operations"])))
    assert seed(any_centre) == Seeded({}, ["operations"])
    assert not held(any_centre, "operations") & set(NEW["operations"])


def test_a_role_that_somebody_brought_up_to_date_follows_again(any_centre: Centre) -> None:
    seed(any_centre)
    go_back(any_centre, "operations", seeded=False)
    with any_centre.write() as connection:
        given = [{"role_code": "operations", "permission": permission} for permission in NEW["operations"]]
        connection.execute(role_permission.insert(), given)
    assert seed(any_centre) == Seeded({}, [])
    go_back(any_centre, "operations", seeded=True)
    assert seed(any_centre) == Seeded({"operations": NEW["operations"]}, [])
