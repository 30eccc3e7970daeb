"""The units under a real systemd: a machine is installed, booted and tried (`./dev test --slow units`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tidy.sources import ROOT

LIMIT_S = 20 * 60
INSTALL = """
apt-get update -qq
apt-get install -y -qq --no-install-recommends python3 systemd systemd-sysv udev dbus util-linux >/dev/null
python3 -m provisioning.install agent
python3 -m provisioning.install server
systemctl --root=/ enable /root/gates/tests/units/checks.service
"""

pytestmark = [
    pytest.mark.slow("units"),
    pytest.mark.skipif(shutil.which("debootstrap") is None, reason="debootstrap is not installed"),
    pytest.mark.skipif(shutil.which("systemd-nspawn") is None, reason="systemd-container is not installed"),
]


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What checks.py saw on a machine with both roles installed."""
    tree = tmp_path_factory.mktemp("booted") / "root"
    machine = [ROOT / "tests/bare/machine", request.param, "sh", "-euc", INSTALL]
    subprocess.run(machine, env={**os.environ, "USED": str(tree), "KEEP": "1"}, timeout=LIMIT_S, check=True)
    boot = ["systemd-nspawn", "--quiet", "--boot", "--keep-unit", "--register=no", "--private-network"]
    subprocess.run(
        [*boot, f"--directory={tree}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=LIMIT_S,
        check=False,
    )
    yield json.loads((tree / "root/told.json").read_text(encoding="utf-8"))
    shutil.rmtree(tree)


def test_the_gate_starts(told: dict[str, Any]) -> None:
    assert told["start"]["healthz"] == 200
    assert told["start"]["says"] in ("started", "in order")


def test_the_sandbox_holds(told: dict[str, Any]) -> None:
    assert told["sandbox"] == {
        "root": False, "capabilities": 0, "no_new_privileges": "1", "seccomp": "2",
        "writes_etc": False, "writes_data": True, "writes_pulses": True,
    }  # fmt: skip


def test_killed_it_comes_back_and_does_not_need_the_exchange(told: dict[str, Any]) -> None:
    assert told["kill"] == {"came_back": True, "gate_is_the_same": True}


def test_hanging_it_is_started_anew(told: dict[str, Any]) -> None:
    assert told["hang"]["started_later"]
    assert told["hang"]["by_the_watchdog"]


def test_with_a_journal_that_takes_nothing_it_is_started_anew(told: dict[str, Any]) -> None:
    assert told["blocked_journal"] == {
        "started_later": True, "by_the_watchdog": True, "says_where_threads_stood": True,
    }  # fmt: skip


def test_the_exchange_hanging_is_started_anew_and_the_gate_does_not_feel_it(told: dict[str, Any]) -> None:
    assert told["hanging_sync"]["by_the_watchdog"]
    assert told["hanging_sync"]["started_later"]
    assert told["hanging_sync"]["gate_is_the_same"]


def test_a_wrong_setting_stops_it_once(told: dict[str, Any]) -> None:
    assert told["wrong_setting"] == {"status": "78", "tried_again": False}


def test_the_centre_starts(told: dict[str, Any]) -> None:
    assert told["centre"] == {"answers": True}
