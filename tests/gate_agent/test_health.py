"""Health: what the board is told of lanes, link, list and disk, and the day's numbers followed along the journal."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gate_agent import enrolment_copy, journal_files, machine
from gate_agent.box_alarms import SILENT_MS
from gate_agent.faces import IDLE, LaneTrouble
from gate_agent.health import CUT_SHORT_LIMIT, HANGS_MS, Health
from gate_agent.health_report import report
from gate_agent.lane_state import LaneState
from gate_agent.lanes import LaneThreads
from gate_agent.machine import Machine
from gate_agent.pass_list import PassListHolder
from gate_agent.recognition import HeldUp
from gate_agent.status import AlarmKind, Status, Way
from gate_agent.sync_state import LOCK, LinkTrouble, SyncView, Task, TroubleKind
from gate_agent.sync_store import SyncStore
from gate_agent.world import LOOK_AGAIN_MS, WorldView
from hardware.devices import LaneDevices
from hardware.simulated_turnstile import TurnstileTrouble
from hardware.turnstile import Direction
from tests.gate_agent.boxes import HandSetClocks
from tests.gate_agent.stage import Stage, admitted, stage_at
from tests.gate_agent.test_lanes import PlayedReader
from tests.gate_agent.venue import NOW_MS, VERSION, Venue
from tests.waiting import until
from tests.wire import samples
from wire.reasons import Reason


class Ward:
    """One box whose health is looked at: two lanes with a played reader each."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.clocks = HandSetClocks()
        self.readers = [PlayedReader(), PlayedReader()]
        sync = SyncView.open(stage.data_dir)
        self.world = WorldView(self.clocks.clocks(), PassListHolder(stage.data_dir), sync, b"spare")
        lanes = [
            LaneThreads(
                stage.gate,
                lane,
                LaneDevices(lane.number, Direction.IN, (), (reader,), (), lane.turnstile, (), None),
                stage.board,
                HeldUp(),
                stage.timeline.now_ns,
            )
            for lane, reader in zip(stage.lanes, self.readers, strict=True)
        ]
        stage.lanes[0].way = Way.LEFT
        standing = stage.gate.standing
        self.lanes = lanes
        self.ended: list[str] = []
        self.health = Health(
            stage.data_dir, "东门", standing, stage.journal, self.world, sync, lanes, lambda: self.ended
        )

    def look(self) -> Status:
        """One look, after files are looked at again."""
        self.clocks.advance(LOOK_AGAIN_MS)
        self.stage.timeline.advance(LOOK_AGAIN_MS)
        self.health.look()
        return self.stage.board.snapshot().status

    def states(self) -> list[tuple[LaneState, LaneTrouble | None]]:
        """Of both lanes, after a look."""
        return [(lane.state, lane.trouble) for lane in self.look().lanes]

    def alarms(self) -> list[AlarmKind]:
        """Those of the box, after a look."""
        return [alarm.kind for alarm in self.look().alarms]

    def rest(self, lane: int) -> object:
        """What a lane shows while nobody presents."""
        return self.stage.board.snapshot().shown[lane].face.verdict


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    """A box that is not enrolled yet."""
    with stage_at(tmp_path) as stage:
        yield Ward(stage)


OPEN = (LaneState.OPEN, None)


def test_before_the_first_list_lanes_are_closed(ward: Ward) -> None:
    status = ward.look()
    assert [lane.state for lane in status.lanes] == [LaneState.CLOSED] * 2
    assert (status.enrolled, status.list_version, status.gate) == (False, None, "东门")
    assert ward.rest(1) is Reason.LANE_CLOSED


def test_with_a_list_they_are_open(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir, knows_time=False)
    status = ward.look()
    assert ward.states() == [OPEN, OPEN]
    assert (status.enrolled, status.list_version, status.venue.zh) == (True, VERSION, "汴河虹桥景区")
    assert [lane.way for lane in status.lanes] == [Way.LEFT, Way.UP]
    assert (status.readers_ok, status.readers_all, status.relays_ok, status.relays_all) == (2, 2, 2, 2)
    assert ward.stage.board.snapshot().shown[1].face == IDLE


def test_a_lane_without_a_reader_is_out_of_order_and_says_where_to_go(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir, knows_time=False)
    ward.readers[0].fault = "pulled out"
    assert ward.states() == [(LaneState.OUT_OF_ORDER, LaneTrouble.READER), OPEN]
    face = ward.stage.board.snapshot().shown[1].face
    assert (face.verdict, face.facts.to_lane, face.facts.trouble) == (Reason.FAULT, 2, LaneTrouble.READER)
    assert ward.look().readers_ok == 1
    ward.readers[0].fault = None
    assert ward.states() == [OPEN, OPEN]


