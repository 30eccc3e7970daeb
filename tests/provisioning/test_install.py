"""The installer: what it would do on a bare machine, on a finished one and after a change; and it really does it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gate_agent.settings
import sync_server.settings
from provisioning.install import ROLES, SOURCE, Host, Step, carry_out, is_pi, plan, release_name


def gate_settings() -> object:
    return gate_agent.settings.load(SOURCE / ROLES["agent"].settings[0], required=True)


def centre_settings() -> object:
    return sync_server.settings.load_settings(None, SOURCE / ROLES["server"].settings[0], {})


EVERY_PACKAGE = frozenset({"systemd", "udev", "python3-venv", "libzbar0t64", "pcscd", "python3-pyscard"})
NEEDS_SYSTEMD = pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed")


def commands(steps: list[Step]) -> list[str]:
    return [" ".join(step.command) for step in steps]


def finished(role: str, root: Path, source: Path = SOURCE) -> Host:
    """A machine on which everything was carried out but the slow part, the libraries, which is pretended."""
    host = Host(root, EVERY_PACKAGE, systemd_runs=False)
    release = root / "opt/gates" / role / "releases" / release_name(ROLES[role], source)
    release.mkdir(parents=True)
    (release / ".complete").touch()
    (root / "etc").mkdir(exist_ok=True)
    for name in ("passwd", "group", "shadow", "gshadow"):
        (root / "etc" / name).touch()
    carry_out(plan(ROLES[role], source, host))
    return host


@pytest.fixture
def changed_source(tmp_path: Path) -> Path:
    """A checkout that differs from this one in one byte of one file."""
    source = tmp_path / "source"
    for folder in ("requirements", "systemd", "provisioning"):
        shutil.copytree(SOURCE / folder, source / folder)
    shutil.copy(SOURCE / "pyproject.toml", source)
    return source


@pytest.mark.parametrize("role", ROLES)
def test_a_bare_machine_gets_everything_in_order(role: str, tmp_path: Path) -> None:
    told = commands(plan(ROLES[role], SOURCE, Host(tmp_path, frozenset(), systemd_runs=True)))
    order = [
        "apt-get install", "-m venv", "--require-hashes", "--no-deps", ".complete", "install -D", "systemd-sysusers",
        "daemon-reload", "mv --no-target-directory", "enable", "try-restart",
    ]  # fmt: skip
    places = [next(place for place, command in enumerate(told) if word in command) for word in order]
    assert places == sorted(places)
    assert "python3-venv" in told[1]


def test_either_name_of_a_package_will_do(tmp_path: Path) -> None:
    told = commands(plan(ROLES["agent"], SOURCE, Host(tmp_path, EVERY_PACKAGE, systemd_runs=False)))
    assert not [command for command in told if "apt-get" in command]


def test_a_gate_gets_what_card_readers_need_and_a_pi_its_pins(tmp_path: Path) -> None:
    bare = commands(plan(ROLES["agent"], SOURCE, Host(tmp_path, frozenset(), systemd_runs=False)))[1]
    assert {"pcscd", "python3-pyscard"} <= set(bare.split())
    assert "lgpio" not in bare
    pi = commands(plan(ROLES["agent"], SOURCE, Host(tmp_path, EVERY_PACKAGE, systemd_runs=False, is_pi=True)))[1]
    assert pi.split()[-1] == "python3-lgpio"
    centre = commands(plan(ROLES["server"], SOURCE, Host(tmp_path, frozenset(), systemd_runs=False, is_pi=True)))[1]
    assert "pcscd" not in centre
    assert "lgpio" not in centre


def test_a_pi_is_known_by_its_firmware(tmp_path: Path) -> None:
    assert not is_pi(tmp_path)
    model = tmp_path / "proc/device-tree/model"
    model.parent.mkdir(parents=True)
    for name, pi in ((b"Raspberry Pi 4 Model B Rev 1.5\0", True), (b"Some other board\0", False)):
        model.write_bytes(name)
        assert is_pi(tmp_path) is pi


@NEEDS_SYSTEMD
@pytest.mark.parametrize("role", ROLES)
def test_a_second_run_has_nothing_to_do(role: str, tmp_path: Path) -> None:
    host = finished(role, tmp_path)
    assert plan(ROLES[role], SOURCE, host) == []
    for unit in ROLES[role].units:
        assert (tmp_path / "etc/systemd/system/multi-user.target.wants" / unit).is_symlink()
    assert ROLES[role].program in (tmp_path / "etc/passwd").read_text(encoding="utf-8")
    assert (tmp_path / "etc/polkit-1/rules.d/60-gate-agent.rules").exists() == (role == "agent")


@NEEDS_SYSTEMD
@pytest.mark.parametrize("role", ROLES)
def test_settings_of_ones_own_stay(role: str, tmp_path: Path) -> None:
    host = finished(role, tmp_path)
    settings = tmp_path / ROLES[role].settings[1]
    assert role != "server" or settings.stat().st_mode & 0o777 == 0o640  # a database password may come to stand there
    settings.write_text("# changed here\n", encoding="utf-8")
    assert plan(ROLES[role], SOURCE, host) == []


@pytest.mark.parametrize("load", [gate_settings, centre_settings])
def test_the_first_settings_can_be_read(load: Callable[[], object]) -> None:
    assert load()


@NEEDS_SYSTEMD
def test_a_changed_checkout_becomes_a_release_of_its_own(tmp_path: Path, changed_source: Path) -> None:
    root = tmp_path / "root"
    host = finished("agent", root, changed_source)
    unit = changed_source / "systemd/gate-agent.service"
    unit.write_text(unit.read_text(encoding="utf-8").replace("RestartSec=1", "RestartSec=2"), encoding="utf-8")
    assert [command.split()[0] for command in commands(plan(ROLES["agent"], changed_source, host))] == [
        "install", "systemd-sysusers", "systemd-tmpfiles", "systemctl",
    ]  # fmt: skip
    lock = changed_source / "requirements/agent.lock"
    lock.write_text(lock.read_text(encoding="utf-8") + "# newer\n", encoding="utf-8")
    told = commands(plan(ROLES["agent"], changed_source, host))
    assert any("--require-hashes" in command for command in told)
    assert not any("rm -rf" in command and "source" not in command and "half" in command for command in told)


@NEEDS_SYSTEMD
def test_two_releases_are_kept(tmp_path: Path) -> None:
    host = finished("agent", tmp_path)
    releases = tmp_path / "opt/gates/agent/releases"
    (releases / "0.0.1-before").mkdir()
    assert plan(ROLES["agent"], SOURCE, host) == []
    (releases / "0.0.0-long-ago").mkdir()
    (told,) = commands(plan(ROLES["agent"], SOURCE, host))
    assert told.startswith("rm -rf")
    assert "current" not in told
    assert release_name(ROLES["agent"], SOURCE) not in told


def test_dry_run_prints_and_does_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "provisioning.install", "agent", "--dry-run"],
        cwd=SOURCE, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "/opt/gates/agent/releases/" in done.stdout
    assert done.stderr == ""


def test_a_step_that_fails_ends_it(tmp_path: Path) -> None:
    never = tmp_path / "never"
    with pytest.raises(subprocess.CalledProcessError):
        carry_out([Step("this fails", ("false",)), Step("this is not reached", ("touch", str(never)))])
    assert not never.exists()
