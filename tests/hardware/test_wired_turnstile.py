"""What a turnstile makes of its inputs: who passed, whether it is ready, fire, tamper, and wires that are cut."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from hardware import DeviceFault
from hardware.turnstile import Direction, Passage
from hardware.wired_turnstile import STUCK_MS, OnEdge, Role, WiredTurnstile


class Board:
    """Pins that are moved by hand."""

    def __init__(self, *roles: Role) -> None:
        self.levels: dict[Role, bool | None] = dict.fromkeys(roles, False)
        self.fault: str | None = None
        self.pulses: list[int] = []
        self.now_ns = 0
        self._on_edge: OnEdge | None = None

    @property
    def roles(self) -> Collection[Role]:
        return self.levels.keys()

    def active(self, role: Role) -> bool | None:
        return self.levels[role]

    def watch(self, on_edge: OnEdge) -> None:
        self._on_edge = on_edge

    def pulse(self, pulse_ms: int) -> int:
        self.pulses.append(pulse_ms)
        return self.now_ns

    def close(self) -> None:
        self.fault = "closed"

    def move(self, role: Role, active: bool) -> None:
        self.levels[role] = active
        assert self._on_edge is not None
        self._on_edge(role, active, self.now_ns)


def turnstile_on(board: Board) -> WiredTurnstile:
    return WiredTurnstile(board, board, lambda: board.now_ns)


def test_passages_are_told_with_their_direction_and_time() -> None:
    board = Board(*Role)
    turnstile = turnstile_on(board)
    heard: list[Passage] = []
    turnstile.watch(heard.append)
    for now_ns, role, active in [
        (1, Role.PASSAGE_IN, True),
        (2, Role.READY, True),
        (3, Role.PASSAGE_IN, False),
        (4, Role.FIRE, False),
        (5, Role.PASSAGE_OUT, True),
    ]:
        board.now_ns = now_ns
        board.move(role, active)
    assert heard == [
        Passage(Direction.IN, True, 1),
        Passage(Direction.IN, False, 3),
        Passage(Direction.OUT, True, 5),
    ]


def test_ready_is_what_its_input_says_where_there_is_one() -> None:
    assert turnstile_on(Board()).ready
    board = Board(Role.READY)
    turnstile = turnstile_on(board)
    for level, ready in [(False, False), (True, True), (None, False)]:  # None: the board is away
        board.levels[Role.READY] = level
        assert turnstile.ready is ready


@pytest.mark.parametrize(
    ("roles", "has_sensor"), [((), False), ((Role.READY, Role.FIRE), False), ((Role.PASSAGE_OUT,), True)]
)
def test_only_a_passage_input_is_a_passage_sensor(roles: tuple[Role, ...], has_sensor: bool) -> None:
    assert turnstile_on(Board(*roles)).has_passage_sensor is has_sensor


def test_nobody_is_let_in_during_a_fire() -> None:
    board = Board(Role.FIRE)
    turnstile = turnstile_on(board)
    board.move(Role.FIRE, True)
    assert turnstile.fire
    assert "fire release is on" in str(turnstile.fault)
    with pytest.raises(DeviceFault, match="fire release is on"):
        turnstile.open_for(300, {})
    assert board.pulses == []
    board.move(Role.FIRE, False)
    turnstile.open_for(300, {})
    assert (board.pulses, turnstile.fault) == ([300], None)


def test_an_open_housing_is_told_and_does_not_stop_visitors() -> None:
    board = Board(Role.TAMPER)
    turnstile = turnstile_on(board)
    board.move(Role.TAMPER, True)
    assert turnstile.tampered
    assert "housing is open" in str(turnstile.fault)
    turnstile.open_for(300, {})
    assert board.pulses == [300]


def test_a_passage_input_that_stays_active_is_a_fault() -> None:
    board = Board(Role.PASSAGE_IN)
    turnstile = turnstile_on(board)
    board.levels[Role.PASSAGE_IN] = True
    assert turnstile.fault is None
    board.now_ns = STUCK_MS * 1_000_000 - 1
    assert turnstile.fault is None
    board.now_ns += 1
    assert "passage_in input stays active" in str(turnstile.fault)
    board.levels[Role.PASSAGE_IN] = False
    assert turnstile.fault is None


def test_the_boards_own_fault_comes_first() -> None:
    board = Board(Role.TAMPER)
    turnstile = turnstile_on(board)
    board.levels[Role.TAMPER] = None
    board.fault = "unplugged"
    assert (turnstile.fault, turnstile.tampered) == ("unplugged", False)
