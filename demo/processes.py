"""The product's own programs as child processes: started, waited for until they say READY, stopped in reverse order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

READY_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
LAST_WORDS_BYTES = 4_000


class ProgramFailed(Exception):
    """A program ended, or did not get ready in time; the message has its last words."""


def command(arguments: Sequence[str]) -> list[str]:
    """How this environment starts one of the product's programs, named by its console script, from this checkout."""
    return [sys.executable, "-m", arguments[0].replace("-", "_"), *arguments[1:]]


def run(arguments: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """What a command that ends by itself prints. Raises ProgramFailed when it does not exit with 0."""
    done = subprocess.run(
        command(arguments),
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise ProgramFailed(f"{' '.join(arguments)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def run_json(arguments: Sequence[str], env: Mapping[str, str] | None = None) -> Any:
    """The JSON object that a command prints as its last line."""
    lines = run(arguments, env).strip().splitlines()
    return json.loads(lines[-1])


class Program:
    """A program that stays: its output goes to a log file, its READY line is waited for."""

    def __init__(self, arguments: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = log.stem
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command(arguments),
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._ready: dict[str, Any] | None = None
        self._is_ready = threading.Event()
        self._listener = threading.Thread(target=self._listen, name=f"log-{self.name}", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> dict[str, Any]:
        """What follows READY on its line. Raises ProgramFailed with its last words when that does not come."""
        if not self._is_ready.wait(timeout_s) or self._ready is None:
            raise ProgramFailed(f"{self.name} did not get ready:\n{self.last_words()}")
        return self._ready

    def last_words(self) -> str:
        """The end of its log."""
        return self._log.read_bytes()[-LAST_WORDS_BYTES:].decode("utf-8", "replace")

    def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(STOP_TIMEOUT_S)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout, self._log.open("a", encoding="utf-8") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                if line.startswith("READY") and not self._is_ready.is_set():
                    self._ready = json.loads(line.removeprefix("READY"))
                    self._is_ready.set()
        self._is_ready.set()  # it ended: nobody needs to wait any longer
