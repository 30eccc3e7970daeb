"""A disk that does not answer, under the real agent: no pulse, no use counted, the next visitor heard, and it heals."""

from __future__ import annotations

import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from hardware.pty_scanner import PtyScanner
from tests.gate_agent.agent_process import AgentProcess, lane, running
from tests.gate_agent.venue import SINGLE, Venue
from tests.waiting import until
from wire.messages import EntryKind
from wire.reasons import Reason

pytestmark = pytest.mark.story


@pytest.fixture
def silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """While this file exists, no fsync of a process started from now on returns."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler; ./dev test without arguments installs gcc")
    library, silent = tmp_path / "silent_disk.so", tmp_path / "silent"
    source = Path(__file__).with_name("silent_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("DISK_SILENT", str(silent))
    return silent


def face(agent: AgentProcess) -> str:
    """The page of the lane."""
    with urllib.request.urlopen(agent.ready["screen"] + "/lane/1") as page:
        return str(page.read().decode())


def refused(agent: AgentProcess) -> int:
    """The number of the verdict shown, rising with every visitor, if nothing can be recorded; else 0."""
    shown = re.search(r'data-state="cannot_record"[^>]*data-number="(\d+)"', face(agent))
    return 0 if shown is None else int(shown[1])


def test_nobody_is_let_in_and_nothing_is_counted_until_it_answers(tmp_path: Path, silence: Path) -> None:
    venue = Venue()
    first, second = venue.issue(SINGLE), venue.issue(SINGLE)
    venue.settle(tmp_path)
    scanner = PtyScanner()
    with running(tmp_path, [lane(1, scanner.path, tmp_path)]) as agent:
        silence.touch()
        scanner.type(first.text)
        told_first = until(lambda: refused(agent), what="the visitor's face")
        scanner.type(second.text)
        until(lambda: refused(agent) > told_first, what="the next visitor's face")
        silence.unlink()
        until(lambda: 'data-state="idle"' in face(agent), what="the lane in order again")
        assert agent.pulses() == []
        told = [(entry.kind, entry.pass_id, entry.reason) for entry in agent.entries()]
        assert told == [
            (EntryKind.INTENT, first.pass_id, None),
            (EntryKind.ANNULLED, first.pass_id, Reason.CANNOT_RECORD),
        ]
        for number, ticket in enumerate((first, second)):
            scanner.type(ticket.text)
            assert agent.await_pulse(number)["pass"] == ticket.pass_id.hex()
        assert agent.stop() == 0
    scanner.close()
