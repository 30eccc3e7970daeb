"""The units: systemd understands them, each is as closed as gate.md says, and a wrong setting does not loop."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from gate_agent.watchdog import CHECK_EVERY_S
from tests.tidy.sources import ROOT

UNITS = sorted((ROOT / "systemd").glob("*.service"))
# `systemd-analyze security`, times ten: gate.md "Running" for the gate's two; the centre's are held to the same.
EXPOSURE_AT_MOST = {"gate-agent": 16, "gate-sync": 11, "sync-server": 11, "sync-worker": 11, "gate-kiosk@": 70}
"""The kiosk's is a browser with a compiler and a sandbox of its own; it reaches this machine's pages alone."""
SERVICES = [unit for unit in UNITS if "kiosk" not in unit.name]
WATCHED = {"gate-agent": "30", "gate-sync": "300"}
EXIT_USAGE, EXIT_CONFIGURATION = "2", "78"

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_it(unit: Path, tmp_path: Path) -> None:
    program = Path("/bin/true")  # ours is not installed where the tests run
    text = unit.read_text(encoding="utf-8")
    installed = next(word for word in text.split() if word.startswith("ExecStart=")).removeprefix("ExecStart=")
    copy = tmp_path / unit.name
    copy.write_text(text.replace(installed, str(program)), encoding="utf-8")
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False
    ).stderr  # fmt: skip
    assert not [line for line in told.splitlines() if unit.stem in line]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_is_closed(unit: Path) -> None:
    threshold = f"--threshold={EXPOSURE_AT_MOST[unit.stem]}"
    subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", threshold, unit], check=True)


def test_an_open_unit_is_found(tmp_path: Path) -> None:
    """The threshold bites: one protection less and the gate's unit is no longer let through."""
    text = (ROOT / "systemd/gate-agent.service").read_text(encoding="utf-8")
    worse = tmp_path / "gate-agent.service"
    worse.write_text(text.replace("NoNewPrivileges=yes", "").replace("ProtectSystem=strict", ""), encoding="utf-8")
    threshold = f"--threshold={EXPOSURE_AT_MOST['gate-agent']}"
    assert subprocess.run(["systemd-analyze", "security", "--offline=true", threshold, worse], check=False).returncode


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_wrong_setting_does_not_loop(unit: Path) -> None:
    settings = sections(unit)
    assert settings["Service"]["Restart"] == "always"
    assert settings["Service"]["RestartPreventExitStatus"].split() == [EXIT_USAGE, EXIT_CONFIGURATION]


@pytest.mark.parametrize("name", WATCHED)
def test_systemd_watches_over_the_gate(name: str) -> None:
    service = sections(ROOT / f"systemd/{name}.service")["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert service["WatchdogSec"] == WATCHED[name]
    assert float(service["WatchdogSec"]) >= 3 * CHECK_EVERY_S, "one word that gets lost is no end"
    assert service["LimitCORE"] == "0", "what is in memory stays there"


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_nothing_depends_on_the_kiosk(unit: Path) -> None:
    assert "kiosk" not in unit.read_text(encoding="utf-8")


def sections(unit: Path) -> configparser.RawConfigParser:
    """What stands in a unit."""
    settings = configparser.RawConfigParser(strict=False, interpolation=None)
    settings.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names are case-sensitive
    settings.read(unit)
    return settings
