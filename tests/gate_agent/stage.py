"""A gate on a stage: the real conductor, journal, list and board around simulated arms, in time that a test moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gate_agent.board import Board, Scan
from gate_agent.decision import Admit
from gate_agent.entries import Entries
from gate_agent.entries_view import EntriesView
from gate_agent.faces import Face
from gate_agent.gate import Gate
from gate_agent.journal import CannotRecord, Journal
from gate_agent.lane import Lane
from gate_agent.lane_state import LaneState, Word
from gate_agent.lanes import LaneDoesNotAnswer
from gate_agent.pass_list import PassListHolder
from gate_agent.passage import LanePassages
from gate_agent.presenting import Verdict
from gate_agent.recognition import Raw, recognise
from gate_agent.seams import exported
from gate_agent.staff_entries import NotNow
from gate_agent.status import Status
from gate_agent.sync_state import SyncView
from gate_agent.time_trust import Now
from gate_agent.world import World
from hardware.indicator import Signal
from hardware.simulated_readers import RecordedIndicator
from hardware.simulated_turnstile import WINDOW_MS, SimulatedTurnstile
from hardware.timeline import History, StepTimeline
from hardware.turnstile import Direction, Edge, Role
from tests.gate_agent.venue import NOW_MS
from tests.wire import samples
from wire.messages import ClockTrust, Entry

T = TypeVar("T")
STEP_MS = 100
PULSE_MS = 300
WHO = "李一"
"""The member of staff who acts."""


@dataclass
class Stage:
    """Two lanes of one box. `boot` and `knows_time` may be changed between presentations."""

    data_dir: Path
    entries: Entries
    journal: Journal
    gate: Gate
    lanes: Sequence[Lane]
    arms: Sequence[SimulatedTurnstile]
    lamps: Sequence[RecordedIndicator]
    board: Board
    timeline: StepTimeline
    histories: Sequence[History]
    clock: StageClock

    def show(self, raw: Raw, lane: int = 1) -> Verdict | None:
        """A visitor presents, after the lanes' devices were looked at; the verdict."""
        self.gate.standing.look()
        return self.gate.present(self.lanes[lane - 1], recognise(raw))

    def look(self) -> Status:
        """The lanes' devices are looked at, as once a second; what the board then says of the gate."""
        self.gate.standing.look()
        return self.board.snapshot().status

    def order(self, word: Word, minutes: int = 0, lane: int = 1) -> int | NotNow:
        """Staff say so of a lane."""
        return self.gate.set_order(self.lanes[lane - 1], word, WHO, "维修", minutes)

    def states(self) -> list[LaneState]:
        """How the lanes stand, after a look."""
        return [lane.state for lane in self.look().lanes]

    def alarms(self) -> list[tuple[str, int | None]]:
        """What calls for staff, the worst first."""
        return [(alarm.kind.value, alarm.lane) for alarm in self.board.snapshot().status.alarms]

    def signal(self, lane: int = 1) -> Signal:
        """What the lamps say."""
        return self.lamps[lane - 1].signal

    def wait(self, ms: int) -> None:
        """Time passes: arms turn, lanes look after what is open."""
        for _ in range(0, ms, STEP_MS):
            self.timeline.advance(STEP_MS)
            for lane in self.lanes:
                self.gate.tick(lane)

    def face(self, lane: int = 1) -> Face:
        """What the visitor sees."""
        return self.board.snapshot().shown[lane].face

    def scans(self) -> list[Scan]:
        """The staff's list, newest first."""
        return list(self.board.snapshot().scans)

    def pulses(self, lane: int = 1) -> list[int]:
        """The entry of every pulse of a lane."""
        moments = self.histories[lane - 1].moments("relay")
        return [int(moment.note["entry_seq"] or 0) for moment in moments if moment.event == "on"]

    def written(self) -> list[Entry]:
        """The journal, after everything posted was written."""
        self.journal.perform(lambda _: None)
        with EntriesView.open(self.data_dir) as view:
            assert isinstance(view.verify(), int)
            return [entry for entry, _ in view.entries()]

    def told(self) -> list[str]:
        """The journal in short: kind, pass, what it refers to, reason."""
        rows = (json.loads(json.dumps(exported(entry, b""))) for entry in self.written())
        return [
            " ".join(str(row[key]) for key in ("kind", "pass", "ref_seq", "reason") if row[key] is not None).replace(
                "0" * 15, ""
            )
            for row in rows
        ]

    def disk_takes(self, anything: bool) -> None:
        """Whether SQLite can write from now on."""
        self.journal.perform(lambda _: None)
        self.entries._db.execute(f"PRAGMA query_only = {'OFF' if anything else 'ON'}")

    def recover(self) -> None:
        """As at a start."""
        intents = self.journal.perform(lambda entries: entries.open_intents())
        assert not isinstance(intents, CannotRecord)
        self.gate.recover(intents)


