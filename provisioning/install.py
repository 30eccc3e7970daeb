"""Installs the gate agent or the centre on this machine: `sudo python3 -m provisioning.install agent`, or `server`.

Run from a checkout with the system's Python; it needs nothing else. What is to be done is first worked out as a list of
shell commands, which `--dry-run` prints and a real run carries out one by one; what is already in place is not in the
list, so a second run does nothing. A release is a venv of its own under /opt/gates/ROLE/releases, and `current` names
the one that runs: putting the name back is the way back.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1]
PYTHONS = ((3, 11), (3, 12), (3, 13))
KEPT_RELEASES = 2  # the running one and the one before
COMPLETE = ".complete"  # lies in a release whose installation came to its end


@dataclass(frozen=True)
class Role:
    """What one kind of machine gets. One of each tuple in `packages` is enough; with none, the first is taken.

    `pi_packages` are for a Raspberry Pi alone."""

    name: str
    program: str
    packages: tuple[tuple[str, ...], ...]
    pi_packages: tuple[tuple[str, ...], ...]
    units: tuple[str, ...]
    settings: tuple[str, str]  # ours, and where it begins as the machine's own
    then: str


ROLES = {
    role.name: role
    for role in (
        Role(
            name="agent",
            program="gate-agent",
            packages=(
                *(("systemd",), ("udev",), ("python3-venv",), ("libzbar0", "libzbar0t64")),
                *(("pcscd",), ("python3-pyscard",)),  # card readers; no wheels
            ),
            pi_packages=(("python3-lgpio",),),  # gpiozero's pins; a plain Debian may not have it, and has no header
            units=("gate-agent.service", "gate-sync.service"),
            settings=("provisioning/gate.toml", "var/lib/gate-agent/gate.toml"),
            then="Name the lanes in /var/lib/gate-agent/gate.toml, enrol this gate, then start it:\n"
            "  runuser -u gate-agent -- /opt/gates/agent/current/bin/gate-agent enrol"
            " --data /var/lib/gate-agent --url URL --code CODE\n"
            "  systemctl restart gate-agent gate-sync",
        ),
        Role(
            name="server",
            program="sync-server",
            packages=(("systemd",), ("udev",), ("python3-venv",)),
            pi_packages=(),
            units=("sync-server.service", "sync-worker.service"),
            settings=("provisioning/sync-server.toml", "etc/gates/sync-server.toml"),
            then="Look through /etc/gates/sync-server.toml, then make the database and start:\n"
            "  runuser -u sync-server -- /opt/gates/server/current/bin/sync-server"
            " --settings /etc/gates/sync-server.toml init\n"
            "  systemctl restart sync-server sync-worker",
        ),
    )
}


@dataclass(frozen=True)
class Host:
    """What the machine has already. `root` is `/`, or a folder that stands for it."""

    root: Path
    packages: frozenset[str]
    systemd_runs: bool
    is_pi: bool = False


@dataclass(frozen=True)
class Step:
    """One command and what it is for."""

    why: str
    command: tuple[str, ...]

    def __str__(self) -> str:
        return f"{shlex.join(self.command)}  # {self.why}"


def look_at_this_machine() -> Host:
    """Asks dpkg what is installed and whether systemd is running."""
    listed = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n"],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    words = (line.split() for line in listed.stdout.splitlines())
    installed = frozenset(package for status, package in words if status == "installed")
    return Host(Path("/"), installed, Path("/run/systemd/system").is_dir(), is_pi(Path("/")))


def is_pi(root: Path) -> bool:
    """Whether the machine is a Raspberry Pi, as its firmware says."""
    model = root / "proc/device-tree/model"
    return model.is_file() and model.read_bytes().startswith(b"Raspberry Pi")


def plan(role: Role, source: Path, host: Host) -> list[Step]:
    """The commands that bring `host` to where `role` is installed from the checkout `source`; empty when it is."""
    release = host.root / "opt/gates" / role.name / "releases" / release_name(role, source)
    system_files = [*_system_files(role, source, host), *_settings(role, source, host)]
    switch = _switch(release)
    return [
        *_packages(role, host),
        *_release(role, source, release),
        *system_files,
        *(_take_in(role, host) if system_files else ()),
        *switch,
        *(_start(role, host) if system_files or switch else ()),
        *_forget_old(release),
    ]


def release_name(role: Role, source: Path) -> str:
    """Version and digest of everything that goes into a release: the same content is the same release."""
    version = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    digest = hashlib.sha256(sys.version.encode())
    for path in [source / "requirements" / f"{role.name}.lock", *_program_files(source)]:
        digest.update(path.relative_to(source).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{version}-{digest.hexdigest()[:12]}"


def _program_files(source: Path) -> list[Path]:
    """What a wheel of ours is made of."""
    packages = (init.parent for init in source.glob("*/__init__.py") if init.parent.name != "tests")
    inside = (path for package in packages for path in package.rglob("*") if "__pycache__" not in path.parts)
    top = (source / name for name in ("pyproject.toml", "README.md", "LICENSE"))
    return sorted(path for path in (*inside, *top) if path.is_file())


def _packages(role: Role, host: Host) -> list[Step]:
    wanted = (*role.packages, *(role.pi_packages if host.is_pi else ()))
    missing = [names[0] for names in wanted if not host.packages.intersection(names)]
    if not missing:
        return []
    return [
        Step("what Debian has", ("apt-get", "update", "-qq")),
        Step("what is missing", ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)),
    ]


def _release(role: Role, source: Path, release: Path) -> list[Step]:
    if (release / COMPLETE).exists():
        return []
    pip = (str(release / "bin/pip"), "--disable-pip-version-check", "--quiet", "install")
    lock = source / "requirements" / f"{role.name}.lock"
    copy = release / "source"  # a build leaves files beside what it builds; the checkout stays as it is
    ours = sorted({str(source / path.relative_to(source).parts[0]) for path in _program_files(source)})
    return [
        Step("a half-made one is no use", ("rm", "-rf", str(release))),
        Step("a release is a venv", (sys.executable, "-m", "venv", "--system-site-packages", str(release))),
        Step("libraries, pinned by hash", (*pip, "--require-hashes", "--requirement", str(lock))),
        Step("our files", ("mkdir", str(copy))),
        Step("our files", ("cp", "--recursive", "--target-directory", str(copy), *ours)),
        Step("our programs", (*pip, "--no-deps", "--no-index", "--no-build-isolation", str(copy))),
        Step("our files, installed", ("rm", "-rf", str(copy))),
        Step("now it is whole", ("touch", str(release / COMPLETE))),
    ]


def _system_files(role: Role, source: Path, host: Host) -> list[Step]:
    """Units, users, folders, device rules and permissions, where they differ from what is there."""
    places = {f"etc/systemd/system/{unit}": unit for unit in role.units}
    places[f"etc/sysusers.d/{role.program}.conf"] = f"{role.program}.sysusers"
    places[f"etc/tmpfiles.d/{role.program}.conf"] = f"{role.program}.tmpfiles"
    if (source / "systemd" / f"60-{role.program}.rules").exists():
        places[f"etc/udev/rules.d/60-{role.program}.rules"] = f"60-{role.program}.rules"
    if (source / "systemd" / f"{role.program}.polkit").exists():
        places[f"etc/polkit-1/rules.d/60-{role.program}.rules"] = f"{role.program}.polkit"
    return [
        Step("for systemd", ("install", "-D", "-m", "644", str(source / "systemd" / name), str(host.root / place)))
        for place, name in places.items()
        if not _same(source / "systemd" / name, host.root / place)
    ]


def _settings(role: Role, source: Path, host: Host) -> list[Step]:
    ours, theirs = role.settings
    if (host.root / theirs).exists():
        return []
    command = ("install", "-D", "-m", "644", str(source / ours), str(host.root / theirs))
    return [Step("to begin with; from now on the machine's own", command)]


def _take_in(role: Role, host: Host) -> list[Step]:
    conf = f"{role.program}.conf"
    steps = [
        Step("users and groups", ("systemd-sysusers", f"--root={host.root}", conf)),
        Step("folders and modes", ("systemd-tmpfiles", f"--root={host.root}", "--create", conf)),
    ]
    if host.systemd_runs:
        steps += [
            Step("device rules", ("udevadm", "control", "--reload")),
            Step("device rules", ("udevadm", "trigger")),
            Step("units", ("systemctl", "daemon-reload")),
        ]
    return steps


def _switch(release: Path) -> list[Step]:
    """Lets `current` name the release, in one step that is never half done."""
    current = release.parents[1] / "current"
    if current.is_symlink() and current.readlink() == Path("releases") / release.name:
        return []
    return [
        Step("the name to be", ("ln", "-sfn", f"releases/{release.name}", f"{current}.new")),
        Step("from here on it runs", ("mv", "--no-target-directory", f"{current}.new", str(current))),
    ]


def _start(role: Role, host: Host) -> list[Step]:
    steps = [Step("with the machine", ("systemctl", f"--root={host.root}", "--quiet", "enable", *role.units))]
    if host.systemd_runs:
        steps.append(Step("the new release, where one was running", ("systemctl", "try-restart", *role.units)))
    return steps


def _forget_old(release: Path) -> list[Step]:
    there = [path for path in release.parent.glob("*") if path != release]
    oldest_first = sorted(there, key=lambda path: path.stat().st_mtime)
    return [
        Step(f"only {KEPT_RELEASES} releases are kept", ("rm", "-rf", str(path)))
        for path in oldest_first[: len(there) + 1 - KEPT_RELEASES]
    ]


def _same(ours: Path, theirs: Path) -> bool:
    return theirs.is_file() and theirs.read_bytes() == ours.read_bytes()


def carry_out(steps: list[Step]) -> None:
    """One command after the other; the first that fails ends it (CalledProcessError), the next run goes on there."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in steps:
        print(f"install: {step.why}: {shlex.join(step.command)[:160]}", file=sys.stderr)
        subprocess.run(step.command, env=quiet, stdin=subprocess.DEVNULL, check=True)


def main() -> int:
    """The command line. Exit codes: 0, 1 (a step failed), 2 (usage), 78 (this machine will not do)."""
    arguments = argparse.ArgumentParser(
        prog="provisioning.install", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    arguments.add_argument("role", choices=ROLES)
    arguments.add_argument("--dry-run", action="store_true", help="print the commands instead of carrying them out")
    given = arguments.parse_args()
    role = ROLES[given.role]
    if sys.version_info[:2] not in PYTHONS:
        print(f"install: needs Python 3.11, 3.12 or 3.13, this is {sys.version.split()[0]}", file=sys.stderr)
        return 78
    steps = plan(role, SOURCE, look_at_this_machine())
    if given.dry_run:
        print("\n".join(str(step) for step in steps) or "# nothing to do")
        return 0
    if os.geteuid() != 0:
        print("install: has to be root: sudo python3 -m provisioning.install " + role.name, file=sys.stderr)
        return 78
    try:
        carry_out(steps)
    except subprocess.CalledProcessError as error:
        print(
            f"install: failed ({error.returncode}): {shlex.join(error.cmd)}; repair that and run again", file=sys.stderr
        )
        return 1
    print(role.then if steps else "install: nothing to do", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
