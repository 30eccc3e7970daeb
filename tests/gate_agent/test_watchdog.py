"""The watchdog's food: what systemd hears, and that whatever stands still is not covered up."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_agent import sync_child
from gate_agent.sync_child import SyncChild
from gate_agent.watchdog import Watchdog, notify
from tests.gate_agent.agent_process import running
from tests.waiting import until


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.line.bind(str(path))
        self.line.setblocking(False)

    def heard(self) -> list[str]:
        """Every word since the last time."""
        words: list[str] = []
        while True:
            try:
                words += self.line.recv(4096).decode().split("\n")
            except BlockingIOError:
                return words


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    """Listens where a unit's processes are told to speak."""
    one = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    yield one
    one.line.close()


class Counters:
    """Two threads that can be made to stand still."""

    def __init__(self) -> None:
        self.counts = {"lane 1": 0, "journal": 0}

    def move(self, *names: str) -> None:
        """They have come round once more."""
        for name in names:
            self.counts[name] += 1

    def watched(self, failure: str | None = None) -> Watchdog:
        """A watchdog over both."""
        return Watchdog({name: lambda name=name: self.counts[name] for name in self.counts}, lambda: failure)  # type: ignore[misc]


def test_it_is_fed_when_all_have_moved(systemd: Systemd) -> None:
    counters = Counters()
    watchdog = counters.watched()
    counters.move("lane 1", "journal")
    assert watchdog.look() is None
    assert systemd.heard() == ["WATCHDOG=1", "STATUS=in order"]
    assert watchdog.passed == 1


def test_one_that_stands_still_starves_it_and_is_named(systemd: Systemd) -> None:
    counters = Counters()
    watchdog = counters.watched()
    for _ in range(2):
        counters.move("journal")
        assert watchdog.look() == "no progress: lane 1"
    assert systemd.heard() == ["STATUS=no progress: lane 1"] * 2
    counters.move("lane 1")  # the other moved before: both have moved since the last time it was fed
    assert watchdog.look() is None


def test_a_failed_self_check_starves_it(systemd: Systemd) -> None:
    counters = Counters()
    watchdog = counters.watched("a forged code was let in")
    counters.move("lane 1", "journal")
    watchdog.look()
    assert systemd.heard() == ["STATUS=a forged code was let in"]


def test_a_self_check_that_falls_over_starves_it(systemd: Systemd) -> None:
    def fall_over() -> str | None:
        raise ZeroDivisionError

    Watchdog({}, fall_over).look()
    assert systemd.heard() == ["STATUS=the self-check failed: ZeroDivisionError()"]


@pytest.mark.story
def test_the_agent_says_when_it_is_ready_and_when_it_stops(systemd: Systemd, tmp_path: Path) -> None:
    with running(tmp_path, ["1:reader=sim,turnstile=sim"]) as agent:
        assert "READY=1" in systemd.heard()
        assert agent.stop() == 0
    assert "STOPPING=1" in systemd.heard()


def test_a_sync_that_is_our_child_does_not_speak_in_our_name(systemd: Systemd, tmp_path: Path) -> None:
    child = SyncChild(tmp_path)
    child._command = [sys.executable, "-c", "from gate_agent.watchdog import notify; notify('WATCHDOG=1')"]
    told = tmp_path / "ended"
    child._command[-1] += f"; open({str(told)!r}, 'w')"
    child.start()
    until(told.exists)
    child.stop()
    assert systemd.heard() == []


def test_a_sync_that_cannot_be_started_is_started_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sync_child, "RESTART_FIRST_S", 0.01)
    program, told = tmp_path / "sync", tmp_path / "started"
    child = SyncChild(tmp_path)
    child._command = [str(program)]
    child.start()
    until(lambda: "sync could not be started" in caplog.text)
    program.write_text(f"#!/bin/sh\ntouch {told}\n")
    program.chmod(0o700)
    until(told.exists)
    child.stop()


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify("READY=1")