def test_a_lane_without_a_turnstile_is_out_of_order(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir, knows_time=False)
    ward.stage.arms[1].trouble(TurnstileTrouble.RELAY_GONE)
    assert ward.states() == [OPEN, (LaneState.OUT_OF_ORDER, LaneTrouble.TURNSTILE)]


@pytest.mark.slow
def test_a_lane_whose_driver_never_returns_is_out_of_order_until_it_does(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir, knows_time=False)
    lane, held, entered = ward.lanes[0], threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        held.wait()

    lane.start()
    asker = threading.Thread(target=lane.command, args=(hang,))
    asker.start()
    try:
        assert entered.wait(10)
        assert ward.states() == [OPEN, OPEN]
        ward.clocks.advance(HANGS_MS)
        assert ward.states() == [(LaneState.OUT_OF_ORDER, LaneTrouble.TURNSTILE), OPEN]
        told = report(ward.stage.board)
        assert (told["ok"], told["alarms"]) == (False, [AlarmKind.TURNSTILE])
        assert [device.fault for device in ward.look().devices if device.lane == 1][-1] == "its driver does not answer"
        turns = lane.turns
        held.set()
        until(lambda: lane.turns > turns)
        assert ward.states() == [OPEN, OPEN]
    finally:
        held.set()
        asker.join()
        lane.stop()


def test_since_when_is_remembered(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir, knows_time=False)
    assert ward.look().alarms == ()
    ward.readers[0].fault = "pulled out"
    (first,) = ward.look().alarms
    assert (first.kind, first.lane) == (AlarmKind.READER, 1)
    assert ward.look().alarms == (first,)
    ward.readers[0].fault = None
    assert ward.look().alarms == ()
    ward.readers[0].fault = "pulled out"
    (later,) = ward.look().alarms
    assert later.since_ms is not None and first.since_ms is not None and later.since_ms > first.since_ms


def test_a_disk_that_takes_nothing_closes_all_lanes_until_it_does(ward: Ward) -> None:
    venue = Venue()
    ticket = venue.issue()
    venue.settle(ward.stage.data_dir, knows_time=False)
    ward.stage.disk_takes(False)
    ward.stage.show(ticket.text)
    assert ward.states() == [(LaneState.OUT_OF_ORDER, LaneTrouble.RECORD)] * 2
    assert ward.rest(2) is Reason.CANNOT_RECORD
    ward.stage.disk_takes(True)
    ward.look()  # nobody presents at a closed lane: health itself tries the disk
    ward.stage.journal.perform(lambda _: None)
    assert ward.states() == [OPEN, OPEN]


def test_a_journal_deleted_under_it_stops_all_lanes_and_says_why(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir)
    assert ward.states() == [OPEN, OPEN]
    (ward.stage.data_dir / "entries.db").unlink()
    assert ward.states() == [(LaneState.OUT_OF_ORDER, LaneTrouble.RECORD)] * 2
    assert ward.alarms() == [AlarmKind.RECORD, AlarmKind.JOURNAL_GONE]
    assert ward.rest(1) is Reason.CANNOT_RECORD


def test_a_journal_that_was_gone_at_the_start_calls_for_staff_until_service_took_the_note_away(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir)
    journal_files.note_lost(ward.stage.data_dir, samples.INCARNATION, 7)
    assert ward.alarms() == [AlarmKind.JOURNAL_LOST]
    [note] = journal_files.lost_journals(ward.stage.data_dir)
    assert "the centre has its entries up to 7" in note.read_text()
    note.unlink()
    assert ward.alarms() == []


def test_a_list_that_was_deleted_calls_for_staff_while_lanes_go_on_with_what_they_hold(ward: Ward) -> None:
    assert ward.alarms() == [], "a box that is no gate yet has none"
    venue = Venue()
    ticket = venue.issue()
    venue.settle(ward.stage.data_dir)
    assert ward.alarms() == []
    shutil.rmtree(ward.stage.data_dir / "lists")
    assert ward.alarms() == [AlarmKind.NO_LIST]
    assert ward.states() == [OPEN, OPEN]
    assert admitted(ward.stage.show(ticket.text))
    assert not report(ward.stage.board)["ok"]
    venue.feed.install(ward.stage.data_dir)
    assert ward.alarms() == []


def test_a_sync_db_that_is_gone_calls_for_staff(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir)
    for left in ward.stage.data_dir.glob("sync.db*"):
        left.unlink()
    assert ward.alarms() == [AlarmKind.SYNC_LOST]
    assert ward.states() == [OPEN, OPEN]


def test_a_thread_of_the_agent_that_ended_calls_for_staff(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir)
    assert ward.alarms() == []
    ward.ended.append("photos")
    assert ward.alarms() == [AlarmKind.PART_ENDED]


