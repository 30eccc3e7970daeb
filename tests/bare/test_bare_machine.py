"""A clone on a Debian with nothing on it: the demo plays, the installer installs (`./dev test --slow bare`)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

MACHINE = Path(__file__).with_name("machine")
LIMIT_S = 25 * 60

pytestmark = [
    pytest.mark.slow("bare"),
    pytest.mark.parametrize("suite", ["bookworm", "trixie"]),
    pytest.mark.skipif(shutil.which("debootstrap") is None, reason="debootstrap is not installed"),
]


def run_on_bare(suite: str, *command: str) -> str:
    """What the command printed; CalledProcessError when it failed."""
    return subprocess.run(
        [MACHINE, suite, *command], stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=True
    ).stdout  # fmt: skip


def test_the_demo_plays_on_a_bare_machine(suite: str) -> None:
    told = json.loads(run_on_bare(suite, "./dev", "demo", "--once").splitlines()[-1])
    assert told["admitted"] > 0
    assert told["ledger_balance_fen"] == 0


@pytest.mark.parametrize(("role", "program"), [("agent", "gate-agent"), ("server", "sync-server")])
def test_the_installer_installs_once(suite: str, role: str, program: str) -> None:
    told = run_on_bare(
        suite, "sh", "-euc",
        f"""
        apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 >/dev/null
        python3 -m provisioning.install {role}
        /opt/gates/{role}/current/bin/{program} --help >/dev/null
        python3 -m provisioning.install {role} --dry-run
        """,
    )  # fmt: skip
    assert told.splitlines()[-1] == "# nothing to do"
