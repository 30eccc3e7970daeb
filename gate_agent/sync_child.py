"""Keeps `gate-agent sync` running as a child process, and starts it again when it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

from hardware import Backoff

RESTART_FIRST_S, RESTART_LIMIT_S = 1.0, 60.0
STEADY_S = 60.0
"""A child that ran this long is not failing at its start."""
END_LIMIT_S = 0.4
SYSTEMD_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

log = logging.getLogger(__name__)


class SyncChild:
    """One child at a time, from `start` to `stop`. It ends by itself when we do."""

    def __init__(self, data_dir: Path) -> None:
        self._command = [sys.executable, "-m", "gate_agent", "sync", "--data", str(data_dir)]
        # systemd listens to us alone, and a child that spoke in our name would keep us alive
        self._environment = {name: value for name, value in os.environ.items() if name not in SYSTEMD_VARIABLES}
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="sync child", daemon=True)

    def start(self) -> None:
        """Start the child, and start it again whenever it ends."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the child to end, wait a moment, then end it: what it owns is written so that this harms nothing."""
        self._stopping.set()
        with self._lock:
            child = self._child
        if child is not None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(END_LIMIT_S)
            child.kill()

    def _run(self) -> None:
        backoff = Backoff(RESTART_FIRST_S, RESTART_LIMIT_S)
        while not self._stopping.is_set():
            child = self._started()
            if child is not None:
                steady = threading.Timer(STEADY_S, backoff.reset)
                steady.daemon = True
                steady.start()
                code = child.wait()
                steady.cancel()
            if not self._stopping.is_set():
                pause_s = backoff.next_s()
                what = "could not be started" if child is None else f"ended with exit code {code}"
                log.warning("sync %s; it is started again in %.0f s", what, pause_s)
                self._stopping.wait(pause_s)

    def _started(self) -> subprocess.Popen[bytes] | None:
        """A new child; None when we are stopping, or the machine has no room for one."""
        with self._lock:
            if self._stopping.is_set():
                return None
            try:
                self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, env=self._environment)
            except OSError:
                log.exception("the system started no process")
                return None
            return self._child
