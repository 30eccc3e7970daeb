"""Commissioning as a whole: the lane's screen, devices and journal opened, the lane tried, its wiring kept."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path

from gate_agent import judging
from gate_agent.agent import SPARE_KEY_BYTES, only_one
from gate_agent.board import Board
from gate_agent.commissioning import CODE_DIGITS, Commissioning, NotCommissioned, Operator
from gate_agent.entries import Entries
from gate_agent.events import EventName, EventWord
from gate_agent.faces import Face, FaceFacts
from gate_agent.journal import CannotRecord, Journal
from gate_agent.lane_state import LaneState
from gate_agent.pass_list import PassListHolder
from gate_agent.settings import LaneChoice
from gate_agent.status import LaneStatus, Status
from gate_agent.succession import open_journal
from gate_agent.sync_state import SyncView
from gate_agent.topology import Topology, Wiring
from gate_agent.trusted_time import clocks_of_this_machine
from gate_agent.world import WorldView
from hardware.devices import LaneDevices, open_lane
from hardware.turnstile import Role
from wire.messages import INCARNATION_BYTES
from wire.reasons import Reason

WINDOW_GRACE_S = 1.0

ServeScreen = Callable[[Board, LaneDevices], Callable[[], None]]
"""Serve the lane's screen; what ends it."""


def commission_lane(
    data_dir: Path,
    choice: LaneChoice,
    operator: Operator,
    who: str | None,
    untried: frozenset[Role],
    serve: ServeScreen,
    monotonic_ns: Callable[[], int],
) -> Topology:
    """How the lane is wired, once that is in the journal.

    NotCommissioned, AlreadyRunning, DeviceFault, JournalTooNew, JournalClosed, or what the disk says."""
    number = choice.spec.number
    with contextlib.ExitStack() as opened:
        opened.callback(only_one(data_dir))
        lists, sync = PassListHolder(data_dir), SyncView.open(data_dir)
        begun = open_journal(data_dir, lambda: secrets.token_bytes(INCARNATION_BYTES), sync)
        journal = Journal(begun.entries)
        opened.callback(journal.close)
        journal.start()
        world = WorldView(clocks_of_this_machine(), lists, sync, secrets.token_bytes(SPARE_KEY_BYTES))

        def record(event: EventName, wiring: Wiring | None = None) -> None:
            def work(entries: Entries) -> bool:
                judging.append_event(entries, event, world.look(), number, who=who)
                if wiring is not None:
                    entries.keep_wiring(number, wiring)
                return entries.has_room()

            written = journal.perform(work)
            if isinstance(written, CannotRecord):
                raise NotCommissioned(f"it cannot be recorded: {written.sentence}")
            if not written:
                raise NotCommissioned("it cannot be recorded: the disk is full; make room first")

        if begun.event is not None:
            record(begun.event)
        devices = open_lane(choice.spec)
        opened.callback(devices.close)
        digits = "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))
        opened.callback(serve(_board(number, digits, monotonic_ns), devices))
        settings = choice.settings
        topology = Commissioning(
            choice.spec,
            devices,
            operator,
            digits,
            lambda: record(EventWord.TEST_PULSE),
            lambda: monotonic_ns() / 1e9,
            settings.pulse_ms,
            settings.passage_window_ms / 1000 + WINDOW_GRACE_S,
            untried,
        ).run()
        record(EventWord.COMMISSIONED, Wiring(topology))
        return topology


def _board(lane: int, digits: str, monotonic_ns: Callable[[], int]) -> Board:
    """A closed lane that shows its number."""
    board = Board((lane,), lambda: monotonic_ns() // 1_000_000)
    board.status(Status(lanes=(LaneStatus(lane, LaneState.CLOSED),)))
    board.rest(lane, Face(Reason.LANE_CLOSED, FaceFacts(commission=digits)))
    return board
