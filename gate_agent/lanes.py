"""The threads of a lane: one for each reader, and one that plays what they read and what the passage sensor tells."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, TypeVar

from gate_agent.board import Board
from gate_agent.decision import Admit, LetOut
from gate_agent.faces import Face
from gate_agent.gate import Gate
from gate_agent.lane import Lane
from gate_agent.passage import NS_PER_MS
from gate_agent.readers import Reader, readers_of
from gate_agent.recognition import HeldUp, Raw, recognise
from hardware import Backoff, DeviceFault
from hardware.card_reader import CardFault
from hardware.devices import LaneDevices
from hardware.turnstile import Edge, Role
from wire.reasons import Reason

POLL_S = 0.5
"""How long a reader is asked at a time: bounds how long a thread takes to end."""
IDLE_S = 2.0
"""The longest a lane sleeps: its turns are how the watchdog sees that it is alive."""
EDGES_LIMIT = 256
RETRY_FIRST_S, RETRY_LIMIT_S = 0.2, 5.0
FAULT_PAUSE_S = 0.1
"""After a mistake of ours, so that one that repeats does not take the processor from the other lanes."""
STOP_LIMIT_S = 0.5
COMMAND_LIMIT_S = 5.0
"""How long staff wait for a lane to do what they ask; a lane that has not begun it by then never will."""
TRIED_LIMIT = 32
COMMANDS_LIMIT = 8
"""Commands that may wait for one lane."""

log = logging.getLogger(__name__)

T = TypeVar("T")


class LaneDoesNotAnswer(Exception):
    """A lane did not do what staff asked of it; the sentence is for them."""


@dataclass(frozen=True, slots=True)
class _Command:
    work: Callable[[], Any]
    answer: Future[Any]

    def do(self) -> None:
        """Do it, unless nobody waits any more; what it raised is the asker's."""
        if not self.answer.set_running_or_notify_cancel():
            return
        try:
            self.answer.set_result(self.work())
        except Exception as fault:  # the lane goes on, whatever a command came to
            self.answer.set_exception(fault)


