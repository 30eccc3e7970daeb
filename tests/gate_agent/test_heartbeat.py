"""How a gate is reaches the centre with its batches: all of it, soon when something goes wrong, at no price."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gate_agent.board import Board
from gate_agent.centre_client import Rest
from gate_agent.entry_push import LOOK_EVERY_S, SIGN_OF_LIFE_EVERY_MS
from gate_agent.faces import LaneTrouble
from gate_agent.health_report import ADDRESS, FROZEN_MS
from gate_agent.heartbeat import LOOK_EVERY_MS, heartbeat_of
from gate_agent.lane_state import LaneState
from gate_agent.screen.app import create_app, serve
from gate_agent.status import Alarm, AlarmKind, DeviceKind, DeviceStatus, LaneStatus, Side, Status
from gate_agent.sync_state import LinkTrouble, Task, TroubleKind
from tests.gate_agent.boxes import Box, box_at, write
from tests.gate_agent.small_centre import Fault, SmallCentre
from tests.gate_agent.stage import stage_at
from tests.gate_agent.test_health import Ward
from tests.gate_agent.venue import Venue
from tests.wire import samples
from wire.heartbeat import AgentState, AlarmHealth, DeviceHealth, Heartbeat, LaneHealth, read_heartbeat
from wire.messages import ClockTrust, EntryKind

STATUS = Status(
    lanes=(
        LaneStatus(1, LaneState.OPEN),
        LaneStatus(2, LaneState.OUT_OF_ORDER, Side.EXIT, trouble=LaneTrouble.TURNSTILE),
    ),
    alarms=(Alarm(AlarmKind.UNDER_VOLTAGE, since_ms=7), Alarm(AlarmKind.TURNSTILE, 2, 5)),
    open_intents=1,
    list_at_ms=samples.NOW_MS - 60_000,
    clock=ClockTrust.TRUSTED,
    disk_percent=41,
    devices=(DeviceStatus(1, DeviceKind.SCANNER), DeviceStatus(2, DeviceKind.RELAY, "no answer")),
    temperature_c=56,
)


def board_with(status: Status, now_ms: Callable[[], int] = lambda: 0) -> Board:
    board = Board((1, 2), now_ms)
    board.status(status)
    return board


def test_it_tells_everything_that_the_strip_shows() -> None:
    assert heartbeat_of(board_with(STATUS), samples.NOW_MS, 3) == Heartbeat(
        1,
        AgentState.RUNNING,
        (LaneHealth(1, "open", "entry"), LaneHealth(2, "out_of_order", "exit", "turnstile")),
        (DeviceHealth(1, "scanner"), DeviceHealth(2, "relay", "no answer")),
        (AlarmHealth("turnstile", 2, 5), AlarmHealth("under_voltage", 0, 7)),
        ClockTrust.TRUSTED,
        samples.NOW_MS,
        41,
        56,
        True,
        samples.NOW_MS - 60_000,
        "",
        1,
        3,
    )


def test_a_state_that_grows_old_is_called_so() -> None:
    clock = iter([0, 0, FROZEN_MS + 1, FROZEN_MS + 1, FROZEN_MS + 1])
    board = Board((1, 2), lambda: next(clock, FROZEN_MS + 1))
    assert heartbeat_of(board, None, 0).agent is AgentState.FROZEN


def test_health_names_every_device(tmp_path: Path) -> None:
    with stage_at(tmp_path) as stage:
        ward = Ward(stage)
        Venue().settle(tmp_path, knows_time=False)
        ward.readers[1].fault = "pulled out"
        devices = [(one.lane, one.kind, one.fault) for one in ward.look().devices]
    assert devices == [(1, "scanner", ""), (1, "relay", ""), (2, "scanner", "pulled out"), (2, "relay", "")]


@pytest.fixture
def centre() -> Iterator[SmallCentre]:
    with SmallCentre() as small:
        yield small


@pytest.fixture
def box(tmp_path: Path, centre: SmallCentre) -> Iterator[Box]:
    with box_at(tmp_path, centre.url) as enrolled:
        enrolled.pull.pull_once()
        enrolled.journal()
        yield enrolled


@contextmanager
def screen_of(board: Board, data_dir: Path) -> Iterator[None]:
    """`run`, as far as sync sees it."""
    server, url = serve(create_app(board, lambda: samples.NOW_MS), 0)
    (data_dir / ADDRESS).write_text(url)
    try:
        yield
    finally:
        server.close()


def told(centre: SmallCentre) -> list[Heartbeat | None]:
    """What each batch carried; None: nothing."""
    return [read_heartbeat(read.batch.health) if read.batch.health else None for read in centre.batches]


def test_it_rides_with_the_entries_once_for_each_look(box: Box, centre: SmallCentre) -> None:
    entries = box.journal()
    with screen_of(board_with(STATUS), box.data_dir):
        for _ in range(3):
            write(entries, EntryKind.REFUSED)
            box.push.push_once()
        box.clocks.advance(LOOK_EVERY_MS)
        write(entries, EntryKind.REFUSED)
        box.push.push_once()
    first, *between, last = told(centre)
    assert first is not None
    assert (first.lanes[1].trouble, first.screens) == ("turnstile", 0)
    assert between == [None, None]
    assert last == first


def test_what_goes_wrong_is_told_at_the_next_look_and_only_once(box: Box, centre: SmallCentre) -> None:
    fine = replace(STATUS, lanes=(LaneStatus(1, LaneState.OPEN),), alarms=(), devices=STATUS.devices[:1])
    board = board_with(fine)
    with screen_of(board, box.data_dir):
        box.push.push_once()
        for change in (
            {"lanes": (LaneStatus(1, LaneState.FIRE),)},
            {"alarms": (Alarm(AlarmKind.TAMPER, 1),)},
            {"devices": (DeviceStatus(1, DeviceKind.SCANNER, "pulled out"),)},
            {"clock": ClockTrust.HELD},
        ):
            sent = len(centre.batches)
            board.status(replace(fine, **change))
            box.push.push_once()
            assert len(centre.batches) == sent, "not before the next look"
            box.clocks.advance(LOOK_EVERY_MS)
            box.push.push_once()
            box.push.push_once()
            assert len(centre.batches) == sent + 1, change
            assert centre.batches[-1].batch.entries == ()
        board.status(replace(board.snapshot().status, disk_percent=42, temperature_c=60))
        box.clocks.advance(LOOK_EVERY_MS)
        assert box.push.push_once() == Rest(LOOK_EVERY_S, asked=False)
        assert len(centre.batches) == sent + 1, "what changes all the time waits for the next batch"


def test_every_minute_at_least(box: Box, centre: SmallCentre) -> None:
    with screen_of(board_with(STATUS), box.data_dir):
        box.push.push_once()
        box.clocks.advance(SIGN_OF_LIFE_EVERY_MS)
        box.push.push_once()
    assert [one is not None for one in told(centre)] == [True, True]


def test_a_box_whose_agent_does_not_answer_says_so_and_sends_its_entries(box: Box, centre: SmallCentre) -> None:
    (box.data_dir / ADDRESS).write_text("http://127.0.0.1:9")
    write(box.journal(), EntryKind.REFUSED)
    box.push.push_once()
    [beat] = told(centre)
    assert beat is not None
    assert (beat.agent, beat.lanes) == (AgentState.SILENT, ())
    assert beat.disk_percent is not None
    assert box.cursor() == 1


def test_what_is_no_screen_of_ours_is_not_sent_on(box: Box, centre: SmallCentre) -> None:
    with SmallCentre() as stranger:  # answers 404 and JSON
        (box.data_dir / ADDRESS).write_text(stranger.url)
        box.push.push_once()
    [beat] = told(centre)
    assert beat is not None
    assert beat.agent is AgentState.SILENT


def test_the_trouble_with_the_list_is_sync_s_to_tell(box: Box, centre: SmallCentre) -> None:
    with screen_of(board_with(STATUS), box.data_dir):
        box.push.push_once()
        box.store.note(Task.LIST, LinkTrouble(TroubleKind.BAD_LIST, "forged"), samples.NOW_MS)
        box.clocks.advance(LOOK_EVERY_MS)
        box.push.push_once()
    first, second = told(centre)
    assert first is not None
    assert second is not None
    assert (first.list_trouble, second.list_trouble) == ("", "bad_list")


def test_a_batch_without_a_receipt_has_told_nothing(box: Box, centre: SmallCentre) -> None:
    with screen_of(board_with(STATUS), box.data_dir):
        centre.faults.append(Fault.DROP_AFTER_STORING)
        assert isinstance(box.push.push_once(), LinkTrouble)
        box.clocks.advance(3_000)
        box.push.push_once()
    first, second = told(centre)
    assert first is not None
    assert second == msgspec.structs.replace(first, at_ms=samples.NOW_MS + 3_000), "as old as it is by now"
