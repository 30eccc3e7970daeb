"""The real `sandbox-provider`, a process of its own; its books are files, which a test reads beside it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox_provider.faults import FaultKind
from sandbox_provider.provider import Provider
from sync_server.clock import now_ms
from tests.sync_server.sandbox import Sandbox

STOP_S = 10


class SandboxProcess(Sandbox):
    """On the machine's clock. Its faults are its own: it plays none."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, folder, now_ms)

    def _serve(self, providers: Sequence[Provider]) -> str:
        folder = providers[0].book.file.parent
        command = [sys.executable, "-m", "sandbox_provider", "run", "--data", str(folder), "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        word, _, ready = self._process.stdout.readline().partition(" ")
        assert word == "READY"
        return str(json.loads(ready)["url"])

    def play(self, kind: FaultKind, method: str = "*", times: int = 1, delay_ms: int = 0) -> None:
        raise NotImplementedError("a process of its own has faults of its own")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait(STOP_S)
