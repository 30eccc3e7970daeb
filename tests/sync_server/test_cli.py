"""The command line's edge: what no table takes is refused before any command sees it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from sync_server.cli import cli


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
