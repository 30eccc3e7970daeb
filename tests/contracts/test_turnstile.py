"""What every turnstile promises, tried on every one."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hardware import DeviceFault
from hardware.simulated_turnstile import SimulatedTurnstile
from hardware.timeline import History, RealTimeline
from hardware.turnstile import MAX_PULSE_MS, MIN_PULSE_MS, FileTurnstile, Passage, Turnstile


class Subject(ABC):
    """A turnstile and a way to see its pulses that does not go through it."""

    turnstile: Turnstile

    @abstractmethod
    def pulses(self) -> list[Mapping[str, object]]:
        """The note of every pulse that began, with its monotonic_ns."""

    def end(self) -> None:
        """Leave nothing behind."""
        self.turnstile.close()


class FileSubject(Subject):
    def __init__(self, folder: Path) -> None:
        self._path = folder / "pulses"
        self.turnstile = FileTurnstile(self._path, lane=1)

    def pulses(self) -> list[Mapping[str, object]]:
        lines = [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]
        assert all(line.pop("lane") == 1 for line in lines)
        return lines


class SimulatedSubject(Subject):
    def __init__(self) -> None:
        self._timeline = RealTimeline()
        self._history = History(self._timeline.now_ns)
        self.turnstile = SimulatedTurnstile(self._timeline, self._history)

    def pulses(self) -> list[Mapping[str, object]]:
        return [
            {**moment.note, "monotonic_ns": moment.monotonic_ns}
            for moment in self._history.moments("relay")
            if moment.event == "on"
        ]

    def end(self) -> None:
        super().end()
        self._timeline.close()


@pytest.fixture(params=["file", "simulated"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    subject = FileSubject(tmp_path) if request.param == "file" else SimulatedSubject()
    yield subject
    subject.end()


def test_nothing_moves_when_it_is_made_or_closed(subject: Subject) -> None:
    assert subject.turnstile.ready
    assert subject.turnstile.fault is None
    subject.turnstile.close()
    subject.turnstile.close()
    assert subject.pulses() == []


def test_a_pulse_is_one_pulse_with_its_note_and_its_time(subject: Subject) -> None:
    began_ns = subject.turnstile.open_for(MIN_PULSE_MS, {"pass": "a1b2", "entry_seq": 7, "who": None})
    (pulse,) = subject.pulses()
    told_ns = pulse["monotonic_ns"]
    assert isinstance(told_ns, int)
    assert abs(told_ns - began_ns) < 1_000_000_000
    assert {**pulse, "monotonic_ns": 0} == {"pass": "a1b2", "entry_seq": 7, "who": None, "monotonic_ns": 0}


def test_pulses_asked_for_together_are_pulses_of_their_own(subject: Subject) -> None:
    for seq in range(3):
        subject.turnstile.open_for(MAX_PULSE_MS, {"entry_seq": seq})
    assert [pulse["entry_seq"] for pulse in subject.pulses()] == [0, 1, 2]


def test_any_thread_may_ask(subject: Subject) -> None:
    with ThreadPoolExecutor(4) as threads:
        times = list(threads.map(lambda seq: subject.turnstile.open_for(100, {"entry_seq": seq}), range(40)))
    assert len(times) == 40
    assert sorted(str(pulse["entry_seq"]) for pulse in subject.pulses()) == sorted(map(str, range(40)))


@pytest.mark.parametrize("pulse_ms", [0, -1, MIN_PULSE_MS - 1, MAX_PULSE_MS + 1])
def test_what_is_no_pulse_moves_nothing(subject: Subject, pulse_ms: int) -> None:
    with pytest.raises(ValueError, match="a pulse is"):
        subject.turnstile.open_for(pulse_ms, {})
    assert subject.pulses() == []


def test_a_closed_one_says_so_and_moves_nothing(subject: Subject) -> None:
    subject.turnstile.close()
    with pytest.raises(DeviceFault, match="closed"):
        subject.turnstile.open_for(300, {})
    assert subject.pulses() == []


def test_passages_are_told_only_where_there_is_a_sensor_and_after_a_pulse(subject: Subject) -> None:
    heard: list[Passage] = []
    subject.turnstile.watch(heard.append)
    assert heard == []
    assert subject.turnstile.has_passage_sensor is isinstance(subject.turnstile, SimulatedTurnstile)
