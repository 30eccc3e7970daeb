"""How the box is, once a second: lanes, link, list, clock, disk, devices and today's numbers, for both faces."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gate_agent import machine
from gate_agent.box_alarms import SILENT_MS, BoxAlarms
from gate_agent.entries_view import EntriesView
from gate_agent.faces import Label
from gate_agent.journal import Journal
from gate_agent.lanes import LaneThreads
from gate_agent.machine import Machine, Strain
from gate_agent.standing import Standing
from gate_agent.status import DeviceKind, DeviceStatus, Status
from gate_agent.sync_state import DEVICE_KEY, SyncView
from gate_agent.tally import Tally
from gate_agent.world import World, WorldView
from wire.signing import check_characters, public_key_of

LOOK_EVERY_S = 1.0
DISK_FULL_PERCENT = 95
HANGS_MS = 10_000
"""A lane makes a turn at least every `lanes.IDLE_S`; one that has made none for so long is held by a driver."""
CUT_SHORT_LIMIT = 3
"""Looks in a row that could not read everything before the lanes are said to be out of order."""

log = logging.getLogger(__name__)


class Health:
    """Looks at everything and tells the board. Reads only; what it cannot read it leaves out."""

    def __init__(
        self,
        data_dir: Path,
        gate_name: str,
        standing: Standing,
        journal: Journal,
        world: WorldView,
        sync: SyncView,
        lanes: Sequence[LaneThreads],
        ended: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        """`ended`: the threads of the agent that ended by an exception."""
        self._data_dir = data_dir
        self._gate_name = gate_name
        self._standing = standing
        self._journal = journal
        self._world = world
        self._sync = sync
        self._lanes = lanes
        self._tally = Tally(counts_exits=any(lane.lane.counts_exits for lane in lanes))
        self.looks = 0
        """Rises with every look, however far it came."""
        self._strain = Strain()
        self._alarms = BoxAlarms(data_dir, journal, sync, ended)
        self._turned: dict[int, tuple[int, int]] = {}  # by lane: its turns, and since when they are so many
        self._cut_short = 0

    def run(self, stop: threading.Event) -> None:
        """Look every second until `stop`."""
        while not stop.wait(LOOK_EVERY_S):
            self.look_as_far_as_possible()

    def look_as_far_as_possible(self) -> None:
        """One look that a file which cannot be read cuts short; when that goes on, nothing is said to be in order."""
        self.looks += 1
        try:
            self.look()
            self._cut_short = 0
        except Exception:  # whatever it was: a thread that ends would leave the last good state on the screens
            log.exception("something could not be read")
            self._cut_short += 1
            if self._cut_short >= CUT_SHORT_LIMIT:
                self._give_up_on_the_disk()

    def _give_up_on_the_disk(self) -> None:
        """Every lane is out of order: what cannot be read cannot be written either."""
        self._standing.look(Status(gate=self._gate_name, readers_all=0, relays_all=len(self._lanes)), readable=False)

    def look(self) -> None:
        """One look: the state of everything, and what each lane shows while nobody presents."""
        world = self._world.look()
        if self._journal.trouble is not None:  # only writing shows that the disk takes something again
            self._journal.post(lambda entries: entries.check_itself(world.now.record_ms))
        computer = machine.look_at(self._data_dir)
        strained = self._strain.judge(computer, world.now.monotonic_ms)
        for threads in self._lanes:
            threads.spare(strained)
            threads.lane.hangs = self._hangs(threads, world.now.monotonic_ms)
        self._standing.look(self._status(world, computer))

    def _hangs(self, threads: LaneThreads, now_ms: int) -> bool:
        """Whether a lane that was at work makes no turns any more."""
        number, turns = threads.lane.number, threads.turns
        before, since_ms = self._turned.get(number, (turns, now_ms))
        if turns != before:
            since_ms = now_ms
        self._turned[number] = (turns, since_ms)
        return turns > 0 and now_ms - since_ms >= HANGS_MS

    def _check(self) -> str:
        """What an operator compares before a gate is approved."""
        return check_characters(public_key_of((self._data_dir / DEVICE_KEY).read_bytes()))

    def _devices(self) -> Iterator[DeviceStatus]:
        for lane in self._lanes:
            number = lane.lane.number
            yield from (DeviceStatus(number, reader.kind, reader.fault or "") for reader in lane.readers)
            yield DeviceStatus(number, DeviceKind.RELAY, _turnstile_fault(lane) or "")

    def _status(self, world: World, computer: Machine) -> Status:
        held, sync, now = world.pass_list, world.sync, world.now
        contact_ms = sync.last_contact_ms
        online = sync.online and contact_ms is not None and now.record_ms - contact_ms < SILENT_MS
        readers = [reader for lane in self._lanes for reader in lane.readers]
        percent = computer.disk_percent
        status = Status(
            alarms=self._alarms.look(world, self._strain.weak),
            gate=self._gate_name,
            enrolled=sync.device is not None,
            check=self._check() if sync.device is not None and sync.config is None else "",
            online=online,
            offline_since_ms=None if online else sync.offline_since_ms or contact_ms,
            clock=now.trust,
            disk_percent=percent,
            disk_full=self._journal.trouble is not None and percent >= DISK_FULL_PERCENT,
            readers_ok=sum(reader.fault is None for reader in readers),
            readers_all=len(readers),
            relays_ok=sum(_turnstile_fault(lane) is None for lane in self._lanes),
            relays_all=len(self._lanes),
            devices=tuple(self._devices()),
            temperature_c=computer.temperature_c,
        )
        if not self._journal.is_displaced():
            with EntriesView.open(self._data_dir) as journal:
                status = replace(
                    status,
                    waiting=max(0, journal.last_seq() - self._sync.cursor(journal.incarnation)),
                    open_intents=journal.open_intents(),
                    counters=self._tally.follow(journal, world.today.day, now.at_ms),
                )
        if held is None:
            return status
        return replace(
            status,
            venue=Label(held.document.name_zh, held.document.name_en),
            zone=held.document.zone,
            list_version=held.version,
            list_at_ms=held.head.signed_at_ms,
            list_expired=now.at_ms is not None and now.at_ms >= held.head.not_after_ms,
        )


def _turnstile_fault(threads: LaneThreads) -> str | None:
    return threads.devices.turnstile.fault or ("its driver does not answer" if threads.lane.hangs else None)
