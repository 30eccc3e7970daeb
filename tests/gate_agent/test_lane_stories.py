"""Lanes as a venue runs them: a fire over a kill, a lane held open over a restart, people who leave."""

from __future__ import annotations

import json
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gate_agent import settings
from gate_agent.agent import Agent
from gate_agent.entries_view import EntriesView
from gate_agent.lane_state import LaneState, Word
from gate_agent.trusted_time import device_clock_ns
from hardware.pty_scanner import PtyScanner
from tests.gate_agent.agent_process import AgentProcess, journal_of, pulses_of, running
from tests.gate_agent.venue import NOW_MINUTE, Venue
from tests.waiting import until
from wire.messages import EntryKind

pytestmark = pytest.mark.story

FACE_LIMIT_S = 0.5  # two pages asked for and a busy machine; the face itself follows the edge (test_gate_lanes)


def asked(agent: AgentProcess, path: str, body: dict[str, str] | None = None) -> Any:
    """A page of the agent's screen."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(agent.ready["screen"].rstrip("/") + path, data)
    with urllib.request.urlopen(request, timeout=5) as answer:
        read = answer.read().decode()
        return json.loads(read) if answer.headers["Content-Type"].startswith("application/json") else read


def lanes(agent: AgentProcess) -> dict[str, str]:
    states: dict[str, str] = asked(agent, "/healthz")["lanes"]
    return states


def test_fire_frees_every_lane_at_once_and_after_it_and_a_kill_all_stay_closed(tmp_path: Path) -> None:
    venue = Venue()
    ticket = venue.issue()
    venue.settle(tmp_path)
    two = [f"{number}:reader=sim,turnstile=sim" for number in (1, 2)]
    with running(tmp_path, two, "--simulate") as agent:
        until(lambda: set(lanes(agent).values()) == {"open"})
        asked(agent, "/sim/lane/1/fault", {"what": "fire"})
        began_s = time.monotonic()
        until(lambda: 'data-state="fire"' in asked(agent, "/lane/2"))
        assert time.monotonic() - began_s < FACE_LIMIT_S
        assert set(lanes(agent).values()) == {"fire"}
        asked(agent, "/sim/lane/2/show", {"text": ticket.text, "to": "scanner"})
        asked(agent, "/sim/lane/1/walk", {"how": "pass"})
        until(lambda: [entry.reason for entry in agent.entries()] == ["fire"])
        agent.kill()
    with running(tmp_path, two, "--simulate") as agent:
        until(lambda: set(lanes(agent).values()) == {"closed"}, what="the fire is over, and staff have opened nothing")
        asked(agent, "/sim/lane/2/show", {"text": ticket.text, "to": "scanner"})
        until(lambda: any(entry.reason == "lane_closed" for entry in agent.entries()))
        moments = [moment for lane in asked(agent, "/sim/history")["lanes"] for moment in lane["moments"]]
        assert not any(moment["device"] == "relay" for moment in moments)


def agent_with(data_dir: Path, *named: str) -> Agent:
    """An agent in this process, its lanes at work."""
    agent = Agent(data_dir, "", settings.lanes(settings.Settings(), named), device_clock_ns)
    agent.start()
    return agent


def test_a_lane_held_open_goes_on_after_a_restart_and_its_pulses_are_never_long(tmp_path: Path) -> None:
    venue = Venue()
    venue.settle(tmp_path)
    named = f"1:reader=sim,turnstile=file:{tmp_path / 'pulses'}"
    with agent_with(tmp_path, named) as agent:
        lane = agent.lanes[0]
        seq = lane.command(lambda: agent.gate.set_order(lane.lane, Word.HELD_OPEN, "李一", "客流", 10))
        until(lambda: pulses_of(tmp_path), what="the arm is unlocked")
    before = len(pulses_of(tmp_path))
    with agent_with(tmp_path, named) as agent:
        lane = agent.lanes[0]
        until(lambda: len(pulses_of(tmp_path)) > before, what="it is unlocked again")
        status = agent.board.snapshot().status.lanes[0]
        assert status.state is LaneState.HELD_OPEN
        assert status.until_ms is not None
        lane.command(lambda: agent.gate.set_order(lane.lane, Word.CLOSED, "李一"))
        until(lambda: [entry.reason for entry in journal_of(tmp_path)][-1] == "held_open_ended: not counted")
        closed = len(pulses_of(tmp_path))
    with agent_with(tmp_path, named) as agent:
        assert agent.board.snapshot().status.lanes[0].state is LaneState.CLOSED
    pulses = pulses_of(tmp_path)
    assert len(pulses) == closed
    assert {pulse["entry_seq"] for pulse in pulses} == {seq}


def test_whoever_leaves_is_let_out_though_the_pass_is_past_its_end(tmp_path: Path) -> None:
    venue = Venue()
    late, forged = venue.issue(not_after=NOW_MINUTE), venue.issue(signer=bytes(32))
    venue.settle(tmp_path)
    with closing(PtyScanner()) as scanner:
        named = f"1:reader=serial:{scanner.path},turnstile=file:{tmp_path / 'pulses'},direction=out"
        with running(tmp_path, [named]) as agent:
            scanner.type(forged.text)
            assert agent.await_refusal(0).reason == "forged"
            scanner.type(late.text)
            pulse = agent.await_pulse(0)
            assert 'data-state="exit"' in asked(agent, "/lane/1")
            assert agent.stop() == 0
    (left,) = [entry for entry in journal_of(tmp_path) if entry.kind is EntryKind.EVENT]
    assert (left.reason, left.pass_id, left.seq) == ("exit", late.pass_id, pulse["entry_seq"])
    with EntriesView.open(tmp_path) as view:
        assert view.open_intents() == 0
