"""A PostgreSQL of the tests' own: an unprivileged cluster on a Unix socket, gone when they end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

INSTALLED_UNDER = Path("/usr/lib/postgresql")  # Debian's place; the newest release there is taken
# Nothing here outlives the tests, so durability is switched off: a database costs 0.1 s instead of 0.5 s.
SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60"}


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, or None where PostgreSQL is not installed."""
    found = sorted(INSTALLED_UNDER.glob("*/bin/initdb"), key=lambda path: int(path.parents[1].name))
    return found[-1].parent if found else None


class Cluster:
    """One running server; `create_database` hands out empty databases in it."""

    def __init__(self, bin_dir: Path) -> None:
        self._bin_dir = bin_dir
        # A short path: a Unix socket's may have 107 bytes, and pytest's own folders are closed to other users.
        self._folder = Path(tempfile.mkdtemp(prefix="gates-pg-", dir="/tmp"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres")
            shutil.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._databases = 0

    def start(self, *, durable: bool = False) -> None:
        """Returns when the server answers; RuntimeError with its own words when it does not start.

        `durable`: commits reach the disk, as where something is measured.
        """
        self._run(
            "initdb", "--auth=trust", "--username=test", "--encoding=UTF8", "--locale=C", "--no-sync", "-D", "data"
        )
        settings = {name: value for name, value in SETTINGS.items() if not durable or name == "max_connections"}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run(
            "pg_ctl", "start", "--wait", "-D", "data", "-l", "log",
            "-o", f"-c listen_addresses='' -k {self._folder} {options}",
        )  # fmt: skip

    def stop(self) -> None:
        """Ends the server first, then removes its files."""
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate", "-D", "data")
        shutil.rmtree(self._folder)

    def create_database(self, sorts_as: str = "") -> str:
        """The SQLAlchemy URL of a new empty database, which sorts text by its bytes, or as ICU does for a place."""
        self._databases += 1
        name = f"test_{self._databases}"
        order = ("--locale-provider=icu", f"--icu-locale={sorts_as}") if sorts_as else ()
        who = ("--host", str(self._folder), "--username", "test")
        self._run("createdb", *who, "--template=template0", *order, name)
        return f"postgresql+psycopg://test@/{name}?host={self._folder}"

    def drop_database(self, url: str) -> None:
        """Drops what `create_database` made, connections or not."""
        name = url.partition("@/")[2].partition("?")[0]
        self._run("dropdb", "--host", str(self._folder), "--username", "test", "--force", name)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_user, str(self._bin_dir / program), *arguments],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,  # the server would keep a pipe open
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            timeout=120,
            check=False,
        )
        if done.returncode:
            log = self._folder / "log"
            told = done.stdout.decode() if done.stdout else log.read_text() if log.exists() else "it said nothing"
            raise RuntimeError(f"{program} failed ({done.returncode}): {told}")
