"""The board: which face a lane shows when, how long, and that nobody who reads can hold up a lane."""

from __future__ import annotations

import threading

import pytest

from gate_agent.board import (
    AFTER_PASSAGE_MS,
    EARLIER_USES_LIMIT,
    READING_DELAY_MS,
    SCANS_LIMIT,
    Board,
    EarlierUse,
    Scan,
    Snapshot,
)
from gate_agent.faces import FAMILY, IDLE, READING_LIMIT_MS, SHOWN_MS, Face, Family, State, Verdict
from gate_agent.status import Status
from wire.reasons import Reason


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    board = Board((1, 2), clock)
    board.rest(1, IDLE)
    board.rest(2, IDLE)
    return board


def shown(board: Board, lane: int = 1) -> Verdict:
    return board.snapshot().shown[lane].face.verdict


def test_every_reason_and_state_has_one_family() -> None:
    assert set(FAMILY) == {*Reason, *State}
    assert set(SHOWN_MS) == set(Family)


def test_a_new_board_says_that_its_lanes_are_starting(clock: Clock) -> None:
    assert shown(Board((1,), clock)) is State.STARTING


@pytest.mark.parametrize(
    ("verdict", "shown_ms"),
    [(Reason.MALFORMED, 4000), (Reason.BLACKOUT, 4000), (Reason.EXPIRED, 4000), (Reason.FORGED, 15000)],
)
def test_a_verdict_stays_as_long_as_its_family_says(
    board: Board, clock: Clock, verdict: Verdict, shown_ms: int
) -> None:
    board.face(1, Face(verdict))
    clock.ms += shown_ms - 1
    assert shown(board) is verdict
    clock.ms += 1
    assert shown(board) is State.IDLE


def test_an_admission_stays_for_its_window_and_leaves_soon_after_somebody_passed(board: Board, clock: Clock) -> None:
    board.face(1, Face(State.ADMITTED, window_ms=5000), 7)
    clock.ms += 4999
    assert shown(board) is State.ADMITTED
    clock.ms += 1
    assert shown(board) is State.IDLE

    board.face(1, Face(State.ADMITTED, window_ms=5000), 7)
    clock.ms += 1000
    board.passage(1, 7, passed=True)
    clock.ms += AFTER_PASSAGE_MS - 1
    assert shown(board) is State.ADMITTED
    clock.ms += 1
    assert shown(board) is State.IDLE


def test_nobody_passed_is_said_to_the_visitor_unless_the_next_one_is_being_told_something(
    board: Board, clock: Clock
) -> None:
    board.face(1, Face(State.ADMITTED), 7)
    board.passage(1, 7, passed=False)
    assert shown(board) is State.NOT_PASSED
    board.face(1, Face(Reason.EXPIRED))
    board.passage(1, 7, passed=False)
    assert shown(board) is Reason.EXPIRED


def test_who_was_admitted_before_takes_nothing_from_the_next_one_s_face(board: Board, clock: Clock) -> None:
    board.face(1, Face(State.ADMITTED), 7)
    board.face(1, Face(State.ADMITTED), 8)
    board.passage(1, 7, passed=True)
    clock.ms += AFTER_PASSAGE_MS
    assert shown(board) is State.ADMITTED
    board.passage(1, 7, passed=False)
    assert shown(board) is State.ADMITTED


def test_a_new_presentation_replaces_any_face_at_once(board: Board) -> None:
    board.face(1, Face(Reason.FORGED))
    board.face(1, Face(State.ADMITTED))
    assert shown(board) is State.ADMITTED
    assert shown(board, lane=2) is State.IDLE


def test_the_same_code_still_in_view_prolongs_its_face_without_a_new_number(board: Board, clock: Clock) -> None:
    board.face(1, Face(Reason.EXPIRED))
    number = board.snapshot().shown[1].number
    clock.ms += 3000
    board.prolong(1)
    clock.ms += 3000
    assert (shown(board), board.snapshot().shown[1].number) == (Reason.EXPIRED, number)
    clock.ms += 1000
    board.prolong(1)
    assert shown(board) is State.IDLE


