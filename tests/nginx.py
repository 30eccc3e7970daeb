"""An nginx of a test's own, configured as docs/operate.md tells operators to, on loopback and in a temporary folder."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.tidy.sources import ROOT
from tests.waiting import until

CONNECTIONS = 8_192
STOP_S = 5.0

_MAIN = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000;
    log_format story '$request_uri $status $upstream_cache_status';
    access_log {folder}/access.log story;
    server {{ listen {port}; location = /is-up {{ return 204; }} }}
    {documented}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """One that runs: where it listens and keeps its files."""

    url: str
    folder: Path

    def asked(self) -> list[tuple[str, int, str]]:
        """Path, status and what the cache said (HIT, MISS, STALE …) of every request so far."""
        lines = (self.folder / "access.log").read_text().splitlines()
        return [(path, int(status), cache) for path, status, cache in (line.split() for line in lines)]

    def kept(self) -> list[Path]:
        """The cached answers: each file has nginx's own header before the body."""
        return [path for path in (self.folder / "cache").rglob("*") if path.is_file()]


def free_port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def running(folder: Path, port: int, centre: str) -> Iterator[Nginx]:
    """In front of the centre at this address, until left; skips where nginx is not installed."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.skip("nginx is not installed; ./dev test without arguments installs it")
    folder.mkdir()
    is_up = free_port()
    documented = _documented()
    here = {"http://127.0.0.1:8000": centre, "/var/cache/nginx/gates": f"{folder}/cache"}
    for there, replaced in {**here, "listen 8080": f"listen 127.0.0.1:{port} backlog=4096"}.items():
        assert there in documented
        documented = documented.replace(there, replaced)
    sizes = {"files": 2 * CONNECTIONS, "connections": CONNECTIONS}
    written = _MAIN.format(folder=folder, port=f"127.0.0.1:{is_up}", documented=documented, **sizes)
    (folder / "nginx.conf").write_text(written)
    process = subprocess.Popen(
        [program, "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _answers(is_up) or process.poll() is not None, what="nginx answers")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield Nginx(f"http://127.0.0.1:{port}", folder)
    finally:
        process.terminate()
        process.wait(STOP_S)


def _documented() -> str:
    """The configuration that operators are told to use."""
    blocks = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs" / "operate.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/is-up", timeout=1) as answer:
            return bool(answer.status == 204)
    except OSError:
        return False
