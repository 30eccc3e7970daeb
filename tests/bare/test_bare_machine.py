"""A clone on a Debian with nothing on it: the demo plays to its end there (`./dev test --slow bare`)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

MACHINE = Path(__file__).with_name("machine")
LIMIT_S = 25 * 60


@pytest.mark.slow("bare")
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
@pytest.mark.skipif(shutil.which("debootstrap") is None, reason="debootstrap is not installed")
def test_the_demo_plays_on_a_bare_machine(suite: str) -> None:
    played = subprocess.run(
        [MACHINE, suite, "./dev", "demo", "--once"], stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=True
    )
    told = json.loads(played.stdout.splitlines()[-1])
    assert told["admitted"] > 0
    assert told["ledger_balance_fen"] == 0