class LaneThreads:
    """One lane at work. What a reader reads waits in its own slot of one, where a newer read replaces it.

    The slots are played in turn, so that a reader which never stops holds up none of the others' visitors."""

    def __init__(
        self, gate: Gate, lane: Lane, devices: LaneDevices, board: Board, held: HeldUp, monotonic_ns: Callable[[], int]
    ) -> None:
        self.lane = lane
        self.devices = devices
        self.readers = lane.readers = readers_of(devices)
        self.turns = 0
        """Rises with every turn of the lane's own thread, at least every IDLE_S."""
        self._gate = gate
        self._board = board
        self._held = held
        self._monotonic_ns = monotonic_ns
        self._changed = threading.Condition()
        self._newest: dict[int, Raw | CardFault] = {}  # by reader; who has waited longest comes first
        self._edges: deque[Edge] = deque(maxlen=EDGES_LIMIT)
        self._tried: deque[tuple[int, Raw | CardFault]] = deque(maxlen=TRIED_LIMIT)  # what readers read on trial
        self._commands: deque[_Command] = deque()
        self._closing = threading.Event()
        self._watchers = list[threading.Thread]()
        self._player = threading.Thread(target=self._play, name=f"lane {lane.number}", daemon=True)

    def start(self) -> None:
        """Begin to read and to play."""
        self.devices.turnstile.watch(self._edge)
        self._player.start()
        for slot, reader in enumerate(self.readers):
            name = f"lane {self.lane.number} reader"
            thread = threading.Thread(target=self._watch, args=(slot, reader), name=name, daemon=True)
            self._watchers.append(thread)
            thread.start()

    def spare(self, on: bool) -> None:
        """Heat or a weak supply: read codes at less cost until `spare(False)`. Nothing that is recorded changes."""
        for reader in self.readers:
            reader.spare(on)

    def stop(self) -> None:
        """Play nothing more. The devices are the caller's to close."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        for thread in (self._player, *self._watchers):
            if thread.is_alive():
                thread.join(STOP_LIMIT_S)

    def command(self, work: Callable[[], T]) -> T:
        """What `work` returned, done on the lane's own thread between two visitors; what it raised is raised here.

        LaneDoesNotAnswer: the lane is stopped, busy for longer than COMMAND_LIMIT_S, or has COMMANDS_LIMIT waiting."""
        command = _Command(work, Future())
        number = self.lane.number
        with self._changed:
            if self._closing.is_set():
                raise LaneDoesNotAnswer(f"lane {number} is being stopped; nothing was done")
            if len(self._commands) >= COMMANDS_LIMIT:
                raise LaneDoesNotAnswer(f"lane {number} has too much to do; nothing was done, try again")
            self._commands.append(command)
            self._changed.notify_all()
        try:
            result: T = command.answer.result(COMMAND_LIMIT_S)
        except (TimeoutError, CancelledError):
            if command.answer.cancel():
                raise LaneDoesNotAnswer(f"lane {number} does not answer; nothing was done") from None
            raise LaneDoesNotAnswer(f"lane {number} does not answer; look whether it was done") from None
        return result

    def _watch(self, slot: int, reader: Reader) -> None:
        """A reader's thread: whatever it does, it stays this thread's trouble."""
        backoff = Backoff(RETRY_FIRST_S, RETRY_LIMIT_S)
        while not self._closing.is_set() and not reader.ended():
            try:
                raw = reader.poll(POLL_S)
            except DeviceFault as fault:
                reader.failed = str(fault)
                self._closing.wait(backoff.next_s())
                continue
            except Exception as fault:  # a driver may fail in any way; the lane's other readers go on
                log.exception("lane %d: a reader failed", self.lane.number)
                reader.failed = f"a reader failed: {fault!r}"
                self._closing.wait(backoff.next_s())
                continue
            reader.failed = None
            backoff.reset()
            if raw is not None:
                self._offer(slot, raw)

    def _offer(self, slot: int, raw: Raw | CardFault) -> None:
        with self._changed:
            if self.lane.trial is not None:
                self._tried.append((slot, raw))
                self._changed.notify_all()
                return
            if not isinstance(raw, CardFault) and not self._held.is_new(raw, self._monotonic_ns() // NS_PER_MS):
                self._board.prolong(self.lane.number)
                return
            self._board.reading(self.lane.number)
            displaced = self._newest.pop(slot, None)
            if displaced is not None and not isinstance(displaced, CardFault):
                self._held.forget(displaced)
            self._newest[slot] = raw
            self._changed.notify_all()

    def _edge(self, edge: Edge) -> None:
        """Called from the turnstile's own thread. Fire does not wait for a lane that is busy."""
        if edge.role is Role.FIRE:
            self._gate.fire(self.lane, edge.active)
        with self._changed:
            self._edges.append(edge)
            self._changed.notify_all()

    def _play(self) -> None:
        while not self._closing.is_set():
            edges, commands, tried, raw = self._take()
            self.turns += 1
            for edge in edges:
                self._try(lambda edge=edge: self._gate.edge(self.lane, edge), "an edge")  # type: ignore[misc]
            for slot, read in tried:
                self._try(lambda slot=slot, read=read: self._try_out(slot, read), "a trial")  # type: ignore[misc]
            for command in commands:
                command.do()
            if raw is not None and not self._try(lambda raw=raw: self._present(raw), "a presentation"):  # type: ignore[misc]
                self._board.face(self.lane.number, Face(Reason.FAULT))
            self._try(lambda: self._gate.tick(self.lane), "looking after what is open")
        self._drop_commands()

    def _try(self, step: Callable[[], None], what: str) -> bool:
        """Whether `step` went well: what one of them does wrong costs neither the others nor the next visitor."""
        try:
            step()
        except Exception:  # one visitor's presentation must not stop the lane for the next
            log.exception("lane %d: %s failed", self.lane.number, what)
            self._closing.wait(FAULT_PAUSE_S)
            return False
        return True

    def _drop_commands(self) -> None:
        """Whoever still waits when the lane ends is told so."""
        with self._changed:
            for command in self._commands:
                command.answer.cancel()
            self._commands.clear()

    def _present(self, raw: Raw | CardFault) -> None:
        if isinstance(raw, CardFault):
            self._gate.unreadable(self.lane, raw)
        elif self._take_up(raw):
            let_in = False
            try:
                let_in = isinstance(self._gate.present(self.lane, recognise(raw)), Admit | LetOut)
            finally:
                if not let_in:
                    self._turn_down(raw)

    def _take_up(self, raw: Raw) -> bool:
        with self._changed:
            return self._held.take_up(raw, self._monotonic_ns() // NS_PER_MS)

    def _turn_down(self, raw: Raw) -> None:
        with self._changed:
            self._held.turn_down(raw)

    def _try_out(self, slot: int, raw: Raw | CardFault) -> None:
        """Told to the trial of this lane, if that is still on."""
        if self.lane.trial is not None:
            self.lane.trial.read(slot, raw)

    def _take(self) -> tuple[list[Edge], list[_Command], list[tuple[int, Raw | CardFault]], Raw | CardFault | None]:
        """What has come since, waiting until there is something to do."""
        due_ns = self._gate.next_tick_ns(self.lane)
        wait_s = IDLE_S if due_ns is None else max(0.0, (due_ns - self._monotonic_ns()) / 1e9)
        with self._changed:
            self._changed.wait_for(self._has_work, min(wait_s, IDLE_S))
            edges, commands, tried = list(self._edges), list(self._commands), list(self._tried)
            raw = self._newest.pop(next(iter(self._newest))) if self._newest else None
            for taken in (self._edges, self._commands, self._tried):
                taken.clear()
        return edges, commands, tried, raw

    def _has_work(self) -> bool:
        return bool(self._newest or self._edges or self._commands or self._tried) or self._closing.is_set()
