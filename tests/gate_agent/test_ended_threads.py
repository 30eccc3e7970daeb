"""A thread of the agent that ends by an exception: staff see it, and systemd starts anew where the gate needs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_agent import settings, trusted_time
from gate_agent.agent import Agent
from gate_agent.ended_threads import NEEDED, EndedThreads
from gate_agent.status import AlarmKind
from gate_agent.trusted_time import device_clock_ns
from tests.waiting import until


@pytest.fixture
def ended() -> Iterator[EndedThreads]:
    listening = EndedThreads()
    listening.listen()
    yield listening
    listening.close()


def fail(*_: object) -> None:
    raise ZeroDivisionError("a mistake of ours")


def end(name: str) -> None:
    """A thread of that name ends by a mistake."""
    thread = threading.Thread(target=fail, name=name)
    thread.start()
    thread.join()


def test_what_can_wait_is_told_and_what_cannot_ends_the_watchdogs_food(
    ended: EndedThreads, caplog: pytest.LogCaptureFixture
) -> None:
    end("photos")
    end("tls 3")
    assert (ended.names, ended.failure()) == (("photos", "tls 3"), None)
    end("clock")
    assert ended.failure() == "these threads ended by an exception: clock"
    assert "the thread 'photos' ended" in caplog.text and "a mistake of ours" in caplog.text


@pytest.mark.parametrize("name", NEEDED)
def test_the_gate_needs_these(ended: EndedThreads, name: str) -> None:
    end(f"{name}1" if name.endswith(" ") else name)
    assert ended.failure() is not None


def test_who_listened_before_does_so_again() -> None:
    before = threading.excepthook
    listening = EndedThreads()
    listening.listen()
    assert threading.excepthook != before
    listening.close()
    assert threading.excepthook == before


def test_a_clock_thread_that_ends_is_an_alarm_and_starves_the_watchdog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted_time.TrustedTime, "keep_looking", fail)
    chosen = settings.lanes(settings.Settings(), ("1:reader=sim,turnstile=sim",))
    with Agent(tmp_path, "", chosen, device_clock_ns) as agent:
        agent.start()
        until(lambda: AlarmKind.PART_ENDED in {alarm.kind for alarm in agent.board.snapshot().status.alarms})
        watchdog = agent.watchdog()
        until(lambda: agent.lanes[0].turns > 0)
        assert watchdog.look() == "these threads ended by an exception: clock"


def test_no_thread_outlives_the_agent(tmp_path: Path) -> None:
    """One that runs while the interpreter ends may crash it: then the exit code says nothing."""
    before = set(threading.enumerate())
    chosen = settings.lanes(settings.Settings(), ("1:reader=sim,turnstile=sim",))
    with Agent(tmp_path, "", chosen, device_clock_ns) as agent:
        agent.start()
        agent.watch_journal(lambda: None)
        until(lambda: agent.lanes[0].turns > 0)
        assert len(set(threading.enumerate()) - before) >= 8
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()
