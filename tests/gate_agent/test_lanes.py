"""A lane's threads: the newest read wins, and whatever a reader or a presentation does, the lane goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gate_agent import lanes as lanes_module
from gate_agent.board import Board
from gate_agent.decision import Admit, Cover, Refuse
from gate_agent.gate import Gate
from gate_agent.lane import Lane
from gate_agent.lanes import LaneDoesNotAnswer, LaneThreads
from gate_agent.passage import LanePassages
from gate_agent.recognition import CardTap, FlawedCode, HeldUp, Recognised
from gate_agent.trusted_time import device_clock_ns
from hardware import DeviceFault
from hardware.card_reader import PULLED, CardFault, CardRead
from hardware.devices import LaneDevices
from hardware.file_turnstile import FileTurnstile
from hardware.turnstile import Direction, Edge, Role
from tests.gate_agent.phones import Phone
from tests.waiting import until
from tests.wire import samples
from wire.presentation import STEP_MS, ShortCode, StaticCode
from wire.reasons import Reason

CODE = "GATE:472"
CARD = CardRead("410200", "A00000001", "1")

Step = str | CardRead | CardFault | Exception | None


class PlayedReader:
    """A reader of any kind that does what it is told, one step per poll; an exception is raised."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self._steps: queue.Queue[Step] = queue.Queue()

    def do(self, *steps: Step) -> None:
        """What it reads next."""
        for step in steps:
            self._steps.put(step)

    def next_line(self, timeout_s: float) -> str | None:
        step = self._next(timeout_s)
        assert step is None or isinstance(step, str)
        return step

    def next_read(self, timeout_s: float) -> CardRead | CardFault | None:
        step = self._next(timeout_s)
        assert not isinstance(step, str)
        return step

    def close(self) -> None:
        self.do(None)

    def _next(self, timeout_s: float) -> str | CardRead | CardFault | None:
        try:
            step = self._steps.get(timeout=min(timeout_s, 0.05))
        except queue.Empty:
            return None
        if isinstance(step, Exception):
            raise step
        return step


class HeardGate(Gate):
    """A conductor that only remembers what was presented, or does what `answer` does."""

    def __init__(self) -> None:
        self.heard: list[Recognised] = []
        self.unread: list[CardFault] = []
        self.answer: Callable[[], None] = lambda: None
        self.burning = False
        self.verdict: Admit | Refuse = Refuse(Reason.NOT_OURS)

    def present(self, lane: Lane, shown: Recognised) -> Admit | Refuse:
        self.heard.append(shown)
        self.answer()
        return self.verdict

    def unreadable(self, lane: Lane, fault: CardFault) -> None:
        self.unread.append(fault)

    def fire(self, lane: Lane, active: bool) -> None:
        self.burning = active

    def edge(self, lane: Lane, edge: Edge) -> None:
        return

    def tick(self, lane: Lane) -> None:
        return

    def next_tick_ns(self, lane: Lane) -> int | None:
        return None


@pytest.fixture
def scanner() -> PlayedReader:
    """The lane's scanner."""
    return PlayedReader()


@pytest.fixture
def cards() -> PlayedReader:
    """The lane's card reader."""
    return PlayedReader()


@pytest.fixture
def gate() -> HeardGate:
    """Hears what the lane presents."""
    return HeardGate()


