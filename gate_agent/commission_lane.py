"""Commissioning with the agent stopped: the lane's screen, devices and journal are opened here, and its wiring kept."""

from __future__ import annotations

import contextlib
import queue
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gate_agent.agent import SPARE_KEY_BYTES, only_one
from gate_agent.board import Board
from gate_agent.commissioning import OVER, Commissioning, Flaw, FlawKind, Step, TrialTold, told_of
from gate_agent.doorkeeper import note
from gate_agent.events import EventName, EventWord, say
from gate_agent.faces import Face, FaceFacts
from gate_agent.journal import Journal
from gate_agent.lane_state import LaneState
from gate_agent.lane_trial import commissioning_of, is_active, record
from gate_agent.pass_list import PassListHolder
from gate_agent.passage import NS_PER_MS
from gate_agent.readers import Reader, readers_of
from gate_agent.settings import LaneChoice
from gate_agent.status import LaneStatus, Status
from gate_agent.succession import open_journal
from gate_agent.sync_state import SyncView
from gate_agent.topology import Topology, Wiring, tried
from gate_agent.trusted_time import clocks_of_this_machine
from gate_agent.world import WorldView
from hardware import DeviceFault
from hardware.devices import LaneDevices, open_lane
from hardware.turnstile import Edge, Role
from wire.messages import INCARNATION_BYTES
from wire.reasons import Reason

POLL_S = 0.1

ServeScreen = Callable[[Board, LaneDevices], Callable[[], None]]
"""Serve the lane's screen; what ends it."""


class NotCommissioned(Exception):
    """The lane is not as it should be; `flaw` says what is wrong."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw)
        self.flaw = flaw


class Operator(Protocol):
    """Whoever stands at the lane."""

    def tell(self, told: TrialTold) -> None:
        """Say what to do now."""

    def ask_arm(self, told: TrialTold) -> int:
        """Which lane's arm unlocked, once that is answered."""


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

        def write(name: EventName, wiring: Wiring | None = None) -> int | str:
            return record(journal, name, world.look(), number, who, wiring)

        told = 0 if begun.event is None else write(begun.event)
        if isinstance(told, str):
            raise NotCommissioned(Flaw(FlawKind.RECORD, detail=told))
        devices = open_lane(choice.spec)
        opened.callback(devices.close)
        readers = readers_of(devices)
        core = commissioning_of(choice.spec, readers, choice.settings.passage_window_ms)
        core.untried |= untried
        opened.callback(serve(_board(number, core.digits, monotonic_ns), devices))
        ByHand(core, devices, readers, operator, write, choice.settings.pulse_ms, monotonic_ns).run()
        wiring = Wiring(tried(choice.spec, core.untried))
        written = write(EventWord.COMMISSIONED, wiring) if core.flaw is None else 0
        if isinstance(written, str):
            core.unrecorded(written)
        if core.flaw is not None:
            write(say(EventWord.COMMISSION_ENDED, core.flaw.kind))
            raise NotCommissioned(core.flaw)
        return wiring.topology


class ByHand:
    """A commissioning whose devices are ours: readers are asked in turn, edges wait in a queue, answers for people."""

    def __init__(
        self,
        core: Commissioning,
        devices: LaneDevices,
        readers: list[Reader],
        operator: Operator,
        write: Callable[[EventName], int | str],
        pulse_ms: int,
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._core = core
        self._devices = devices
        self._readers = readers
        self._operator = operator
        self._write = write
        self._pulse_ms = pulse_ms
        self._monotonic_ns = monotonic_ns
        self._edges: queue.SimpleQueue[Edge] = queue.SimpleQueue()

    def run(self) -> None:
        """All of it; `core` says how it ended."""
        core, told = self._core, None
        self._devices.turnstile.watch(self._edges.put)
        core.begin(self._active, self._now_ms())
        while core.step not in OVER:
            while core.wants_pulse:
                self._pulse()
            now = told_of(core)
            if now != told and core.step not in (Step.ARM, *OVER):
                self._operator.tell(now)
            told = now
            if core.step is Step.ARM:
                core.answer(self._operator.ask_arm(now), self._now_ms())
            self._wait()
            core.tick(self._active, self._now_ms())

    def _wait(self) -> None:
        """What comes within POLL_S or so: reads while they are waited for, and edges."""
        if self._core.step is Step.CODE:
            for place in sorted(self._core.unread):
                self._ask(place)
        with contextlib.suppress(queue.Empty):
            edge = self._edges.get(timeout=0.0 if self._core.step is Step.CODE else POLL_S)
            while True:
                self._core.edge(edge.role, edge.active, self._now_ms())
                edge = self._edges.get_nowait()

    def _ask(self, place: int) -> None:
        reader = self._readers[place]
        try:
            raw = reader.poll(POLL_S)
        except DeviceFault as fault:
            reader.failed = str(fault)
            return
        if raw is not None:
            self._core.read(place, raw, self._now_ms())

    def _pulse(self) -> None:
        seq = self._write(EventWord.TEST_PULSE)
        if isinstance(seq, str):
            return self._core.fail(Flaw(FlawKind.RECORD, detail=seq))
        self._core.pulsed(self._now_ms())
        try:
            self._devices.turnstile.open_for(self._core.direction, self._pulse_ms, note(b"", seq))
        except DeviceFault as fault:
            return self._core.fail(Flaw(FlawKind.RELAY, detail=str(fault)))
        return None

    def _now_ms(self) -> int:
        return self._monotonic_ns() // NS_PER_MS

    def _active(self, role: Role) -> bool:
        return is_active(self._devices.turnstile, role)


def _board(lane: int, digits: str, monotonic_ns: Callable[[], int]) -> Board:
    """A lane on trial that shows its number."""
    board = Board((lane,), lambda: monotonic_ns() // NS_PER_MS)
    board.status(Status(lanes=(LaneStatus(lane, LaneState.COMMISSIONING),)))
    board.rest(lane, Face(Reason.LANE_CLOSED, FaceFacts(commission=digits, on_trial=True)))
    return board