@dataclass
class Here:
    """A lane that does at once what staff ask of it, or with `silent` does not answer."""

    lane: Lane
    silent: bool = False

    def command(self, work: Callable[[], T]) -> T:
        """As `LaneThreads.command`."""
        if self.silent:
            raise LaneDoesNotAnswer("lane does not answer; nothing was done")
        return work()


def admitted(verdict: Verdict | None) -> bool:
    """Whether somebody may enter."""
    return isinstance(verdict, Admit)


@dataclass
class StageClock:
    """The gate's time, moved by the timeline."""

    timeline: StepTimeline
    sync: SyncView
    lists: PassListHolder
    boot: str = "this"
    knows_time: bool = True
    began_ms: int = NOW_MS
    floor_ms: int | None = NOW_MS

    def look(self) -> World:
        """The world now."""
        ms = self.timeline.now_ns() // 1_000_000
        at_ms = self.began_ms + ms if self.knows_time else None
        trust = ClockTrust.TRUSTED if self.knows_time else ClockTrust.UNKNOWN
        now = Now(at_ms, trust, ms, at_ms or 0, self.floor_ms)
        return World(now, self.lists.current(), self.sync.read(), self.boot, b"spare")


@contextmanager
def stage_at(
    data_dir: Path,
    *,
    has_sensor: bool = True,
    timeline: StepTimeline | None = None,
    ways: Sequence[Direction] = (Direction.IN, Direction.IN),
    free: Collection[Direction] = (),
    shares_arm: bool = False,
    boot: str = "this",
    knows_time: bool = True,
    later_ms: int = 0,
) -> Iterator[Stage]:
    """The gate of a data directory, with visitors that walk only when sent. `ways`: where lanes lead.

    `shares_arm`: both work the first arm, each its own way."""
    timeline = timeline or StepTimeline()
    entries, _ = Entries.open(data_dir, lambda: samples.INCARNATION)
    journal = Journal(entries)
    journal.start()
    board = Board((1, 2), lambda: timeline.now_ns() // 1_000_000)
    clock = StageClock(timeline, SyncView.open(data_dir), PassListHolder(data_dir), boot, knows_time, NOW_MS + later_ms)
    histories = [History(timeline.now_ns) for _ in range(2)]
    arms = [
        SimulatedTurnstile(timeline, history, None, has_sensor, way)
        for history, way in zip(histories, ways, strict=True)
    ]
    if shares_arm:
        arms, histories = [arms[0]] * 2, [histories[0]] * 2
    lamps = [RecordedIndicator(history) for history in histories]
    lanes = [
        Lane(number, arm, LanePassages(WINDOW_MS, has_sensor, way, frozenset(free), shares_arm), PULSE_MS, (lamp,))
        for number, arm, lamp, way in zip((1, 2), arms, lamps, ways, strict=True)
    ]
    world = clock.look()
    orders = entries.lane_orders(world.boot, world.now)
    gate = Gate(journal, clock.look, board, lanes, timeline.now_ns, orders)
    for lane, arm in zip(lanes, arms, strict=True):
        arm.watch(lambda edge, lane=lane: _forward(gate, lane, edge))  # type: ignore[misc]
    with closing(journal):
        yield Stage(data_dir, entries, journal, gate, lanes, arms, lamps, board, timeline, histories, clock)


def _forward(gate: Gate, lane: Lane, edge: Edge) -> None:
    if edge.role is Role.FIRE:
        gate.fire(lane, edge.active)
    gate.edge(lane, edge)
