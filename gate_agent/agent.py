"""The running agent: everything put together from its settings, started in order and stopped in order."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from gate_agent import electronic_cards, judging
from gate_agent.acting import Acts
from gate_agent.asking import Asker
from gate_agent.board import Board
from gate_agent.centre_client import USUAL_PATIENCE
from gate_agent.ended_threads import EndedThreads
from gate_agent.gate import Gate
from gate_agent.health import Health
from gate_agent.journal import CannotRecord, Journal
from gate_agent.lane import Lane
from gate_agent.lanes import STOP_LIMIT_S, LaneThreads
from gate_agent.pairing import Pairing
from gate_agent.pass_list import PassListHolder
from gate_agent.passage import LanePassages
from gate_agent.photos import Photos
from gate_agent.pins import Attempts, Pins
from gate_agent.recognition import HeldUp
from gate_agent.retention import Retention
from gate_agent.selfcheck import SelfCheck
from gate_agent.settings import LaneChoice, Settings
from gate_agent.staff import Staff
from gate_agent.succession import Watch, open_journal
from gate_agent.sync_child import SyncChild
from gate_agent.sync_state import SyncView
from gate_agent.trusted_time import clocks_of_this_machine
from gate_agent.watchdog import Watchdog
from gate_agent.world import WorldView
from hardware.devices import LaneDevices, LaneSpec, open_lane
from hardware.turnstile import Direction
from wire.messages import INCARNATION_BYTES

READERS_PATIENCE_S = 0.2
"""How long a start waits for scanners that are there to be open; those that are not are looked for anyway."""
SPARE_KEY_BYTES = 32

log = logging.getLogger(__name__)


class AlreadyRunning(Exception):
    """Another agent writes in this data directory."""


class Agent:
    """One box with its lanes. Use it as a context: leaving it stops everything, arms locked."""

    def __init__(
        self, data_dir: Path, gate_name: str, chosen: Sequence[LaneChoice], monotonic_ns: Callable[[], int]
    ) -> None:
        """Raises AlreadyRunning, DeviceFault, JournalTooNew, JournalClosed, or what the disk says."""
        self._stopping = threading.Event()
        self._threads = list[threading.Thread]()
        self._opened = contextlib.ExitStack()
        self._monotonic_ns = monotonic_ns
        self.data_dir = data_dir
        self._ended = EndedThreads()
        with self._opened:
            self._opened.callback(only_one(data_dir))
            self._opened.callback(self._ended.close)
            self._ended.listen()
            self._sync = sync = SyncView.open(data_dir)
            self._opened_journal = open_journal(data_dir, lambda: secrets.token_bytes(INCARNATION_BYTES), sync)
            entries = self._opened_journal.entries
            self._journal = Journal(entries)
            self._opened.callback(self._journal.close)
            clocks, lists = clocks_of_this_machine(), PassListHolder(data_dir)
            spare_key = secrets.token_bytes(SPARE_KEY_BYTES)
            self._world = WorldView(clocks, lists, sync, spare_key, entries.newest_trusted_ms)
            self.time = self._world.time
            self.time.look_at_rtc()
            self._specs = [choice.spec for choice in chosen]
            self.devices = self._open_all(self._specs)
            self.board = Board(tuple(one.number for one in self.devices), lambda: monotonic_ns() // 1_000_000)
            shared = {spec.arm_of for spec in self._specs if spec.arm_of is not None}
            lanes = [
                _lane(choice, devices, shares_arm=choice.spec.arm_of is not None or choice.spec.number in shared)
                for choice, devices in zip(chosen, self.devices, strict=True)
            ]
            now = self._world.look()
            orders, self._attempts = entries.lane_orders(now.boot, now.now), Attempts(*entries.pin_attempts())
            self.gate = Gate(self._journal, self._world.look, self.board, lanes, monotonic_ns, orders, entries.wiring())
            self.lanes = [
                LaneThreads(self.gate, lane, devices, self.board, HeldUp(choice.settings.same_code_ms), monotonic_ns)
                for choice, devices, lane in zip(chosen, self.devices, lanes, strict=True)
            ]
            for lane in lanes:
                asker = Asker(data_dir, sync, clocks, self.time, electronic_cards.PATIENCE)
                lane.ask = electronic_cards.CardQuestions(lane.number, asker).ask
            self.photos = Photos(data_dir, Asker(data_dir, sync, clocks, self.time, USUAL_PATIENCE), self.board.wake)
            self._health = Health(
                data_dir,
                gate_name,
                self.gate.standing,
                self._journal,
                self._world,
                sync,
                self.lanes,
                lambda: self._ended.names,
            )
            self._retention = Retention(self._journal, entries.incarnation, sync, self._world.look)
            reads_codes = any(devices.cameras for devices in self.devices)
            self._selfcheck = SelfCheck(self._journal, reads_codes, lambda: self.time.now().record_ms)
            self._opened = self._opened.pop_all()

    def start(self) -> None:
        """Close what a crash left open, then let the lanes work."""
        self._journal.start()
        begun = self._opened_journal
        if begun.event is not None:
            name, world = begun.event, self._world.look()
            where = "is gone" if begun.aside is None else f"lies in {begun.aside.name}"
            log.error("a new journal begins (%s); the one before it %s", name, where)
            self._journal.post(lambda entries: judging.append_event(entries, name, world))
        intents = self._journal.perform(lambda entries: entries.open_intents())
        if not isinstance(intents, CannotRecord):
            self.gate.recover(intents)
        self.gate.wiring.compare(self._specs)
        for lane in self.lanes:
            lane.start()
        self._await_readers()
        self._health.look_as_far_as_possible()
        self._keep_doing("clock", self.time.keep_looking)
        self._keep_doing("health", self._health.run)
        self._keep_doing("watchdog", self.watchdog().run)
        self._keep_doing("retention", self._retention.run)
        self._keep_doing("photos", self.photos.keep_keys)

    def watchdog(self) -> Watchdog:
        """Fed while everything moves that must, no thread ended that is needed, and the self-check finds nothing."""
        return Watchdog(self._counters(), lambda: self._ended.failure() or self._selfcheck.failure())

    def acts(self, held: Settings, pairing: Pairing | None = None) -> Acts:
        """What staff may do at this box, by the settings."""
        pins = Pins(Staff(self.data_dir), self._journal, self._world.look, self._attempts)
        lanes = {lane.lane.number: lane for lane in self.lanes}
        return Acts(self.data_dir, pins, self._journal, self._world.look, self.gate, lanes, self._sync, held, pairing)

    def pairing(self, address: str) -> Pairing:
        """How tablets are paired, at the page of this address."""
        return Pairing(self.data_dir, self._journal, self._world.look, address)

    def watch_journal(self, start_anew: Callable[[], None]) -> None:
        """Call `start_anew`, once, when the journal cannot go on: the next start begins another."""
        watch = Watch(self._opened_journal.entries.incarnation, self._sync, self.board, start_anew)
        self._keep_doing("succession", watch.run)

    def keep_syncing(self) -> None:
        """Run the sync child from now on."""
        child = SyncChild(self.data_dir)
        self._opened.callback(child.stop)
        child.start()

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        for lane in self.lanes:
            lane.stop()
        for thread in self._threads:  # a thread that still runs while the interpreter ends may take it along
            thread.join(STOP_LIMIT_S)
        self._opened.close()

    def _keep_doing(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """Do this on a thread of its own until everything stops."""
        thread = threading.Thread(target=work, args=(self._stopping,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _open_all(self, specs: Sequence[LaneSpec]) -> list[LaneDevices]:
        """The devices of all lanes, in their order; lanes that share another's arm are opened after it."""
        opened: dict[int, LaneDevices] = {}
        for spec in sorted(specs, key=lambda spec: spec.arm_of is not None):
            arm = None if spec.arm_of is None else opened[spec.arm_of]
            opened[spec.number] = devices = open_lane(spec, arm)
            self._opened.callback(devices.close)
        return [opened[spec.number] for spec in specs]

    def _counters(self) -> dict[str, Callable[[], int]]:
        """Everything that must move for the gate to be alive. Readers may stand still: they are their lanes' faults."""
        lanes = {f"lane {lane.lane.number}": lambda lane=lane: lane.turns for lane in self.lanes}
        return {"journal": lambda: self._journal.turns, "health": lambda: self._health.looks, **lanes}

    def _await_readers(self) -> None:
        """So that the first look at the lanes does not call a scanner away that is only just being opened."""
        readers = [reader for lane in self.lanes for reader in lane.readers]
        deadline_ns = self._monotonic_ns() + round(READERS_PATIENCE_S * 1e9)
        while any(reader.fault for reader in readers) and self._monotonic_ns() < deadline_ns:
            self._stopping.wait(0.005)


def _lane(choice: LaneChoice, devices: LaneDevices, *, shares_arm: bool) -> Lane:
    """A lane out of the venue without readers is free for everybody; only who walks through is counted.

    Of an arm that two lanes share each sees its own way."""
    spec, settings = choice.spec, choice.settings
    free = Direction.OUT if settings.free_exit or not spec.readers else None
    passages = LanePassages(
        settings.passage_window_ms,
        devices.turnstile.has_passage_sensor,
        spec.direction,
        frozenset() if free is None else frozenset({free}),
        shares_arm,
    )
    return Lane(spec.number, devices.turnstile, passages, settings.pulse_ms, devices.indicators, settings.way)


def is_running(data_dir: Path) -> bool:
    """Whether an agent holds the data directory, be it alive or hanging."""
    try:
        only_one(data_dir)()
    except AlreadyRunning:
        return True
    return False


def only_one(data_dir: Path) -> Callable[[], None]:
    """Keep every other agent out of the data directory until the returned function is called, or we die."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise AlreadyRunning(f"another gate-agent is running in {data_dir}: end it, or name another --data") from None
    return lambda: os.close(folder)
