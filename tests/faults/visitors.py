"""A gate without sensors in a process of its own, to be asked line by line while its disk fails.

    python -m tests.faults.visitors DATA_DIR

Lines in: `show CODE`, `fill BYTES` (leave so many free), `empty`, `journal`, `open`. One line of JSON out for each.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gate_agent.decision import Refuse
from gate_agent.entries import Entries
from tests.gate_agent.stage import Stage, stage_at
from tests.wire import samples
from wire.messages import EntryKind

WAL_PAGES = 8
"""A checkpoint every few admissions, so that its changes fail too."""
FILLER = "filler"
END_S = 10.0


@dataclass
class Visitors:
    """Asks such a process."""

    process: subprocess.Popen[str]

    def ask(self, line: str) -> Any:
        """Its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"it ended with {self.process.wait(END_S)} over {line!r}"
        return json.loads(answer)

    def show(self, code: str) -> str:
        """`admitted`, or why not."""
        return str(self.ask(f"show {code}"))

    def kill(self) -> None:
        """No time for a last word."""
        self.process.kill()
        self.process.wait(END_S)


@contextlib.contextmanager
def visitors(
    data_dir: Path, environment: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> Iterator[Visitors]:
    """The process, started by the words `before` if there are any; ended in order unless it was killed."""
    command = [*before, sys.executable, "-m", "tests.faults.visitors", str(data_dir)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Visitors(process)
            process.communicate(timeout=END_S)
        finally:
            process.kill()


def answers(data_dir: Path) -> Iterator[object]:
    """One for each line."""
    with contextlib.ExitStack() as opened:
        stage: Stage | None = None
        for line in sys.stdin:
            word, _, rest = line.strip().partition(" ")
            if word == "open":
                yield _open(data_dir)
                continue
            if stage is None:
                stage = opened.enter_context(stage_at(data_dir, has_sensor=False))
                stage.entries._db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
                stage.clock.look()  # as an agent does at its start
            if word == "show":
                verdict = stage.show(rest)
                stage.wait(100)  # what the disk did not take before is tried again
                yield verdict.reason if isinstance(verdict, Refuse) else "admitted"
            elif word == "journal":
                intents = [entry.seq for entry in stage.written() if entry.kind is EntryKind.INTENT]
                refused = sum(entry.kind is EntryKind.REFUSED for entry in stage.written())
                yield {"intents": intents, "refused": refused, "pulses": stage.pulses()}
            else:
                yield _fill(data_dir / FILLER, int(rest) if word == "fill" else None)


def _open(data_dir: Path) -> str:
    try:
        entries, set_aside = Entries.open(data_dir, lambda: samples.INCARNATION)
    except (OSError, sqlite3.Error) as error:
        return type(error).__name__
    with contextlib.closing(entries):
        return f"opened {entries.last_seq}" if set_aside is None else "set aside"


def _fill(filler: Path, leave: int | None) -> int:
    """Free bytes afterwards."""
    filler.unlink(missing_ok=True)
    disk = os.statvfs(filler.parent)
    if leave is not None:
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - leave)
    disk = os.statvfs(filler.parent)
    return disk.f_bavail * disk.f_frsize


if __name__ == "__main__":
    for answer in answers(Path(sys.argv[1])):
        print(json.dumps(answer), flush=True)
