"""The demo is the shortest story of gate and centre together: real processes over real HTTP, both books compared."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.tidy.sources import ROOT

TIMEOUT_S = 300
NET_FEN = 4970  # 5000 less 0.60 %


@pytest.mark.story
def test_the_whole_way_once() -> None:
    played = subprocess.run(
        [sys.executable, "-m", "demo", "--once"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert played.returncode == 0, played.stderr
    figures = json.loads(played.stdout.splitlines()[-1])
    assert figures.pop("wall_s") > 0
    assert figures == {
        "issued": 9,
        "admitted": 9,
        "refused": {
            "used_up": 2,
            "not_ours": 1,
            "forged": 1,
            "not_yet_active": 1,
            "code_reused": 1,
            "needs_rotating_code": 1,
            "needs_network": 1,
        },
        "admitted_cut_off": 4,
        "uploaded": 28,
        "duplicates_counted": 0,
        "ledger_balance_fen": 0,
        "paid_to_venue_fen": 4 * NET_FEN,
    }
