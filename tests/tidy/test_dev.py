"""`./dev`: any POSIX shell reads it, and it says what it can do."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.tidy.sources import ROOT

SCRIPTS = ["dev", "requirements/compile.sh", "tests/bare/machine"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_posix_shell_reads_it(script: str) -> None:
    dash = shutil.which("dash")
    assert dash, "dash is Debian's /bin/sh"
    subprocess.run([dash, "-n", ROOT / script], check=True)
    assert (ROOT / script).read_text(encoding="utf-8").startswith("#!/bin/sh\n")


def test_every_command_is_explained() -> None:
    explained = subprocess.run([ROOT / "dev"], capture_output=True, text=True, check=True).stdout
    cases = (ROOT / "dev").read_text(encoding="utf-8").rpartition("case $command in")[2]
    commands = re.findall(r"^([a-z]+)\)", cases, re.MULTILINE)
    assert len(commands) >= 7
    assert [command for command in commands if not re.search(rf"\b{command}\b", explained)] == []


def test_an_unknown_command_is_a_mistake_in_usage() -> None:
    done = subprocess.run([ROOT / "dev", "frobnicate"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "frobnicate" in done.stderr