def test_what_cannot_be_read_is_no_lane_in_order(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir)
    assert ward.states() == [OPEN, OPEN]
    (ward.stage.data_dir / "garbage").write_bytes(b"no database" * 1_000)
    (ward.stage.data_dir / "garbage").rename(ward.stage.data_dir / "sync.db")
    (ward.stage.data_dir / enrolment_copy.NAME).unlink()
    ward.clocks.advance(LOOK_AGAIN_MS)
    for _ in range(CUT_SHORT_LIMIT - 1):
        ward.health.look_as_far_as_possible()
        assert ward.stage.board.snapshot().status.lanes[0].state is LaneState.OPEN, "one bad look may be chance"
    ward.health.look_as_far_as_possible()
    lanes = ward.stage.board.snapshot().status.lanes
    assert [(lane.state, lane.trouble) for lane in lanes] == [(LaneState.OUT_OF_ORDER, LaneTrouble.RECORD)] * 2
    assert ward.rest(1) is Reason.CANNOT_RECORD


def test_a_file_that_says_nonsense_does_not_leave_the_last_good_state_on_the_screens(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir)
    assert ward.states() == [OPEN, OPEN]
    with closing(sqlite3.connect(ward.stage.data_dir / "sync.db")) as db, db:
        db.execute("UPDATE enrolment SET config = x'c1'")
    (ward.stage.data_dir / enrolment_copy.NAME).unlink()
    for _ in range(CUT_SHORT_LIMIT):
        ward.clocks.advance(LOOK_AGAIN_MS)
        ward.health.look_as_far_as_possible()
    lanes = ward.stage.board.snapshot().status.lanes
    assert [(lane.state, lane.trouble) for lane in lanes] == [(LaneState.OUT_OF_ORDER, LaneTrouble.RECORD)] * 2


def test_a_fire_is_noticed_whatever_a_damaged_file_says(ward: Ward) -> None:
    stage = ward.stage
    Venue().settle(stage.data_dir)
    assert ward.states() == [OPEN, OPEN]
    with closing(sqlite3.connect(stage.data_dir / "sync.db")) as db, db:
        db.execute("UPDATE enrolment SET config = x'c1'")
    (stage.data_dir / enrolment_copy.NAME).unlink()
    stage.arms[0].trouble(TurnstileTrouble.FIRE)
    assert stage.gate.standing.fire


def test_on_line_is_what_sync_said_lately(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir, knows_time=False)
    with closing(SyncStore(ward.stage.data_dir)) as store:
        for task in Task:
            store.note(task, None, NOW_MS)
        assert ward.look().online
        store.note(Task.LIST, LinkTrouble(TroubleKind.UNREACHABLE, "no route"), NOW_MS + 7)
        status = ward.look()
        assert (status.online, status.offline_since_ms) == (False, NOW_MS + 7)
        store.note(Task.LIST, None, NOW_MS + 9)
        assert ward.look().online
    ward.clocks.advance(SILENT_MS)
    assert not ward.look().online  # sync itself is gone


def test_sync_that_is_not_running_is_an_alarm_after_a_minute(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir)
    with (ward.stage.data_dir / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ward.look()
        ward.clocks.advance(SILENT_MS)
        assert ward.alarms() == [], "it runs, on line or not"
    assert ward.alarms() == [], "it may just be starting anew"
    ward.clocks.advance(SILENT_MS)
    (alarm,) = ward.look().alarms
    assert alarm.kind is AlarmKind.SYNC_SILENT
    ward.clocks.advance(SILENT_MS)
    assert ward.look().alarms == (alarm,), "since when is remembered"


def test_a_journal_that_was_set_aside_is_shown_until_somebody_takes_it_away(ward: Ward) -> None:
    aside = ward.stage.data_dir / "entries-damaged-1.db"
    aside.touch()
    assert ward.alarms() == [AlarmKind.JOURNAL_SET_ASIDE]
    aside.unlink()
    assert ward.alarms() == []


def test_a_hot_or_weak_machine_spares_the_processor(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    spared: list[bool] = []
    for threads in ward.health._lanes:
        for reader in threads.readers:
            reader.spare = spared.append
    told = Machine(disk_percent=10)
    monkeypatch.setattr(machine, "look_at", lambda _: told)
    assert ward.alarms() == []
    told = replace(told, temperature_c=machine.TOO_HOT_C)
    assert ward.look().temperature_c == machine.TOO_HOT_C
    told = Machine(disk_percent=10, under_voltage=True)
    assert ward.alarms() == [AlarmKind.UNDER_VOLTAGE]
    assert spared == [False, False, True, True, True, True]


def test_what_waits_to_be_sent_is_counted(ward: Ward) -> None:
    Venue().settle(ward.stage.data_dir, knows_time=False)
    ward.stage.show("hello")
    ward.stage.show("hello again")
    ward.stage.written()
    assert ward.look().waiting == 2
    with closing(SyncStore(ward.stage.data_dir)) as store:
        store.keep_receipt(ward.stage.entries.incarnation, 1, b"")
    assert ward.look().waiting == 1
