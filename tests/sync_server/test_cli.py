"""The command line's edge: what no table takes is refused before any command sees it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module

import pytest
from click.testing import CliRunner

from sync_server.centre import Centre
from sync_server.cli import COMMANDS_OF, cli
from sync_server.errors import NotFoundError
from tests.sync_server.command_line import command
from tests.tidy.sources import ROOT

WITHIN_A_GROUP = {"gates.journal_commands", "orders.applying_commands"}


@pytest.mark.parametrize("reason", ["it burnt\0", "it burnt \udcff", "\ud83d"])
def test_a_text_that_cannot_be_kept_is_wrong_usage(reason: str) -> None:
    done = CliRunner().invoke(cli, ["gate", "revoke", "ab", "--reason", reason])
    assert (done.exit_code, "not all characters" in done.stderr) == (2, True)
    assert ascii(reason)[1:-1] in done.stderr, "shown, but not as it came"


def test_any_characters_are_kept() -> None:
    done = CliRunner().invoke(cli, ["--database", "no database", "gate", "revoke", "ab", "--reason", "着火了 🔥"])
    assert "characters" not in done.output


@pytest.mark.parametrize("said", [["--reason", ""], ["--reason", "  "], ["--reason="], ["--note", "\t"]])
def test_a_reason_that_says_nothing_is_wrong_usage(said: list[str]) -> None:
    done = CliRunner().invoke(cli, ["gate", "revoke", "ab", *said])
    assert (done.exit_code, "is empty" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "asked",
    [
        ("payout", "list", "--venue", "99"),
        ("inbox", "list", "--venue", "99"),
        ("statement", "list", "--party", "9999"),
        ("profit", "report", "2026-10", "--product", "99"),
        ("fee", "list", "--party", "9999"),
        ("top-up", "balance", "9999"),
        ("refund", "waiting", "9999"),
        ("product", "discount", "list", "99"),
    ],
)
def test_a_list_of_something_that_is_not_there_is_an_error_that_names_it(
    centre: Centre, asked: tuple[str, ...]
) -> None:
    done = CliRunner().invoke(command(asked[0]), asked[1:], obj=lambda: centre)
    assert isinstance(done.exception, NotFoundError), done.output
    assert "99" in str(done.exception)


def test_the_table_names_every_command_of_every_module() -> None:
    bring = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts[1:])
        for file in (ROOT / "sync_server").rglob("*.py")
        if re.search(r"^COMMANDS = ", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert bring - WITHIN_A_GROUP == set(COMMANDS_OF)
    for module, names in COMMANDS_OF.items():
        assert tuple(one.name for one in import_module(f"sync_server.{module}").COMMANDS) == names, module


def test_a_command_waits_for_no_other_s_imports() -> None:
    ask = "import sys; sys.argv[1:] = ['keys', '--help']\nimport atexit, sync_server.cli as cli\n"
    tell = "atexit.register(lambda: print(sorted(name for name in sys.modules if name.startswith('sync_server.'))))\n"
    done = subprocess.run([sys.executable, "-c", f"{ask}{tell}cli.main()"], capture_output=True, text=True, check=True)
    assert "'sync_server.keys.commands'" in done.stdout and "sync_server.settlement.commands" not in done.stdout
