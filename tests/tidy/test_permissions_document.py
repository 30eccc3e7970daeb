"""docs/operate.md says of every permission which roles hold it, whether two persons need it, and by which commands."""

from __future__ import annotations

import re

import click

from sync_server.people.permissions import SEEDED_ROLES, Permission
from sync_server.second_person.deeds import DEEDS
from tests.sync_server.command_line import command
from tests.tidy.sources import ROOT

ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)`(²?) \| ([a-z_, ]+) \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "operate.md").read_text(encoding="utf-8"))


def test_every_permission_has_its_roles() -> None:
    held = [(p.value, ", ".join(role.code for role in SEEDED_ROLES if p in role.permissions)) for p in Permission]
    assert [(name, roles) for name, _, roles, _ in ROWS] == held


def test_what_two_persons_need_is_marked() -> None:
    assert {name for name, two, _, _ in ROWS if two} == {deed.act.needs for deed in DEEDS.values()}


def test_the_commands_are_there() -> None:
    for name, _, _, allows in ROWS:
        for said in re.findall(r"`([^`]+)`", allows):
            group, word = said.split()
            there = command(group)
            assert isinstance(there, click.Group), said
            options = {option.name for option in there.commands[word].params}
            assert "password_stdin" in options, f"{name}: {said} asks nobody who they are"