def test_an_admission_is_not_prolonged_beyond_its_window(board: Board, clock: Clock) -> None:
    board.face(1, Face(State.ADMITTED, window_ms=5000), 7)
    clock.ms += 4000
    board.prolong(1)
    clock.ms += 1000
    assert shown(board) is State.IDLE


def test_each_verdict_has_a_number_of_its_own_and_a_lane_at_rest_has_none(board: Board) -> None:
    board.face(1, Face(Reason.EXPIRED))
    first = board.snapshot().shown[1].number
    board.face(1, Face(Reason.EXPIRED))
    assert board.snapshot().shown[1].number > first > 0
    board.rest(2, Face(Reason.LANE_CLOSED))
    assert board.snapshot().shown[2].number == 0


def test_reading_is_said_only_when_no_verdict_follows_and_never_without_end(board: Board, clock: Clock) -> None:
    board.reading(1)
    clock.ms += READING_DELAY_MS - 1
    assert shown(board) is State.IDLE
    clock.ms += 1
    assert shown(board) is State.READING
    clock.ms += READING_LIMIT_MS
    assert shown(board) is State.IDLE

    board.reading(1)
    board.face(1, Face(Reason.EXPIRED))
    clock.ms += READING_DELAY_MS
    assert shown(board) is Reason.EXPIRED


def test_what_lasts_is_shown_when_a_verdict_has_gone_and_fire_covers_everything(board: Board, clock: Clock) -> None:
    board.face(1, Face(State.ADMITTED))
    board.rest(1, Face(Reason.LANE_CLOSED))
    assert shown(board) is State.ADMITTED, "somebody is still walking through"
    board.rest(1, Face(State.FIRE))
    assert shown(board) is State.FIRE
    board.face(1, Face(Reason.EXPIRED))
    assert shown(board) is State.FIRE


def test_the_list_of_scans_is_bounded_newest_first_and_learns_who_passed(board: Board) -> None:
    uses = tuple(EarlierUse(at_ms, 1) for at_ms in range(10))
    for number in range(SCANS_LIMIT + 5):
        board.scan(Scan(1, State.ADMITTED, at_ms=number, earlier=uses, intent_seq=number))
    board.scan(Scan(1, Reason.EXPIRED, at_ms=None))
    board.passage(1, SCANS_LIMIT + 3, passed=True)
    scans = board.snapshot().scans
    assert len(scans) == SCANS_LIMIT
    assert [scan.passed for scan in scans[:4]] == [None, None, True, None]
    assert scans[0].number > scans[1].number
    assert len(scans[1].earlier) == EARLIER_USES_LIMIT


def test_saying_the_same_again_wakes_nobody(board: Board) -> None:
    version = board.snapshot().version
    board.rest(1, IDLE)
    board.status(board.snapshot().status)
    assert board.snapshot().version == version
    board.status(Status(waiting=1))
    assert board.snapshot().version > version


def test_waiting_ends_with_the_next_change(board: Board) -> None:
    seen: list[Snapshot] = []
    version = board.snapshot().version
    waiter = threading.Thread(target=lambda: seen.append(board.wait(version, timeout_s=10)))
    waiter.start()
    board.face(2, Face(Reason.USED_UP))
    waiter.join(10)
    assert [snapshot.shown[2].face.verdict for snapshot in seen] == [Reason.USED_UP]


def test_waiting_ends_after_the_timeout_and_at_a_wake(clock: Clock) -> None:
    board = Board((1,), clock)
    version = board.snapshot().version
    assert board.wait(version, timeout_s=0).version == version
    board.wake()
    assert board.wait(version, timeout_s=10).version > version


def test_waiting_ends_when_a_face_leaves_by_itself() -> None:
    ticks = iter(range(0, 100_000, 100))
    board = Board((1,), lambda: next(ticks))  # each look at the clock finds it 100 ms later
    board.rest(1, IDLE)
    board.face(1, Face(State.ADMITTED, window_ms=500))
    version = board.snapshot().version
    assert board.wait(version, timeout_s=60).shown[1].face.verdict is State.IDLE