@pytest.fixture
def board() -> Board:
    """The screens of one lane."""
    return Board((1,), lambda: device_clock_ns() // 1_000_000)


@pytest.fixture
def lane(
    tmp_path: Path, scanner: PlayedReader, cards: PlayedReader, gate: HeardGate, board: Board
) -> Iterator[LaneThreads]:
    """A lane at work with both readers."""
    turnstile = FileTurnstile(tmp_path / "pulses", 1)
    devices = LaneDevices(1, Direction.IN, (), (scanner,), (cards,), turnstile, (), None)
    played = Lane(1, turnstile, LanePassages(5_000, has_sensor=False), 300)
    threads = LaneThreads(gate, played, devices, board, HeldUp(), device_clock_ns)
    threads.start()
    yield threads
    threads.stop()
    devices.close()


def test_both_readers_lead_to_the_conductor(
    lane: LaneThreads, gate: HeardGate, scanner: PlayedReader, cards: PlayedReader
) -> None:
    scanner.do(CODE)
    until(lambda: len(gate.heard) == 1)
    cards.do(CARD)
    until(lambda: len(gate.heard) == 2)
    assert gate.heard[0] == StaticCode(CODE)


def test_the_newest_read_wins_and_a_held_up_one_does_not_come_again(
    lane: LaneThreads, gate: HeardGate, scanner: PlayedReader
) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        busy.set()
        assert go_on.wait(5)

    gate.answer = wait
    scanner.do(CODE)
    assert busy.wait(5)
    scanner.do("GATE:B", "GATE:C", CODE, "GATE:D", "GATE:D")
    until(lambda: lane._newest == {0: "GATE:D"})
    gate.answer = lambda: None
    go_on.set()
    until(lambda: len(gate.heard) == 2)
    scanner.do("GATE:C")  # was displaced, not presented: its visitor still holds it up
    until(lambda: len(gate.heard) == 3)
    assert [shown.text for shown in gate.heard if isinstance(shown, StaticCode | FlawedCode)] == [
        CODE,
        "GATE:D",
        "GATE:C",
    ]


@pytest.mark.parametrize("let_in", [True, False])
def test_the_next_code_a_phone_draws_is_presented_unless_its_holder_was_let_in(
    lane: LaneThreads, gate: HeardGate, scanner: PlayedReader, let_in: bool
) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        busy.set()
        assert go_on.wait(5)

    phone = Phone(samples.CLAIMS, 1, samples.HOLDER)
    first, second, third = (phone.short(samples.NOW_MS + number * STEP_MS) for number in range(3))
    gate.answer = wait
    gate.verdict = Admit(samples.DOCUMENT.products[0], Cover.LISTED) if let_in else gate.verdict
    scanner.do(first)
    assert busy.wait(5)
    scanner.do(second, "GATE:B")  # while the first is being judged
    until(lambda: lane._newest == {0: "GATE:B"})
    gate.answer = lambda: None
    go_on.set()
    until(lambda: len(gate.heard) == 2)
    scanner.do(third, *([CODE] if let_in else []))
    until(lambda: len(gate.heard) == 3)
    steps = [shown.step - samples.STEP for shown in gate.heard if isinstance(shown, ShortCode)]
    assert steps == ([0] if let_in else [0, 2])


def test_a_reader_that_never_stops_does_not_push_another_ones_visitor_aside(
    lane: LaneThreads, gate: HeardGate, scanner: PlayedReader, cards: PlayedReader
) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        busy.set()
        assert go_on.wait(5)

    gate.answer = wait
    scanner.do(CODE)
    assert busy.wait(5)
    scanner.do("GATE:B")
    cards.do(CARD)
    until(lambda: lane._newest == {0: "GATE:B", 1: CARD})
    scanner.do("GATE:C", "GATE:D")
    until(lambda: lane._newest == {0: "GATE:D", 1: CARD})
    gate.answer = lambda: None
    go_on.set()
    until(lambda: len(gate.heard) == 3)
    assert gate.heard[1:] == [CardTap(CARD), FlawedCode("GATE:D", Reason.MALFORMED)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [DeviceFault("the scanner was pulled out"), ZeroDivisionError("the driver fell over")]
)
def test_a_reader_that_fails_is_reported_tried_again_and_disturbs_nobody(
    lane: LaneThreads, gate: HeardGate, scanner: PlayedReader, cards: PlayedReader, fault: Exception
) -> None:
    scanner.do(fault, fault, CODE)
    until(lambda: any(reader.fault is not None for reader in lane.readers))
    assert str(fault) in str([reader.fault for reader in lane.readers])
    cards.do(CARD)
    until(lambda: any(shown == StaticCode(CODE) for shown in gate.heard))
    until(lambda: len(gate.heard) == 2)
    assert all(reader.fault is None for reader in lane.readers)


def test_a_presentation_that_fails_shows_a_fault_and_the_next_one_is_heard(
    lane: LaneThreads, gate: HeardGate, board: Board, scanner: PlayedReader
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    gate.answer = fail
    scanner.do(CODE)
    until(lambda: board.snapshot().shown[1].face.verdict is Reason.FAULT)
    gate.answer = lambda: None
    scanner.do("GATE:B")
    until(lambda: len(gate.heard) == 2)


def test_a_card_pulled_away_too_early_asks_for_another_try(
    lane: LaneThreads, gate: HeardGate, cards: PlayedReader
) -> None:
    cards.do(PULLED)
    until(lambda: gate.unread == [PULLED])
    cards.do(CARD)
    until(lambda: len(gate.heard) == 1)


def test_a_command_is_done_on_the_lane_s_own_thread_and_answered(lane: LaneThreads) -> None:
    assert lane.command(lambda: threading.current_thread().name) == "lane 1"

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lane.command(fail)
    assert lane.command(lambda: 7) == 7


def test_a_lane_that_does_not_answer_says_so_and_never_does_it_later(
    lane: LaneThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "COMMAND_LIMIT_S", 0.05)
    busy, told, go_on = threading.Event(), threading.Event(), threading.Event()
    done: list[int] = []

    def wait() -> None:
        busy.set()
        assert go_on.wait(30)

    def ask() -> None:
        with pytest.raises(LaneDoesNotAnswer, match="look whether"):
            lane.command(wait)
        told.set()

    first = threading.Thread(target=ask)
    first.start()
    assert busy.wait(5)
    with pytest.raises(LaneDoesNotAnswer, match="nothing was done"):
        lane.command(lambda: done.append(1))
    assert told.wait(30)
    go_on.set()
    first.join(30)
    monkeypatch.setattr(lanes_module, "COMMAND_LIMIT_S", 30)
    lane.command(lambda: done.append(2))
    assert done == [2]


def test_a_lane_takes_no_endless_queue_of_commands_and_none_when_it_stops(
    lane: LaneThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "COMMANDS_LIMIT", 0)
    with pytest.raises(LaneDoesNotAnswer, match="too much to do"):
        lane.command(lambda: None)
    lane.stop()
    with pytest.raises(LaneDoesNotAnswer, match="being stopped"):
        lane.command(lambda: None)


def test_an_edge_that_fails_takes_no_other_edge_along(
    lane: LaneThreads, gate: HeardGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def take(_lane: Lane, edge: Edge) -> None:
        if edge.monotonic_ns == 1:
            raise ZeroDivisionError
        seen.append(edge.monotonic_ns)

    monkeypatch.setattr(gate, "edge", take)
    with lane._changed:  # so that both are taken together
        lane._edge(Edge(Role.PASSAGE_IN, True, 1))
        lane._edge(Edge(Role.PASSAGE_IN, False, 2))
    until(lambda: seen == [2])


def test_fire_waits_for_no_lane_that_is_busy(lane: LaneThreads, gate: HeardGate, scanner: PlayedReader) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        busy.set()
        assert go_on.wait(5)

    gate.answer = wait
    scanner.do(CODE)
    assert busy.wait(5)
    lane._edge(Edge(Role.FIRE, True, 1))
    assert gate.burning
    go_on.set()
