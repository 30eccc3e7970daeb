"""The agent as a venue runs it, for tests: a process of its own, a scanner on a pseudo-terminal, pulses in a file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gate_agent.entries_view import EntriesView
from tests.waiting import until
from wire.messages import Entry, EntryKind

STOP_S = 5.0


@dataclass
class AgentProcess:
    """One running `gate-agent run`."""

    data_dir: Path
    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @property
    def pid(self) -> int:
        """Of the process we started."""
        return self.process.pid

    def entries(self) -> list[Entry]:
        """Its journal so far, the chain walked."""
        return journal_of(self.data_dir)

    def pulses(self) -> list[dict[str, Any]]:
        """The lines of its turnstile's file."""
        return pulses_of(self.data_dir)

    def await_refusal(self, after: int) -> Entry:
        """The first refusal written after entry `after`."""
        until(lambda: self._refusals(after), what="a refusal in the journal")
        return self._refusals(after)[0]

    def _refusals(self, after: int) -> list[Entry]:
        return [entry for entry in self.entries()[after:] if entry.kind is EntryKind.REFUSED]

    def await_pulse(self, after: int) -> dict[str, Any]:
        """The pulse after the first `after` ones."""
        until(lambda: len(self.pulses()) > after, what="a pulse")
        return self.pulses()[after]

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def kill(self) -> None:
        """SIGKILL: no time for a last word."""
        self.process.kill()
        self.process.wait(STOP_S)


@contextmanager
def running(data_dir: Path, lanes: Sequence[str], *options: str) -> Iterator[AgentProcess]:
    """The agent from its READY line on; ended when left, if it still runs."""
    arguments = [part for lane in lanes for part in ("--lane", lane)]
    command = [sys.executable, "-m", "gate_agent", "run", "--data", str(data_dir), "--screen-port", "0", *arguments]
    with (data_dir / "agent.log").open("a") as log:
        process = subprocess.Popen(
            [*command, "--no-sync", *options], stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True
        )
    assert process.stdout is not None
    try:
        yield AgentProcess(data_dir, process, _ready(process.stdout, data_dir))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(STOP_S)
        process.stdout.close()


def lane(number: int, scanner: Path, data_dir: Path) -> str:
    """A lane with a serial scanner and the file turnstile."""
    return f"{number}:reader=serial:{scanner},turnstile=file:{data_dir / 'pulses'}"


def journal_of(data_dir: Path) -> list[Entry]:
    """What is in a journal; its chain must hold."""
    with EntriesView.open(data_dir) as view:
        found = view.verify()
        assert isinstance(found, int), found
        return [entry for entry, _ in view.entries()]


def pulses_of(data_dir: Path) -> list[dict[str, Any]]:
    """The lines of the turnstile's file."""
    path = data_dir / "pulses"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def _ready(stdout: IO[str], data_dir: Path) -> dict[str, Any]:
    line = stdout.readline()
    assert line.startswith("READY "), f"{line!r}: {(data_dir / 'agent.log').read_text()}"
    told: dict[str, Any] = json.loads(line.removeprefix("READY "))
    return told
