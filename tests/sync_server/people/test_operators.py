"""Accounts: who may be added where, and what the command line prints."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace

import pytest
import sqlalchemy as sa
from argon2 import extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY
from click.testing import CliRunner

from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.parties.parties import NewParty, add_party
from sync_server.people import operators, passwords
from sync_server.people.commands import user
from sync_server.people.passwords import Checked, check_password, hash_password
from sync_server.people.permissions import SEEDED_ROLES, Permission
from sync_server.people.tables import operator, role_permission

pytestmark = pytest.mark.slow

PASSWORD = "a long password"


@pytest.fixture(autouse=True)
def _organisations(centre: Centre) -> None:
    with centre.write() as connection:
        for kind, number in (("PLATFORM", "BJ0001"), ("VENUE", "JQ0001")):
            add_party(connection, NewParty(kind, number, "甲", "A", "ref"), "Asia/Shanghai", centre.now_ms())


def add(centre: Centre, organisation: str = "BJ0001", account: str = "zhoumin", role: str = "finance") -> None:
    operators.add_operator(centre, organisation, account, "周敏", role, PASSWORD, "test")


def test_an_operator_is_listed_without_the_password(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        if any_centre.engine.dialect.name != "sqlite":
            add_party(connection, NewParty("PLATFORM", "BJ0001", "甲", "A", "r"), "Asia/Shanghai", any_centre.now_ms())
    add(any_centre)
    with any_centre.read() as connection:
        (listed,) = operators.list_operators(connection)
        stored = connection.execute(sa.select(operator.c.password_hash)).scalar_one()
    assert (listed.organisation, listed.account, listed.role_zh, listed.state) == (
        "BJ0001",
        "zhoumin",
        "财务",
        "ACTIVE",
    )
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


@pytest.mark.parametrize(
    ("organisation", "account", "role", "error", "names"),
    [
        ("BJ0001", "周敏", "finance", ValueError, "周敏"),
        ("BJ0001", "x", "finance", ValueError, "'x'"),
        ("BJ0001", "taken", "finance", NotAllowedError, "taken"),
        ("NO0000", "zhoumin", "finance", NotFoundError, "NO0000"),
        ("BJ0001", "zhoumin", "king", NotFoundError, "king"),
        ("JQ0001", "zhoumin", "finance", NotAllowedError, "VENUE"),
    ],
)
def test_what_is_wrong_is_named(
    centre: Centre, organisation: str, account: str, role: str, error: type[Exception], names: str
) -> None:
    add(centre, account="taken")
    with pytest.raises(error, match=names):
        add(centre, organisation, account, role)


def test_a_password_is_long_but_not_endless() -> None:
    for password in ("short", "x" * 129):
        with pytest.raises(ValueError, match="10 to 128"):
            hash_password(password)
    assert check_password(hash_password(PASSWORD), PASSWORD) is Checked.RIGHT
    assert check_password(hash_password(PASSWORD), PASSWORD + " ") is Checked.WRONG
    assert check_password(None, PASSWORD) is Checked.WRONG


def test_as_shipped_a_password_is_costly_to_guess() -> None:
    shipped = runpy.run_path(passwords.__file__)  # what the other tests use is made cheap
    assert extract_parameters(shipped["hash_password"](PASSWORD)) == RFC_9106_LOW_MEMORY
    assert check_password("not a hash", PASSWORD) is Checked.WRONG


def test_user_administration_finance_and_audit_exclude_each_other() -> None:
    kept_apart = {Permission.USERS_MANAGE, Permission.LEDGER_VIEW, Permission.AUDIT_VIEW}
    for role in SEEDED_ROLES:
        assert len(role.permissions & kept_apart) <= 1, role.code
    assert {permission for role in SEEDED_ROLES for permission in role.permissions} == set(Permission)


def test_what_an_installation_changed_in_a_role_stays(centre: Centre) -> None:
    add(centre)
    mine = role_permission.c.role_code == "finance", role_permission.c.permission == Permission.LEDGER_VIEW
    with centre.write() as connection:
        connection.execute(role_permission.delete().where(*mine))
    add(centre, account="second")
    with centre.read() as connection:
        assert connection.execute(sa.select(role_permission).where(*mine)).all() == []


def test_the_command_line_adds_and_lists(centre: Centre) -> None:
    run = CliRunner().invoke
    options = ["add", "--organisation", "BJ0001", "--account", "qianwen", "--name", "钱文", "--role", "finance"]
    made = json.loads(run(user, options, obj=lambda: centre).stdout)
    again = run(user, [*options[:-1], "auditor"], obj=lambda: centre)
    assert (again.exit_code, "already" in again.stderr) == (1, True)
    shown = json.loads(run(user, ["list"], obj=lambda: centre).stdout)
    assert shown == {
        "organisation": "BJ0001",
        "account": "qianwen",
        "name": "钱文",
        "role": "finance",
        "state": "ACTIVE",
    }
    with centre.read() as connection:
        stored = connection.execute(sa.select(operator.c.password_hash)).scalar_one()
    assert check_password(stored, made["password"]) is Checked.RIGHT
    typed = run(user, [*options[:4], "second", *options[5:], "--password-stdin"], input=PASSWORD, obj=lambda: centre)
    assert json.loads(typed.stdout) == {"organisation": "BJ0001", "account": "second", "role": "finance"}


def test_the_clock_of_the_centre_is_used(centre: Centre) -> None:
    add(replace(centre, now_ms=lambda: 42))
    with centre.read() as connection:
        assert operators.list_operators(connection)[0].created_at_ms == 42
