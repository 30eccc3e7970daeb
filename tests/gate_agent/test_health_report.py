"""How a gate is, for other programs: the report, and whether it may be stopped for an update."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gate_agent.board import Board, Scan
from gate_agent.faces import LaneTrouble
from gate_agent.health_report import ADDRESS, FROZEN_MS, QUIET_S, NoAnswer, against_update, ask, fetch, report
from gate_agent.heartbeat import PATH
from gate_agent.lane_state import LaneState
from gate_agent.status import Alarm, AlarmKind, LaneStatus, Status
from hardware.pty_scanner import PtyScanner
from tests.gate_agent.agent_process import lane, running
from tests.gate_agent.venue import Venue
from tests.waiting import until
from wire.heartbeat import MAX_HEARTBEAT_BYTES, AgentState, DeviceHealth, LaneHealth, read_heartbeat
from wire.reasons import Reason


class Hand:
    """A clock moved by hand, in ms."""

    now_ms = 0


@pytest.fixture
def hand() -> Hand:
    """At zero."""
    return Hand()


@pytest.fixture
def board(hand: Hand) -> Board:
    """One open lane, nobody there for long."""
    one = Board((1,), lambda: hand.now_ms)
    hand.now_ms = QUIET_S * 1000
    one.status(Status(lanes=(LaneStatus(1, LaneState.OPEN),)))
    return one


def against(board: Board, folder: Path) -> str:
    """Why not now, in one string."""
    return "; ".join(against_update(report(board), folder))


def test_a_gate_in_order_may_be_stopped(board: Board, tmp_path: Path) -> None:
    assert report(board)["ok"] is True
    assert json.loads(json.dumps(report(board))) == report(board)
    assert against(board, tmp_path) == ""


def test_a_state_that_nobody_looks_at_any_more_is_not_in_order(board: Board, hand: Hand, tmp_path: Path) -> None:
    hand.now_ms += FROZEN_MS + 1
    assert (report(board)["ok"], report(board)["frozen"]) == (False, True)
    assert "does not look after itself" in against(board, tmp_path)


def test_the_report_names_every_alarm_of_the_staff_s_face_the_worst_first(board: Board) -> None:
    dead = LaneStatus(1, LaneState.OUT_OF_ORDER, trouble=LaneTrouble.READER)
    board.status(
        Status(lanes=(dead,), list_expired=True, alarms=(Alarm(AlarmKind.READER, 1), Alarm(AlarmKind.FORCED, 1)))
    )
    assert report(board)["alarms"] == ["forced", "reader", "list_expired"]


def test_nobody_is_left_standing(board: Board, hand: Hand, tmp_path: Path) -> None:
    board.scan(Scan(1, Reason.EXPIRED, at_ms=None))
    hand.now_ms += 1_000
    assert against(board, tmp_path) == "somebody presented 1 s ago: wait for a quiet minute"
    hand.now_ms += QUIET_S * 1000
    board.status(Status(lanes=(LaneStatus(1, LaneState.OPEN),), open_intents=2))
    assert against(board, tmp_path) == "2 admissions wait for their visitor to pass"


@pytest.mark.parametrize(
    "status",
    [
        Status(lanes=(LaneStatus(1, LaneState.OUT_OF_ORDER),), alarms=(Alarm(AlarmKind.RECORD),)),
        Status(lanes=(LaneStatus(1, LaneState.OPEN),), alarms=(Alarm(AlarmKind.JOURNAL_GONE),)),
    ],
)
def test_not_without_a_journal(board: Board, tmp_path: Path, status: Status) -> None:
    board.status(status)
    assert against(board, tmp_path) == "the journal cannot be written"


def test_where_nobody_runs_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="no agent is running"):
        ask(tmp_path)
    (tmp_path / ADDRESS).write_text("http://127.0.0.1:9", encoding="ascii")
    with pytest.raises(NoAnswer, match="does not answer"):
        ask(tmp_path)


@pytest.mark.story
def test_the_command_asks_the_running_agent(tmp_path: Path) -> None:
    Venue().settle(tmp_path)
    scanner = PtyScanner()
    assert told(tmp_path, "--for-update") == (0, "no agent is running here: nothing stands against an update")
    with running(tmp_path, [lane(1, scanner.path, tmp_path)]) as agent:
        until(lambda: told(tmp_path)[0] == 0)
        said: dict[str, Any] = json.loads(told(tmp_path)[1])
        assert said["lanes"] == {"1": "open"}
        beat = read_heartbeat(fetch(tmp_path, PATH, MAX_HEARTBEAT_BYTES))
        assert beat is not None
        assert (beat.agent, beat.lanes) == (AgentState.RUNNING, (LaneHealth(1, "open", "entry"),))
        assert beat.devices == (DeviceHealth(1, "scanner"), DeviceHealth(1, "relay"))
        code, sentences = told(tmp_path, "--for-update")
        assert code == 1
        assert "wait for a quiet minute" in sentences
        assert agent.stop() == 0
    assert not (tmp_path / ADDRESS).exists()
    assert told(tmp_path)[0] == 1
    scanner.close()


def told(data_dir: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of `gate-agent health`."""
    command = [sys.executable, "-m", "gate_agent", "health", "--data", str(data_dir), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout.strip()
