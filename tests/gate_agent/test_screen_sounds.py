"""Which faces may be heard: lanes without sound, quiet hours over midnight on the venue's clock."""

from __future__ import annotations

import pytest

from gate_agent.board import Board
from gate_agent.faces import Face
from gate_agent.screen.app import create_app
from gate_agent.screen.sounds import Sounds
from tests.gate_agent.beijing import NOW_MS, ZONE, at
from wire.reasons import Reason

NIGHT = Sounds(quiet=(21 * 60 + 30, 7 * 60 + 30))


@pytest.mark.parametrize(
    ("hour", "minute", "heard"),
    [(21, 29, True), (21, 30, False), (23, 59, False), (0, 0, False), (7, 29, False), (7, 30, True), (12, 0, True)],
)
def test_quiet_hours_pass_midnight(hour: int, minute: int, heard: bool) -> None:
    assert NIGHT.heard(1, at(21, hour, minute), ZONE) is heard


def test_quiet_hours_within_a_day_and_without_a_time() -> None:
    noon = Sounds(quiet=(12 * 60, 13 * 60))
    assert [noon.heard(1, at(21, hour, 59), ZONE) for hour in (11, 12, 13)] == [True, False, True]
    assert noon.heard(1, None, ZONE)


def test_a_lane_without_sound_says_so_to_its_page() -> None:
    board = Board((1, 2), lambda: 0)
    client = create_app(board, lambda: NOW_MS, sounds=Sounds(frozenset({2}))).test_client()
    for lane in (1, 2):
        board.face(lane, Face(Reason.EXPIRED))
        assert ("data-silent" in client.get(f"/lane/{lane}").text) is (lane == 2)
