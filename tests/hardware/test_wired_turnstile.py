"""What a turnstile makes of its inputs: who passed, whether it is ready, fire, tamper, and wires that are cut."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from hardware import DeviceFault
from hardware.turnstile import Direction, Edge, Role
from hardware.wired_turnstile import OnEdge, WiredTurnstile


class Board:
    """Pins that are moved by hand."""

    def __init__(self, *roles: Role) -> None:
        self.levels: dict[Role, bool | None] = dict.fromkeys(roles, False)
        self.fault: str | None = None
        self.pulses: list[int] = []
        self.ways: Collection[Direction] = (Direction.IN,)
        self.now_ns = 0
        self._on_edge: OnEdge | None = None

    @property
    def roles(self) -> Collection[Role]:
        return self.levels.keys()

    def active(self, role: Role) -> bool | None:
        return self.levels[role]

    def watch(self, on_edge: OnEdge) -> None:
        self._on_edge = on_edge

    def pulse(self, direction: Direction, pulse_ms: int) -> int:
        assert direction in self.ways
        self.pulses.append(pulse_ms)
        return self.now_ns

    def close(self) -> None:
        self.fault = "closed"

    def move(self, role: Role, active: bool) -> None:
        self.levels[role] = active
        assert self._on_edge is not None
        self._on_edge(role, active, self.now_ns)


def turnstile_on(board: Board) -> WiredTurnstile:
    return WiredTurnstile(board, board)


def test_every_edge_is_told_with_its_input_and_time() -> None:
    board = Board(*Role)
    turnstile = turnstile_on(board)
    heard: list[Edge] = []
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
        Edge(Role.PASSAGE_IN, True, 1),
        Edge(Role.READY, True, 2),
        Edge(Role.PASSAGE_IN, False, 3),
        Edge(Role.FIRE, False, 4),
        Edge(Role.PASSAGE_OUT, True, 5),
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
    assert turnstile.fault is None, "nothing is broken"
    with pytest.raises(DeviceFault, match="fire release is on"):
        turnstile.open_for(Direction.IN, 300, {})
    assert board.pulses == []
    board.move(Role.FIRE, False)
    turnstile.open_for(Direction.IN, 300, {})
    assert (board.pulses, turnstile.fault) == ([300], None)


def test_an_open_housing_is_told_and_does_not_stop_visitors() -> None:
    board = Board(Role.TAMPER)
    turnstile = turnstile_on(board)
    board.move(Role.TAMPER, True)
    assert turnstile.tampered
    assert turnstile.fault is None
    turnstile.open_for(Direction.IN, 300, {})
    assert board.pulses == [300]


@pytest.mark.parametrize(("role", "direction"), [(Role.PASSAGE_IN, Direction.IN), (Role.PASSAGE_OUT, Direction.OUT)])
def test_a_passage_input_that_is_active_from_the_start_is_seen(role: Role, direction: Direction) -> None:
    board = Board(role)
    turnstile = turnstile_on(board)
    board.levels[role] = True
    assert [turnstile.passing(way) for way in Direction] == [way is direction for way in Direction]
    board.levels[role] = None
    assert not turnstile.passing(direction)


def test_a_turnstile_without_inputs_is_as_harmless_as_can_be() -> None:
    turnstile = WiredTurnstile(Board())
    assert (turnstile.ready, turnstile.fire, turnstile.tampered, turnstile.has_passage_sensor) == (
        *(True, False, False, False),
    )
    assert not any(map(turnstile.passing, Direction))


def test_the_boards_own_fault_comes_first() -> None:
    board = Board(Role.TAMPER)
    turnstile = turnstile_on(board)
    board.levels[Role.TAMPER] = None
    board.fault = "unplugged"
    assert (turnstile.fault, turnstile.tampered) == ("unplugged", False)


def test_a_way_without_a_relay_of_its_own_is_not_opened_by_the_other() -> None:
    board = Board()
    turnstile = turnstile_on(board)
    with pytest.raises(DeviceFault, match=r"no relay unlocks this arm for the way out: .* as relay_out"):
        turnstile.open_for(Direction.OUT, 300, {})
    assert board.pulses == []
    board.ways = tuple(Direction)
    turnstile.open_for(Direction.OUT, 300, {})
    assert board.pulses == [300]
