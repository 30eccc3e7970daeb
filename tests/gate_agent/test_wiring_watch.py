"""Lanes taken out of order because of their wires: at start by what moved, in service by who passes where."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import urlopen

import pytest

from gate_agent.checkup import check
from gate_agent.decision import Refuse
from gate_agent.entries import Entries
from gate_agent.events import EventWord
from gate_agent.faces import LaneTrouble
from gate_agent.lane_state import LaneState
from gate_agent.screen.alarms import alarm_lines
from gate_agent.screen.speech import Speech
from gate_agent.settings import LaneChoice, LaneSettings
from gate_agent.topology import Topology, Wiring, topology_of
from gate_agent.wiring_watch import WiringWatch, what_moved
from hardware.devices import parse_lane
from hardware.pty_scanner import PtyScanner
from hardware.turnstile import Edge, Role
from tests.gate_agent.agent_process import lane, running
from tests.gate_agent.stage import Stage, admitted
from tests.gate_agent.venue import NOW_MS, Venue
from tests.wire import samples
from wire.reasons import Reason

S = 1_000_000_000
LANES = [parse_lane(f"{number}:reader=sim,turnstile=gpiozero:1{number},ready=2{number}") for number in (1, 2)]
WINDOWS = {1: 6 * S, 2: 6 * S}

AGAIN = "put it back, or commission it: at the staff's screen, or gate-agent commission"

Named = dict[int, LaneTrouble]


def watch(stage: Stage, kept: dict[int, Wiring], named: Named) -> WiringWatch:
    def name(number: int, trouble: LaneTrouble | None, _other: int | None) -> None:
        assert trouble is not None
        named[number] = trouble

    return WiringWatch(stage.journal, stage.clock.look, kept, WINDOWS, name)


def elsewhere(topology: Topology) -> Topology:
    return {**topology, "ready": "pin 27, no"}


def test_a_lane_wired_as_it_was_commissioned_or_never_commissioned_is_well(stage: Stage) -> None:
    named: Named = {}
    watch(stage, {1: Wiring(topology_of(LANES[0]))}, named).compare(LANES)
    assert (named, stage.told()) == ({}, [])


def test_a_lane_whose_devices_moved_is_out_of_order_and_the_log_says_what(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    named: Named = {}
    kept = {1: Wiring(topology_of(LANES[0])), 2: Wiring(elsewhere(topology_of(LANES[1])))}
    watch(stage, kept, named).compare(LANES)
    assert named == {2: LaneTrouble.MOVED}
    said = f"lane 2: ready was pin 27, no, is pin 22, no: {AGAIN} 2"
    assert [record.getMessage() for record in caplog.records] == [said]
    assert what_moved(kept[2], LANES[1]) == ["ready was pin 27, no, is pin 22, no"]
    (event,) = stage.written()
    assert (event.reason, event.lane) == (EventWord.LANE_MOVED, 2)


def test_crossed_lanes_are_both_out_of_order_until_commissioned_again(stage: Stage) -> None:
    named: Named = {}
    kept = {1: Wiring(topology_of(LANES[0]))}
    lanes = watch(stage, kept, named)
    for second in (0, 10):
        assert named == {}
        lanes.pulsed(1, second * S)
        lanes.passed(2, (second + 1) * S)
    assert named == {1: LaneTrouble.CROSSED, 2: LaneTrouble.CROSSED}
    assert [(event.reason, event.lane) for event in stage.written()] == [
        (EventWord.LANES_CROSSED, 1),
        (EventWord.LANES_CROSSED, 2),
    ]
    wiring = stage.journal.perform(lambda entries: entries.wiring())
    assert wiring == {1: Wiring(kept[1].topology, crossed_with=2), 2: Wiring(crossed_with=1)}

    after_a_start: Named = {}
    watch(stage, wiring, after_a_start).compare(LANES)
    assert after_a_start == named


def test_people_who_pass_where_they_were_let_in_cross_nothing(stage: Stage) -> None:
    named: Named = {}
    lanes = watch(stage, {}, named)
    for second in range(0, 100, 10):
        lanes.pulsed(1, second * S)
        lanes.passed(1, (second + 1) * S)
        lanes.passed(2, (second + 2) * S)
    assert named == {}


def test_the_check_of_a_box_says_it_too(stage: Stage) -> None:
    chosen = [LaneChoice(spec, LaneSettings(devices="")) for spec in LANES]
    now = stage.clock.look().now

    def told() -> list[str]:
        return [finding.sentence for finding in check(stage.data_dir, chosen, now, devices=False) if not finding.fit]

    before = told()
    kept = {1: Wiring(elsewhere(topology_of(LANES[0]))), 2: Wiring(crossed_with=1)}

    def keep(entries: Entries) -> None:
        for number, wiring in kept.items():
            entries.keep_wiring(number, wiring)

    stage.journal.perform(keep)
    assert [sentence for sentence in told() if sentence not in before] == [
        f"lane 1: ready was pin 27, no, is pin 21, no: {AGAIN} 1",
        "lane 2 is crossed with lane 1: exchange their wires",
    ]


def test_visitors_who_pass_at_the_other_lane_close_both(stage: Stage, venue: Venue) -> None:
    tickets = [venue.issue() for _ in range(3)]
    venue.settle(stage.data_dir)
    for ticket in tickets[:2]:
        assert admitted(stage.show(ticket.text))
        for active in (True, False):
            stage.wait(1_000)
            stage.gate.edge(stage.lanes[1], Edge(Role.PASSAGE_IN, active, stage.timeline.now_ns()))
        stage.wait(10_000)
    assert stage.states() == [LaneState.OUT_OF_ORDER] * 2
    speech = Speech("zh", "Asia/Shanghai", NOW_MS)
    lines = [line.first for line in alarm_lines(stage.look(), speech)]
    assert [line for line in lines if "接反" in line] == ["1、2 号通道接反"]
    assert stage.show(tickets[2].text) == Refuse(Reason.FAULT)
    assert stage.show(tickets[2].text, lane=2) == Refuse(Reason.FAULT)
    assert len(stage.pulses()) == 2


@pytest.mark.story
def test_a_lane_plugged_in_elsewhere_admits_nobody_until_it_is_commissioned(tmp_path: Path) -> None:
    venue = Venue()
    ticket, other = venue.issue(), venue.issue()
    venue.settle(tmp_path)
    scanners = [PtyScanner(link=tmp_path / f"scanner-{number}") for number in (1, 2)]
    lanes = [lane(number, tmp_path / f"scanner-{number}", tmp_path) for number in (1, 2)]
    topology = topology_of(parse_lane(lanes[0]))
    entries, _ = Entries.open(tmp_path, lambda: samples.INCARNATION)
    with entries.transaction():
        entries.keep_wiring(1, Wiring({**topology, "reader 1": "serial:/dev/serial/by-path/usb-7"}))
    entries.close()
    with running(tmp_path, lanes) as agent:
        with urlopen(f"{agent.ready['screen']}/healthz") as answer:
            health = json.load(answer)
        assert health["lanes"] == {"1": "out_of_order", "2": "open"}
        assert health["alarms"] == ["moved"]
        scanners[0].type(ticket.text)
        assert agent.await_refusal(0).reason == Reason.FAULT
        scanners[1].type(other.text)
        assert agent.await_pulse(0)["lane"] == 2
    said = f"reader 1 was serial:/dev/serial/by-path/usb-7, is serial:{tmp_path / 'scanner-1'}"
    assert said in (tmp_path / "agent.log").read_text(encoding="utf-8")
    for scanner in scanners:
        scanner.close()
