"""Who gives a command that an operator answers for: options of the command line, and the person they prove."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from sync_server.centre import Centre
from sync_server.people.identifying import Person, identify
from sync_server.people.passwords import MAX_CHARACTERS

Command = TypeVar("Command", bound=Callable[..., Any])


def by_operator(command: Command) -> Command:
    """An act that an operator answers for."""
    for option in (
        click.option("--password-stdin", is_flag=True, help="read the password from the first line of standard input"),
        click.option("--account", required=True, help="your account (帐号)"),
        click.option("--organisation", required=True, help="your organisation number (机构号)"),
    ):
        command = option(command)
    return command


def person_of(centre: Centre, who: dict[str, Any]) -> Person:
    """The operator that these options name, once the password is right."""
    if who["password_stdin"]:
        password = sys.stdin.readline(MAX_CHARACTERS + 2).rstrip("\r\n")
    else:
        password = click.prompt("password", hide_input=True, err=True)
    return identify(centre, who["organisation"], who["account"], password)
